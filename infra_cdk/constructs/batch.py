"""Batch scoring: rows of some hours through a transform job into the table of scores."""

from __future__ import annotations

from aws_cdk import aws_glue as glue
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sns as sns
from constructs import Construct

from infra_cdk.config import StageConfig
from infra_cdk.constructs import arns
from infra_cdk.constructs.assets import PipelineAssets
from infra_cdk.constructs.catalog import Catalog
from infra_cdk.constructs.glue_jobs import (
    glue_job,
    reads_code,
    registers_partitions,
    writes_job_logs,
)
from infra_cdk.constructs.lake import (
    BATCH_SCORES_PREFIX,
    FEATURES_PREFIX,
    TRANSFORM_PREFIX,
    Lake,
)
from infra_cdk.constructs.machines import (
    finds_others,
    hears_of_the_end,
    records_failures,
    runs_glue_job,
    runs_sagemaker_job,
    state_machine,
)
from infra_cdk.constructs.permissions import NEW_KEYS, NEW_NAMES, Statement, service_role


class BatchScoring(Construct):
    """A state machine around a transform job, and the Glue job before and after it.

    The transform job acts as the model's role (`SageMakerRoles`); whoever starts the machine
    says which hours.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        config: StageConfig,
        *,
        assets: PipelineAssets,
        lake: Lake,
        catalog: Catalog,
        models: str,
        topic: sns.Topic,
        feature_spec: str,
    ) -> None:
        super().__init__(scope, construct_id)
        self.job_role = service_role(
            self,
            "JobRole",
            name=f"{config.prefix}-scores-job",
            service="glue.amazonaws.com",
            description="The scores job writes rows for transform jobs and keeps what they say",
            statements=_job_statements(config, assets, lake, catalog),
        )
        self.job = _job(self, config, self.job_role, assets, lake, catalog, feature_spec)
        role = service_role(
            self,
            "Role",
            name=f"{config.prefix}-batch",
            service="states.amazonaws.com",
            description="The workflow finds the approved model and has rows scored with it",
            statements=_machine_statements(config, models, self.job, lake, topic),
        )
        self.machine = state_machine(
            self,
            config,
            "batch",
            role=role,
            substitutions={
                "Prefix": config.prefix,
                "ModelPackageGroup": models,
                "ScoresJob": self.job.ref,
                "ProcessedBucket": lake.processed.bucket_name,
                "TransformInstance": config.endpoint_instance,
                "ArtefactBucket": lake.artefacts.bucket_name,
                "AlertTopic": topic.topic_arn,
            },
        )


def _machine_statements(
    config: StageConfig, models: str, job: glue.CfnJob, lake: Lake, topic: sns.Topic
) -> list[Statement]:
    """Return what the states call."""
    return [
        finds_others(config, "batch"),
        Statement(
            "FindModel",
            ["sagemaker:ListModelPackages"],
            ["*"],
            "A list of all packages, from which the service filters: the action knows no resource",
        ),
        Statement(
            "DescribeModel",
            ["sagemaker:DescribeModelPackage"],
            [arns.sagemaker(f"model-package/{models}/*")],
            "The registry numbers the versions",
        ),
        runs_glue_job("RunScoresJob", job.ref),
        runs_sagemaker_job(
            "Score",
            "Transform",
            [arns.sagemaker(f"transform-job/{config.prefix}-scores-*")],
            NEW_NAMES,
        ),
        hears_of_the_end("SageMakerTransformJobs"),
        *records_failures(config, "batch", lake),
        Statement("Notify", ["sns:Publish"], [topic.topic_arn]),
    ]


def _job(
    scope: Construct,
    config: StageConfig,
    role: iam.Role,
    assets: PipelineAssets,
    lake: Lake,
    catalog: Catalog,
    feature_spec: str,
) -> glue.CfnJob:
    return glue_job(
        scope,
        config,
        name=f"{config.prefix}-scores",
        description="Feature rows to lines, and scored lines to the table of scores",
        role=role,
        script=assets.scores_job,
        assets=assets,
        arguments={
            "--bucket": lake.processed.bucket_name,
            "--database": catalog.database.database_name,
            "--table": catalog.scores.table_name,
            "--feature_spec": feature_spec,
        },
    )


def _job_statements(
    config: StageConfig, assets: PipelineAssets, lake: Lake, catalog: Catalog
) -> list[Statement]:
    return [
        reads_code(assets.scores_job),
        Statement(
            "ReadRowsAndAnswers",
            ["s3:GetObject"],
            [
                lake.processed.arn_for_objects(prefix)
                for prefix in (FEATURES_PREFIX, TRANSFORM_PREFIX)
            ],
            NEW_KEYS,
        ),
        Statement("ListLake", ["s3:ListBucket"], [lake.processed.bucket_arn]),
        Statement(
            "WriteLinesAndScores",
            ["s3:PutObject"],
            [
                lake.processed.arn_for_objects(prefix)
                for prefix in (TRANSFORM_PREFIX, BATCH_SCORES_PREFIX)
            ],
            NEW_KEYS,
        ),
        registers_partitions(catalog, catalog.scores.table_name),
        writes_job_logs(config),
    ]
