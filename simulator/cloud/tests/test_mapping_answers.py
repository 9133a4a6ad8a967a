"""What the mappings' operations answer and refuse, and how they read a function's answer."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.cloud.batches import Batches
from simulator.cloud.errors import AwsError
from simulator.cloud.invocations import Invocation
from simulator.cloud.kinesis import Kinesis
from simulator.cloud.shard_reader import ShardReader
from simulator.cloud.tests.fakes import fake_twin
from simulator.cloud.tests.mapping_bench import QUEUE, STREAM, Bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Return a bench whose handler succeeds."""
    made = Bench(tmp_path, lambda _: None)
    yield made
    made.twin.close()


def test_a_new_mapping_has_awss_defaults(bench: Bench) -> None:
    answer = bench.map()
    for name in ("EventSourceMappingArn", "LastModified", "UUID"):
        del answer[name]
    assert answer == {
        "BatchSize": 100,
        "BisectBatchOnFunctionError": False,
        "DestinationConfig": {"OnFailure": {}},
        "EventSourceArn": STREAM,
        "FunctionArn": "arn:aws:lambda:us-east-1:000000000000:function:f",
        "FunctionResponseTypes": [],
        "LastProcessingResult": "No records processed",
        "MaximumBatchingWindowInSeconds": 0,
        "MaximumRecordAgeInSeconds": -1,
        "MaximumRetryAttempts": -1,
        "ParallelizationFactor": 1,
        "StartingPosition": "TRIM_HORIZON",
        "State": "Creating",
        "StateTransitionReason": "User action",
        "TumblingWindowInSeconds": 0,
    }


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"ParallelizationFactor": 2}, "NotSupportedByTwin"),
        ({"TumblingWindowInSeconds": 30}, "NotSupportedByTwin"),
        ({"FilterCriteria": {"Filters": []}}, "NotSupportedByTwin"),
        ({"EventSourceArn": QUEUE}, "NotSupportedByTwin"),
        ({"EventSourceArn": STREAM + "x"}, "InvalidParameterValueException"),
        ({"FunctionName": "g"}, "InvalidParameterValueException"),
        ({"MaximumRecordAgeInSeconds": 30}, "InvalidParameterValueException"),
    ],
)
def test_what_cannot_be_mapped_is_refused(bench: Bench, more: dict[str, Any], code: str) -> None:
    with pytest.raises(AwsError) as refused:
        bench.map(**more)
    assert refused.value.code == code


def test_the_same_mapping_twice_is_a_conflict(bench: Bench) -> None:
    bench.map()
    with pytest.raises(AwsError) as refused:
        bench.map()
    assert refused.value.code == "ResourceConflictException"


def test_without_a_position_the_answer_is_awss(bench: Bench) -> None:
    call = {"EventSourceArn": STREAM, "FunctionName": "f"}
    with pytest.raises(AwsError) as refused:
        bench.twin.do("lambda", "CreateEventSourceMapping", **call)
    assert "Value null at 'startingPosition'" in refused.value.message


FAILURES: list[tuple[Any, int | None]] = [
    ("", None),
    (None, None),
    ({}, None),
    ([], None),
    ({"batchItemFailures": []}, None),
    ({"batchItemFailures": None}, None),
    ({"batchItemFailures": [{"itemIdentifier": ""}]}, 0),
    ({"batchItemFailures": [{"itemIdentifier": None}]}, 0),
    ({"batchItemFailures": [{}]}, 0),
    ({"other": []}, 0),
    ({"batchItemFailures": [{"itemIdentifier": "b"}, {"itemIdentifier": "a"}]}, 0),
    ({"batchItemFailures": [{"itemIdentifier": "b"}]}, 1),
]


@pytest.mark.parametrize(("answer", "first_failed"), FAILURES)
def test_answers_mean_what_they_mean_on_aws(
    bench: Bench, answer: Any, first_failed: int | None
) -> None:
    bench.map(FunctionResponseTypes=["ReportBatchItemFailures"])
    bench.put(b"a", b"b")
    bench.drain()
    numbers = {
        r["kinesis"]["data"]: r["kinesis"]["sequenceNumber"] for r in bench.function.events[0]
    }
    text = json.dumps(answer).replace('"a"', f'"{numbers["YQ=="]}"')
    text = text.replace('"b"', f'"{numbers["Yg=="]}"')
    (poller,) = next(iter(bench.mappings._pollers.values()))
    batches: Batches = poller._batches
    records = [
        cast(Any, type("R", (), {"sequence": number})) for number in sorted(numbers.values())
    ]
    assert batches._first_failed(records, Invocation("r", True, text.encode())) == first_failed


def test_a_mapping_that_is_deleted_before_it_has_begun_never_reads(bench: Bench) -> None:
    answer = bench.map()
    deleted = bench.twin.do("lambda", "DeleteEventSourceMapping", UUID=answer["UUID"])
    assert deleted["State"] == "Deleting"
    bench.put(b"x")
    bench.twin.engine.run(bench.twin.engine.env.now + 120.0)
    assert bench.function.events == []


@given(
    st.lists(st.tuples(st.text(min_size=1, max_size=12), st.binary(max_size=30)), max_size=6),
    st.text(max_size=5),
)
def test_an_event_has_the_records_in_lambdas_form(puts: list[tuple[str, bytes]], role: str) -> None:
    twin = fake_twin(Path("unused"))
    try:
        begun = {"position": "TRIM_HORIZON", "position_at": None}
        mapping = cast(Any, SimpleNamespace(stream_arn=STREAM, **begun))
        kinesis = Kinesis(twin.context)
        twin.dispatch.register("kinesis", kinesis.operations())
        twin.do("kinesis", "CreateStream", StreamName="s", ShardCount=1)
        shard = "shardId-000000000000"
        reader = ShardReader(twin.context, kinesis, mapping, shard, lambda: twin.dispatch.root)
        answers = [
            {
                "SequenceNumber": f"{number:056d}",
                "PartitionKey": key,
                "Data": data,
                "ApproximateArrivalTimestamp": datetime.fromtimestamp(1.5 + number / 1000, UTC),
            }
            for number, (key, data) in enumerate(puts)
        ]
        records = reader._records(answers)
        assert reader._records(answers) == records, "another mapping gets the same"
        batches = Batches(
            twin.context,
            cast(Any, None),
            mapping,
            shard,
            priority=0,
            retention_s=lambda: 0.0,
        )
        event = json.loads(batches.event(records, role)) if records else {"Records": []}
    finally:
        twin.close()
    assert event == {
        "Records": [
            {
                "kinesis": {
                    "kinesisSchemaVersion": "1.0",
                    "partitionKey": key,
                    "sequenceNumber": f"{number:056d}",
                    "data": b64encode(data).decode(),
                    "approximateArrivalTimestamp": 1.5 + number / 1000,
                },
                "eventID": f"{shard}:{number:056d}",
                "eventSource": "aws:kinesis",
                "eventVersion": "1.0",
                "eventName": "aws:kinesis:record",
                "invokeIdentityArn": role,
                "awsRegion": "us-east-1",
                "eventSourceARN": STREAM,
            }
            for number, (key, data) in enumerate(puts)
        ]
    }
