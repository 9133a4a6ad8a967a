"""One execution of a state machine: its life from ExecutionStarted to its last event.

`workflows.py` makes Executions and starts `run`; this file ends them: by their own result, by a
failure, by the machine's time-out, or because somebody stops them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import simpy

from simulator.cloud.asl_history import History, StateFailure, Thread
from simulator.cloud.asl_interpreter import Interpreter, Steps
from simulator.cloud.asl_payload import dumps
from simulator.cloud.engine import Engine
from simulator.cloud.errors import AwsError

METRICS = {
    "SUCCEEDED": "ExecutionsSucceeded",
    "FAILED": "ExecutionsFailed",
    "TIMED_OUT": "ExecutionsTimedOut",
    "ABORTED": "ExecutionsAborted",
}
"""The metric that counts each way to end: "Monitoring metrics" in the developer guide."""


@dataclass
class Machine:
    """A state machine as it was created or last updated.

    ``settings`` are the members it was created with that a description repeats.
    """

    arn: str
    name: str
    role_arn: str
    text: str
    definition: dict[str, Any]
    created: datetime
    settings: dict[str, Any]
    revision: str | None = None


@dataclass
class Execution:
    """One execution: status, history, and the event that succeeds with it when it has ended.

    ``stop`` succeeds when somebody wants it to end.
    """

    arn: str
    name: str
    machine: Machine
    input: str
    started: datetime
    history: History
    done: simpy.Event
    stop: simpy.Event
    status: str = "RUNNING"
    stopped: datetime | None = None
    output: str | None = None
    error: str | None = None
    cause: str | None = None
    main: Thread = field(default_factory=Thread)


def run(
    engine: Engine, execution: Execution, data: Any, interpreter: Callable[[], Interpreter]
) -> Steps:
    """Run an execution to its end; ``interpreter`` raises AwsError where it cannot begin."""
    machine = execution.machine
    started = {
        "input": execution.input,
        "inputDetails": {"truncated": False},
        "roleArn": machine.role_arn,
    }
    execution.history.add(Thread(), "ExecutionStarted", started)
    work = engine.process(_outcome(interpreter, data))
    ends: list[simpy.Event] = [work, execution.stop]
    if "TimeoutSeconds" in machine.definition:
        ends.append(engine.env.timeout(machine.definition["TimeoutSeconds"]))
    yield engine.env.any_of(ends)
    if work.is_alive:
        work.interrupt()
        # Branches and tasks write what becomes of them before the execution's own last event.
        yield work
        _end(engine, execution, "ABORTED" if execution.stop.triggered else "TIMED_OUT")
        return
    outcome = work.value
    if isinstance(outcome, StateFailure):
        execution.error, execution.cause = outcome.error, outcome.cause
        _end(engine, execution, "FAILED")
    else:
        execution.output = dumps(outcome)
        _end(engine, execution, "SUCCEEDED")


def _outcome(interpreter: Callable[[], Interpreter], data: Any) -> Steps:
    """Return the output or the failure; an interrupted execution returns nothing."""
    try:
        return (yield from interpreter().run(data))
    except StateFailure as failure:
        return failure
    except AwsError as error:
        return StateFailure("States.Runtime", error.message, fatal=True)
    except simpy.Interrupt:
        return None


def _end(engine: Engine, execution: Execution, status: str) -> None:
    execution.status = status
    execution.stopped = engine.now()
    if status == "SUCCEEDED":
        kind = "ExecutionSucceeded"
        details: dict[str, Any] = {
            "output": execution.output,
            "outputDetails": {"truncated": False},
        }
    else:
        # A time-out has neither error nor cause, and AWS leaves out what is not there.
        kind = {
            "FAILED": "ExecutionFailed",
            "TIMED_OUT": "ExecutionTimedOut",
            "ABORTED": "ExecutionAborted",
        }[status]
        texts = {"error": execution.error, "cause": execution.cause}
        details = {name: text for name, text in texts.items() if text is not None}
    last = len(execution.history.events)
    execution.history.add(Thread(last_id=last), kind, details)
    execution.done.succeed(execution)
