"""Whom the broker admits: connections with their principals, and decisions that are remembered.

Used by `simulator.cloud.iot`. A client presents a certificate when it connects; without a word
from it that is the one which `certificate_of` gives its client id. Where an account has no policy,
nobody is asked: on AWS nobody could connect then.

Source: AWS IoT guide, "AWS IoT Core policies", "Logging" (Connect and Publish-In entries) and
"Metrics and dimensions" (Connect.AuthError, PublishIn.AuthError).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Protocol

from simulator.cloud.context import Context
from simulator.cloud.errors import AwsError
from simulator.cloud.iot_policies import Policies
from simulator.cloud.iot_registry import Registry
from simulator.cloud.operations import Operation

DECISIONS_REMEMBERED = 200_000
LOG_GROUP = "AWSIotLogsV2"


class Sent(Protocol):
    """What is asked about a message."""

    @property
    def topic(self) -> str: ...
    @property
    def client_id(self) -> str: ...


class Access:
    """Connections of clients, and what the policies say of them."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.registry = Registry(context, self._forget)
        self.policies = Policies(context, self.registry, self._forget)
        self._principals: dict[str, str] = {}
        self._decisions: dict[tuple[str, str], bool] = {}

    def operations(self) -> dict[str, Operation]:
        """Return the operations of ``iot`` on things, thing types and policies."""
        return self.registry.operations() | self.policies.operations()

    @property
    def decides(self) -> bool:
        """Tell whether there is a policy, so that clients are asked who they are."""
        return bool(self.policies)

    def certificate_of(self, client_id: str) -> str:
        """Return the ARN of the certificate that a client presents unless `connect` says other."""
        place = f"{self._context.account}/{client_id}"
        return self._context.arn("iot", f"cert/{hashlib.sha256(place.encode()).hexdigest()}")

    def connect(self, client_id: str, principal: str) -> None:
        """Connect a client with a certificate, ending its connection before.

        Raises AwsError UnauthorizedException where no policy of the certificate allows it: the
        broker closes the connection.
        """
        self._principals[client_id] = principal
        self._forget()
        if self.decides and not self._may(client_id, "iot:Connect", f"client/{client_id}"):
            del self._principals[client_id]
            self._note(client_id, "Connect", "")
            raise AwsError("UnauthorizedException", f"{client_id} may not connect", status=401)

    def denied(self, messages: Sequence[Sent], order: Sequence[int]) -> frozenset[int]:
        """Return the places of the messages that no policy allows, each noted in IoT's log."""
        decisions = self._decisions
        found = []
        for place in order:
            message = messages[place]
            allowed = decisions.get((message.client_id, message.topic))
            if allowed is None:
                allowed = self._decide(message.client_id, message.topic)
            if not allowed:
                found.append(place)
                self._refuse(message.client_id, message.topic)
        return frozenset(found)

    def _decide(self, client_id: str, topic: str) -> bool:
        if len(self._decisions) >= DECISIONS_REMEMBERED:
            self._forget()
        allowed = self._may(client_id, "iot:Connect", f"client/{client_id}") and self._may(
            client_id, "iot:Publish", f"topic/{topic}"
        )
        self._decisions[client_id, topic] = allowed
        return allowed

    def _may(self, client_id: str, action: str, resource: str) -> bool:
        principal = self._principals.get(client_id) or self.certificate_of(client_id)
        return self.policies.allows(principal, client_id, action, resource)

    def _refuse(self, client_id: str, topic: str) -> None:
        connects = self._may(client_id, "iot:Connect", f"client/{client_id}")
        self._note(client_id, "Publish-In" if connects else "Connect", topic if connects else "")

    def _note(self, client_id: str, event: str, topic: str) -> None:
        """Write the entry of IoT's log and count the error, as AWS does for a refused client."""
        entry = {
            "logLevel": "ERROR",
            "accountId": self._context.account,
            "status": "Failure",
            "eventType": event,
            "protocol": "MQTT",
            "clientId": client_id,
            "principalId": self._principals.get(
                client_id, self.certificate_of(client_id)
            ).rpartition("/")[2],
            "reason": "AUTHORIZATION_FAILURE",
        }
        if topic:
            entry["topicName"] = topic
        self._context.logs.append(LOG_GROUP, client_id, [json.dumps(entry)])
        metric = "PublishIn.AuthError" if event == "Publish-In" else "Connect.AuthError"
        self._context.cloudwatch.record("AWS/IoT", metric, {"Protocol": "MQTT"}, 1.0, "Count")

    def _forget(self) -> None:
        self._decisions.clear()
