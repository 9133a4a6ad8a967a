"""SNS with its topics in another endpoint.

Topics exist twice. A message is published to the endpoint, which delivers it to queues (they are
there as well); the twin delivers it to what the endpoint cannot reach: functions, HTTP endpoints
and mailboxes of the twin. Used by `simulator.cloud.remote`.
"""

from __future__ import annotations

from collections.abc import Callable

from simulator.cloud.operations import Answer, Call, Execute, Params
from simulator.cloud.remote_endpoint import RemoteEndpoint
from simulator.cloud.sns import Sns

_BOTH = "CreateTopic DeleteTopic SetTopicAttributes Publish PublishBatch TagResource UntagResource"
_THERE = "GetTopicAttributes ListTopics ListTagsForResource"
_BY_SUBSCRIPTION = "Unsubscribe GetSubscriptionAttributes SetSubscriptionAttributes"
_LISTS = "ListSubscriptions ListSubscriptionsByTopic"


class RemoteSns:
    """What replaces the executors of `simulator.cloud.sns.Sns`."""

    def __init__(self, sns: Sns, remote: RemoteEndpoint) -> None:
        self._remote = remote
        self._own = sns.operations()
        self._subscribed_there: set[str] = set()

    def executes(self) -> dict[str, Execute]:
        """Return an executor for each operation that is forwarded."""
        table: dict[str, Execute] = {name: self._both(name) for name in _BOTH.split()}
        table |= {name: self._there(name) for name in _THERE.split()}
        table |= {name: self._where_it_is(name) for name in _BY_SUBSCRIPTION.split()}
        table |= {name: self._joined(name) for name in _LISTS.split()}
        return table | {"Subscribe": self._subscribe}

    def _forward(self, operation: str, params: Params) -> Answer:
        return self._remote.forward("sns", operation, params)

    def _there(self, operation: str) -> Callable[[Call], Answer]:
        return lambda call: self._forward(operation, call.params)

    def _both(self, operation: str) -> Callable[[Call], Answer]:
        def execute(call: Call) -> Answer:
            # The twin checks more than the endpoints do, so what it refuses is not sent there.
            self._own[operation].execute(call)
            return self._forward(operation, call.params)

        return execute

    def _subscribe(self, call: Call) -> Answer:
        if call.params["Protocol"] != "sqs":
            answer: Answer = self._own["Subscribe"].execute(call)
            return answer
        answer = self._forward("Subscribe", call.params)
        self._subscribed_there.add(answer["SubscriptionArn"])
        return answer

    def _where_it_is(self, operation: str) -> Callable[[Call], Answer]:
        def execute(call: Call) -> Answer:
            if call.params["SubscriptionArn"] in self._subscribed_there:
                return self._forward(operation, call.params)
            answer: Answer = self._own[operation].execute(call)
            return answer

        return execute

    def _joined(self, operation: str) -> Callable[[Call], Answer]:
        def execute(call: Call) -> Answer:
            answer = self._forward(operation, call.params)
            if not answer.get("NextToken"):
                own = self._own[operation].execute(Call(call.principal, _first_page(call.params)))
                answer["Subscriptions"] = [*answer.get("Subscriptions", []), *own["Subscriptions"]]
            return answer

        return execute


def _first_page(params: Params) -> Params:
    return {name: value for name, value in params.items() if name != "NextToken"}
