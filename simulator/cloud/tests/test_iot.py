"""Topic rules: SQL, broker limits, and that what a rule takes is stored or accounted for."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.cloud.errors import AwsError
from simulator.cloud.iot import Direct, Iot
from simulator.cloud.iot_sql import UNDEFINED, Publication, Template, matches, parse
from simulator.cloud.kinesis import Kinesis
from simulator.cloud.tests.fakes import ROLE, fake_twin

TO_STREAM = {"kinesis": {"roleArn": ROLE, "streamName": "s", "partitionKey": "${topic(2)}"}}
TO_DEAD = {
    "s3": {
        "roleArn": ROLE,
        "bucketName": "raw",
        "key": "dead-letter/iot/${topic(2)}/${timestamp()}-${newuuid()}.json",
    }
}


class World:
    """A twin with a stream, IoT and the rule of the pipeline."""

    def __init__(self, state: Path) -> None:
        self.twin = fake_twin(state)
        self.iot = Iot(self.twin.context)
        self.kinesis = Kinesis(self.twin.context)
        self.twin.dispatch.register("kinesis", self.kinesis.operations())
        self.twin.dispatch.register("iot", self.iot.operations())
        self.twin.dispatch.register("iot-data", self.iot.data_operations())
        self.twin.do("kinesis", "CreateStream", StreamName="s", ShardCount=1)

    def rule(
        self, sql: str = "SELECT * FROM 'fleet/+/telemetry'", name: str = "r", **more: Any
    ) -> None:
        """Create a rule that writes to the stream."""
        payload = {"sql": sql, "actions": [TO_STREAM], "errorAction": TO_DEAD} | more
        payload.setdefault("awsIotSqlVersion", "2016-03-23")
        self.twin.do("iot", "CreateTopicRule", ruleName=name, topicRulePayload=payload)

    def publish(self, *payloads: bytes, topic: str = "fleet/pump-001/telemetry") -> Any:
        """Publish now, each message on a connection of its own."""
        now_s = self.twin.engine.env.now
        messages = [Direct(topic, data, f"c{i}", now_s) for i, data in enumerate(payloads)]
        return self.iot.publish_batch(messages)

    def publish_each(self, sent: list[tuple[str, bytes]]) -> None:
        """Publish (topic, payload) now, each on a connection of its own."""
        now_s = self.twin.engine.env.now
        self.iot.publish_batch(
            [Direct(t, data, f"c{i}", now_s) for i, (t, data) in enumerate(sent)]
        )

    def stored(self) -> list[Any]:
        """Return the records of the stream."""
        iterator = self.twin.do(
            "kinesis",
            "GetShardIterator",
            StreamName="s",
            ShardId="shardId-000000000000",
            ShardIteratorType="TRIM_HORIZON",
        )
        return list(self.twin.do("kinesis", "GetRecords", **iterator)["Records"])


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Return a world without rules."""
    made = World(tmp_path)
    yield made
    made.twin.close()


def message(payload: Any = None, topic: str = "fleet/pump-001/telemetry") -> Publication:
    """Return a message whose payload is JSON."""
    data = json.dumps(payload).encode()
    return Publication(topic, data, "c", 1_767_571_207_250, lambda: "an-id", payload)


@given(st.binary(max_size=200))
def test_select_all_passes_any_payload_through_untouched(payload: bytes) -> None:
    statement = parse("SELECT * FROM 'fleet/#'")
    assert statement.apply(Publication("fleet/a", payload, "c", 0, str)) == payload


LEVEL = st.sampled_from(["a", "b", "c"])


@given(
    st.lists(LEVEL, min_size=1, max_size=5), st.lists(st.sampled_from(["a", "b", "+"]), max_size=5)
)
def test_wildcards_match_as_mqtt_says(levels: list[str], wanted: list[str]) -> None:
    same = len(levels) == len(wanted) and all(
        w in ("+", level) for w, level in zip(wanted, levels, strict=False)
    )
    assert matches("/".join(wanted), "/".join(levels)) == (same and bool(wanted))
    prefix = len(wanted) <= len(levels) and all(
        w in ("+", level) for w, level in zip(wanted, levels, strict=False)
    )
    assert matches("/".join([*wanted, "#"]), "/".join(levels)) == prefix
    assert not matches("#", "$aws/" + "/".join(levels))


SELECTS: list[tuple[str, Any, Any]] = [
    ("a, b.c", {"a": 1, "b": {"c": "x"}}, {"a": 1, "c": "x"}),
    ("a AS z, topic(2) AS device", {"a": 1}, {"z": 1, "device": "pump-001"}),
    ("*, timestamp() AS at", {"a": 1}, {"a": 1, "at": 1_767_571_207_250}),
    ("missing, a", {"a": None}, {"a": None}),
    ("'it''s' AS text, -1.5 AS n, true AS t, null AS nothing", {}, {
        "text": "it's", "n": -1.5, "t": True, "nothing": None}),
    ("newuuid() AS id, clientid() AS c", {}, {"id": "an-id", "c": "c"}),
]  # fmt: skip


@pytest.mark.parametrize(("columns", "payload", "expected"), SELECTS)
def test_select_lists(columns: str, payload: Any, expected: Any) -> None:
    data = parse(f"SELECT {columns} FROM 'fleet/+/telemetry'").apply(message(payload))
    assert data is not None
    assert json.loads(data) == expected


WHERES: list[tuple[str, Any, bool]] = [
    ("a > 3", {"a": 4}, True),
    ("a > 3", {"a": 3}, False),
    ("a >= 3 AND b.c = 'x'", {"a": 3, "b": {"c": "x"}}, True),
    ("a = 1 OR b = 2", {"b": 2}, True),
    ("NOT (a = 1)", {"a": 2}, True),
    ("NOT (a = 1)", {}, False),
    ("missing <> 1", {}, False),
    ("a < 'text'", {"a": 1}, False),
    ("topic(2) = 'pump-001'", {}, True),
]


@pytest.mark.parametrize(("where", "payload", "passes"), WHERES)
def test_where(where: str, payload: Any, passes: bool) -> None:
    statement = parse(f"SELECT * FROM '#' WHERE {where}")
    assert (statement.apply(message(payload)) is not None) == passes


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("SELECT", "SqlParseException"),
        ("SELECT a b FROM 'x'", "SqlParseException"),
        ("SELECT * FROM x", "SqlParseException"),
        ("SELECT * FROM 'x' WHERE", "SqlParseException"),
        ("SELECT 1 FROM 'x'", "SqlParseException"),
        ("SELECT * FROM 'x' ;", "SqlParseException"),
        ("SELECT aws_lambda(a) FROM 'x'", "NotSupportedByTwin"),
        ("SELECT VALUE a FROM 'x'", "NotSupportedByTwin"),
    ],
)
def test_what_is_not_understood_is_refused_when_the_rule_is_made(
    world: World, sql: str, code: str
) -> None:
    with pytest.raises(AwsError) as refused:
        world.rule(sql)
    assert refused.value.code == code


def test_texts_of_actions_are_filled_in() -> None:
    template = Template("x/${topic(2)}/${b.c}-${a}/${missing}")
    assert template.fill(message({"a": 1, "b": {"c": "t"}})) == "x/pump-001/t-1/undefined"
    assert template.reads_payload
    assert not template.depends_on_topic_only
    assert Template("${topic(2)}").depends_on_topic_only
    assert Template("${topic(9)}").fill(message()) == "undefined"
    assert UNDEFINED is not None


def test_messages_reach_the_stream_in_the_order_of_their_arrival(world: World) -> None:
    world.rule()
    world.rule("SELECT * FROM 'fleet/+/burst'", name="bursts")
    world.twin.engine.run(30.0)
    messages = [
        Direct(f"fleet/p{i % 3}/{('telemetry', 'burst')[i % 2]}", b"%d" % i, f"c{i % 3}", i / 50)
        for i in reversed(range(1200))
    ]
    result = world.iot.publish_batch(messages)
    assert (result.delivered, result.discarded) == (1200, 0)
    records = world.stored()
    assert [int(r["Data"]) for r in records] == list(range(1200))
    assert [r["PartitionKey"] for r in records[:3]] == ["p0", "p1", "p2"]
    start_s = world.twin.engine.start.timestamp()
    arrivals_s = [r["ApproximateArrivalTimestamp"].timestamp() - start_s for r in records]
    assert arrivals_s == pytest.approx([i / 50 for i in range(1200)], abs=1e-3)
    assert world.twin.dispatch.calls.count(("kinesis", "PutRecords")) == 3


publications = st.lists(
    st.tuples(
        st.sampled_from(["fleet/p0/telemetry", "fleet/p1/telemetry", "other/p0", "fleet/p0/burst"]),
        st.binary(max_size=5),
    ),
    max_size=20,
)


@given(publications)
def test_a_message_that_goes_straight_to_its_stream_arrives_as_by_way_of_expressions(
    sent: list[tuple[str, bytes]],
) -> None:
    found = []
    for where in ("", " WHERE topic(1) = 'fleet'"):
        with TemporaryDirectory() as folder:
            world = World(Path(folder))
            world.rule(f"SELECT * FROM 'fleet/+/telemetry'{where}")
            world.rule(f"SELECT * FROM 'fleet/+/burst'{where}", name="bursts")
            world.publish_each(sent)
            world.twin.iam.denied.add("kinesis:PutRecord")
            world.publish_each(sent)
            found.append((world.stored(), sorted(world.twin.inbox.objects.items())))
            world.twin.close()
    assert found[0] == found[1]


def test_a_payload_over_128_kb_is_refused_and_the_hundred_and_first_message_discarded(
    world: World,
) -> None:
    world.rule()
    assert world.publish(b"x" * (128 * 1024), b"x" * (128 * 1024 + 1)).discarded == 1
    flood = [Direct("fleet/p/telemetry", b"{}", "one", 0.0) for _ in range(150)]
    result = world.iot.publish_batch(flood)
    assert (result.delivered, result.discarded) == (100, 50)
    assert result.discarded_positions == tuple(range(100, 150))


def test_throttled_records_are_tried_again_and_none_is_lost(world: World) -> None:
    world.rule()
    # A topic rule puts record by record on AWS: its role need not be allowed more, ever.
    world.twin.iam.denied.add("kinesis:PutRecords")
    world.publish(*[b"%d" % i for i in range(2500)])
    assert len(world.stored()) == 1000
    assert not world.iot.idle()
    world.twin.engine.run(60.0)
    assert world.iot.idle()
    assert sorted(int(r["Data"]) for r in world.stored()) == list(range(2500))
    assert world.twin.inbox.objects == {}


def test_what_stays_throttled_goes_to_the_error_action(world: World) -> None:
    world.rule()
    payload = b"x" * 100_000
    world.publish(*[payload] * 600)
    world.twin.engine.run(200.0)
    assert world.iot.idle()
    iterator = world.twin.do(
        "kinesis",
        "GetShardIterator",
        StreamName="s",
        ShardId="shardId-000000000000",
        ShardIteratorType="TRIM_HORIZON",
    )["ShardIterator"]
    stored = 0
    while True:
        answer = world.twin.do("kinesis", "GetRecords", ShardIterator=iterator)
        stored += len(answer["Records"])
        iterator = answer["NextShardIterator"]
        world.twin.engine.run(world.twin.engine.env.now + 6.0)
        if not answer["MillisBehindLatest"]:
            break
    assert stored + len(world.twin.inbox.objects) == 600
    assert world.twin.inbox.objects


def test_a_denied_action_goes_to_the_error_action_with_awss_document(world: World) -> None:
    world.rule()
    world.twin.iam.denied.add("kinesis:PutRecord")
    world.publish(b"\xff not json")
    ((key, body),) = world.twin.inbox.objects.items()
    assert key.startswith("dead-letter/iot/pump-001/1767571200000-")
    document = json.loads(body)
    assert document["ruleName"] == "r"
    assert document["topic"] == "fleet/pump-001/telemetry"
    assert b64decode(document["base64OriginalPayload"]) == b"\xff not json"
    failure = document["failures"][0]
    assert failure["failedAction"] == "KinesisAction"
    assert failure["failedResource"] == "s"
    assert "kinesis:PutRecord " in failure["errorMessage"]


def test_one_record_that_does_not_fit_does_not_take_the_others_with_it(world: World) -> None:
    world.rule("SELECT * FROM 'fleet/#'")
    now_s = world.twin.engine.env.now
    topics = ["fleet/a/telemetry", "fleet//telemetry", "fleet/b/telemetry"]
    world.iot.publish_batch([Direct(t, t.encode(), "c", now_s) for t in topics])
    assert [r["PartitionKey"] for r in world.stored()] == ["a", "b"]
    assert len(world.twin.inbox.objects) == 1


def test_a_missing_error_action_is_counted(world: World) -> None:
    payload = {"sql": "SELECT * FROM 'a'", "actions": [TO_STREAM]}
    world.twin.do("iot", "CreateTopicRule", ruleName="bare", topicRulePayload=payload)
    world.twin.iam.denied.add("kinesis:PutRecord")
    world.publish(b"1", topic="a")
    assert world.twin.cloudwatch.total("ErrorActionFailure") == 1


def test_republish_and_iot_data_publish(world: World) -> None:
    world.rule()
    again = {"republish": {"roleArn": ROLE, "topic": "fleet/${topic(2)}/telemetry"}}
    world.rule("SELECT a FROM 'in/+'", name="again", actions=[again])
    world.twin.do("iot-data", "Publish", topic="in/p7", payload=b'{"a":1,"b":2}')
    assert [(r["PartitionKey"], r["Data"]) for r in world.stored()] == [("p7", b'{"a":1}')]


def test_an_error_in_the_select_reaches_the_log_only(world: World) -> None:
    world.rule("SELECT *, topic(2) AS d FROM 'fleet/+/telemetry'")
    world.publish(b"not json")
    assert world.stored() == []
    assert world.iot.sql_errors == 1
    assert world.twin.logs.groups["AWSIotLogsV2"]


def test_rules_can_be_read_replaced_switched_off_and_deleted(world: World) -> None:
    world.rule()
    rule = world.twin.do("iot", "GetTopicRule", ruleName="r")["rule"]
    assert rule["sql"] == "SELECT * FROM 'fleet/+/telemetry'"
    assert not rule["ruleDisabled"]
    with pytest.raises(AwsError, match="ResourceAlreadyExistsException"):
        world.rule()
    world.publish(b"1")
    off = {"sql": "SELECT * FROM '#'", "actions": [TO_STREAM], "ruleDisabled": True}
    world.twin.do("iot", "ReplaceTopicRule", ruleName="r", topicRulePayload=off)
    assert world.publish(b"2").delivered == 1
    assert len(world.twin.do("iot", "ListTopicRules")["rules"]) == 1
    world.twin.do("iot", "DeleteTopicRule", ruleName="r")
    world.publish(b"3")
    assert [r["Data"] for r in world.stored()] == [b"1"]


def test_an_action_without_behaviour_is_refused_by_name(world: World) -> None:
    with pytest.raises(AwsError, match="IoT rule action sqs"):
        world.rule(actions=[{"sqs": {"roleArn": ROLE, "queueUrl": "q"}}])
