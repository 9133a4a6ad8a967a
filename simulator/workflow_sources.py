"""Where `fleetwin workflow` finds executions, and starts them: a state folder, or an endpoint.

A folder has what twins left that have ended; an execution that is started there runs on a twin
that lives as long as it. An endpoint is a twin that is up, or an account.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from simulator.errors import EnvironmentMissing, SimulatorError
from simulator.workflow_runs import WorkflowRun, run_of

POLL_S = 0.5


class WorkflowNotFound(SimulatorError):
    """No workflow or execution of that name, or several; the message lists those there are."""


class Source(Protocol):
    """What the commands need."""

    def runs(self) -> list[WorkflowRun]:
        """Return all executions, the latest last; without the states of each."""
        ...

    def whole(self, run: WorkflowRun) -> WorkflowRun:
        """Return one with its states."""
        ...

    def start(self, machine: str, data: str, note: Callable[[str], None]) -> WorkflowRun:
        """Start an execution of a workflow and return it when it has ended."""
        ...


class Folder:
    """A twin's state folder."""

    def __init__(self, state: Path) -> None:
        if not state.is_dir():
            raise EnvironmentMissing(
                f"no twin has left anything in {state}: run `fleetwin run` first, give "
                "--state FOLDER, or --target embedded for a twin that is up"
            )
        self._state = state

    def runs(self) -> list[WorkflowRun]:
        """Return what twins left here."""
        from simulator.cloud import workflows_store

        try:
            saved = workflows_store.load(self._state)
        except ValueError as error:
            raise SimulatorError(
                f"{error}: another version wrote it; run again, or remove the file"
            ) from error
        return [run_of(each["description"], each["events"]) for each in saved]

    def whole(self, run: WorkflowRun) -> WorkflowRun:
        """Return it: nothing is left out."""
        return run

    def start(self, machine: str, data: str, note: Callable[[str], None]) -> WorkflowRun:
        """Run on a twin of this folder, without machines and with its schedules off.

        Raises EnvironmentMissing where the folder was left by an app that is not ours.
        """
        from simulator.evidence import APP_REPORT
        from simulator.targets import quiet_twin

        if (self._state.parent / APP_REPORT).exists():
            raise EnvironmentMissing(
                f"{self._state} is of an app of your own, and only our stack boots from a folder: "
                "start it on a twin that is up: fleetwin up --assembly, then --target embedded"
            )
        now = datetime.now(UTC)
        cloud = quiet_twin(now, self._state)
        try:
            listed = cloud.call("stepfunctions", "ListStateMachines")["stateMachines"]
            arn = chosen(machine, {each["name"]: each["stateMachineArn"] for each in listed})
            cloud.workflows.watch(lambda execution, state, what: note(state))
            # Every twin counts its ids from the same seed, and executions of earlier ones are kept.
            named = {"stateMachineArn": arn, "input": data, "name": f"run-{now:%Y%m%dT%H%M%S%f}"}
            started = cloud.call("stepfunctions", "StartExecution", **named)
            execution = cloud.workflows.execution(started["executionArn"])
            cloud.engine.run(execution.done)
            described = cloud.call("stepfunctions", "DescribeExecution", executionArn=execution.arn)
            return run_of(described, execution.history.events)
        finally:
            cloud.close()


class Endpoint:
    """Step Functions behind boto3: a twin that is up, or an account."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def _machines(self, *, listing: bool = False) -> dict[str, str]:
        pages = self._client.get_paginator("list_state_machines").paginate()
        return {
            each["name"]: each["stateMachineArn"]
            for page in pages
            for each in page["stateMachines"]
            # What an Express machine ran cannot be listed.
            if not listing or each["type"] == "STANDARD"
        }

    def runs(self) -> list[WorkflowRun]:
        """Return the executions of all workflows."""
        listed = self._client.get_paginator("list_executions")
        found = [
            run_of(each, [])
            for arn in self._machines(listing=True).values()
            for page in listed.paginate(stateMachineArn=arn)
            for each in page["executions"]
        ]
        return sorted(found, key=lambda run: run.started)

    def whole(self, run: WorkflowRun) -> WorkflowRun:
        """Ask for one execution and its history."""
        described = self._client.describe_execution(executionArn=run.arn)
        pages = self._client.get_paginator("get_execution_history").paginate(executionArn=run.arn)
        return run_of(described, [event for page in pages for event in page["events"]])

    def start(self, machine: str, data: str, note: Callable[[str], None]) -> WorkflowRun:
        """Start it there and ask until it has ended."""
        arn = chosen(machine, self._machines())
        started = self._client.start_execution(stateMachineArn=arn, input=data)
        named = {"executionArn": started["executionArn"]}
        while True:
            described = self._client.describe_execution(**named)
            run = run_of(described, [])
            if run.status != "RUNNING":
                return self.whole(run)
            last = self._client.get_execution_history(**named, reverseOrder=True, maxResults=1)
            note(last["events"][0]["type"] if last["events"] else "")
            time.sleep(POLL_S)


def chosen(name: str, arns: Mapping[str, str]) -> str:
    """Return the ARN of the workflow of this name, or of the one whose name ends so."""
    fit = [name] if name in arns else [each for each in arns if each.endswith(f"-{name}")]
    if len(fit) == 1:
        return arns[fit[0]]
    problem = "there is no workflow" if not fit else f"{len(fit)} workflows end in"
    cure = f"choose one of {_names(sorted(arns))}" if arns else "the stack has none at all"
    raise WorkflowNotFound(f"{problem} {name}: {cure}")


def found(name: str, runs: Iterable[WorkflowRun]) -> WorkflowRun:
    """Return an execution by its name or the beginning of it, or the latest of a workflow."""
    runs = list(runs)
    for fit in _fits(name, runs):
        if fit:
            return fit[-1]
    if not runs:
        raise WorkflowNotFound(
            "there are no executions: start one with `fleetwin workflow run`, or let a twin "
            "end that has had some"
        )
    names = list(dict.fromkeys(run.name for run in reversed(runs)))
    raise WorkflowNotFound(f"there is no execution {name}: choose one of {_names(names)}")


def _fits(name: str, runs: list[WorkflowRun]) -> Iterator[list[WorkflowRun]]:
    yield [run for run in runs if name in (run.name, run.arn)]
    yield [run for run in runs if run.machine == name or run.machine.endswith(f"-{name}")]
    begun = [run for run in runs if run.name.startswith(name)]
    if len({run.arn for run in begun}) > 1:
        names = _names([run.name for run in begun])
        raise WorkflowNotFound(f"{len(begun)} executions begin with {name}: {names}")
    yield begun


def _names(names: list[str], most: int = 10) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def checked_input(text: str) -> str:
    """Return the input of an execution: JSON, or ``@FILE`` with it; raises SimulatorError."""
    where = "--input"
    if text.startswith("@"):
        where = text[1:]
        try:
            text = Path(where).read_text("utf-8")
        except OSError as error:
            raise SimulatorError(f"{where}: {error.strerror}") from error
    try:
        json.loads(text)
    except ValueError as error:
        raise SimulatorError(f"{where} is no JSON: {error}") from error
    return text
