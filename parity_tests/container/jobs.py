"""A twin with the pipeline's image and healthy features; used by the tests of this folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from pipeline.tests import healthy
from pipeline.tests.test_model_training import write
from simulator.cloud.cloud import Cloud
from simulator.targets import ROOT

IMAGE = "000000000000.dkr.ecr.us-east-1.amazonaws.com/assets:pipeline"
ROLE = "arn:aws:iam::000000000000:role/all"
HYPERPARAMETERS = {"feature_spec": healthy.SPEC.to_json(), "epochs": "2", "smoothing_rows": "3"}


@contextmanager
def twin(folder: Path, isolation: str) -> Iterator[Cloud]:
    """Yield a twin with the image, a role that may do everything, and features in a bucket."""
    made = Cloud(datetime(2026, 1, 5, tzinfo=UTC), folder / "state", isolation=isolation)
    try:
        made.context.assets["pipeline"] = ROOT / "pipeline"
        trusted = {"Service": "sagemaker.amazonaws.com"}
        trust = {"Effect": "Allow", "Principal": trusted, "Action": "sts:AssumeRole"}
        everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
        made.iam.put_role(
            ROLE,
            {"Version": "2012-10-17", "Statement": [trust]},
            {"inline": {"Version": "2012-10-17", "Statement": [everything]}},
        )
        made.call("s3", "CreateBucket", Bucket="lake")
        features(folder)
        key = "features/dt=2026-01-05/part.parquet"
        body = (folder / "part.parquet").read_bytes()
        made.call("s3", "PutObject", Bucket="lake", Key=key, Body=body)
        yield made
    finally:
        made.close()


def features(folder: Path) -> Path:
    """Write healthy rows; return the file."""
    write(healthy.dataset(1), folder / "part.parquet")
    return folder / "part.parquet"


def train(cloud: Cloud, name: str, *, prefix: str = "features/", **changed: str) -> dict[str, Any]:
    """Run a training job to its end and return its description."""
    source = {"S3DataType": "S3Prefix", "S3Uri": f"s3://lake/{prefix}"}
    cloud.call(
        "sagemaker",
        "CreateTrainingJob",
        TrainingJobName=name,
        AlgorithmSpecification={"TrainingImage": IMAGE, "TrainingInputMode": "File"},
        RoleArn=ROLE,
        HyperParameters=HYPERPARAMETERS | changed,
        InputDataConfig=[{"ChannelName": "train", "DataSource": {"S3DataSource": source}}],
        OutputDataConfig={"S3OutputPath": "s3://lake/models"},
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 5},
        StoppingCondition={"MaxRuntimeInSeconds": 3600},
    )
    cloud.engine.run(cloud.training.wait_event(name))
    return cloud.call("sagemaker", "DescribeTrainingJob", TrainingJobName=name)


def archive_of(cloud: Cloud, job: dict[str, Any]) -> bytes:
    """Return the model archive that a job left."""
    assert job["TrainingJobStatus"] == "Completed", job["FailureReason"]
    key = f"models/{job['TrainingJobName']}/output/model.tar.gz"
    assert job["ModelArtifacts"]["S3ModelArtifacts"] == f"s3://lake/{key}"
    body: bytes = cloud.s3.open_path("lake", key).read_bytes()
    return body


def deploy(cloud: Cloud, name: str, body: bytes) -> dict[str, Any]:
    """Store an archive, create an endpoint of it, and return its description."""
    key = f"by-hand/{name}.tar.gz"
    cloud.call("s3", "PutObject", Bucket="lake", Key=key, Body=body)
    container = {"Image": IMAGE, "ModelDataUrl": f"s3://lake/{key}"}
    cloud.call(
        "sagemaker",
        "CreateModel",
        ModelName=name,
        PrimaryContainer=container,
        ExecutionRoleArn=ROLE,
    )
    variant = {
        "VariantName": "all",
        "ModelName": name,
        "InitialInstanceCount": 1,
        "InstanceType": "ml.m5.large",
    }
    cloud.call(
        "sagemaker", "CreateEndpointConfig", EndpointConfigName=name, ProductionVariants=[variant]
    )
    cloud.call("sagemaker", "CreateEndpoint", EndpointName=name, EndpointConfigName=name)
    cloud.engine.run(cloud.endpoints.wait_event(name))
    return cloud.call("sagemaker", "DescribeEndpoint", EndpointName=name)


def invoke(cloud: Cloud, name: str, body: bytes, kind: str = "application/json") -> Any:
    """Ask an endpoint; return what it answered, parsed."""
    answer = cloud.call(
        "sagemaker-runtime", "InvokeEndpoint", EndpointName=name, Body=body, ContentType=kind
    )
    return json.loads(answer["Body"])


def rows(count: int = 4) -> bytes:
    """Return a body with some healthy rows."""
    some = healthy.dataset(2).features[:count].tolist()
    return json.dumps({"rows": [{"device_id": "m0", "features": row} for row in some]}).encode()


def by_hand(base: Path, command: str, **more: str) -> subprocess.Popen[str]:
    """Start the image's entry point with nothing of the twin's around it."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.Popen(
        [sys.executable, "-m", "pipeline.model.container", command],
        env=kept
        | {"SAGEMAKER_BASE_DIR": str(base), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        | more,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def containers_running() -> list[list[str]]:
    """Return the commands of containers that this process has started and that still run."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            words = process.cmdline()
        except psutil.Error:
            continue
        if words[:1] == [sys.executable] and "pipeline.model.container" in words:
            found.append(words)
    return found
