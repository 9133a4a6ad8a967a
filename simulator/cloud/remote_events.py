"""EventBridge with its rules in another endpoint as well.

Rules are kept there, and so are the targets of rules by pattern. The twin decides which rule an
event is for, and calls the target: with the rights of the rule's role, on the run's clock; of the
targets the endpoint could reach queues and topics only. Used by `simulator.cloud.remote`;
docs/localstack.md says who answers which operation, and why.
"""

from __future__ import annotations

from simulator.cloud.events import Events
from simulator.cloud.operations import Answer, Call, Execute
from simulator.cloud.remote_endpoint import RemoteEndpoint

_BOTH = "PutRule DeleteRule EnableRule DisableRule"
_THERE = "DescribeRule ListRules TestEventPattern"
_TARGETS = "PutTargets RemoveTargets"


class RemoteEvents:
    """What replaces executors of `simulator.cloud.events.Events`."""

    def __init__(self, events: Events, remote: RemoteEndpoint) -> None:
        self._remote = remote
        self._own = events.operations()

    def executes(self) -> dict[str, Execute]:
        """Return an executor for each operation that is forwarded."""
        table: dict[str, Execute] = {name: self._both(name) for name in _BOTH.split()}
        table |= {name: self._there(name) for name in _THERE.split()}
        return table | {name: self._targets(name) for name in _TARGETS.split()}

    def _there(self, operation: str) -> Execute:
        def execute(call: Call) -> Answer:
            self._own[operation].execute(call)  # What the twin refuses is not asked there.
            return self._remote.forward("events", operation, call.params)

        return execute

    def _both(self, operation: str) -> Execute:
        def execute(call: Call) -> Answer:
            answer: Answer = self._own[operation].execute(call)
            self._remote.forward("events", operation, call.params)
            return answer

        return execute

    def _targets(self, operation: str) -> Execute:
        def execute(call: Call) -> Answer:
            """Keep a schedule's targets from the endpoint: it would call them by its own clock."""
            answer: Answer = self._own[operation].execute(call)
            named = Call(call.principal, {"Name": call.params["Rule"]})
            if not self._own["DescribeRule"].execute(named).get("ScheduleExpression"):
                self._remote.forward("events", operation, call.params)
            return answer

        return execute
