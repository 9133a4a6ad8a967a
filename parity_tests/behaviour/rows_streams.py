"""What Kinesis, event source mappings, alarms and logs answer."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

from parity_tests.behaviour.table import DOCUMENTED, RECORDED, Behaviours, differs
from parity_tests.contract.world import World
from simulator.cloud.alarm_rules import evaluate

kinesis = Behaviours("kinesis")
mappings = Behaviours("lambda")
alarms = Behaviours("cloudwatch")
logs = Behaviours("logs")

NONE = {"StreamName": "not-there"}
ALARM_PERIOD_S = 60

# -- Kinesis


def _records(world: World, count: int, size: int = 1) -> dict[str, Any]:
    record = {"Data": b"x" * size, "PartitionKey": "k"}
    return {"StreamName": world.stream(), "Records": [record] * count}


kinesis.refuses(
    "DescribeStreamSummary",
    "a stream that is not there",
    lambda w: NONE,
    "ResourceNotFoundException",
    r"^Stream not-there under account \d{12} not found\.$",
    date="2020",
)
kinesis.refuses(
    "CreateStream",
    "a stream that is there",
    lambda w: {"StreamName": w.stream(), "ShardCount": 1},
    "ResourceInUseException",
    r"^Stream \S+ under account \d{12} already exists\.$",
    date="2020",
)
kinesis.refuses(
    "GetRecords",
    "an iterator that is none",
    lambda w: {"ShardIterator": "none"},
    "InvalidArgumentException",
    r"^Invalid ShardIterator\.$",
    date="2020",
)
kinesis.refuses(
    "GetShardIterator",
    "a shard that is not there",
    lambda w: {
        "StreamName": w.stream(),
        "ShardId": "shardId-000000000099",
        "ShardIteratorType": "LATEST",
    },
    "ResourceNotFoundException",
    r"^Shard shardId-000000000099 in stream \S+ under account \d{12} does not exist",
    date="2020",
)
kinesis.refuses(
    "PutRecord",
    "a hash key out of range",
    lambda w: {
        "StreamName": w.stream(),
        "Data": b"x",
        "PartitionKey": "k",
        "ExplicitHashKey": str(2**128),
    },
    "InvalidArgumentException",
    r"^Invalid ExplicitHashKey\. ExplicitHashKey must be in the range: \[0, 2\^128-1\]\.",
    date="2020",
)
kinesis.refuses(
    "PutRecords",
    "more than 500 records",
    lambda w: _records(w, 501),
    "ValidationException",
    r"at 'records' failed to satisfy constraint: Member must have length less than or equal to 500",
    date="2020",
)


def _one_shard(world: World, records: int, size: int) -> tuple[int, str]:
    """Put records on one shard at one moment; return how many were refused, and the code."""
    name = world.new("one")
    world.do("kinesis", "CreateStream", StreamName=name, ShardCount=1)
    world.run(30.0)
    failed, code = 0, ""
    while records > 0:
        batch = [{"Data": b"x" * size, "PartitionKey": "k"}] * min(500, records)
        answer = world.do("kinesis", "PutRecords", StreamName=name, Records=batch)
        failed += answer["FailedRecordCount"]
        code = next((r["ErrorCode"] for r in answer["Records"] if "ErrorCode" in r), code)
        records -= len(batch)
    return failed, code


kinesis.add(
    "PutRecords",
    "a shard takes 1,000 records a second and names what it does not take",
    DOCUMENTED,
    "2026-11",
    lambda w: differs((100, "ProvisionedThroughputExceededException"), _one_shard(w, 1_100, 1)),
)
kinesis.add(
    "PutRecords",
    "a shard takes 1 MiB a second",
    DOCUMENTED,
    "2026-11",
    lambda w: differs(
        (2, "ProvisionedThroughputExceededException"), _one_shard(w, 10, 131_072 - 1)
    ),
)


def _order_of_puts(world: World) -> str | None:
    stream = world.stream()
    put = [
        world.do("kinesis", "PutRecord", StreamName=stream, Data=b"x", PartitionKey="k")
        for _ in range(5)
    ]
    numbers = [int(each["SequenceNumber"]) for each in put]
    return differs(sorted(numbers), numbers)


kinesis.add(
    "PutRecord",
    "sequence numbers of a shard rise",
    DOCUMENTED,
    "2026-11",
    _order_of_puts,
)

# -- event source mappings

DEFAULTS: dict[str, Any] = {
    "BatchSize": 100,
    "BisectBatchOnFunctionError": False,
    "DestinationConfig": {"OnFailure": {}},
    "FunctionResponseTypes": [],
    "LastProcessingResult": "No records processed",
    "MaximumBatchingWindowInSeconds": 0,
    "MaximumRecordAgeInSeconds": -1,
    "MaximumRetryAttempts": -1,
    "ParallelizationFactor": 1,
    "TumblingWindowInSeconds": 0,
    "State": "Creating",
    "StateTransitionReason": "User action",
}


def _mapping(world: World) -> dict[str, Any]:
    return {
        "FunctionName": world.function(),
        "EventSourceArn": world.cloud.context.arn("kinesis", f"stream/{world.stream()}"),
        "StartingPosition": "LATEST",
    }


def _mapping_defaults(world: World) -> str | None:
    answer = world.ask("lambda", "CreateEventSourceMapping", _mapping(world))
    world.do("lambda", "DeleteEventSourceMapping", UUID=answer["UUID"])
    return differs(DEFAULTS, {name: answer.get(name) for name in DEFAULTS})


def _twice(world: World) -> dict[str, Any]:
    params = _mapping(world)
    made = world.do("lambda", "CreateEventSourceMapping", **params)
    world.later(lambda: world.do("lambda", "DeleteEventSourceMapping", UUID=made["UUID"]))
    return params


mappings.add(
    "CreateEventSourceMapping",
    "the defaults of a Kinesis mapping",
    RECORDED,
    "2025",
    _mapping_defaults,
)
mappings.refuses(
    "CreateEventSourceMapping",
    "the same mapping twice",
    _twice,
    "ResourceConflictException",
    r'^The event source arn \(" arn:aws:kinesis:\S+ "\) and function \(" \S+ "\) provided mapping '
    r"already exists\. Please update or delete the existing mapping with UUID \S+$",
    date="2025",
    status=409,
)
mappings.refuses(
    "CreateEventSourceMapping",
    "a stream that is not there",
    lambda w: {
        **_mapping(w),
        "EventSourceArn": w.cloud.context.arn("kinesis", "stream/not-there"),
    },
    "InvalidParameterValueException",
    r"^Stream not found: arn:aws:kinesis:",
    date="2025",
)
mappings.refuses(
    "GetFunction",
    "a function that is not there",
    lambda w: {"FunctionName": "not-there"},
    "ResourceNotFoundException",
    r"^Function not found: arn:aws:lambda:\S+:function:not-there",
    date="2025",
    status=404,
)


def _raised(world: World) -> str | None:
    answer = world.ask(
        "lambda", "Invoke", {"FunctionName": world.function(), "Payload": b'{"fail": true}'}
    )
    body = json.loads(answer["Payload"])
    members = {"errorMessage", "errorType", "requestId", "stackTrace"}
    return differs(
        (200, "Unhandled", members, "ValueError"),
        (answer["StatusCode"], answer.get("FunctionError"), set(body), body.get("errorType")),
    )


mappings.add("Invoke", "an exception of the function", RECORDED, "2025", _raised)

# -- alarms with missing data

POINTS = (
    # points (right is the newest; X breaching, 0 not, - missing), M of 3, and the state with
    # missing, ignore, breaching and notBreaching; "=" keeps the state.
    ("0-X-X", 3, "OK", "OK", "OK", "OK"),
    ("0----", 3, "OK", "OK", "OK", "OK"),
    ("-----", 3, "INSUFFICIENT_DATA", "=", "ALARM", "OK"),
    ("0XX-X", 3, "ALARM", "ALARM", "ALARM", "ALARM"),
    ("--X--", 3, "ALARM", "=", "ALARM", "OK"),
    ("0-X-X", 2, "ALARM", "ALARM", "ALARM", "ALARM"),
    ("00X0X", 2, "ALARM", "ALARM", "ALARM", "ALARM"),
    ("0-X--", 2, "OK", "OK", "ALARM", "OK"),
    ("----0", 2, "OK", "OK", "ALARM", "OK"),
    ("---X-", 2, "ALARM", "=", "ALARM", "OK"),
)
TREATMENTS = ("missing", "ignore", "breaching", "notBreaching")


def _alarm(points: str, needed: int, treatment: str, wanted: str, _: World) -> str | None:
    """Compare with the decision that the twin's alarms take for both states to keep."""
    found = [{"X": True, "0": False, "-": None}[point] for point in points]
    for current in ("OK", "ALARM"):
        state = evaluate(found, needed, 3, treatment, current)
        if state != (current if wanted == "=" else wanted):
            return f"{state} after {current} instead of {wanted}"
    return None


for _points, _needed, *_states in POINTS:
    for _treatment, _wanted in zip(TREATMENTS, _states, strict=True):
        alarms.add(
            "PutMetricAlarm",
            f"missing data {_points}, {_needed} of 3, {_treatment}",
            DOCUMENTED,
            "2026-11",
            partial(_alarm, _points, _needed, _treatment, _wanted),
        )

# -- logs

logs.refuses(
    "GetLogEvents",
    "a group that is not there",
    lambda w: {"logGroupName": "not-there", "logStreamName": "x"},
    "ResourceNotFoundException",
    r"^The specified log group does not exist\.$",
    date="2025",
)


def _out_of_order(world: World) -> dict[str, Any]:
    group = world.new("group")
    world.do("logs", "CreateLogGroup", logGroupName=group)
    world.do("logs", "CreateLogStream", logGroupName=group, logStreamName="s")
    events = [
        {"timestamp": world.now_ms, "message": "second"},
        {"timestamp": world.now_ms - 1_000, "message": "first"},
    ]
    return {"logGroupName": group, "logStreamName": "s", "logEvents": events}


logs.refuses(
    "PutLogEvents",
    "events out of order",
    _out_of_order,
    "InvalidParameterException",
    r"^Log events in a single PutLogEvents request must be in chronological order\.$",
    date="2025",
)
