"""One execution of a state machine: its life from ExecutionStarted to its last event.

`workflows_executions.py` makes Executions and starts `run`; this file ends them: by their own
result, by a failure, by the machine's time-out, or because somebody stops them. One that did not
succeed can be redriven: it goes on in the state in which it ended.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import simpy

from simulator.cloud.asl_history import MAX_EVENTS, History, StateFailure, Thread
from simulator.cloud.asl_interpreter import Interpreter, Steps
from simulator.cloud.asl_payload import dumps
from simulator.cloud.engine import Engine
from simulator.cloud.errors import AwsError

REDRIVABLE_PERIOD = timedelta(days=14)
MAX_TIME = timedelta(days=365)
"""RedriveExecution API reference: since the end, and since the start of an execution."""

EXPRESS_S = 300.0
"""Step Functions service quotas: longest execution of an Express machine."""


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
    kind: str = "STANDARD"
    revision: str | None = None
    updated: datetime | None = None

    @property
    def timeout_s(self) -> float | None:
        """Return how long an execution may last: what the definition says, 5 minutes of Express."""
        own: float | None = self.definition.get("TimeoutSeconds")
        return own if self.kind == "STANDARD" else min(own or EXPRESS_S, EXPRESS_S)


@dataclass
class Execution:
    """One execution: status, history, and the event that succeeds with it when it has ended.

    ``machine`` is as it was at the start; ``stop`` succeeds when somebody wants it to end.
    """

    arn: str
    name: str
    machine: Machine
    input: str
    data: Any
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
    redrives: int = 0
    redriven: datetime | None = None


def redrivable(execution: Execution, now: datetime) -> tuple[str, str | None]:
    """Return redriveStatus and its reason (DescribeExecution API reference)."""
    why = None
    if execution.status in ("RUNNING", "SUCCEEDED"):
        why = f"Execution is {execution.status} and cannot be redriven"
    elif len(execution.history.events) >= MAX_EVENTS - 1:
        why = "Execution history event limit exceeded"
    elif now - execution.started > MAX_TIME:
        why = "Execution has exceeded the max execution time"
    elif execution.stopped is not None and now - execution.stopped > REDRIVABLE_PERIOD:
        why = "Execution redrivable period exceeded"
    return ("REDRIVABLE", None) if why is None else ("NOT_REDRIVABLE", why)


def begin(execution: Execution) -> None:
    """Write the first event of a new execution."""
    started = {
        "input": execution.input,
        "inputDetails": {"truncated": False},
        "roleArn": execution.machine.role_arn,
    }
    execution.history.add(Thread(), "ExecutionStarted", started)


def redrive(engine: Engine, execution: Execution) -> None:
    """Make an execution that has ended ready to go on; raises ExecutionNotRedrivable."""
    _, why = redrivable(execution, engine.now())
    if why is not None:
        raise AwsError("ExecutionNotRedrivable", why)
    execution.status, execution.stopped = "RUNNING", None
    execution.error = execution.cause = None
    execution.redrives += 1
    execution.redriven = engine.now()
    execution.done, execution.stop = engine.env.event(), engine.env.event()
    execution.main.last_id = len(execution.history.events)
    details = {"redriveCount": execution.redrives}
    execution.history.add(execution.main, "ExecutionRedriven", details)


def run(engine: Engine, execution: Execution, interpreter: Callable[[], Interpreter]) -> Steps:
    """Run an execution to its end; ``interpreter`` raises AwsError where it cannot begin."""
    work = engine.process(_outcome(interpreter, execution))
    ends: list[simpy.Event] = [work, execution.stop]
    timeout_s = execution.machine.timeout_s
    if timeout_s is not None:
        ends.append(engine.env.timeout(timeout_s))
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


def _outcome(interpreter: Callable[[], Interpreter], execution: Execution) -> Steps:
    """Return the output or the failure; an interrupted execution returns nothing."""
    try:
        return (yield from interpreter().run(execution.data, execution.main))
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
