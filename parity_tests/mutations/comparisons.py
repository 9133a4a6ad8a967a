"""What two small journeys are compared by, each comparison by its name.

Each returns the differences it finds, in words; nothing means that they are the same.
"""

from __future__ import annotations

import gzip
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import orjson
from botocore.exceptions import ClientError

from parity_tests.contract.shapes import misfits
from parity_tests.mutations.small_world import LIVE, SmallWorld
from simulator import evidence
from simulator.cloud.errors import AwsError
from simulator.cloud.operations import Principal
from simulator.cloud.validation import operation_model
from simulator.parity.journey import Found, Journey, difference
from simulator.parity.journey_words import words
from simulator.parity.latency_diff import latencies
from simulator.parity.latency_fit import Floats
from simulator.parity.latency_words import latency_words


@dataclass(frozen=True)
class Observation:
    """What a finished small journey shows from outside."""

    journey: Journey
    raw: list[bytes]
    traces: dict[str, Floats]
    """How long each hop took, in seconds, and the two sums."""
    permissions: dict[tuple[str, str, str], bool]
    answers: dict[str, str]


AT_REST = ("permissions", "answers")
"""Comparisons that need no journey."""


def observe_at_rest(world: SmallWorld, whole: Observation) -> Observation:
    """Look at a booted world; all that needs a journey is taken from a whole one."""
    return replace(whole, permissions=_permissions(world), answers=_answers(world))


def observe(world: SmallWorld) -> Observation:
    """Look at a world whose journey is over, through AWS's own operations."""
    assert world.fleet is not None
    found = evidence.gather(world.twin.target, world.fleet)
    scores: dict[str, dict[int, float]] = defaultdict(dict)
    for trace in found.traces:
        if trace.score is not None:
            pairs = zip(trace.score[0].tolist(), trace.score[1].tolist(), strict=True)
            scores[trace.device_id] = dict(pairs)
    detections = tuple(
        Found(e.device_id, e.started_ms, e.ended_ms, e.score, e.contributions)
        for e in found.episodes
        if e.rule == "model"
    )
    books = {name: int(value) for name, value in vars(found.readings).items()}
    journey = Journey(
        "small", LIVE.name, LIVE.seed, "embedded", books, len(found.alerts), detections, scores
    )
    raw = list(_raw_lines(world))
    return Observation(journey, raw, _traces(world), _permissions(world), _answers(world))


def _raw_lines(world: SmallWorld) -> Iterator[bytes]:
    target = world.twin.target
    for key, body in target.objects(target.bucket("raw"), ""):
        yield from (gzip.decompress(body) if key.endswith(".gz") else body).splitlines()


RAW, ALERT = "reading to raw zone", "row to alert"
"""Two sums over hops: from a reading's event time to its object, and from a row to its alert."""


def _traces(world: SmallWorld) -> dict[str, Floats]:
    """Return what each hop took, as a run's `traces.jsonl` has it, and what both sums did."""
    target = world.twin.target
    bucket = target.bucket("raw")
    listed = world.twin.call("s3", "ListObjectsV2", Bucket=bucket, Prefix="telemetry/")["Contents"]
    stored_s = {item["Key"]: item["LastModified"].timestamp() for item in listed}
    found: dict[str, list[float]] = defaultdict(list)
    for sample in world.cloud.latency.samples:
        found[sample.hop].append(sample.took_s)
    found[RAW] = [
        stored_s[key] - orjson.loads(line)["event_time_ms"] / 1000
        for key, body in target.objects(bucket, "telemetry/")
        for line in gzip.decompress(body).splitlines()
    ]
    found[ALERT] = [lag_ms / 1000 for lag_ms in world.alert_lags_ms]
    return {hop: np.array(values) for hop, values in found.items() if values}


def _permissions(world: SmallWorld) -> dict[tuple[str, str, str], bool]:
    """Ask of each role of the stack whether it may do what roles do, on its and other things."""
    target = world.twin.target
    raw, artefacts = target.bucket("raw"), target.bucket("artefacts")
    table = target.name_of("AWS::DynamoDB::Table", "device-state")
    here = "us-east-1:000000000000"
    asked = [
        ("s3:PutObject", f"arn:aws:s3:::{raw}/telemetry/x"),
        ("s3:PutObject", f"arn:aws:s3:::{artefacts}/models/x"),
        ("s3:GetObject", f"arn:aws:s3:::{raw}/telemetry/x"),
        ("s3:DeleteObject", f"arn:aws:s3:::{raw}/telemetry/x"),
        ("s3:GetObject", "arn:aws:s3:::somebody-elses/x"),
        ("dynamodb:TransactWriteItems", f"arn:aws:dynamodb:{here}:table/{table}"),
        ("dynamodb:PutItem", f"arn:aws:dynamodb:{here}:table/another"),
        ("sagemaker:InvokeEndpoint", f"arn:aws:sagemaker:{here}:endpoint/another"),
        ("kinesis:PutRecord", f"arn:aws:kinesis:{here}:stream/another"),
        ("sns:Publish", f"arn:aws:sns:{here}:another"),
        ("iam:PassRole", "arn:aws:iam::000000000000:role/another"),
    ]
    deployment = world.cloud.deployment
    assert deployment is not None
    roles = [each.physical_id for each in deployment.find("AWS::IAM::Role")]
    decided = {}
    for name in sorted(roles):
        arn = name if name.startswith("arn:") else f"arn:aws:iam::000000000000:role/{name}"
        principal = Principal(f"{arn}/probe", arn)
        for action, resource in asked:
            decided[name, action, resource] = world.cloud.iam.may(principal, action, resource)
    return decided


PROBES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "a stream that is not there": (
        "kinesis",
        "DescribeStreamSummary",
        {"StreamName": "not-there"},
    ),
    "an iterator that is none": ("kinesis", "GetRecords", {"ShardIterator": "x"}),
    "a key that is not there": ("s3", "GetObject", {"Bucket": "{raw}", "Key": "none"}),
    "a bucket that is not there": ("s3", "ListObjectsV2", {"Bucket": "not-there"}),
    "a table that is not there": ("dynamodb", "DescribeTable", {"TableName": "not-there"}),
    "a function that is not there": ("lambda", "GetFunction", {"FunctionName": "not-there"}),
    "a job that is not there": ("glue", "GetJob", {"JobName": "not-there"}),
    "an endpoint that is not there": (
        "sagemaker-runtime",
        "InvokeEndpoint",
        {"EndpointName": "not-there", "Body": b"{}"},
    ),
    "a record": (
        "kinesis",
        "PutRecords",
        {"StreamName": "{stream}", "Records": [{"Data": b"x", "PartitionKey": "k"}]},
    ),
    "more than a shard takes in a second": (
        "kinesis",
        "PutRecords",
        {
            "StreamName": "{stream}",
            "Records": [{"Data": b"x" * 900_000, "PartitionKey": "k"}] * 3,
        },
    ),
    "a list of streams": ("kinesis", "ListStreams", {}),
}


def _answers(world: SmallWorld) -> dict[str, str]:
    """Return what each probe was answered: an error's code, or misfits and members in words."""
    target = world.twin.target
    names = {
        "{raw}": target.bucket("raw"),
        "{stream}": target.name_of("AWS::Kinesis::Stream", "telemetry"),
    }
    said = {}
    for probe, (service, operation, params) in PROBES.items():
        filled = {key: names.get(str(value), value) for key, value in params.items()}
        try:
            answer = world.twin.call(service, operation, **filled)
        except AwsError as error:
            said[probe] = f"{error.code} {error.status}"
        except ClientError as error:
            said[probe] = str(error.response["Error"]["Code"])
        else:
            shape = operation_model(service, operation).output_shape
            wrong = list(misfits(shape, answer))
            failed = answer.get("FailedRecordCount")
            said[probe] = f"{sorted(answer)} failed {failed} {wrong}"
        world.twin.advance(2.0)
    return said


def _diff(a: Observation, b: Observation) -> list[str]:
    found = difference(a.journey, b.journey)
    return [] if found.same else words(found).splitlines()


def _raw(a: Observation, b: Observation) -> list[str]:
    """Compare the raw zone line by line, in the order in which it was stored."""
    if a.raw == b.raw:
        return []
    found = [f"{len(a.raw)} lines here, {len(b.raw)} there"]
    for number, (here, there) in enumerate(zip(a.raw, b.raw, strict=False)):
        if here != there:
            return [*found, f"line {number}: {_brief(here)} here, {_brief(there)} there"]
    return found


def _brief(line: bytes) -> str:
    row = orjson.loads(line)
    return " ".join(f"{row.get(name)}" for name in ("device_id", "seq", "event_time_ms", "late"))


def _latency(a: Observation, b: Observation) -> list[str]:
    """Compare as `fleetwin parity latency` does: hops that surely differ, or are on one side."""
    found = latencies(a.traces, b.traces)
    is_same = not (found.different or found.only_here or found.only_there)
    return [] if is_same else latency_words(found).splitlines()


def _rights(a: Observation, b: Observation) -> list[str]:
    return [
        f"{key}: {a.permissions.get(key)} here, {b.permissions.get(key)} there"
        for key in sorted({*a.permissions, *b.permissions})
        if a.permissions.get(key) != b.permissions.get(key)
    ]


def _contract(a: Observation, b: Observation) -> list[str]:
    return [
        f"{probe}: {a.answers[probe]} here, {b.answers[probe]} there"
        for probe in a.answers
        if a.answers[probe] != b.answers[probe]
    ]


COMPARISONS: dict[str, Callable[[Observation, Observation], list[str]]] = {
    "journey": _diff,
    "raw zone": _raw,
    "latency": _latency,
    "permissions": _rights,
    "answers": _contract,
}
