"""`fleetwin deploy`, `destroy` and `drift`: change the stack of a twin that is up, and check it."""

from __future__ import annotations

import http.client
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer

from simulator.aws_endpoint import is_loopback
from simulator.errors import EnvironmentMissing, ScenarioError, SimulatorError

DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Only print what would change, as `cdk diff` does.")
]


def deploy(
    assembly: Annotated[
        Path | None,
        typer.Option(help="What `cdk synth` wrote (cdk.out).", show_default="our own stack"),
    ] = None,
    parameters: Annotated[
        list[str] | None,
        typer.Option(help="NAME=VALUE of a template's parameter; repeatable. Others stay."),
    ] = None,
    dry_run: DryRun = False,
) -> None:
    """Apply an assembly to the twin that AWS_ENDPOINT_URL leads to, as `cdk deploy` does.

    Prints the change set first: what is added, modified in place, replaced, removed; then each
    step. What the twin cannot change is refused before anything is; a failure is rolled back.
    `fleetwin up` prints the variables to export.

    Example: fleetwin deploy --assembly cdk.out --dry-run
    """
    from simulator.targets import SNAPSHOT

    request = {
        "do": "deploy",
        "assembly": str((assembly or SNAPSHOT).resolve()),
        "parameters": named_values(parameters or []),
    }
    answer = _asked({**request, "dry_run": True})
    print(answer["table"], flush=True)
    if dry_run or not answer["changes"]:
        return
    answer = _followed(request)
    for problem in answer["left_behind"]:
        print(f"fleetwin: not deleted, and no longer the stack's: {problem}", file=sys.stderr)
    print(f"deployed; the stack has {answer['resources']} resources")
    for name, value in answer["outputs"].items():
        print(f"{name} = {value}")


def destroy(dry_run: DryRun = False) -> None:
    """Delete the stack of the twin that AWS_ENDPOINT_URL leads to, as `cdk destroy` does.

    What DeletionPolicy retains stays; what cannot be deleted (a bucket that is not empty) is named
    and stays, with what it needs. The twin stays up.

    Example: fleetwin destroy --dry-run
    """
    answer = _asked({"do": "destroy", "dry_run": True})
    print(answer["table"], flush=True)
    if answer["changes"] and not dry_run:
        _followed({"do": "destroy"})
        print("destroyed")


def drift() -> None:
    """Compare what the services of the twin that is up answer with what its template asks for.

    One line for each property that is otherwise, as after a change by hand; the exit status is 1
    then. What AWS_ENDPOINT_URL leads to is asked.

    Example: fleetwin drift
    """
    answer = _asked({"do": "drift"})
    for line in answer["drift"]:
        print(line)
    count = len(answer["drift"])
    print(f"{answer['resources']} resources, {count} differences")
    if count:
        raise typer.Exit(1)


def named_values(given: list[str]) -> dict[str, str]:
    """Return what NAME=VALUE texts name; raises ScenarioError for another form."""
    found = {}
    for each in given:
        name, equals, value = each.partition("=")
        if not name or not equals:
            raise ScenarioError(f"--parameters {each}: must be NAME=VALUE")
        found[name] = value
    return found


def _asked(request: dict[str, Any]) -> dict[str, Any]:
    """Ask the twin; raises SimulatorError with what it refuses."""
    with _answer_to(request) as response:
        found: dict[str, Any] = json.load(response)
    return found


def _followed(request: dict[str, Any]) -> dict[str, Any]:
    """Ask the twin and print what happens; raises SimulatorError with what it refuses."""
    with _answer_to({**request, "progress": True}) as response:
        for line in response:
            said = json.loads(line)
            if "event" in said:
                print(said["event"], flush=True)
            elif "error" in said:
                raise SimulatorError(said["error"])
            else:
                found: dict[str, Any] = said["answer"]
                return found
    raise EnvironmentMissing("the twin ended before the deployment did")


@contextmanager
def _answer_to(request: dict[str, Any]) -> Iterator[http.client.HTTPResponse]:
    address = os.environ.get("AWS_ENDPOINT_URL", "")
    if not is_loopback(address):
        raise EnvironmentMissing(
            f"AWS_ENDPOINT_URL is {address or 'not set'}, which is no twin on this machine: "
            "export what `fleetwin up` prints"
        )
    url = urlsplit(address)
    key = os.environ.get("AWS_ACCESS_KEY_ID", "")
    headers = {
        "Authorization": f"FLEETWIN Credential={key}/deploy",
        "Content-Type": "application/json",
    }
    connection = http.client.HTTPConnection(url.hostname or "", url.port or 80)
    try:
        connection.request("POST", "/_fleetwin/deploy", json.dumps(request), headers)
        # The response has the socket where the twin closes it at the end.
        with connection.getresponse() as response:
            if response.status != 200:
                raise SimulatorError(response.read().decode())
            yield response
    except OSError as error:
        raise EnvironmentMissing(
            f"no twin answers at {url.geturl()} ({error}); start one with `fleetwin up` and "
            "export what it prints"
        ) from error
    finally:
        connection.close()
