"""What happens to stacks and their resources, event by event, as DescribeStackEvents lists it.

`template`, `stack_update` and `stack_deletion` write here; `stacks` answers from it, and who asked
for a deployment listens. What was deleted is still listed under the stack's id. Source:
CloudFormation API reference, StackEvent; User Guide, "Stack status codes".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

Node = tuple[str, str]
"""(stack, logical id)."""

STACK = "AWS::CloudFormation::Stack"
CREATE, UPDATE, DELETE = "CREATE", "UPDATE", "DELETE"
IN_PROGRESS, COMPLETE, FAILED, SKIPPED = "IN_PROGRESS", "COMPLETE", "FAILED", "SKIPPED"
ASKED_FOR = "User Initiated"
REPLACING = "Requested update requires the creation of a new physical resource; hence creating one."
NOT_ALL_DELETED = "Update successful. One or more resources could not be deleted."


@dataclass(frozen=True)
class StackEvent:
    """One event. ``logical_id`` is the stack's name where it is about the stack itself."""

    number: int
    at: datetime
    node: Node
    type: str
    physical_id: str
    status: str
    reason: str = ""
    properties: Mapping[str, Any] | None = None

    def line(self) -> str:
        """Return the event in one line: the run's time, what, which, and why."""
        which = self.node[0] if self.type == STACK else "/".join(self.node)
        why = f"  {self.reason}" if self.reason else ""
        return f"{self.at:%H:%M:%S}  {self.status:<28}  {self.type}  {which}{why}"


Listener = Callable[[StackEvent], None]


@dataclass
class StackEvents:
    """All events of one twin, the oldest first. ``now`` reads the run's clock."""

    now: Callable[[], datetime]
    arn: Callable[[str, str], str]
    all: list[StackEvent] = field(default_factory=list)
    listeners: list[Listener] = field(default_factory=list)

    def stack_id(self, name: str) -> str:
        """Return the ARN of a stack, which is the same each time a stack of that name is made."""
        return self.arn("cloudformation", f"stack/{name}/fleetwin")

    def stack(self, name: str, status: str, reason: str = "") -> None:
        """Note what has become of a stack."""
        self.resource((name, name), STACK, self.stack_id(name), status, reason)

    def resource(
        self,
        node: Node,
        type_name: str,
        physical_id: str,
        status: str,
        reason: str = "",
        properties: Mapping[str, Any] | None = None,
    ) -> None:
        """Note what has become of a resource; whoever listens is told at once."""
        number = len(self.all)
        event = StackEvent(
            number, self.now(), node, type_name, physical_id, status, reason, properties
        )
        self.all.append(event)
        for listener in tuple(self.listeners):
            listener(event)

    @contextmanager
    def heard_by(self, listener: Listener) -> Iterator[None]:
        """Tell a listener of each event meanwhile."""
        self.listeners.append(listener)
        try:
            yield
        finally:
            self.listeners.remove(listener)

    def of(self, stack: str) -> Sequence[StackEvent]:
        """Return a stack's events, the newest first."""
        return [event for event in reversed(self.all) if event.node[0] == stack]

    def of_stack_itself(self, name: str) -> StackEvent | None:
        """Return the last event of a stack itself."""
        found = (event for event in self.of(name) if event.type == STACK)
        return next(found, None)

    def last_of(self, node: Node, physical_id: str) -> StackEvent | None:
        """Return the last event of the resource that a logical id stands for now."""
        for event in reversed(self.all):
            if event.node == node and event.physical_id == physical_id:
                return event
        return None


def failed_to(verb: str, logical_ids: Sequence[str]) -> str:
    """Return the reason that a stack gives for resources that failed."""
    return f"The following resource(s) failed to {verb}: [{', '.join(logical_ids)}]. "
