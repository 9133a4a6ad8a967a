"""SageMaker's jobs with the pipeline's own container: train, tune, and score what lies in S3."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pipeline.model.training_metrics import METRIC_DEFINITIONS
from pipeline.tests import healthy
from pipeline.tests.test_model_training import write
from simulator.cloud.cloud import Cloud

PIPELINE = Path(__file__).parents[2] / "pipeline"
IMAGE = "000000000000.dkr.ecr.us-east-1.amazonaws.com/assets:pipeline"
ROLE = "arn:aws:iam::000000000000:role/all"


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """Return a twin with the container's image, a role and healthy features in a bucket."""
    folder = tmp_path_factory.mktemp("jobs")
    made = Cloud(datetime(2026, 1, 5, tzinfo=UTC), folder / "state")
    made.context.assets["pipeline"] = PIPELINE
    services = [f"{name}.amazonaws.com" for name in ("sagemaker", "states")]
    trust = {"Effect": "Allow", "Principal": {"Service": services}, "Action": "sts:AssumeRole"}
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    made.iam.put_role(
        ROLE,
        {"Version": "2012-10-17", "Statement": [trust]},
        {"inline": {"Version": "2012-10-17", "Statement": [everything]}},
    )
    made.call("s3", "CreateBucket", Bucket="lake")
    path = folder / "part.parquet"
    write(healthy.dataset(1), path)
    key = "features/dt=2026-01-05/part.parquet"
    made.call("s3", "PutObject", Bucket="lake", Key=key, Body=path.read_bytes())
    yield made
    made.close()


def training() -> dict[str, Any]:
    """Return what a training job and a tuning job's definition of one have in common."""
    source = {"S3DataType": "S3Prefix", "S3Uri": "s3://lake/features/"}
    return {
        "AlgorithmSpecification": {
            "TrainingImage": IMAGE,
            "TrainingInputMode": "File",
            "MetricDefinitions": METRIC_DEFINITIONS,
        },
        "RoleArn": ROLE,
        "InputDataConfig": [{"ChannelName": "train", "DataSource": {"S3DataSource": source}}],
        "OutputDataConfig": {"S3OutputPath": "s3://lake/models"},
        "ResourceConfig": {
            "InstanceType": "ml.m5.large",
            "InstanceCount": 1,
            "VolumeSizeInGB": 5,
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
    }


def fixed(**more: str) -> dict[str, str]:
    """Return quick hyperparameters."""
    return {"feature_spec": healthy.SPEC.to_json(), "epochs": "2", "smoothing_rows": "3", **more}


@pytest.fixture(scope="module")
def model(cloud: Cloud) -> str:
    """Return the name of a model that was trained here."""
    cloud.call(
        "sagemaker",
        "CreateTrainingJob",
        TrainingJobName="first",
        HyperParameters=fixed(),
        **training(),
    )
    cloud.engine.run(cloud.training.wait_event("first"))
    job = cloud.call("sagemaker", "DescribeTrainingJob", TrainingJobName="first")
    assert job["TrainingJobStatus"] == "Completed", job["FailureReason"]
    cloud.call(
        "sagemaker",
        "CreateModel",
        ModelName="scorer",
        PrimaryContainer={
            "Image": IMAGE,
            "ModelDataUrl": job["ModelArtifacts"]["S3ModelArtifacts"],
        },
        ExecutionRoleArn=ROLE,
    )
    return "scorer"


def run_machine(cloud: Cloud, name: str, resource: str, parameters: dict[str, Any]) -> Any:
    """Run a workflow of one task to its end; return the execution's description."""
    task = {"Type": "Task", "Resource": resource, "Parameters": parameters, "End": True}
    machine = cloud.call(
        "stepfunctions",
        "CreateStateMachine",
        name=name,
        definition=json.dumps({"StartAt": "Do", "States": {"Do": task}}),
        roleArn=ROLE,
    )["stateMachineArn"]
    started = cloud.call("stepfunctions", "StartExecution", stateMachineArn=machine, input="{}")
    arn = started["executionArn"]
    for _ in range(200):
        cloud.engine.run(cloud.engine.env.now + 60.0)
        told = cloud.call("stepfunctions", "DescribeExecution", executionArn=arn)
        if told["status"] != "RUNNING":
            return told
    raise AssertionError("the execution has no end")


def test_a_workflow_scores_the_rows_of_every_object_by_batch_transform(
    cloud: Cloud, model: str
) -> None:
    rows = healthy.dataset(2, units=2, rows=5)
    for unit in ("m0", "m1"):
        asked = [
            {"device_id": unit, "event_time_ms": int(at), "features": list(values)}
            for device, at, values in zip(
                rows.device_ids, rows.event_time_ms, rows.features.tolist(), strict=True
            )
            if device == unit
        ]
        body = json.dumps({"rows": asked}).encode()
        cloud.call("s3", "PutObject", Bucket="lake", Key=f"rows/dt=1/{unit}.json", Body=body)
    place = {"S3DataType": "S3Prefix", "S3Uri": "s3://lake/rows/"}
    told = run_machine(
        cloud,
        "score",
        "arn:aws:states:::sagemaker:createTransformJob.sync",
        {
            "TransformJobName": "score-rows",
            "ModelName": model,
            "TransformInput": {
                "DataSource": {"S3DataSource": place},
                "ContentType": "application/json",
            },
            "TransformOutput": {
                "S3OutputPath": "s3://lake/scores",
                "Accept": "application/json",
            },
            "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
            "DataProcessing": {"OutputFilter": "$.scores"},
        },
    )
    assert told["status"] == "SUCCEEDED", told
    assert json.loads(told["output"])["TransformJobStatus"] == "Completed"
    for unit in ("m0", "m1"):
        key = f"scores/dt=1/{unit}.json.out"
        scores = json.loads(cloud.call("s3", "GetObject", Bucket="lake", Key=key)["Body"])
        assert len(scores) == 5
        assert all(score >= 0 for score in scores)


def test_a_workflow_tunes_the_autoencoder_and_gets_the_best_training_job(cloud: Cloud) -> None:
    rate = {"Name": "learning_rate", "MinValue": "0.001", "MaxValue": "0.02"}
    ranges = {
        "ContinuousParameterRanges": [rate | {"ScalingType": "Logarithmic"}],
        "IntegerParameterRanges": [{"Name": "hidden", "MinValue": "8", "MaxValue": "16"}],
    }
    told = run_machine(
        cloud,
        "tune",
        "arn:aws:states:::sagemaker:createHyperParameterTuningJob.sync",
        {
            "HyperParameterTuningJobName": "autoencoder",
            "HyperParameterTuningJobConfig": {
                "Strategy": "Bayesian",
                "HyperParameterTuningJobObjective": {
                    "Type": "Minimize",
                    "MetricName": "validation_loss",
                },
                "ResourceLimits": {"MaxNumberOfTrainingJobs": 3, "MaxParallelTrainingJobs": 2},
                "ParameterRanges": ranges,
                "RandomSeed": 1,
            },
            "TrainingJobDefinition": {"StaticHyperParameters": fixed(), **training()},
        },
    )
    assert told["status"] == "SUCCEEDED", told
    shown = json.loads(told["output"])
    assert shown["TrainingJobStatusCounters"]["Completed"] == 3
    best = shown["BestTrainingJob"]
    trials = cloud.call(
        "sagemaker",
        "ListTrainingJobsForHyperParameterTuningJob",
        HyperParameterTuningJobName="autoencoder",
        SortBy="FinalObjectiveMetricValue",
    )["TrainingJobSummaries"]
    assert trials[0]["TrainingJobName"] == best["TrainingJobName"]
    losses = {trial["FinalHyperParameterTuningJobObjectiveMetric"]["Value"] for trial in trials}
    assert len(losses) == 3
    key = f"models/{best['TrainingJobName']}/output/model.tar.gz"
    assert cloud.call("s3", "HeadObject", Bucket="lake", Key=key)["ContentLength"] > 0


@pytest.mark.parametrize("media", ["text/csv", "application/jsonlines"])
def test_lines_are_scored_in_their_order_and_joined_with_what_the_model_does_not_see(
    cloud: Cloud, model: str, media: str
) -> None:
    rows = healthy.dataset(3, units=2, rows=40)
    pairs = list(enumerate(zip(rows.device_ids, rows.features.tolist(), strict=True)))
    if media == "text/csv":
        lines = [",".join([f"o-{at}", unit, *map(repr, row)]) for at, (unit, row) in pairs]
        processing = {"InputFilter": "$[1:]", "JoinSource": "Input", "OutputFilter": "$[0,-2]"}
    else:
        lines = [
            json.dumps({"order": f"o-{at}", "row": {"device_id": unit, "features": row}})
            for at, (unit, row) in pairs
        ]
        processing = {
            "InputFilter": "$.row",
            "JoinSource": "Input",
            "OutputFilter": "$['order','SageMakerOutput']",
        }
    kind = media.rpartition("/")[2]
    body = "".join(f"{line}\n" for line in lines).encode()
    cloud.call("s3", "PutObject", Bucket="lake", Key=f"lines/{kind}/part", Body=body)
    place = {"S3DataType": "S3Prefix", "S3Uri": f"s3://lake/lines/{kind}/"}
    cloud.call(
        "sagemaker",
        "CreateTransformJob",
        TransformJobName=f"lines-{kind}",
        ModelName=model,
        TransformInput={
            "DataSource": {"S3DataSource": place},
            "ContentType": media,
            "SplitType": "Line",
        },
        TransformOutput={
            "S3OutputPath": f"s3://lake/joined/{kind}",
            "Accept": media,
            "AssembleWith": "Line",
        },
        TransformResources={"InstanceType": "ml.m5.large", "InstanceCount": 1},
        DataProcessing=processing,
    )
    cloud.engine.run(cloud.transform.wait_event(f"lines-{kind}"))
    job = cloud.call("sagemaker", "DescribeTransformJob", TransformJobName=f"lines-{kind}")
    assert job["TransformJobStatus"] == "Completed", job
    key = f"joined/{kind}/part.out"
    kept = cloud.call("s3", "GetObject", Bucket="lake", Key=key)["Body"].decode().splitlines()
    if media == "text/csv":
        found = [(line.split(",")[0], float(line.split(",")[1])) for line in kept]
    else:
        parsed = [json.loads(line) for line in kept]
        found = [(line["order"], line["SageMakerOutput"]["score"]) for line in parsed]
    assert [order for order, _ in found] == [f"o-{at}" for at, _ in pairs]
    assert all(score >= 0.0 for _, score in found)
