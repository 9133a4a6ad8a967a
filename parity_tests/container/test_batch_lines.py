"""The pipeline's container behind Batch Transform: lines split, scored, joined and assembled."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from parity_tests.container.jobs import deploy, invoke, rows, twin
from pipeline.tests import healthy
from simulator.cloud.isolation import BUBBLEWRAP, PLAIN
from simulator.cloud.tests.bubblewrap import needs_bubblewrap

COUNT = 40


def _lines() -> dict[str, str]:
    """Return the same rows as CSV, with a column in front that is not the model's, and as lines."""
    some: list[dict[str, Any]] = json.loads(rows(COUNT))["rows"]
    csv = [
        f"row-{number},{row['device_id']},{','.join(map(repr, row['features']))}"
        for number, row in enumerate(some)
    ]
    return {
        "text/csv": "".join(f"{line}\n" for line in csv),
        "application/jsonlines": "".join(f"{json.dumps(row)}\n" for row in some),
    }


@pytest.mark.parametrize("isolation", [PLAIN, pytest.param(BUBBLEWRAP, marks=needs_bubblewrap)])
def test_lines_come_back_joined_with_the_scores_that_the_endpoint_gives(
    archive: bytes, tmp_path: Path, isolation: str
) -> None:
    with twin(tmp_path, isolation) as cloud:
        assert deploy(cloud, "good", archive)["EndpointStatus"] == "InService"
        expected = invoke(cloud, "good", rows(COUNT))["scores"]
        found = {}
        for number, (kind, body) in enumerate(_lines().items()):
            where = f"batch/{number}"
            cloud.call("s3", "PutObject", Bucket="lake", Key=f"{where}/a.in", Body=body.encode())
            csv = {"InputFilter": "$[1:]", "OutputFilter": "$[0,-2]"} if kind == "text/csv" else {}
            cloud.call(
                "sagemaker",
                "CreateTransformJob",
                TransformJobName=f"lines-{number}",
                ModelName="good",
                BatchStrategy="MultiRecord",
                DataProcessing={"JoinSource": "Input", **csv},
                TransformInput={
                    "DataSource": {
                        "S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://lake/{where}"}
                    },
                    "ContentType": kind,
                    "SplitType": "Line",
                },
                TransformOutput={
                    "S3OutputPath": f"s3://lake/scored/{number}",
                    "Accept": kind,
                    "AssembleWith": "Line",
                },
                TransformResources={"InstanceType": "ml.m5.large", "InstanceCount": 1},
            )
            cloud.engine.run(cloud.transform.wait_event(f"lines-{number}"))
            job = cloud.call(
                "sagemaker", "DescribeTransformJob", TransformJobName=f"lines-{number}"
            )
            assert job["TransformJobStatus"] == "Completed", job.get("FailureReason")
            stored = cloud.s3.open_path("lake", f"scored/{number}/a.in.out").read_text()
            found[kind] = stored.splitlines()
    pairs = [line.split(",") for line in found["text/csv"]]
    assert [name for name, _ in pairs] == [f"row-{number}" for number in range(COUNT)]
    assert [float(score) for _, score in pairs] == expected
    objects = [json.loads(line) for line in found["application/jsonlines"]]
    assert [each["SageMakerOutput"]["score"] for each in objects] == expected
    assert [len(each["features"]) for each in objects] == [healthy.WIDTH] * COUNT
