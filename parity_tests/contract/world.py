"""The one twin that all examples are asked on, and what they need on it.

Everything is done on the test's own thread: what boto3 sends goes through our protocols into
`Cloud.call`, so the clock moves only when a test says so. No Spark, no torch: the image and the
function are a few lines each.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import simpy
from botocore import xform_name

from parity_tests.contract.things import (
    CONTAINER,
    DOCKERFILE,
    HANDLER,
    function_of,
    table_of,
    training_of,
    variant_of,
)
from simulator.cloud.cloud import Cloud
from simulator.cloud.operations import Principal
from simulator.cloud.template import deploy, load_assembly
from simulator.cloud.tests.wire import client_of
from simulator.targets import SNAPSHOT

START = datetime(2026, 1, 5, tzinfo=UTC)
STEP_S = 1.125
"""Between two examples: refills the quotas, and gives times with a fraction of a second."""
STATEMENT_OF_ALL = {"Effect": "Allow", "Action": "*", "Resource": "*"}


@dataclass
class World:
    """A booted twin. Names are counted, so that no example meets another one's things."""

    folder: Path
    answers: list[dict[str, Any]] = field(default_factory=list)
    made: int = 0
    caller: Principal | None = None
    undo: list[Callable[[], object]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.cloud = Cloud(START, self.folder / "state")
        assets = {"code": ("main.py", HANDLER), "image": ("main.py", CONTAINER)}
        # Without Cloud.boot, which would start Spark.
        self.cloud.deployment = deploy(load_assembly(SNAPSHOT), self.cloud.context, {})
        for name, (file, text) in assets.items():
            (self.folder / name).mkdir()
            (self.folder / name / file).write_text(text)
            self.cloud.context.assets[f"contract-{name}"] = self.folder / name
        (self.folder / "image" / "Dockerfile").write_text(DOCKERFILE)
        self.role = self.new_role(STATEMENT_OF_ALL)
        self.image = "000000000000.dkr.ecr.us-east-1.amazonaws.com/assets:contract-image"
        self._clients: dict[str, Any] = {}

    # -- asking

    def client(self, service: str) -> Any:
        """Return a boto3 client whose calls end in the twin."""
        if service not in self._clients:
            self._clients[service] = client_of(service, self._execute)
        return self._clients[service]

    def ask(self, service: str, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        """Ask through boto3; return the raw answer of the operation, not boto3's."""
        self.answers.clear()
        getattr(self.client(service), xform_name(operation))(**params)
        (answer,) = self.answers
        return answer

    def _execute(self, service: str, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        cloud = self.cloud
        caller = self.caller or cloud.dispatch.root
        answer = cloud.dispatch(caller, service, operation, params)
        if isinstance(answer, simpy.Event):
            answer = cloud.engine.run(answer)
        assert isinstance(answer, dict)
        self.answers.append(answer)
        return answer

    def become(self, role_arn: str | None) -> None:
        """Call as a session of a role from now on, or as the account's root."""
        self.caller = None
        if role_arn is not None:
            self.caller = self.cloud.iam.principal_for_role(role_arn, "contract")

    def do(self, service: str, operation: str, **params: Any) -> dict[str, Any]:
        """Prepare something, as the account's root."""
        return self.cloud.call(service, operation, **params)

    def run(self, seconds: float = STEP_S) -> None:
        """Let the clock move."""
        self.cloud.engine.run(self.cloud.engine.env.now + seconds)

    def later(self, work: Callable[[], object]) -> None:
        """Have something done when the example has been asked."""
        self.undo.append(work)

    def settle(self) -> None:
        """Do what was left for later, and let the clock move to the next example."""
        while self.undo:
            self.undo.pop()()
        self.run()

    @property
    def now(self) -> datetime:
        """Return the time on the run's clock."""
        return self.cloud.engine.now()

    @property
    def now_ms(self) -> int:
        """Return the same in milliseconds since 1970."""
        return round(self.now.timestamp() * 1000)

    # -- things

    def new(self, stem: str) -> str:
        """Return a name that nothing has yet."""
        self.made += 1
        return f"{stem}-{self.made}"

    def new_role(self, *statements: dict[str, Any]) -> str:
        """Return the ARN of a new role that every service may be."""
        services = ["lambda", "glue", "sagemaker", "states", "iot", "datasync", "lakeformation"]
        principal = {"Service": [f"{name}.amazonaws.com" for name in services]}
        trust = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
        arn = f"arn:aws:iam::000000000000:role/{self.new('contract')}"
        version = "2012-10-17"
        self.cloud.iam.put_role(
            arn,
            {"Version": version, "Statement": [trust]},
            {"inline": {"Version": version, "Statement": list(statements)}},
        )
        return arn

    def key(self) -> str:
        """Return the ARN of a new KMS key."""
        return str(self.do("kms", "CreateKey")["KeyMetadata"]["Arn"])

    def bucket(self) -> str:
        """Return a new bucket."""
        name = self.new("contract")
        self.do("s3", "CreateBucket", Bucket=name)
        return name

    def item(self, body: bytes = b"0123456789", **more: Any) -> dict[str, Any]:
        """Return Bucket and Key of a new object, whose key needs quoting."""
        place = {"Bucket": self.bucket(), "Key": "features/dt=2026-01-05/part 0+é.parquet"}
        self.do("s3", "PutObject", **place, Body=body, **more)
        return place

    def upload(self, parts: int = 0) -> dict[str, Any]:
        """Return Bucket, Key and UploadId of a new multipart upload."""
        place = {"Bucket": self.bucket(), "Key": "big/object"}
        place["UploadId"] = self.do("s3", "CreateMultipartUpload", **place)["UploadId"]
        for number in range(1, parts + 1):
            self.do("s3", "UploadPart", **place, PartNumber=number, Body=b"part")
        return place

    def table(self, *items: dict[str, Any]) -> str:
        """Return a new table with the keys pk and sk, and some items."""
        name = self.new("contract")
        self.do("dynamodb", "CreateTable", **table_of(name))
        for item in items:
            self.do("dynamodb", "PutItem", TableName=name, Item=item)
        return name

    def table_arn(self) -> str:
        """Return the ARN of a new table."""
        return self.cloud.context.arn("dynamodb", f"table/{self.table()}")

    def stream(self, *payloads: bytes) -> str:
        """Return a new stream of two shards, with records in it."""
        name = self.new("contract")
        # Creating streams is limited to five a second.
        self.run()
        self.do("kinesis", "CreateStream", StreamName=name, ShardCount=2)
        for payload in payloads:
            self.do("kinesis", "PutRecord", StreamName=name, Data=payload, PartitionKey="k")
        return name

    def iterator(self, stream: str) -> str:
        """Return an iterator at the beginning of the shard that has the records."""
        number = self.do("kinesis", "PutRecord", StreamName=stream, Data=b"x", PartitionKey="k")
        found = self.do(
            "kinesis",
            "GetShardIterator",
            StreamName=stream,
            ShardId=number["ShardId"],
            ShardIteratorType="TRIM_HORIZON",
        )
        return str(found["ShardIterator"])

    def function(self) -> str:
        """Return a new function."""
        name = self.new("contract")
        self.do("lambda", "CreateFunction", **function_of(self, name))
        return name

    def mapping(self) -> str:
        """Return the UUID of a new mapping that does not read."""
        params = {"StartingPosition": "LATEST", "Enabled": False}
        arn = self.cloud.context.arn("kinesis", f"stream/{self.stream()}")
        function = self.function()
        made = self.do(
            "lambda",
            "CreateEventSourceMapping",
            FunctionName=function,
            EventSourceArn=arn,
            **params,
        )
        self.run()
        return str(made["UUID"])

    def machine(self, definition: str, kind: str = "STANDARD") -> str:
        """Return the ARN of a new state machine."""
        return str(
            self.do(
                "stepfunctions",
                "CreateStateMachine",
                name=self.new("contract"),
                definition=definition,
                roleArn=self.role,
                type=kind,
            )["stateMachineArn"]
        )

    def execution(self, definition: str, seconds: float = 10.0) -> str:
        """Return the ARN of an execution that had some seconds."""
        machine = self.machine(definition)
        answer = self.do("stepfunctions", "StartExecution", stateMachineArn=machine, input="{}")
        self.run(seconds)
        return str(answer["executionArn"])

    def activity(self) -> str:
        """Return the ARN of a new activity."""
        made = self.do("stepfunctions", "CreateActivity", name=self.new("activity"))
        return str(made["activityArn"])

    def task_token(self) -> str:
        """Return the token of a task that waits for it."""
        queue = self.do("sqs", "CreateQueue", QueueName=self.new("queue"))["QueueUrl"]
        wait = {
            "Type": "Task",
            "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
            "Parameters": {"QueueUrl": queue, "MessageBody.$": "$$.Task.Token"},
            "End": True,
        }
        self.execution(json.dumps({"StartAt": "Wait", "States": {"Wait": wait}}))
        (message,) = self.do("sqs", "ReceiveMessage", QueueUrl=queue)["Messages"]
        return str(message["Body"])

    @cached_property
    def trained(self) -> str:
        """Return the name of a training job that is over."""
        name = self.new("trained")
        self.do("sagemaker", "CreateTrainingJob", **training_of(self, name))
        self.cloud.engine.run(self.cloud.training.wait_event(name))
        return name

    def model(self) -> str:
        """Return a new model of the trained job's archive."""
        job = self.do("sagemaker", "DescribeTrainingJob", TrainingJobName=self.trained)
        name = self.new("model")
        container = {
            "Image": self.image,
            "ModelDataUrl": job["ModelArtifacts"]["S3ModelArtifacts"],
            "Environment": {"LEVEL": "info"},
        }
        self.do(
            "sagemaker",
            "CreateModel",
            ModelName=name,
            PrimaryContainer=container,
            ExecutionRoleArn=self.role,
        )
        return name

    def endpoint_config(self) -> str:
        """Return a new endpoint configuration."""
        name = self.new("config")
        variants = [variant_of(self.model())]
        self.do(
            "sagemaker",
            "CreateEndpointConfig",
            EndpointConfigName=name,
            ProductionVariants=variants,
        )
        return name

    @cached_property
    def endpoint(self) -> str:
        """Return the name of an endpoint in service."""
        name = self.new("endpoint")
        config = self.endpoint_config()
        self.do("sagemaker", "CreateEndpoint", EndpointName=name, EndpointConfigName=config)
        self.cloud.engine.run(self.cloud.endpoints.wait_event(name))
        return name

    def close(self) -> None:
        """End everything that was started."""
        self.cloud.close()
