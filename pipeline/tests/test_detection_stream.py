"""Detection on the stream, with in-memory stand-ins for the four clients.

The endpoint here scores a row by the mean of its first sensor: what is tested is what becomes
of scores, not the model.
"""

from __future__ import annotations

import base64
import copy
import io
import json
from collections import Counter
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.alerts.alert import detection_id
from pipeline.detection.stream_batch import Detector
from pipeline.errors import StateConflict
from pipeline.messages import Reading, encode_reading
from pipeline.settings import DetectorSettings, FeatureSpec
from pipeline.state_table import StateTable
from pipeline.tests.fakes import projected

SPEC = FeatureSpec(
    sensors=("flow", "heat"),
    limits=((-1e6, 1e6),) * 2,
    window_ms=2_000,
    hop_ms=1_000,
    allowed_lateness_ms=1_000,
    bursts=False,
    min_count=1,
)
SETTINGS = DetectorSettings(
    state_table="state",
    detections_table="detections",
    endpoint_name="endpoint",
    processed_bucket="processed",
    alert_topic_arn="arn:topic",
    spec=SPEC,
    max_future_s=300.0,
    metric_namespace="Test",
)
START_MS = 1_767_571_200_000
HEALTHY, SLOW, FAULTY = 0.1, 0.6, 2.0


class World:
    """The tables, the endpoint, the bucket and the topic; counts calls and fails on demand."""

    def __init__(self) -> None:
        self.items: dict[str, dict[str, Any]] = {}
        self.detections: dict[str, dict[str, Any]] = {}
        self.objects: dict[str, bytes] = {}
        self.alerts: list[dict[str, Any]] = []
        self.calls: Counter[str] = Counter()
        self.lines: list[dict[str, Any]] = []
        self.fail: dict[str, int] = {}
        self.memory_rows = 0

    def activate(self) -> None:
        self.items["#model"] = {
            "pk": {"S": "#model"},
            "endpoint": {"S": "live-endpoint"},
            "model_version": {"S": "v1"},
        }

    def detector(self) -> Detector:
        return Detector(
            SETTINGS,
            StateTable(self, "state", sleep=lambda seconds: None),
            self,
            self,
            self,
            lambda line: self.lines.append(json.loads(line)),
        )

    def _called(self, name: str) -> None:
        self.calls[name] += 1
        if self.fail.get(name, 0) == self.calls[name]:
            raise ConnectionError(name)

    def batch_get_item(self, *, RequestItems: Any) -> Any:
        self._called("batch_get_item")
        keys = [key["pk"]["S"] for key in RequestItems["state"]["Keys"]]
        found = [
            projected(copy.deepcopy(self.items[key]), RequestItems["state"])
            for key in keys
            if key in self.items
        ]
        return {"Responses": {"state": found}, "UnprocessedKeys": {}}

    def transact_write_items(self, *, TransactItems: Any, ClientRequestToken: Any) -> Any:
        self._called("transact_write_items")
        assert len(TransactItems) <= 100
        for entry in TransactItems:
            put = entry.get("Put", {})
            if put.get("TableName") == "state" and not self._holds(put):
                answer: Any = {"Error": {"Code": "TransactionCanceledException"}}
                answer["CancellationReasons"] = [{"Code": "ConditionalCheckFailed"}]
                raise ClientError(answer, "TransactWriteItems")
        for entry in TransactItems:
            if "Update" in entry:
                update = entry["Update"]
                values = update["ExpressionAttributeValues"]
                item = self.detections[update["Key"]["detection_id"]["S"]]
                item |= {"ended_ms": values[":ended"], "score": values[":score"]}
            elif entry["Put"]["TableName"] == "state":
                self.items[entry["Put"]["Item"]["pk"]["S"]] = entry["Put"]["Item"]
            else:
                item = dict(entry["Put"]["Item"])
                assert item["detection_id"]["S"] not in self.detections
                self.detections[item["detection_id"]["S"]] = item

    def _holds(self, put: dict[str, Any]) -> bool:
        stored = self.items.get(put["Item"]["pk"]["S"])
        if put["ConditionExpression"] == "attribute_not_exists(pk)":
            return stored is None
        expected = put["ExpressionAttributeValues"][":expected"]
        return stored is not None and bool(stored["last_seq"] == expected)

    def invoke_endpoint(
        self, *, EndpointName: Any, ContentType: Any, Accept: Any, Body: Any
    ) -> Any:
        self._called("invoke_endpoint")
        assert (EndpointName, ContentType, Accept) == (
            "live-endpoint",
            "application/json",
            "application/json",
        )
        rows = json.loads(Body)["rows"]
        scores = [row["features"][0] for row in rows]
        answer = {
            "model_version": "v1",
            "smoothing_rows": 2,
            "enter": 1.0,
            "exit": 0.8,
            "enter_rows": 2,
            "exit_rows": 2,
            "scores": scores,
            "no_model_scores": [score / 4 for score in scores],
            "contributions": [[0.9, 0.1] for _ in rows],
            "sensors": ["flow", "heat"],
        }
        if self.memory_rows:
            answer |= {
                "memory_rows": self.memory_rows,
                "level_sensors": ["flow", "heat"],
                "levels": [[0.1, 2.0 if score == SLOW else 0.0] for score in scores],
            }
        return {"Body": io.BytesIO(json.dumps(answer).encode())}

    def put_object(self, *, Bucket: Any, Key: Any, Body: Any) -> Any:
        self._called("put_object")
        assert Bucket == "processed"
        self.objects[Key] = Body

    def publish(self, *, TopicArn: Any, Subject: Any, Message: Any) -> Any:
        self._called("publish")
        assert TopicArn == "arn:topic"
        assert len(Subject) <= 100
        self.alerts.append(json.loads(Message))

    def rows(self) -> list[dict[str, Any]]:
        lines = [line for _, body in sorted(self.objects.items()) for line in body.splitlines()]
        return sorted(
            (json.loads(line) for line in lines),
            key=lambda row: (row["device_id"], row["event_time_ms"]),
        )


def event(records: list[tuple[int, bytes, str]]) -> dict[str, Any]:
    """Return the event of a mapping with (sequence number, payload, partition key) records."""
    return {
        "Records": [
            {
                "eventID": f"shardId-000000000000:{number}",
                "kinesis": {
                    "sequenceNumber": str(number),
                    "partitionKey": key,
                    "approximateArrivalTimestamp": START_MS / 1000 + 3_600,
                    "data": base64.b64encode(payload).decode(),
                },
            }
            for number, payload, key in records
        ]
    }


def stream(levels: dict[str, list[float]]) -> list[tuple[int, bytes, str]]:
    """Return the records of devices that send one reading a second, with the flow given."""
    longest = max(map(len, levels.values()))
    records: list[tuple[int, bytes, str]] = []
    for second in range(longest):
        for device_id, flows in levels.items():
            if second < len(flows):
                values = {"flow": flows[second], "heat": 1.0}
                reading = Reading(device_id, second, START_MS + 1_000 * second, values)
                payload = encode_reading(reading)
                records.append((100 + len(records), payload, device_id))
    return records


def fault(before: int, during: int, after: int) -> list[float]:
    return [HEALTHY] * before + [FAULTY] * during + [HEALTHY] * after


def run(
    world: World, records: list[tuple[int, bytes, str]], size: int = 10_000, workers: int = 1
) -> None:
    """Have ``workers`` warm workers handle the batches by turns."""
    detectors = [world.detector() for _ in range(workers)]
    for number, start in enumerate(range(0, len(records), size)):
        detectors[number % workers].handle(event(records[start : start + size]))


def test_before_a_model_is_active_only_features_advance() -> None:
    world = World()
    run(world, stream({"a": fault(5, 5, 5)}), size=5)
    assert world.calls == {"batch_get_item": 3, "transact_write_items": 3}
    assert not world.objects
    assert not world.detections


def test_an_ordinary_batch_takes_at_most_five_calls() -> None:
    world = World()
    world.activate()
    run(world, stream({f"p{number}": [HEALTHY] * 30 for number in range(20)}), size=300)
    assert world.calls["invoke_endpoint"] == 2
    assert sum(world.calls.values()) <= 2 * 5


def test_a_fault_is_one_detection_and_one_alert() -> None:
    world = World()
    world.activate()
    run(world, stream({"a": fault(10, 10, 15), "b": [HEALTHY] * 35}), size=7)
    assert [alert["device_id"] for alert in world.alerts] == ["a"]
    (found,) = world.detections.values()
    assert found["rule"] == {"S": "model"}
    started_ms = int(found["started_ms"]["N"])
    assert found["detection_id"]["S"] == detection_id("a", "model", started_ms)
    assert START_MS + 10_000 < started_ms < START_MS + 16_000
    assert int(found["ended_ms"]["N"]) > START_MS + 20_000
    alert = world.alerts[0]
    assert alert["alert_id"] == found["detection_id"]["S"]
    assert alert["sensors"][0] == {"sensor": "flow", "share": 0.9}
    assert "flow" in alert["what_to_do"]
    assert alert["runbook"] == "docs/runbooks/episode.md"
    assert alert["since_ms"] <= alert["started_ms"] == started_ms
    assert json.loads(found["contributions"]["S"]) == {"flow": 0.9, "heat": 0.1}


def test_only_the_models_rule_alerts() -> None:
    world = World()
    world.activate()
    run(world, stream({"a": [HEALTHY] * 5 + [9.0] * 10}))
    assert {found["rule"]["S"] for found in world.detections.values()} == {"model", "no_model"}
    assert len(world.alerts) == 1


@settings(max_examples=40, deadline=None)
@given(
    size=st.integers(1, 40),
    workers=st.integers(1, 3),
    lengths=st.tuples(st.integers(3, 8), st.integers(0, 12), st.integers(0, 12)),
)
def test_how_the_stream_is_cut_and_who_handles_it_changes_nothing(
    size: int, workers: int, lengths: tuple[int, int, int]
) -> None:
    records = stream({"a": fault(*lengths), "b": fault(9, 5, 5), "c": [HEALTHY] * 12})
    worlds = []
    for batch_size in (size, len(records)):
        world = World()
        world.activate()
        run(world, records, batch_size, workers)
        worlds.append(world)
    one, other = worlds
    assert one.rows() == other.rows()
    assert one.detections == other.detections
    key = [(alert["alert_id"], alert["score"]) for alert in one.alerts]
    assert sorted(key) == sorted((a["alert_id"], a["score"]) for a in other.alerts)
    assert {pk: item["state"] for pk, item in one.items.items() if pk != "#model"} == {
        pk: item["state"] for pk, item in other.items.items() if pk != "#model"
    }


@pytest.mark.parametrize(
    "operation",
    ["batch_get_item", "invoke_endpoint", "put_object", "transact_write_items", "publish"],
)
@pytest.mark.parametrize("call", [1, 2])
def test_a_failed_call_and_a_second_try_end_where_no_failure_does(
    operation: str, call: int
) -> None:
    records = stream({"a": fault(4, 8, 8), "b": fault(6, 8, 6)})
    halves = [event(records[:20]), event(records[20:])]
    expected, world = World(), World()
    for each in (expected, world):
        each.activate()
    for half in halves:
        expected.detector().handle(half)
    world.fail = {operation: call}
    failures = 0
    detector = world.detector()
    for half in halves:
        try:
            detector.handle(half)
        except ConnectionError:
            failures += 1
            detector.handle(half)
    assert failures == 1
    assert world.rows() == expected.rows()
    assert world.detections == expected.detections
    assert [alert["alert_id"] for alert in world.alerts] == [
        alert["alert_id"] for alert in expected.alerts
    ]


def test_an_alert_that_could_not_be_sent_is_sent_by_another_worker() -> None:
    world = World()
    world.activate()
    batch = event(stream({"a": fault(4, 8, 8)}))
    world.fail = {"publish": 1}
    with pytest.raises(ConnectionError):
        world.detector().handle(batch)
    assert not world.alerts
    world.detector().handle(batch)
    world.detector().handle(batch)
    assert len(world.alerts) == 1


def test_a_batch_that_comes_again_changes_nothing() -> None:
    world = World()
    world.activate()
    batch = event(stream({"a": fault(4, 8, 8)}))
    world.detector().handle(batch)
    before = copy.deepcopy((world.items, world.detections, world.objects, world.alerts))
    world.detector().handle(batch)
    assert (world.items, world.detections, world.objects, world.alerts) == before


def test_a_state_that_another_changed_is_a_conflict(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    world.activate()
    records = stream({"a": [HEALTHY] * 10})
    run(world, records[:5])
    original = world.batch_get_item

    def stale(**request: Any) -> Any:
        answer = original(**request)
        world.items["det#a"]["last_seq"] = {"S": "999"}
        return answer

    monkeypatch.setattr(world, "batch_get_item", stale)
    with pytest.raises(StateConflict):
        run(world, records[5:])


def test_more_devices_than_a_transaction_holds_are_all_written() -> None:
    world = World()
    world.activate()
    run(world, stream({f"p{number:03d}": fault(3, 8, 0) for number in range(130)}))
    assert len(world.items) == 131
    assert len(world.detections) == len(world.alerts) == 130


def test_an_invalid_message_is_left_to_the_raw_writer() -> None:
    world = World()
    world.activate()
    records = stream({"a": [HEALTHY] * 5})
    records.insert(2, (102, b"not json", "a"))
    records = [(100 + place, payload, key) for place, (_, payload, key) in enumerate(records)]
    run(world, records)
    assert "det#a" in world.items


def test_metrics_count_rows_episodes_and_alerts() -> None:
    world = World()
    world.activate()
    run(world, stream({"a": fault(4, 8, 0)}))
    (line,) = world.lines
    assert line["EpisodesOpened"] == line["AlertsSent"] == 1
    assert line["FeatureRows"] == line["ScoredRows"] > 5
    assert line["MaxScore"] == pytest.approx(FAULTY)
    assert line["_aws"]["CloudWatchMetrics"][0]["Namespace"] == "Test"
