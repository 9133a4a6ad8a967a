"""What topic rules do with a message: Kinesis, S3, republish, and the error action.

Works through `dispatch` as each action's role. Kinesis gets the records of a whole batch at
once; a record that is throttled is tried again on the run's clock and then goes, like one
that is denied, to the error action. Nothing is dropped without a trace.
"""

from __future__ import annotations

import logging
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import orjson
import simpy

from simulator.cloud.context import Context
from simulator.cloud.errors import AwsError, NotSupportedByTwin, ValidationError
from simulator.cloud.iot_sql import Publication, Template
from simulator.cloud.kinesis_writes import (
    MAX_KEY_CHARS,
    MAX_RECORDS,
    MAX_REQUEST_BYTES,
    StampedRecords,
)
from simulator.cloud.latency import RULE
from simulator.cloud.operations import Params, Principal

RETRY_PAUSES_S = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
"""How long a throttled record waits before each further try; AWS does not say how long."""

SERVICE = "iot.amazonaws.com"
log = logging.getLogger(__name__)


class RuleOfAction(Protocol):
    """What an action knows of its rule."""

    name: str
    error_action: Action | None


@dataclass(frozen=True, slots=True)
class Action:
    """One action of a rule: kind (``kinesis``, ``s3``, ``republish``), target, role, texts."""

    kind: str
    role_arn: str
    target: str
    texts: dict[str, Template]

    @property
    def reads_payload(self) -> bool:
        """Tell whether a text of the action looks into the payload."""
        return any(text.reads_payload for text in self.texts.values())


class Publishing(Protocol):
    """A message as the fleet gives it; ``at_s``: when it reaches the broker, on the run's clock."""

    @property
    def topic(self) -> str: ...
    @property
    def payload(self) -> bytes: ...
    @property
    def client_id(self) -> str: ...
    @property
    def at_s(self) -> float: ...


class Outgoing(NamedTuple):
    """One record on its way to a stream, with where it came from."""

    rule: RuleOfAction
    action: Action
    message: Publication | Publishing
    at_s: float
    key: str
    data: bytes


def parse_action(params: Params) -> Action:
    """Return an action from its boto3 shape.

    Raises:
        NotSupportedByTwin: an action or a setting without behaviour here, by name.
    """
    (kind, config), *_ = params.items()
    known = {
        "kinesis": ("streamName", {"partitionKey"}),
        "s3": ("bucketName", {"key"}),
        "republish": ("topic", {"topic"}),
    }
    if kind not in known:
        raise NotSupportedByTwin(f"IoT rule action {kind}")
    target, texts = known[kind]
    ignored = {"qos"} if kind == "republish" else set()
    if unknown := set(config) - {"roleArn", target, *texts, *ignored}:
        raise NotSupportedByTwin(f"IoT rule action {kind} {min(unknown)}")
    templates = {name: Template(config[name]) for name in sorted(texts) if name in config}
    return Action(kind, config["roleArn"], config[target], templates)


class Actions:
    """Runs actions; one for the whole service. ``pending`` counts records that wait to retry."""

    def __init__(
        self,
        context: Context,
        publish: Callable[[str, bytes], None],
        as_publication: Callable[[Publishing], Publication],
    ) -> None:
        self.pending = 0
        self._context = context
        self._engine = context.engine
        self._publish = publish
        self._as_publication = as_publication
        self._put_s = 0.0

    def record_of(
        self, rule: RuleOfAction, action: Action, message: Publication, at_s: float, data: bytes
    ) -> Outgoing:
        """Return the Kinesis record of a message."""
        template = action.texts.get("partitionKey")
        key = self._engine.new_id() if template is None else template.fill(message)
        return Outgoing(rule, action, message, at_s, key, data)

    def put_records(self, outgoing: Sequence[Outgoing]) -> None:
        """Write records of one stream and role, in order, at most 500 and 10 MiB a request."""
        chunk: list[Outgoing] = []
        size = 0
        for record in outgoing:
            more = len(record.data) + 4 * len(record.key)
            if chunk and (len(chunk) == MAX_RECORDS or size + more > MAX_REQUEST_BYTES):
                self._engine_put(chunk)
                chunk, size = [], 0
            chunk.append(record)
            size += more
        if chunk:
            self._engine_put(chunk)

    def _engine_put(self, chunk: list[Outgoing]) -> None:
        """Write one request's records, in their order, when the rule has carried them there."""
        latency, now_s = self._context.latency, self._engine.env.now
        # What was taken first arrives first: a later one may not overtake it on the way.
        self._put_s = max(self._put_s, now_s + latency.draw(RULE))
        if self._put_s > now_s:
            self.pending += len(chunk)
            self._engine.process(self._carried(chunk, now_s, self._put_s - now_s))
        else:
            _, waited_s = latency.during(lambda: self._stored(chunk))
            latency.note(RULE, now_s, waited_s)

    def _carried(
        self, chunk: list[Outgoing], began_s: float, delay_s: float
    ) -> Generator[simpy.Event, Any, None]:
        yield self._engine.env.timeout(delay_s)
        self.pending -= len(chunk)
        # All of a chunk arrive now: times of arrival at a shard must not fall.
        arrived = [record._replace(at_s=self._engine.env.now) for record in chunk]
        latency = self._context.latency
        _, waited_s = latency.during(lambda: self._stored(arrived))
        latency.note(RULE, began_s, waited_s)

    def _stored(self, chunk: list[Outgoing]) -> None:
        """Put one request's records; have what is throttled tried again later."""
        throttled = self._put(chunk)
        if throttled:
            self.pending += len(throttled)
            self._engine.process(self._retry(throttled))

    def _put(self, chunk: list[Outgoing]) -> list[Outgoing]:
        """Call PutRecords; return the throttled ones; any other failure is dealt with here."""
        action = chunk[0].action
        plain = [{"Data": r.data, "PartitionKey": r.key} for r in chunk]
        records = StampedRecords(plain, [r.at_s for r in chunk])
        try:
            params = {"StreamName": action.target, "Records": records}
            answer = self._context.dispatch(
                self._principal(chunk[0].rule, action),
                "kinesis",
                "PutRecords",
                params,
                built_to_model=all(0 < len(r.key) <= MAX_KEY_CHARS for r in chunk),
            )
        except AwsError as error:
            if isinstance(error, ValidationError) and len(chunk) > 1:
                # One record that does not fit must not take the others with it.
                return [r for one in chunk for r in self._put([one])]
            for record in chunk:
                self._failed(record.rule, action, record.message, error.message)
            return []
        assert isinstance(answer, dict)
        failed = answer["FailedRecordCount"]
        if len(chunk) == 1 and not failed:  # As a slow fleet's all are.
            self._count("Success", chunk[0].rule.name, action, 1, chunk[0].at_s)
            return []
        stored = [r for r, a in zip(chunk, answer["Records"], strict=True) if "ErrorCode" not in a]
        for name, count in Counter(r.rule.name for r in stored).items():
            self._count("Success", name, action, count, chunk[-1].at_s)
        if not failed:
            return []
        return [r for r, a in zip(chunk, answer["Records"], strict=True) if "ErrorCode" in a]

    def _retry(self, throttled: list[Outgoing]) -> Generator[simpy.Event, Any, None]:
        for pause_s in RETRY_PAUSES_S:
            yield self._engine.env.timeout(pause_s)
            before = len(throttled)
            now_s = self._engine.env.now
            throttled = self._put([record._replace(at_s=now_s) for record in throttled])
            self.pending -= before - len(throttled)
            if not throttled:
                return
        self.pending -= len(throttled)
        for record in throttled:
            self._failed(record.rule, record.action, record.message, "Rate exceeded for stream")

    def run(self, rule: RuleOfAction, action: Action, message: Publication, data: bytes) -> None:
        """Do an action that takes one message at a time (S3, republish)."""
        try:
            self._run(rule, action, message, data)
        except AwsError as error:
            self._failed(rule, action, message, error.message)
        else:
            self._count("Success", rule.name, action, 1)

    def _run(self, rule: RuleOfAction, action: Action, message: Publication, data: bytes) -> None:
        principal = self._principal(rule, action)
        if action.kind == "s3":
            key = action.texts["key"].fill(message)
            params: Params = {"Bucket": action.target, "Key": key, "Body": data}
            self._context.dispatch(principal, "s3", "PutObject", params)
            return
        topic = action.texts["topic"].fill(message).replace("$$", "$")
        arn = self._context.arn("iot", f"topic/{topic}")
        self._context.iam.authorise(principal, "iot:Publish", arn)
        self._publish(topic, data)

    def _principal(self, rule: RuleOfAction, action: Action) -> Principal:
        return self._context.iam.principal_for_role(action.role_arn, rule.name, SERVICE)

    def _failed(
        self,
        rule: RuleOfAction,
        action: Action,
        message: Publication | Publishing,
        why: str,
    ) -> None:
        """Count a failed action and hand the message to the rule's error action."""
        self._count("Failure", rule.name, action, 1)
        error_action = rule.error_action
        if error_action is None:
            log.warning("rule %s lost a message of %s: %s", rule.name, message.topic, why)
            self._count("ErrorActionFailure", rule.name, action, 1)
            return
        document = orjson.dumps(
            {
                "ruleName": rule.name,
                "topic": message.topic,
                "cloudwatchTraceId": self._engine.new_id(),
                "clientId": message.client_id or "N/A",
                "base64OriginalPayload": b64encode(message.payload).decode(),
                "failures": [
                    {
                        "failedAction": f"{action.kind.capitalize()}Action",
                        "failedResource": action.target,
                        "errorMessage": f"{_what_failed(action)} The error received was {why}. "
                        f"Message arrived on: {message.topic}, Action: {action.kind}",
                    }
                ],
            }
        )
        try:
            if error_action.kind == "kinesis":
                raise NotSupportedByTwin("IoT error action kinesis")
            if not isinstance(message, Publication):
                message = self._as_publication(message)
            self._run(rule, error_action, message, document)
        except AwsError as error:
            log.warning("rule %s lost a message of %s: %s", rule.name, message.topic, error)
            self._count("ErrorActionFailure", rule.name, error_action, 1)
        else:
            self._count("ErrorActionSuccess", rule.name, error_action, 1)

    def _count(
        self, metric: str, rule: str, action: Action, count: int, at_s: float | None = None
    ) -> None:
        """Count now, or when the last message of a batch arrived."""
        dimensions = {"RuleName": rule, "ActionType": action.kind}
        at_s = None if at_s is None else self._engine.epoch_s(min(at_s, self._engine.env.now))
        self._context.cloudwatch.record("AWS/IoT", metric, dimensions, count, "Count", at_s)


def _what_failed(action: Action) -> str:
    return {
        "kinesis": "Failed to put record to Kinesis stream.",
        "s3": "Failed to put S3 object.",
        "republish": "Failed to republish message.",
    }[action.kind]
