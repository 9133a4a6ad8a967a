"""Train and serve with the SageMaker SDK's local mode; a program for the SDK's own Python.

`test_sdk_local_mode` runs it: ``python sdk_local_mode.py request.json answer.json``. It imports
nothing of the project, since the SDK (the extra `sagemaker`) may be installed elsewhere.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any


def by_image(session: Any, asked: dict[str, Any], folder: Path) -> str:
    """Train as an image of one's own: `docker run IMAGE train`; return the archive's place."""
    source = {"FileUri": f"file://{asked['data']}", "FileDataDistributionType": "FullyReplicated"}
    session.sagemaker_client.create_training_job(
        TrainingJobName="by-image",
        AlgorithmSpecification={"TrainingImage": asked["image"], "TrainingInputMode": "File"},
        InputDataConfig=[{"ChannelName": "train", "DataSource": {"FileDataSource": source}}],
        OutputDataConfig={"S3OutputPath": f"file://{folder}/output"},
        ResourceConfig={"InstanceType": "local", "InstanceCount": 1},
        HyperParameters=asked["hyperparameters"],
    )
    job = session.sagemaker_client.describe_training_job("by-image")
    return str(job["ModelArtifacts"]["S3ModelArtifacts"])


def by_script(asked: dict[str, Any], folder: Path) -> str:
    """Train as a script in somebody's image, by ModelTrainer; return the archive's place."""
    trainer = import_module("sagemaker.train.model_trainer")
    configs = import_module("sagemaker.train.configs")
    root = folder / "by-script"
    root.mkdir()
    made = trainer.ModelTrainer(
        training_mode=trainer.Mode.LOCAL_CONTAINER,
        training_image=asked["image"],
        source_code=configs.SourceCode(
            source_dir=asked["code"], command="python -m pipeline.model.train"
        ),
        compute=configs.Compute(instance_type="local_cpu", instance_count=1),
        hyperparameters=asked["hyperparameters"],
        base_job_name="by-script",
        local_container_root=str(root),
    )
    made.train(
        input_data_config=[configs.InputData(channel_name="train", data_source=asked["data"])]
    )
    return f"file://{root}/compressed_artifacts/model.tar.gz"


def serve(session: Any, asked: dict[str, Any], archive: str) -> dict[str, Any]:
    """Serve an archive by an endpoint of the local mode; return status and answers."""
    client = session.sagemaker_client
    container = {"Image": asked["image"], "ModelDataUrl": archive, "Environment": {}}
    client.create_model("model", container)
    variant = {"ModelName": "model", "InstanceType": "local", "InitialInstanceCount": 1}
    client.create_endpoint_config("config", [{"VariantName": "all", **variant}])
    client.create_endpoint("endpoint", "config")
    try:
        status = client.describe_endpoint("endpoint")["EndpointStatus"]
        answers = [
            session.sagemaker_runtime_client.invoke_endpoint(
                Body=body, EndpointName="endpoint", ContentType=kind
            )["Body"]
            .read()
            .decode()
            for kind, body in asked["bodies"]
        ]
    finally:
        client.delete_endpoint("endpoint")
    return {"status": status, "answers": answers}


def transform(session: Any, asked: dict[str, Any], folder: Path) -> str:
    """Score a CSV file by a transform job of the local mode; return what it stored.

    The strategy is said here because the local mode takes a container's word for it only as
    MultiRecord, while a container on AWS says MULTI_RECORD.
    """
    (folder / "batch").mkdir()
    (folder / "batch" / "rows.csv").write_text(asked["csv"], "utf-8")
    session.sagemaker_client.create_transform_job(
        "transform",
        "model",
        {
            "DataSource": {"S3DataSource": {"S3Uri": f"file://{folder}/batch"}},
            "ContentType": "text/csv",
            "SplitType": "Line",
        },
        {"S3OutputPath": f"file://{folder}/transformed", "Accept": "text/csv"},
        {"InstanceType": "local", "InstanceCount": 1},
        BatchStrategy="MultiRecord",
    )
    return (folder / "transformed" / "rows.csv.out").read_text("utf-8")


def main(request: Path, answer: Path) -> None:
    """Do all four and write what came of it."""
    asked = json.loads(request.read_text("utf-8"))
    boto3 = import_module("boto3")
    local = import_module("sagemaker.core.local.local_session")
    session = local.LocalSession(boto_session=boto3.session.Session(region_name="us-east-1"))
    session.config = {
        "local": {"serving_port": asked["port"], "container_root": str(answer.parent)}
    }
    trained = by_image(session, asked, answer.parent)
    found = {
        "by_image": trained,
        "by_script": by_script(asked, answer.parent),
        **serve(session, asked, trained),
        "transformed": transform(session, asked, answer.parent),
    }
    answer.write_text(json.dumps(found), "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
