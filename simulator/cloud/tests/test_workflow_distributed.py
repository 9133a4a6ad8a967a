"""Distributed maps: items from S3, batches, failures that are borne, results written to S3."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.cloud.errors import AwsError, NotSupportedByTwin
from simulator.cloud.tests.workflow_bench import Bench, kinds, machine, output

GET = "arn:aws:states:::s3:getObject"
LIST = "arn:aws:states:::s3:listObjectsV2"
PUT = "arn:aws:states:::s3:putObject"
WHERE = {"Bucket": "b", "Key.$": "$.key"}
TEXTS = st.text("abc,;|\t \"'1", max_size=5)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def mapped(processor: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """Return a distributed map that gives each child's input back, unless it is told otherwise."""
    body = processor or machine(Give={"Type": "Pass", "End": True})
    body = {**body, "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}}
    return {"Type": "Map", "ItemProcessor": body, "End": True, **more}


def reading(kind: str, **config: Any) -> dict[str, Any]:
    """Return a map over an object of S3."""
    return mapped(
        ItemReader={
            "Resource": GET,
            "Parameters": WHERE,
            "ReaderConfig": {"InputType": kind, **config},
        }
    )


def items(bench: Bench, state: dict[str, Any], text: str) -> Any:
    """Return what a map over an object makes of it."""
    bench.program["GetObject"] = {"Body": text.encode()}
    return output(bench.run(machine(Each=state), {"key": "k"}))


@settings(max_examples=40, deadline=None)
@given(
    rows=st.lists(st.lists(TEXTS, min_size=2, max_size=2), min_size=1, max_size=4),
    delimiter=st.sampled_from([("COMMA", ","), ("PIPE", "|"), ("SEMICOLON", ";"), ("TAB", "\t")]),
    given=st.booleans(),
)
def test_each_row_of_a_csv_object_is_an_item_by_its_headers(
    rows: list[list[str]], delimiter: tuple[str, str], given: bool
) -> None:
    out = io.StringIO()
    headers = ["one", "two"]
    table = rows if given else [headers, *rows]
    csv.writer(out, delimiter=delimiter[1], quoting=csv.QUOTE_ALL).writerows(table)
    where = {"CSVHeaderLocation": "GIVEN", "CSVHeaders": headers}
    config = where if given else {"CSVHeaderLocation": "FIRST_ROW"}
    state = reading("CSV", CSVDelimiter=delimiter[0], **config)
    assert items(Bench(), state, out.getvalue()) == [
        dict(zip(headers, row, strict=True)) for row in rows
    ]


def test_a_short_row_is_filled_with_empty_texts_and_an_empty_line_is_none(bench: Bench) -> None:
    state = reading("CSV", CSVHeaderLocation="FIRST_ROW", MaxItems=3)
    text = "a,b\n1\n\n2,3,4\n5,6\n7,8\n"
    assert items(bench, state, text) == [
        {"a": "1", "b": ""},
        {"a": "2", "b": "3"},
        {"a": "5", "b": "6"},
    ]


def test_json_and_json_lines_are_read_and_a_pointer_leads_into_an_object(bench: Bench) -> None:
    assert items(bench, reading("JSON"), '[1, {"a": 2}]') == [1, {"a": 2}]
    assert items(bench, reading("JSONL"), '{"a": 1}\n\n2\n') == [{"a": 1}, 2]
    text = json.dumps({"all": [0, {"a/b": [7, 8]}]})
    assert items(bench, reading("JSON", ItemsPointer="/all/1/a~1b"), text) == [7, 8]
    state = reading("JSON")
    state["ItemReader"]["ReaderConfig"]["MaxItemsPath"] = "$.most"
    bench.program["GetObject"] = {"Body": b"[1, 2, 3]"}
    assert output(bench.run(machine(Each=state), {"key": "k", "most": 2})) == [1, 2]


def test_a_listing_is_read_page_by_page(bench: Bench) -> None:
    at = datetime(2026, 1, 5, tzinfo=UTC)

    def page(call: Any) -> dict[str, Any]:
        last = "ContinuationToken" in call.params
        entry = {"Key": "z" if last else "a", "ETag": '"e"', "Size": 3, "LastModified": at}
        more = {} if last else {"NextContinuationToken": "t"}
        return {"Contents": [entry], "IsTruncated": not last, **more}

    bench.program["ListObjectsV2"] = page
    reader = {"Resource": LIST, "Parameters": {"Bucket": "b", "Prefix": "p/"}}
    selector = {"key.$": "$$.Map.Item.Value.Key", "n.$": "$$.Map.Item.Index"}
    plain = output(bench.run(machine(Each=mapped(ItemReader=reader))))
    assert plain[0] == {
        "Etag": '"e"',
        "Key": "a",
        "LastModified": int(at.timestamp()),
        "Size": 3,
        "StorageClass": "STANDARD",
    }
    chosen = mapped(ItemReader=reader, ItemSelector=selector)
    assert output(bench.run(machine(Each=chosen))) == [{"key": "a", "n": 0}, {"key": "z", "n": 1}]


@pytest.mark.parametrize(
    ("kind", "text", "why"),
    [
        ("JSON", '{"a": 1}', "no array"),
        ("JSON", "[", "cannot be read as JSON"),
        ("JSONL", "1\n{", "cannot be read as JSONL"),
        ("JSON", b"\xff", "cannot be read as JSON"),
        ("JSON", AwsError("NoSuchKey", "The specified key does not exist."), "does not exist"),
    ],
)
def test_what_cannot_be_read_fails_the_map_run_and_can_be_caught(
    bench: Bench, kind: str, text: Any, why: str
) -> None:
    if not isinstance(text, AwsError):
        text = {"Body": text if isinstance(text, bytes) else text.encode()}
    bench.program["GetObject"] = text
    execution = bench.run(machine(Each=reading(kind)), {"key": "k"})
    assert execution.error == "States.ItemReaderFailed"
    assert why in str(execution.cause)
    assert kinds(execution)[2:6] == [
        "MapStateStarted",
        "MapRunStarted",
        "MapRunFailed",
        "MapStateFailed",
    ]


@settings(max_examples=40, deadline=None)
@given(
    values=st.lists(st.integers(0, 10_000), max_size=12),
    most=st.none() | st.integers(1, 5),
    most_bytes=st.none() | st.integers(1, 20),
)
def test_batches_hold_all_items_in_order_and_no_more_than_they_may(
    values: list[int], most: int | None, most_bytes: int | None
) -> None:
    limits = {"MaxItemsPerBatch": most, "MaxInputBytesPerBatch": most_bytes}
    batcher: dict[str, Any] = {name: limit for name, limit in limits.items() if limit}
    if not batcher:
        batcher = {"MaxItemsPerBatchPath": "$.most"}
        most = 2
    state = mapped(ItemsPath="$.values", ItemBatcher={**batcher, "BatchInput": {"of.$": "$.most"}})
    batches = output(Bench().run(machine(Each=state), {"values": values, "most": 2}))
    assert [value for batch in batches for value in batch["Items"]] == values
    for batch in batches:
        assert batch["BatchInput"] == {"of": 2}
        assert most is None or len(batch["Items"]) <= most
        size = sum(len(str(value)) for value in batch["Items"])
        assert most_bytes is None or size <= most_bytes or len(batch["Items"]) == 1


FAILS_ON_X = machine(
    Ask={
        "Type": "Choice",
        "Choices": [{"Variable": "$", "StringEquals": "x", "Next": "Fail"}],
        "Default": "Give",
    },
    Fail={"Type": "Fail", "Error": "Bad", "Cause": "it is x"},
    Give={"Type": "Pass", "End": True},
)


def written(bench: Bench) -> dict[str, Any]:
    """Return the objects that were put, by key."""
    puts = [params for _, name, params in bench.calls if name == "PutObject"]
    return {params["Key"]: params["Body"].decode() for params in puts}


@pytest.mark.parametrize("tolerated", [1, 0])
def test_results_are_written_by_status_whether_the_run_bears_its_failures_or_not(
    bench: Bench, tolerated: int
) -> None:
    writer = {"Resource": PUT, "Parameters": {"Bucket": "out", "Prefix": "jobs"}}
    state = mapped(FAILS_ON_X, ResultWriter=writer, ToleratedFailureCount=tolerated)
    execution = bench.run(machine(Each=state), ["a", "x", "b"])
    objects = written(bench)
    (key,) = (key for key in objects if key.endswith("/manifest.json"))
    manifest = json.loads(objects[key])
    run_arn = manifest["MapRunArn"]
    assert run_arn.startswith("arn:aws:states:us-east-1:000000000000:mapRun:m0/Each:")
    assert key == f"jobs/{run_arn.rpartition(':')[2]}/manifest.json"
    if tolerated:
        details = {"Bucket": "out", "Key": key}
        assert output(execution) == {"MapRunArn": run_arn, "ResultWriterDetails": details}
    else:
        assert execution.error == "States.ExceedToleratedFailureThreshold"
    (failed,) = manifest["ResultFiles"]["FAILED"]
    assert failed["Size"] == len(objects[failed["Key"]])
    (record,) = json.loads(objects[failed["Key"]])
    assert (record["Status"], record["Error"], record["Cause"]) == ("FAILED", "Bad", "it is x")
    assert record["ExecutionArn"].endswith(f":execution:m0/Each:{record['Name']}")
    told = [
        json.loads(each["Input"])
        for group in manifest["ResultFiles"].values()
        for file in group
        for each in json.loads(objects[file["Key"]])
    ]
    assert sorted(told) == ["a", "b", "x"]


@pytest.mark.parametrize(
    ("transformation", "result"),
    [("COMPACT", [[1, 2], [3]]), ("FLATTEN", [1, 2, 3])],
)
def test_results_can_be_written_without_what_is_around_them(
    bench: Bench, transformation: str, result: list[Any]
) -> None:
    config = {"Transformation": transformation, "OutputType": "JSONL"}
    state = mapped(ResultWriter={"WriterConfig": config})
    assert output(bench.run(machine(Each=state), [[1, 2], [3]])) == result
    target = {"Resource": PUT, "Parameters": {"Bucket": "out"}}
    bench.run(machine(Each=mapped(ResultWriter={**target, "WriterConfig": config})), [[1, 2], [3]])
    (lines,) = (text for key, text in written(bench).items() if key.endswith("SUCCEEDED_0.jsonl"))
    assert [json.loads(line) for line in lines.splitlines()] == result


def test_results_that_cannot_be_written_fail_the_state(bench: Bench) -> None:
    bench.program["PutObject"] = AwsError("NoSuchBucket", "The bucket is not there")
    writer = {"Resource": PUT, "Parameters": {"Bucket": "out"}}
    execution = bench.run(machine(Each=mapped(ResultWriter=writer)), [1])
    assert execution.error == "States.ResultWriterFailed"
    assert execution.cause == "The bucket is not there"


def test_a_batch_that_fails_counts_as_many_items_as_it_holds(bench: Bench) -> None:
    stop = machine(Fail={"Type": "Fail", "Error": "Bad"})
    batcher = {"MaxItemsPerBatch": 2}
    borne = mapped(stop, ItemBatcher=batcher, ToleratedFailureCount=4)
    assert output(bench.run(machine(Each=borne), [1, 2, 3, 4])) == []
    many = mapped(stop, ItemBatcher=batcher, ToleratedFailureCount=3)
    execution = bench.run(machine(Each=many), [1, 2, 3, 4])
    assert execution.error == "States.ExceedToleratedFailureThreshold"


def test_in_jsonata_arguments_name_the_object(bench: Bench) -> None:
    bench.program["GetObject"] = {"Body": b"[1, 2]"}
    state = reading("JSON")
    state["ItemReader"] = {
        "Resource": GET,
        "Arguments": {"Bucket": "b", "Key": "{% $states.input.key %}"},
        "ReaderConfig": {"InputType": "JSON"},
    }
    execution = bench.run({"QueryLanguage": "JSONata", **machine(Each=state)}, {"key": "k"})
    assert output(execution) == [1, 2]
    assert bench.calls[0][2]["Key"] == "k"


INLINE = {"Type": "Map", "ItemProcessor": machine(A={"Type": "Pass", "End": True}), "End": True}


@pytest.mark.parametrize(
    ("state", "text"),
    [
        ({**INLINE, "ItemReader": {"Resource": LIST, "Parameters": {}}}, "Mode DISTRIBUTED"),
        (mapped(ItemBatcher={"BatchInput": {}}), "MaxItemsPerBatch"),
        (mapped(ResultWriter={}), r"\[Resource, Parameters\]"),
        (reading("CSV"), "CSVHeaderLocation"),
        (reading("CSV", CSVHeaderLocation="GIVEN"), "CSVHeaders"),
        (reading("CSV", CSVHeaderLocation="FIRST_ROW", CSVDelimiter="DOT"), "CSVDelimiter"),
        (mapped(ItemReader={"Resource": GET}), "Parameters"),
    ],
)
def test_a_distributed_map_that_cannot_be_is_refused(
    bench: Bench, state: dict[str, Any], text: str
) -> None:
    with pytest.raises(AwsError, match=f"InvalidDefinition.*{text}"):
        bench.create(machine(Each=state))


@pytest.mark.parametrize("kind", ["MANIFEST", "PARQUET"])
def test_data_that_the_twin_does_not_read_is_refused_by_name(bench: Bench, kind: str) -> None:
    with pytest.raises(NotSupportedByTwin, match=kind):
        bench.create(machine(Each=reading(kind)))
