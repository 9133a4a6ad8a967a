"""`fleetwin iam report`: which grants a run did not use, and what was denied."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import Annotated

import typer

from simulator.errors import EnvironmentMissing

app = typer.Typer(no_args_is_help=True, help="What the roles of a stack may do, and what they did.")


@app.callback()
def iam() -> None:
    """Look at permissions."""


@app.command()
def report(
    state: Annotated[
        Path, typer.Option(help="The twin's folder: `twin` in the --out of a run, or --state.")
    ] = Path("out/twin"),
    role: Annotated[str, typer.Option(help="Only roles whose name has this in it.")] = "",
) -> None:
    """Say which grants a run did not use, role by role, and which calls were denied.

    What was not used may still be needed: retries, failures, a path that did not come up. A
    denied call of a workflow is named with its state. Ends with 1 when a call was denied.

    Example: fleetwin iam report --role detector
    """
    from simulator.cloud import iam_usage

    try:
        usage = iam_usage.load(state)
    except (FileNotFoundError, NotADirectoryError):
        raise EnvironmentMissing(
            f"no twin has left its permissions in {state}: run `fleetwin run` first, "
            "or give --state FOLDER"
        ) from None
    except ValueError as error:
        raise EnvironmentMissing(
            f"{state}: its permissions cannot be read ({error}): run `fleetwin run` again, "
            "or give another --state FOLDER"
        ) from None
    used, unused = (
        [grant for grant in grants if role in _name(grant.role)]
        for grants in (usage.used, usage.unused)
    )
    if role and not used and not unused:
        names = sorted({_name(grant.role) for grant in (*usage.used, *usage.unused)})
        raise EnvironmentMissing(
            f"--role {role}: in no role's name; the run had {', '.join(names)}"
        )
    for arn, grants in groupby(unused, key=lambda grant: grant.role):
        print(_name(arn))
        for grant in grants:
            print(f"  not used  {grant.sid or '(no Sid)':<22} {grant.action}")
    denied = [each for each in usage.denied if role in _name(each[0])]
    for arn, action, resource in denied:
        step = usage.steps.get((arn, action, resource), "")
        print(f"{_name(arn)}\n  DENIED    {action} on {resource}{f', at {step}' if step else ''}")
    total = len(used) + len(unused)
    print(f"{len(used)} of {total} grants were used, {len(denied)} calls were denied")
    if denied:
        raise typer.Exit(1)


def _name(arn: str) -> str:
    return arn.rpartition("/")[2]
