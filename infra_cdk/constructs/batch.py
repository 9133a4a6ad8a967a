"""Batch scoring: rows of some hours through a transform job into the table of scores."""

from __future__ import annotations

import json

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_glue as glue
from aws_cdk import aws_sns as sns
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra_cdk.config import StageConfig
from infra_cdk.constructs import arns
from infra_cdk.constructs.assets import REPOSITORY, PipelineAssets
from infra_cdk.constructs.catalog import Catalog
from infra_cdk.constructs.lake import (
    BATCH_SCORES_PREFIX,
    FEATURES_PREFIX,
    TRANSFORM_PREFIX,
    Lake,
)
from infra_cdk.constructs.permissions import (
    NEW_KEYS,
    NEW_LOG_STREAMS,
    NEW_NAMES,
    Statement,
    service_role,
)

DEFINITION = REPOSITORY / "pipeline" / "workflow" / "batch.asl.json"
SYNC_RULE = "StepFunctionsGetEventsForSageMakerTransformJobsRule"
"""Step Functions Developer Guide, "IAM policies for Amazon SageMaker AI"."""


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
        self.job = _job(self, config, assets, lake, catalog, feature_spec)
        role = service_role(
            self,
            "Role",
            name=f"{config.prefix}-batch",
            service="states.amazonaws.com",
            description="The workflow finds the approved model and has rows scored with it",
            statements=_machine_statements(config, models, self.job, topic),
        )
        self.machine = sfn.StateMachine(
            self,
            "Machine",
            state_machine_name=f"{config.prefix}-batch",
            state_machine_type=sfn.StateMachineType.STANDARD,
            role=role,
            definition_body=sfn.DefinitionBody.from_string(
                json.dumps(json.loads(DEFINITION.read_text()), separators=(",", ":"))
            ),
            definition_substitutions={
                "Prefix": config.prefix,
                "ModelPackageGroup": models,
                "ScoresJob": self.job.ref,
                "ProcessedBucket": lake.processed.bucket_name,
                "TransformInstance": config.endpoint_instance,
                "AlertTopic": topic.topic_arn,
            },
            removal_policy=RemovalPolicy.DESTROY,
        )


def _machine_statements(
    config: StageConfig, models: str, job: glue.CfnJob, topic: sns.Topic
) -> list[Statement]:
    """Return what the states call; the last of each job's actions are how `.sync` waits."""
    return [
        Statement(
            "FindOthers",
            ["states:ListExecutions"],
            [arns.regional("states", f"stateMachine:{config.prefix}-batch")],
        ),
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
        Statement(
            "RunScoresJob",
            ["glue:StartJobRun", "glue:GetJobRun", "glue:GetJobRuns", "glue:BatchStopJobRun"],
            [arns.regional("glue", f"job/{job.ref}")],
        ),
        Statement(
            "Score",
            [
                "sagemaker:CreateTransformJob",
                "sagemaker:DescribeTransformJob",
                "sagemaker:StopTransformJob",
                "sagemaker:ListTags",
                "sagemaker:AddTags",
            ],
            [arns.sagemaker(f"transform-job/{config.prefix}-scores-*")],
            NEW_NAMES,
        ),
        Statement(
            "HearOfTheEnd",
            ["events:PutTargets", "events:PutRule", "events:DescribeRule"],
            [arns.regional("events", f"rule/{SYNC_RULE}")],
        ),
        Statement("Notify", ["sns:Publish"], [topic.topic_arn]),
    ]


def _job(
    scope: Construct,
    config: StageConfig,
    assets: PipelineAssets,
    lake: Lake,
    catalog: Catalog,
    feature_spec: str,
) -> glue.CfnJob:
    role = service_role(
        scope,
        "JobRole",
        name=f"{config.prefix}-scores-job",
        service="glue.amazonaws.com",
        description="The scores job writes rows for transform jobs and keeps what they say",
        statements=_job_statements(assets, lake, catalog),
    )
    return glue.CfnJob(
        scope,
        "Job",
        name=f"{config.prefix}-scores",
        description="Feature rows to lines, and scored lines to the table of scores",
        role=role.role_arn,
        command=glue.CfnJob.JobCommandProperty(
            # Not a Python shell, which ends at Python 3.9.
            name="glueetl",
            python_version="3",
            script_location=assets.scores_job.s3_object_url,
        ),
        default_arguments={
            "--job-language": "python",
            "--extra-py-files": assets.pipeline.s3_object_url,
            "--additional-python-modules": "orjson==3.13.0",
            "--bucket": lake.processed.bucket_name,
            "--database": catalog.database.database_name,
            "--table": catalog.scores.table_name,
            "--feature_spec": feature_spec,
        },
        glue_version="5.1",
        worker_type="G.1X",
        number_of_workers=2,
        timeout=Duration.hours(2).to_minutes(),
        max_retries=0,
        execution_property=glue.CfnJob.ExecutionPropertyProperty(max_concurrent_runs=1),
    )


def _job_statements(assets: PipelineAssets, lake: Lake, catalog: Catalog) -> list[Statement]:
    database = catalog.database.database_name
    return [
        Statement(
            "ReadCode",
            ["s3:GetObject"],
            [assets.scores_job.bucket.arn_for_objects("*")],
            "The script and the package are stored under the hash of their contents",
        ),
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
        Statement(
            "RegisterPartitions",
            ["glue:GetTable", "glue:BatchCreatePartition"],
            [
                arns.regional("glue", "catalog"),
                arns.regional("glue", f"database/{database}"),
                arns.regional("glue", f"table/{database}/{catalog.scores.table_name}"),
            ],
        ),
        Statement(
            "WriteLogs",
            ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"],
            [arns.regional("logs", "log-group:/aws-glue/jobs/*")],
            NEW_LOG_STREAMS,
        ),
    ]
