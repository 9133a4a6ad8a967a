"""What cannot be used is refused with AWS's status and the reason, and nothing is left running.

How jobs end in general (limits, stops, uploads) is tested in `simulator/cloud/tests`.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from typing import Any

import pytest

from parity_tests.container.jobs import (
    containers_running,
    deploy,
    invoke,
    rows,
    train,
    twin,
)
from pipeline.tests import healthy
from simulator.cloud.cloud import Cloud
from simulator.cloud.errors import AwsError
from simulator.cloud.isolation import BUBBLEWRAP, PLAIN
from simulator.cloud.tests.bubblewrap import needs_bubblewrap


@pytest.fixture(scope="module", params=[PLAIN, pytest.param(BUBBLEWRAP, marks=needs_bubblewrap)])
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, archive: bytes
) -> Iterator[tuple[Cloud, bytes]]:
    """Return a twin with the endpoint `good`, and the archive that it serves."""
    with twin(tmp_path_factory.mktemp("served"), request.param) as cloud:
        described = deploy(cloud, "good", archive)
        assert described["EndpointStatus"] == "InService", described["FailureReason"]
        yield cloud, archive
    assert containers_running() == []


def _row(*features: Any) -> bytes:
    return json.dumps({"rows": [{"device_id": "m0", "features": list(features)}]}).encode()


@pytest.mark.parametrize(
    ("body", "kind", "status", "message"),
    [
        (_row(float("nan")), "application/json", 400, "write null for a missing feature"),
        (b"m0,1,NaN\n", "text/csv", 400, "row 0, feature 1 is not a number: 'NaN'"),
        (_row(1.0, 2.0), "application/json", 400, f"the model takes {healthy.WIDTH}"),
        (b"m0,1,2\n", "text/csv", 400, f"the model takes {healthy.WIDTH}"),
        (b'{"device_id": "m0", "features": [1]}\n3\n', "application/jsonlines", 400, "row 1"),
        (b"\x93NUMPY", "application/x-npy", 415, "not one of application/json"),
    ],
)
def test_a_body_that_the_model_cannot_use_is_a_model_error_with_its_status(
    served: tuple[Cloud, bytes], body: bytes, kind: str, status: int, message: str
) -> None:
    cloud, _ = served
    with pytest.raises(AwsError) as refused:
        invoke(cloud, "good", body, kind)
    assert (refused.value.code, refused.value.status) == ("ModelError", 424)
    assert refused.value.fields["OriginalStatusCode"] == status
    assert message in json.loads(refused.value.fields["OriginalMessage"])["error"]
    assert refused.value.message.startswith(f"Received client error ({status}) from primary")
    assert len(invoke(cloud, "good", rows())["scores"]) == 4


def test_seven_mebibytes_are_refused_with_413_before_any_container_sees_them(
    served: tuple[Cloud, bytes],
) -> None:
    cloud, _ = served
    with pytest.raises(AwsError, match="HTTP content length exceeded") as refused:
        invoke(cloud, "good", b" " * 7 * 2**20)
    assert (refused.value.code, refused.value.status) == ("413", 413)


def _with(archive: bytes, name: str, content: bytes) -> bytes:
    """Return an archive with one file's content replaced."""
    packed = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(archive)) as old,
        tarfile.open(fileobj=packed, mode="w:gz") as new,
    ):
        for member in old:
            body = old.extractfile(member).read()  # type: ignore[union-attr]
            member.size = len(content if member.name == name else body)
            new.addfile(member, io.BytesIO(content if member.name == name else body))
    return packed.getvalue()


@pytest.mark.parametrize(
    ("endpoint", "name", "content", "reason", "log"),
    [
        ("cut", "", b"", "Failed to extract model data archive", ""),
        ("text", "model.json", b"{", "did not pass the ping health check", "no model in model: "),
        (
            "keys",
            "model.json",
            b'{"schema": 1}',
            "ping health check",
            "no model in model: KeyError('units')",
        ),
        ("arrays", "arrays.npz", b"PK\x03\x04", "ping health check", "no model in model: "),
    ],
)
def test_an_archive_that_holds_no_model_leaves_its_endpoint_failed(
    served: tuple[Cloud, bytes], endpoint: str, name: str, content: bytes, reason: str, log: str
) -> None:
    cloud, archive = served
    spoilt = _with(archive, name, content) if name else archive[: len(archive) // 2]
    described = deploy(cloud, endpoint, spoilt)
    assert described["EndpointStatus"] == "Failed"
    assert reason in described["FailureReason"]
    if log:
        assert f"cannot serve: {log}" in _log(cloud, f"/aws/sagemaker/Endpoints/{endpoint}")
    assert len(containers_running()) == 1, "the good one"


def _log(cloud: Cloud, group: str) -> str:
    streams = cloud.call("logs", "DescribeLogStreams", logGroupName=group)["logStreams"]
    return "\n".join(
        event["message"]
        for stream in streams
        for event in cloud.call(
            "logs",
            "GetLogEvents",
            logGroupName=group,
            logStreamName=stream["logStreamName"],
        )["events"]
    )


def test_a_training_that_raises_says_why_in_its_failure_reason(
    served: tuple[Cloud, bytes],
) -> None:
    cloud, _ = served
    job = train(cloud, "raises", epochs="many")
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Failed", "Failed")
    reason = job["FailureReason"]
    assert reason.startswith("AlgorithmError: SettingsError: epochs")
    assert reason.endswith(", exit code: 1")
    assert len(reason) <= 1024
    assert len(containers_running()) == 1, "the endpoint's"


def test_a_channel_without_objects_starts_no_job(served: tuple[Cloud, bytes]) -> None:
    cloud, _ = served
    with pytest.raises(AwsError, match='No S3 objects found under S3 URL "s3://lake/no/"') as none:
        train(cloud, "empty", prefix="no/")
    assert (none.value.code, none.value.status) == ("ValidationException", 400)
    names = cloud.call("sagemaker", "ListTrainingJobs", NameContains="empty")
    assert names["TrainingJobSummaries"] == []
