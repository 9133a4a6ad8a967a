"""The job that makes one object of an hour's many, and the workflow that starts it by the clock."""

from __future__ import annotations

from aws_cdk import aws_events as events
from aws_cdk import aws_glue as glue
from aws_cdk import aws_sns as sns
from constructs import Construct

from infra_cdk.config import StageConfig
from infra_cdk.constructs.assets import PipelineAssets
from infra_cdk.constructs.glue_jobs import glue_job, reads_code, writes_job_logs
from infra_cdk.constructs.lake import Lake
from infra_cdk.constructs.machines import (
    records_failures,
    runs_glue_job,
    started,
    starter_role,
    state_machine,
)
from infra_cdk.constructs.permissions import NEW_KEYS, Statement, service_role

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
                runs_glue_job("RunCompaction", self.job.ref),
                *records_failures(config, "compaction", lake),
                Statement("Notify", ["sns:Publish"], [topic.topic_arn]),
            ],
        )
        self.machine = state_machine(
            self,
            config,
            "compaction",
            role=role,
            substitutions={
                "CompactionJob": self.job.ref,
                "ArtefactBucket": lake.artefacts.bucket_name,
                "AlertTopic": topic.topic_arn,
            },
        )
        starter = starter_role(
            self, config, "compaction", "The rule starts the compaction workflow", self.machine
        )
        events.Rule(
            self,
            "Schedule",
            rule_name=f"{config.prefix}-compaction-schedule",
            description="The day before, by the clock",
            enabled=config.features_on_schedule,
            schedule=events.Schedule.expression(config.compaction_schedule),
            targets=[started(self.machine, starter)],
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
            reads_code(assets.compaction_job),
            Statement("ListLake", ["s3:ListBucket"], [lake.raw.bucket_arn]),
            Statement(
                "Rewrite", ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"], objects, NEW_KEYS
            ),
            writes_job_logs(config),
        ],
    )
    return glue_job(
        scope,
        config,
        name=f"{config.prefix}-compaction",
        description="Many small objects of an hour to one",
        role=role,
        script=assets.compaction_job,
        assets=assets,
        arguments={"--bucket": lake.raw.bucket_name, "--prefix": ",".join(PREFIXES)},
    )
