"""SQS behind the twin: the endpoint has the queues, long polls wait on the run's clock.

A queue's URL is the gateway's for the twin's clients and the endpoint's there. The endpoint counts
visibility, delays and retention on its own clock. Used by `simulator.cloud.remote`.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import simpy

from simulator.cloud.context import Context
from simulator.cloud.engine import SimGenerator
from simulator.cloud.operations import Answer, Call, Execute, Params
from simulator.cloud.remote_endpoint import RemoteEndpoint
from simulator.cloud.sqs import Sqs

_LONG_POLL_STEP_S = 1.0


class RemoteSqs:
    """Queues of the endpoint under the gateway's URLs."""

    def __init__(self, context: Context, own: Sqs, remote: RemoteEndpoint) -> None:
        self._context = context
        self._own = own
        self._remote = remote
        self._urls: dict[str, str] = {}

    def executes(self) -> dict[str, Execute]:
        """Return an executor for each operation."""
        table: dict[str, Execute] = {name: self._there(name) for name in self._own.operations()}
        return table | {"ReceiveMessage": self._receive}

    def _there(self, operation: str) -> Callable[[Call], Answer]:
        def execute(call: Call) -> Answer:
            answer = self._forward(operation, call.params)
            policy = call.params.get("Attributes", {}).get("Policy")
            if policy is not None:
                # Who may send is decided by the twin.
                url = str(answer.get("QueueUrl") or call.params["QueueUrl"])
                arn, iam = self._context.arn("sqs", url.rpartition("/")[2]), self._context.iam
                if policy:
                    iam.put_resource_policy(arn, json.loads(policy))
                else:
                    iam.remove_resource_policy(arn)
            return answer

        return execute

    def _receive(self, call: Call) -> Answer | simpy.Event:
        """Receive messages; a long poll waits on the run's clock, the endpoint would on its own."""
        wait_s = call.params.get("WaitTimeSeconds")
        params = {**call.params, "WaitTimeSeconds": 0}
        answer = self._forward("ReceiveMessage", params)
        if wait_s is None and not answer.get("Messages"):
            name = "ReceiveMessageWaitTimeSeconds"
            asked = {"QueueUrl": params["QueueUrl"], "AttributeNames": [name]}
            attributes = self._forward("GetQueueAttributes", asked).get("Attributes", {})
            wait_s = int(attributes.get(name, 0))
        if answer.get("Messages") or not wait_s:
            return answer
        return self._context.engine.process(self._poll(params, float(wait_s)))

    def _poll(self, params: Params, wait_s: float) -> SimGenerator:
        env = self._context.engine.env
        until_s = env.now + wait_s
        answer: Answer = {}
        while env.now < until_s:
            yield env.timeout(min(_LONG_POLL_STEP_S, until_s - env.now))
            answer = self._forward("ReceiveMessage", params)
            if answer.get("Messages"):
                break
        return answer

    def _forward(self, operation: str, params: Params) -> Answer:
        url = params.get("QueueUrl")
        if url is not None:
            params = {**params, "QueueUrl": self._url_there(url)}
        answer = self._remote.forward("sqs", operation, params)
        if "QueueUrl" in answer:
            answer["QueueUrl"] = self._url_here(answer["QueueUrl"])
        for member in ("QueueUrls", "queueUrls"):
            if member in answer:
                answer[member] = [self._url_here(each) for each in answer[member]]
        return answer

    def _url_there(self, url: str) -> str:
        name = url.rpartition("/")[2]
        if name not in self._urls:
            found = self._remote.forward("sqs", "GetQueueUrl", {"QueueName": name})
            self._url_here(found["QueueUrl"])
        return self._urls[name]

    def _url_here(self, url: str) -> str:
        name = url.rpartition("/")[2]
        self._urls[name] = url
        return f"{self._context.gateway_url}/{self._context.account}/{name}"
