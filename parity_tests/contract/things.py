"""What examples make again and again: parameters of things, and the code that runs in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from parity_tests.contract.world import World

HANDLER = """
def handler(event, context):
    if event.get("fail"):
        raise ValueError("asked to fail")
    return {"seen": sorted(event)}
"""
CONTAINER = """
import os, pathlib, sys
from http.server import BaseHTTPRequestHandler, HTTPServer
base = pathlib.Path(os.environ["SAGEMAKER_BASE_DIR"])
if sys.argv[1] == "train":
    (base / "model" / "weights.json").write_text("{}")
    print("loss=0.25;", flush=True)
    raise SystemExit
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.answer(200, b"")
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(400 if body == b"bad" else 200, body)
    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Amzn-SageMaker-Custom-Attributes", "model=1")
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
HTTPServer(("127.0.0.1", int(os.environ["SAGEMAKER_BIND_TO_PORT"])), Handler).serve_forever()
"""
DOCKERFILE = """
FROM python:3.11
COPY . /opt/program
WORKDIR /opt/program
ENTRYPOINT ["python", "main.py"]
"""


def table_of(name: str) -> dict[str, Any]:
    """Return the parameters of a table with a hash and a range key."""
    return {
        "TableName": name,
        "KeySchema": [
            {"AttributeName": "pk", "KeyType": "HASH"},
            {"AttributeName": "sk", "KeyType": "RANGE"},
        ],
        "AttributeDefinitions": [
            {"AttributeName": "pk", "AttributeType": "S"},
            {"AttributeName": "sk", "AttributeType": "N"},
        ],
        "BillingMode": "PAY_PER_REQUEST",
        "Tags": [{"Key": "project", "Value": "fleetwin"}],
    }


def function_of(world: World, name: str) -> dict[str, Any]:
    """Return the parameters of a function."""
    return {
        "FunctionName": name,
        "Runtime": "python3.11",
        "Role": world.role,
        "Handler": "main.handler",
        "Code": {"S3Bucket": "assets", "S3Key": "contract-code.zip"},
        "Description": "Says what it saw",
        "Timeout": 30,
        "MemorySize": 256,
        "Environment": {"Variables": {"LEVEL": "info"}},
        "Tags": {"project": "fleetwin"},
    }


def training_of(world: World, name: str) -> dict[str, Any]:
    """Return the parameters of a training job."""
    bucket = world.bucket()
    world.do("s3", "PutObject", Bucket=bucket, Key="features/part.parquet", Body=b"rows")
    source = {
        "S3DataType": "S3Prefix",
        "S3Uri": f"s3://{bucket}/features",
        "S3DataDistributionType": "FullyReplicated",
    }
    return {
        "TrainingJobName": name,
        "AlgorithmSpecification": {
            "TrainingImage": world.image,
            "TrainingInputMode": "File",
            "MetricDefinitions": [{"Name": "loss", "Regex": "loss=(.*?);"}],
        },
        "RoleArn": world.role,
        "HyperParameters": {"epochs": "2"},
        "InputDataConfig": [{"ChannelName": "train", "DataSource": {"S3DataSource": source}}],
        "OutputDataConfig": {"S3OutputPath": f"s3://{bucket}/models"},
        "ResourceConfig": {
            "InstanceType": "ml.m5.large",
            "InstanceCount": 1,
            "VolumeSizeInGB": 10,
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
    }


def variant_of(model: str) -> dict[str, Any]:
    """Return a production variant."""
    return {
        "VariantName": "AllTraffic",
        "ModelName": model,
        "InitialInstanceCount": 1,
        "InstanceType": "ml.m5.large",
        "InitialVariantWeight": 1.0,
    }
