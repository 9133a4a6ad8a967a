"""The history of one execution, event for event as GetExecutionHistory answers it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from simulator.cloud.asl_payload import dumps
from simulator.cloud.engine import Engine

MAX_EVENTS = 25_000
"""Step Functions service quotas: maximum execution history size."""

MAX_PAYLOAD_BYTES = 262_144
"""Step Functions service quotas: maximum input or output of a state or execution."""


class StateFailure(Exception):
    """A state failed with an error name that Retry and Catch can match.

    ``fatal`` marks States.Runtime and oversize outputs: they end the execution whatever is caught.
    ``late`` marks a missed heartbeat: AWS calls it States.Timeout, and handlers may name it
    States.HeartbeatTimeout too. ``absent`` is what a catcher gets for a text that is not there.
    """

    absent: str | None = ""

    def __init__(
        self,
        error: str | None,
        cause: str | None = None,
        *,
        fatal: bool = False,
        late: bool = False,
    ) -> None:
        super().__init__(f"{error}: {cause}")
        # DescribeExecution API reference: lengths of error and cause.
        self.error = error and error[:256]
        self.cause = cause and cause[:32_768]
        self.fatal = fatal
        self.late = late

    def details(self) -> dict[str, str]:
        """Return the members of the failure's event; absent ones are left out, as AWS does."""
        pairs = {"error": self.error, "cause": self.cause}
        return {name: text for name, text in pairs.items() if text is not None}


@dataclass
class Visit:
    """The state in which a thread is, or was when its execution ended: a redrive goes on here.

    ``parts`` are the branches or iterations that began, ``outputs`` those that succeeded; of a
    distributed map, ``children`` are its child executions.
    """

    name: str
    data: Any
    entered_id: int
    parts: dict[int, Thread] = field(default_factory=dict)
    outputs: dict[int, Any] = field(default_factory=dict)
    children: dict[int, Any] = field(default_factory=dict)
    run_arn: str = ""


@dataclass
class Thread:
    """One line of succession through the history: the main one, a branch, an iteration."""

    last_id: int = 0
    variables: dict[str, Any] = field(default_factory=dict)
    visit: Visit | None = None
    is_branch: bool = False

    def fork(self, *, is_branch: bool = False) -> Thread:
        """Start a branch or an iteration: it sees the variables, and keeps its own changes."""
        return Thread(self.last_id, dict(self.variables), is_branch=is_branch)


class History:
    """Numbered events with the id of the one before on the same thread."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.events: list[dict[str, Any]] = []
        self.on_event: Callable[[dict[str, Any]], None] = lambda event: None

    def add(
        self,
        thread: Thread,
        kind: str,
        details: dict[str, Any] | None = None,
        *,
        key: str | None = None,
        aside: bool = False,
    ) -> int:
        """Append an event and return its id; one ``aside`` does not become the thread's last.

        Raises StateFailure (fatal) when the history is full.
        """
        if len(self.events) >= MAX_EVENTS and not kind.startswith("Execution"):
            raise StateFailure(
                "States.Runtime",
                f"The execution reached the maximum number of history events ({MAX_EVENTS}).",
                fatal=True,
            )
        event: dict[str, Any] = {
            "timestamp": self._engine.now(),
            "type": kind,
            "id": len(self.events) + 1,
            "previousEventId": thread.last_id,
        }
        if details is not None:
            event[key or f"{kind[0].lower()}{kind[1:]}EventDetails"] = details
        self.events.append(event)
        if not aside:
            thread.last_id = event["id"]
        self.on_event(event)
        return int(event["id"])

    def evaluation_failed(self, thread: Thread, entered_id: int, details: dict[str, Any]) -> None:
        """Record that an expression failed.

        AWS links a failure before the state's work to what was before the state was entered.
        """
        if thread.last_id == entered_id:
            thread.last_id = self.events[entered_id - 1]["previousEventId"]
        self.add(thread, "EvaluationFailed", details)

    def entered(self, thread: Thread, state_type: str, name: str, data: Any) -> int:
        """Record that a state was entered."""
        details = {"name": name, "input": dumps(data), "inputDetails": {"truncated": False}}
        return self.add(
            thread, f"{state_type}StateEntered", details, key="stateEnteredEventDetails"
        )

    def exited(
        self, thread: Thread, state_type: str, name: str, data: Any, assigned: dict[str, Any]
    ) -> int:
        """Record that a state was left, with its output and the variables it assigned."""
        details: dict[str, Any] = {
            "name": name,
            "output": dumps(data),
            "outputDetails": {"truncated": False},
        }
        if assigned:
            details["assignedVariables"] = {k: dumps(v) for k, v in assigned.items()}
            details["assignedVariablesDetails"] = {"truncated": False}
        return self.add(thread, f"{state_type}StateExited", details, key="stateExitedEventDetails")


def iso(at: datetime) -> str:
    """Return a time as the context object writes it."""
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"
