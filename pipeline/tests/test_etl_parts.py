"""Arguments, raw lines and catalog of the Glue job, without Spark."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import boto3
import numpy as np
import pytest
from botocore.stub import Stubber

from pipeline.errors import JobInputError, PipelineError
from pipeline.etl.arguments import JobArguments, hour_ms
from pipeline.etl.catalog import register_partitions
from pipeline.etl.raw_lines import RawMessage, parse_line
from pipeline.tests.streams import SPEC, START_MS

OPTIONS = {
    "start": "2026-01-05T00",
    "end": "2026-01-05T02",
    "raw_bucket": "raw",
    "processed_bucket": "processed",
    "database": "db",
    "table": "features",
    "feature_spec": SPEC.to_json(),
}


def argv(**changes: str) -> list[str]:
    options = {**OPTIONS, **changes}
    return ["job.py", "--JOB_NAME", "x", *(f"--{name}={text}" for name, text in options.items())]


def test_arguments_are_whole_hours_in_utc() -> None:
    found = JobArguments.parse(argv())
    assert (found.start_ms, found.end_ms) == (START_MS, START_MS + 2 * 3_600_000)
    assert found.spec == SPEC
    assert hour_ms("2026-01-05T02:00:00+02:00", "start") == START_MS
    apart = ["job.py", *(word for name in OPTIONS for word in (f"--{name}", OPTIONS[name]))]
    assert JobArguments.parse(apart) == found


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"start": "yesterday"}, "--start: 'yesterday' is not an ISO time"),
        ({"end": "2026-01-05T01:30"}, "--end: '2026-01-05T01:30' is not a whole hour"),
        ({"end": "2026-01-05T00"}, "is not before --end"),
        ({"table": ""}, "--table is missing"),
    ],
)
def test_wrong_arguments_are_named(changes: dict[str, str], named: str) -> None:
    with pytest.raises(JobInputError, match=named):
        JobArguments.parse(argv(**changes))


LINE: dict[str, Any] = {
    "schema": 1,
    "device_id": "pump-1",
    "seq": 3,
    "event_time_ms": START_MS,
    "late": False,
    "values": {"pressure_bar": 4, "temperature_c": 71.5, "further": 1},
}


def test_a_line_gives_its_values_in_the_order_of_the_spec() -> None:
    found = parse_line(json.dumps(LINE).encode(), SPEC)
    assert found == ("pump-1", False, False, 3, START_MS, [71.5, 4.0])


@pytest.mark.parametrize(
    "change",
    [
        {"device_id": None},
        {"device_id": ""},
        {"seq": "3"},
        {"seq": -1},
        {"seq": 2**63},
        {"event_time_ms": 1.5},
        {"late": 0},
        {"values": None},
        {"values": {"temperature_c": 1}},
        {"values": {"temperature_c": True, "pressure_bar": 1}},
        {"values": {"temperature_c": float("nan"), "pressure_bar": 1}},
        {"values": {"temperature_c": 10**400, "pressure_bar": 1}},
        {"samples_b64": "AAAA", "rate_hz": 12_000, "scale_m_s2": 0.1},
        {"samples_b64": "A" * 400, "rate_hz": 0, "scale_m_s2": 0.1},
        {"samples_b64": "A" * 400, "rate_hz": 12_000},
    ],
)
def test_a_line_with_a_wrong_field_is_malformed(change: dict[str, Any]) -> None:
    assert isinstance(parse_line(json.dumps({**LINE, **change}).encode(), SPEC), str)


def test_a_line_without_an_optional_sensor_has_no_number_there() -> None:
    gappy = replace(SPEC, optional=("pressure_bar",))
    for values in ({"temperature_c": 71}, {"temperature_c": 71, "pressure_bar": None}):
        found = parse_line(json.dumps({**LINE, "values": values}).encode(), gappy)
        assert isinstance(found, RawMessage)
        assert found.values[0] == 71.0
        assert np.isnan(found.values[1])
    for wrong in ({"pressure_bar": 4.0}, {"temperature_c": "hot"}, {"temperature_c": True}):
        found = parse_line(json.dumps({**LINE, "values": wrong}).encode(), gappy)
        assert isinstance(found, str)


@pytest.mark.parametrize("line", [b"", b"{", b"[]", b"7", b"\xff", b"[" * 100_000])
def test_what_is_no_json_object_is_malformed(line: bytes) -> None:
    assert parse_line(line, SPEC) == "not a JSON object"


def test_registering_tolerates_a_known_partition_and_raises_other_errors() -> None:
    client = boto3.client(
        "glue", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x"
    )
    table = {"Table": {"Name": "features", "StorageDescriptor": {"Location": "s3://p/features/"}}}
    hours = [("2026-01-05", "00"), ("2026-01-05", "01")]

    def failed(code: str) -> dict[str, Any]:
        values, detail = ["2026-01-05", "00"], {"ErrorCode": code, "ErrorMessage": "why"}
        return {"Errors": [{"PartitionValues": values, "ErrorDetail": detail}]}

    with Stubber(client) as stub:
        for answer in (failed("AlreadyExistsException"), failed("InternalServiceException")):
            stub.add_response("get_table", table)
            stub.add_response("batch_create_partition", answer)
        assert register_partitions(client, "db", "features", "s3://p/features", hours) == 1
        with pytest.raises(PipelineError, match=r"00 of db\.features: InternalService"):
            register_partitions(client, "db", "features", "s3://p/features", hours)
    assert register_partitions(client, "db", "features", "s3://p/features", []) == 0
    client.close()
