"""Data capture: what is written where, as whom, and that nothing is lost at the end."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from simulator.cloud.sagemaker_capture import FLUSH_S
from simulator.cloud.sagemaker_endpoints import Endpoints
from simulator.cloud.tests.endpoint_fakes import configure, faked, invoke, serve
from simulator.cloud.tests.job_fakes import JobTwin

Pair = tuple[JobTwin, Endpoints]


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with faked(tmp_path) as (twin, service):
        twin.bucket("captured")
        yield twin, service


def _capturing(pair: Pair, percentage: int = 100, mode: str = "InputAndOutput") -> None:
    twin, service = pair
    capture = {
        "EnableCapture": True,
        "InitialSamplingPercentage": percentage,
        "DestinationS3Uri": "s3://captured/endpoint-data",
        "CaptureOptions": [{"CaptureMode": mode}],
        "CaptureContentTypeHeader": {
            "CsvContentTypes": ["text/csv"],
            "JsonContentTypes": ["application/json"],
        },
    }
    configure(twin, "blue", {}, DataCaptureConfig=capture)
    serve(twin, service, "blue")


def _lines(twin: JobTwin) -> list[dict[str, Any]]:
    found = []
    for key in twin.keys("captured"):
        body = twin.do("s3", "GetObject", Bucket="captured", Key=key)["Body"]
        text = body if isinstance(body, bytes) else body.read()
        found += [json.loads(line) for line in text.decode().splitlines()]
    return found


def test_a_line_has_the_documented_members_and_encodings(pair: Pair) -> None:
    twin, _ = pair
    _capturing(pair)
    at = twin.engine.now()
    invoke(twin, b"0", ContentType="text/csv; charset=utf-8", InferenceId="i-1")
    invoke(twin, b"0", ContentType="application/x-npy")
    twin.engine.run(twin.engine.env.now + FLUSH_S + 1.0)
    (key,) = twin.keys("captured")
    assert key.startswith(f"endpoint-data/e/blue/{at:%Y/%m/%d/%H}/")
    assert key.endswith(".jsonl")
    first, second = _lines(twin)
    uuid.UUID(first["eventMetadata"].pop("eventId"))
    kind = "text/csv; charset=utf-8"
    assert first == {
        "captureData": {
            "endpointInput": {
                "observedContentType": kind,
                "mode": "INPUT",
                "data": "0",
                "encoding": "CSV",
            },
            "endpointOutput": {
                "observedContentType": kind,
                "mode": "OUTPUT",
                "data": "1",
                "encoding": "CSV",
            },
        },
        "eventMetadata": {"inferenceId": "i-1", "inferenceTime": f"{at:%Y-%m-%dT%H:%M:%SZ}"},
        "eventVersion": "0",
    }
    assert "inferenceId" not in second["eventMetadata"]
    given = second["captureData"]["endpointInput"]
    assert (given["encoding"], given["data"]) == ("BASE64", base64.b64encode(b"0").decode())
    shown = twin.do("sagemaker", "DescribeEndpoint", EndpointName="e")["DataCaptureConfig"]
    assert shown["CaptureStatus"] == "Started"


@pytest.mark.parametrize("percentage", [0, 1, 33, 50, 99, 100])
def test_of_a_hundred_as_many_are_captured_as_the_percentage(pair: Pair, percentage: int) -> None:
    twin, service = pair
    _capturing(pair, percentage, "Output")
    for _ in range(100):
        invoke(twin)
    assert twin.keys("captured") == []
    service.close()
    lines = _lines(twin)
    assert len(lines) == percentage
    assert all(list(line["captureData"]) == ["endpointOutput"] for line in lines)


def test_lines_of_two_hours_are_in_two_folders(pair: Pair) -> None:
    twin, _ = pair
    _capturing(pair)
    hour = twin.engine.env.now // 3600.0 + 1.0
    for offset_s in (-10.0, 10.0):
        twin.engine.run(hour * 3600.0 + offset_s)
        invoke(twin)
    twin.engine.run(twin.engine.env.now + FLUSH_S + 1.0)
    folders = [key.rpartition("/")[0] for key in twin.keys("captured")]
    assert len(set(folders)) == len(folders) == 2


def test_a_role_that_may_not_write_loses_lines_with_an_error_in_the_log(pair: Pair) -> None:
    twin, _ = pair
    _capturing(pair)
    twin.allow((["s3:GetObject"], ["*"]))
    invoke(twin)
    twin.engine.run(twin.engine.env.now + FLUSH_S + 1.0)
    assert twin.keys("captured") == []
    assert "s3:PutObject" in twin.logs.text("/aws/sagemaker/Endpoints/e")
    assert invoke(twin)["Body"] == b"1"
