"""What devices publish is what a consumer of the stream reads, for drawn readings.

The topic rule's `SELECT *` hands a payload on unchanged and the device's name is the partition
key, so a shard has each device's records in the order of publishing (documented by AWS). The
clock moves by less than the functions' batching window, so that no process is started.
"""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings

from pipeline.messages import Reading, decode, encode_reading
from pipeline.settings import FeatureSpec
from simulator.testing.strategies import PUMP_SENSORS, START_MS, readings
from simulator.testing.twin import Twin

SPEC = FeatureSpec(PUMP_SENSORS, ((-1e3, 1e3),) * len(PUMP_SENSORS), bursts=False)


BETWEEN_S = 0.5
"""Run's seconds between examples: a shard is read five times a second, by the functions as well."""


def newest(twin: Twin, stream: str) -> list[str]:
    """Return an iterator of each shard that begins after its newest record."""
    shards = twin.call("kinesis", "ListShards", StreamName=stream)["Shards"]
    latest = {"StreamName": stream, "ShardIteratorType": "LATEST"}
    return [
        twin.call("kinesis", "GetShardIterator", ShardId=each["ShardId"], **latest)["ShardIterator"]
        for each in shards
    ]


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sent=readings(most=20))
def test_each_reading_is_in_the_stream_once_and_in_its_devices_order(
    fleetwin: Twin, sent: list[Reading]
) -> None:
    fleetwin.advance(BETWEEN_S)
    iterators = newest(fleetwin, fleetwin.resource("AWS::Kinesis::Stream").physical_id)
    for each in sent:
        topic = f"fleet/{each.device_id}/telemetry"
        fleetwin.publish(topic, encode_reading(each), each.device_id)
    records: list[dict[str, Any]] = []
    for iterator in iterators:
        records += fleetwin.call("kinesis", "GetRecords", ShardIterator=iterator)["Records"]
    found = [decode(record["Data"], SPEC, START_MS, 86_400.0) for record in records]
    for device in {each.device_id for each in sent}:
        wanted = [each for each in sent if each.device_id == device]
        assert [
            each for each in found if isinstance(each, Reading) and each.device_id == device
        ] == wanted
    assert len(found) == len(sent)
    assert [record["PartitionKey"] for record in records] == [
        getattr(each, "device_id", None) for each in found
    ]
