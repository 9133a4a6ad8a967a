"""What a test of your own app looks like: publish, let the clock move, look with boto3."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings

from pipeline.messages import Reading
from simulator.testing.strategies import readings
from simulator.testing.twin import Twin

LIMIT_C = -15.0
"""The handler's, from the stack."""


def warm_counts(twin: Twin) -> dict[str, int]:
    table = twin.resource("AWS::DynamoDB::Table").physical_id
    items = twin.client("dynamodb").scan(TableName=table)["Items"]
    return {item["room"]["S"]: int(item["warm"]["N"]) for item in items}


def test_a_warm_room_is_counted_and_a_cold_one_is_not(fleetwin: Twin) -> None:
    fleetwin.publish("store/north/temperature", {"celsius": -18.0})
    fleetwin.publish("store/south/temperature", {"celsius": -9.5})
    fleetwin.drain()
    assert warm_counts(fleetwin) == {"south": 1}


def test_every_twin_starts_empty(fleetwin: Twin) -> None:
    assert warm_counts(fleetwin) == {}


def test_the_inbox_has_a_message_for_each_warm_reading(fleetwin: Twin) -> None:
    for celsius in (-20.0, -14.0, -3.0):
        fleetwin.publish("store/west/temperature", {"celsius": celsius})
    fleetwin.drain()
    queue = fleetwin.resource("AWS::SQS::Queue").physical_id
    found = fleetwin.client("sqs").receive_message(QueueUrl=queue, MaxNumberOfMessages=10)
    assert [message["Body"] for message in found["Messages"]] == ["west is warm"] * 2


@pytest.mark.parametrize("seconds", [60.0, 86_400.0])
def test_a_day_passes_as_fast_as_a_minute(fleetwin: Twin, seconds: float) -> None:
    before = fleetwin.now
    fleetwin.advance(seconds)
    assert (fleetwin.now - before).total_seconds() == seconds


# One twin for all examples of the property: what it has counted before is taken off.
@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(sent=readings(device_ids=("north", "south"), sensors=("celsius",), most=20))
def test_whatever_comes_in_the_warm_readings_of_each_room_are_counted(
    fleetwin: Twin, sent: list[Reading]
) -> None:
    before = Counter(warm_counts(fleetwin))
    for reading in sent:
        fleetwin.publish(f"store/{reading.device_id}/temperature", dict(reading.values))
    fleetwin.drain()
    warm = Counter(each.device_id for each in sent if each.values["celsius"] > LIMIT_C)
    assert Counter(warm_counts(fleetwin)) == before + warm
