"""AWS IoT Core: the broker's limits, whom it admits, and its topic rules.

The fleet publishes in process, in batches, through `Iot.publish_batch`; clients of the twin
through iot-data's Publish. Rules come from the template; things are in `iot_registry`, who may
connect and publish in `iot_policies`. Subscriptions and shadows are not here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

import orjson

from simulator.cloud.context import Context
from simulator.cloud.errors import AwsError, NotSupportedByTwin
from simulator.cloud.iot_access import Access
from simulator.cloud.iot_actions import Action, Actions, Outgoing, Publishing, parse_action
from simulator.cloud.iot_sql import UNDEFINED, Publication, Statement, matches, parse
from simulator.cloud.operations import Answer, Call, Operation, Params
from simulator.cloud.shards import TokenBucket

MAX_PAYLOAD_BYTES = 128 * 1024
PUBLISHES_PER_S = 100
MAX_ACTIONS = 10
TOPICS_REMEMBERED = 100_000


@dataclass(frozen=True, slots=True)
class PublishResult:
    """How many messages of a batch the broker took, and how many it refused or discarded.

    ``discarded_positions`` are the places of the latter in the batch as it was given. ``denied``:
    how many of them no policy allowed.
    """

    delivered: int
    discarded: int
    discarded_positions: tuple[int, ...] = ()
    denied: int = 0


@dataclass(frozen=True, slots=True)
class Direct:
    """A message that did not come from the fleet: iot-data's Publish, or a republish action."""

    topic: str
    payload: bytes
    client_id: str
    at_s: float


@dataclass
class Rule:
    """One topic rule, parsed."""

    name: str
    arn: str
    created: datetime
    payload: Params
    statement: Statement
    actions: list[Action]
    error_action: Action | None
    tags: list[Any] = field(default_factory=list)

    @property
    def disabled(self) -> bool:
        """Tell whether the rule is switched off."""
        return bool(self.payload.get("ruleDisabled", False))


class Route(NamedTuple):
    """What happens with one topic: its rules, and whether one of them reads the payload."""

    rules: tuple[Rule, ...]
    reads: bool
    straight: tuple[tuple[Rule, Action, str], ...] | None
    """Where everything goes to streams as it is, by keys that hang on the topic alone: rule, action
    and key of each. Such a message needs no expressions; None for other topics."""


class Iot:
    """The service. `operations` are those of ``iot``, `data_operations` those of ``iot-data``."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._engine = context.engine
        self._rules: dict[str, Rule] = {}
        self._routes: dict[str, Route] = {}
        self._start_epoch_s = context.engine.start.timestamp()
        self._connections: dict[str, TokenBucket] = {}
        self._actions = Actions(context, self._republish, self._publication)
        self.access = Access(context)
        self.sql_errors = 0

    def operations(self) -> dict[str, Operation]:
        """Return the operations of ``iot`` that run here."""
        on_rule = {
            "CreateTopicRule": self._create,
            "ReplaceTopicRule": self._replace,
            "GetTopicRule": self._get,
            "DeleteTopicRule": self._delete,
        }
        table = {
            name: Operation(execute, resources=self._resources) for name, execute in on_rule.items()
        }
        return table | {"ListTopicRules": Operation(self._list)} | self.access.operations()

    def data_operations(self) -> dict[str, Operation]:
        """Return the operations of ``iot-data`` that run here."""
        return {"Publish": Operation(self._publish, resources=self._topic_resource)}

    def idle(self) -> bool:
        """Tell whether no throttled record waits for another try."""
        return self._actions.pending == 0

    def records_of(self, topic: str) -> int | None:
        """Return how many records of streams a message becomes; None where it becomes more."""
        straight = (self._routes.get(topic) or self._route(topic)).straight
        return None if straight is None else len(straight)

    # -- publishing

    def publish_batch(self, messages: Sequence[Publishing]) -> PublishResult:
        """Take messages as the broker would, in the order in which they reach it.

        A payload over 128 KB is refused; what a connection sends beyond 100 messages a second
        is discarded without a word (AWS IoT guide, "message broker limits"). So is what no policy
        allows, where there are policies; its client is disconnected, and connects again.
        """
        in_time = list(range(len(messages)))
        if len(messages) > 1:
            in_time.sort(key=lambda i: messages[i].at_s)
        denied = self.access.denied(messages, in_time) if self.access.decides else frozenset()
        dropped = {i for i in in_time if i in denied or not self._admit(messages[i])}
        taken = [messages[i] for i in in_time if i not in dropped]
        self._context.dispatch.metered.published([len(each.payload) for each in taken])
        self._apply(taken)
        return PublishResult(
            len(messages) - len(dropped), len(dropped), tuple(sorted(dropped)), len(denied)
        )

    def _admit(self, message: Publishing) -> bool:
        bucket = self._connections.get(message.client_id)
        if bucket is None:
            bucket = TokenBucket(PUBLISHES_PER_S, PUBLISHES_PER_S)
            self._connections[message.client_id] = bucket
        return len(message.payload) <= MAX_PAYLOAD_BYTES and bucket.take(message.at_s)

    def _apply(self, messages: Iterable[Publishing]) -> None:
        """Run the rules over messages; records of one stream and role leave together."""
        streams: dict[tuple[str, str], list[Outgoing]] = {}
        single: list[tuple[Rule, Action, Publication, bytes]] = []
        routes = self._routes
        for message in messages:
            rules, reads, straight = routes.get(message.topic) or self._route(message.topic)
            if straight is not None:
                for rule, action, key in straight:
                    outgoing = Outgoing(rule, action, message, message.at_s, key, message.payload)
                    streams.setdefault((action.target, action.role_arn), []).append(outgoing)
                continue
            publication = self._publication(message, reads=reads)
            for rule in rules:
                try:
                    data = rule.statement.apply(publication)
                except ValueError as error:
                    self._sql_error(rule, error)
                    continue
                if data is None:
                    continue
                for action in rule.actions:
                    if action.kind == "kinesis":
                        record = self._actions.record_of(
                            rule, action, publication, message.at_s, data
                        )
                        streams.setdefault((action.target, action.role_arn), []).append(record)
                    else:
                        single.append((rule, action, publication, data))
        for records in streams.values():
            self._actions.put_records(records)
        for rule, action, publication, data in single:
            self._actions.run(rule, action, publication, data)

    def _route(self, topic: str) -> Route:
        """Return the rules that take a topic, and whether one of them looks into payloads."""
        if len(self._routes) >= TOPICS_REMEMBERED:
            self._routes.clear()
        rules = tuple(
            rule
            for rule in self._rules.values()
            if not rule.disabled and matches(rule.statement.topic_filter, topic)
        )
        reads = any(
            r.statement.reads_payload or any(a.reads_payload for a in r.actions) for r in rules
        )
        found = self._routes[topic] = Route(rules, reads, self._straight(rules, topic))
        return found

    def _straight(
        self, rules: Sequence[Rule], topic: str
    ) -> tuple[tuple[Rule, Action, str], ...] | None:
        """Return rule, action and key of each record that a message of the topic becomes.

        None where that depends on more than the topic, or is not a record.
        """
        found = []
        # Nothing but the topic is looked at to fill such a key.
        message = Publication(topic, b"", "", 0, self._engine.new_id)
        for rule in rules:
            if rule.statement.reads_payload:
                return None
            for action in rule.actions:
                key = action.texts.get("partitionKey")
                if action.kind != "kinesis" or key is None or not key.depends_on_topic_only:
                    return None
                found.append((rule, action, key.fill(message)))
        return tuple(found)

    def _publication(self, message: Publishing, *, reads: bool = False) -> Publication:
        """Return the message for expressions; its JSON is only read when a rule looks at it."""
        document: Any = UNDEFINED
        if reads:
            try:
                document = orjson.loads(message.payload)
            except orjson.JSONDecodeError:
                document = UNDEFINED
        return Publication(
            message.topic,
            message.payload,
            message.client_id,
            round((self._start_epoch_s + message.at_s) * 1000),
            self._engine.new_id,
            document,
        )

    def _sql_error(self, rule: Rule, error: ValueError) -> None:
        """Note an error in the SELECT: on AWS it only reaches IoT's own log."""
        self.sql_errors += 1
        self._context.logs.append("AWSIotLogsV2", rule.name, [f"{rule.name}: {error}"])

    def _republish(self, topic: str, payload: bytes) -> None:
        self._apply([Direct(topic, payload, "N/A", self._engine.env.now)])

    def _publish(self, call: Call) -> Answer:
        payload = call.params.get("payload", b"")
        if hasattr(payload, "read"):
            payload = payload.read()
        data = payload.encode() if isinstance(payload, str) else bytes(payload)
        if len(data) > MAX_PAYLOAD_BYTES:
            raise AwsError("InvalidRequestException", "The payload exceeds 128 KB")
        self._apply([Direct(call.params["topic"], data, "N/A", self._engine.env.now)])
        return {}

    def _topic_resource(self, params: Params) -> Sequence[str]:
        return (self._context.arn("iot", f"topic/{params['topic']}"),)

    # -- rules

    def _resources(self, params: Params) -> Sequence[str]:
        return (self._context.arn("iot", f"rule/{params['ruleName']}"),)

    def _create(self, call: Call) -> Answer:
        name = call.params["ruleName"]
        if name in self._rules:
            raise AwsError(
                "ResourceAlreadyExistsException", f"Rule {name} already exists", status=409
            )
        self._rules[name] = self._parsed(name, call.params["topicRulePayload"])
        self._routes.clear()
        return {}

    def _replace(self, call: Call) -> Answer:
        name = call.params["ruleName"]
        created = self._named(name).created
        self._rules[name] = self._parsed(name, call.params["topicRulePayload"])
        self._rules[name].created = created
        self._routes.clear()
        return {}

    def _parsed(self, name: str, payload: Params) -> Rule:
        check_payload(payload)
        error_action = payload.get("errorAction")
        return Rule(
            name,
            self._context.arn("iot", f"rule/{name}"),
            self._engine.now(),
            payload,
            parse(payload["sql"]),
            [parse_action(action) for action in payload["actions"]],
            parse_action(error_action) if error_action else None,
        )

    def _named(self, name: str) -> Rule:
        if name not in self._rules:
            # AWS answers UnauthorizedException for a rule that does not exist.
            raise AwsError("UnauthorizedException", f"Access to topic rule '{name}' was denied")
        return self._rules[name]

    def _get(self, call: Call) -> Answer:
        rule = self._named(call.params["ruleName"])
        shown = {k: v for k, v in rule.payload.items() if k != "tags"}
        shown |= {"ruleName": rule.name, "createdAt": rule.created, "ruleDisabled": rule.disabled}
        return {"ruleArn": rule.arn, "rule": shown}

    def _delete(self, call: Call) -> Answer:
        self._rules.pop(call.params["ruleName"], None)
        self._routes.clear()
        return {}

    def _list(self, call: Call) -> Answer:
        topic = call.params.get("topic")
        return {
            "rules": [
                {
                    "ruleArn": rule.arn,
                    "ruleName": rule.name,
                    "topicPattern": rule.statement.topic_filter,
                    "createdAt": rule.created,
                    "ruleDisabled": rule.disabled,
                }
                for rule in self._rules.values()
                if topic is None or matches(rule.statement.topic_filter, topic)
            ]
        }


def check_payload(payload: Params) -> None:
    """Raise what CreateTopicRule does, beside what is wrong with the SQL or with one action."""
    if payload.get("awsIotSqlVersion", "2015-10-08") not in ("2015-10-08", "2016-03-23"):
        raise NotSupportedByTwin(f"IoT SQL version {payload['awsIotSqlVersion']}")
    if len(payload["actions"]) > MAX_ACTIONS:
        raise AwsError("InvalidRequestException", "A rule has at most 10 actions")
