"""The job that makes one object of an hour's many, and the workflow that starts it by the clock."""

from __future__ import annotations

import json

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_glue as glue
from aws_cdk import aws_sns as sns
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra_cdk.config import StageConfig
from infra_cdk.constructs import arns
from infra_cdk.constructs.assets import REPOSITORY, PipelineAssets
from infra_cdk.constructs.lake import Lake
from infra_cdk.constructs.permissions import NEW_KEYS, NEW_LOG_STREAMS, Statement, service_role

DEFINITION = REPOSITORY / "pipeline" / "workflow" / "compaction.asl.json"
PREFIXES = ("telemetry", "bursts")
"""The features need none: their job writes one object an hour."""


class Compaction(Construct):
    """Acts on whole days that are over; off where features are not made by the clock either."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        config: StageConfig,
        *,
        assets: PipelineAssets,
        lake: Lake,
        topic: sns.Topic,
    ) -> None:
        super().__init__(scope, construct_id)
        self.job = _job(self, config, assets, lake)
        role = service_role(
            self,
            "MachineRole",
            name=f"{config.prefix}-compaction",
            service="states.amazonaws.com",
            description="The workflow runs the compaction job",
            statements=[
                Statement(
                    "RunCompaction",
                    # The last three are how `.sync` waits, and how a time-out stops the run.
                    [
                        "glue:StartJobRun",
                        "glue:GetJobRun",
                        "glue:GetJobRuns",
                        "glue:BatchStopJobRun",
                    ],
                    [arns.regional("glue", f"job/{self.job.ref}")],
                ),
                Statement("Notify", ["sns:Publish"], [topic.topic_arn]),
            ],
        )
        self.machine = sfn.StateMachine(
            self,
            "Machine",
            state_machine_name=f"{config.prefix}-compaction",
            state_machine_type=sfn.StateMachineType.STANDARD,
            role=role,
            definition_body=sfn.DefinitionBody.from_string(
                json.dumps(json.loads(DEFINITION.read_text()), separators=(",", ":"))
            ),
            definition_substitutions={
                "CompactionJob": self.job.ref,
                "AlertTopic": topic.topic_arn,
            },
            removal_policy=RemovalPolicy.DESTROY,
        )
        starter = service_role(
            self,
            "StarterRole",
            name=f"{config.prefix}-compaction-starter",
            service="events.amazonaws.com",
            description="The rule starts the compaction workflow",
            statements=[
                Statement("Start", ["states:StartExecution"], [self.machine.state_machine_arn])
            ],
        )
        events.Rule(
            self,
            "Schedule",
            rule_name=f"{config.prefix}-compaction-schedule",
            description="The day before, by the clock",
            enabled=config.features_on_schedule,
            schedule=events.Schedule.expression(config.compaction_schedule),
            targets=[
                targets.SfnStateMachine(
                    self.machine,
                    role=starter.without_policy_updates(),
                    max_event_age=Duration.hours(1),
                    retry_attempts=3,
                )
            ],
        )


def _job(scope: Construct, config: StageConfig, assets: PipelineAssets, lake: Lake) -> glue.CfnJob:
    objects = [lake.raw.arn_for_objects(f"{prefix}/*") for prefix in (*PREFIXES, "compaction")]
    role = service_role(
        scope,
        "JobRole",
        name=f"{config.prefix}-compaction-job",
        service="glue.amazonaws.com",
        description="The compaction job rewrites objects of the raw zone",
        statements=[
            Statement(
                "ReadCode",
                ["s3:GetObject"],
                [assets.compaction_job.bucket.arn_for_objects("*")],
                "The script and the package are stored under the hash of their contents",
            ),
            Statement("ListLake", ["s3:ListBucket"], [lake.raw.bucket_arn]),
            Statement(
                "Rewrite", ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"], objects, NEW_KEYS
            ),
            Statement(
                "WriteLogs",
                ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"],
                [arns.regional("logs", "log-group:/aws-glue/jobs/*")],
                NEW_LOG_STREAMS,
            ),
        ],
    )
    return glue.CfnJob(
        scope,
        "Job",
        name=f"{config.prefix}-compaction",
        description="Many small objects of an hour to one",
        role=role.role_arn,
        command=glue.CfnJob.JobCommandProperty(
            # Not a Python shell, which ends at Python 3.9.
            name="glueetl",
            python_version="3",
            script_location=assets.compaction_job.s3_object_url,
        ),
        default_arguments={
            "--job-language": "python",
            "--extra-py-files": assets.pipeline.s3_object_url,
            "--additional-python-modules": "orjson==3.13.0",
            "--bucket": lake.raw.bucket_name,
            "--prefix": ",".join(PREFIXES),
        },
        glue_version="5.1",
        worker_type="G.1X",
        number_of_workers=2,
        timeout=Duration.hours(2).to_minutes(),
        max_retries=0,
        execution_property=glue.CfnJob.ExecutionPropertyProperty(max_concurrent_runs=1),
    )
