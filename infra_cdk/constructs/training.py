"""Training, evaluation and hosting: the roles that SageMaker assumes, and the registry's group."""

from __future__ import annotations

from aws_cdk import CfnDeletionPolicy
from aws_cdk import aws_sagemaker as sagemaker
from constructs import Construct

from infra_cdk.config import StageConfig
from infra_cdk.constructs import arns
from infra_cdk.constructs.assets import PipelineAssets
from infra_cdk.constructs.lake import (
    CAPTURE_PREFIX,
    EVALUATIONS_PREFIX,
    FEATURES_PREFIX,
    LABELS_PREFIX,
    MODELS_PREFIX,
    TRANSFORM_PREFIX,
    Lake,
)
from infra_cdk.constructs.permissions import NEW_KEYS, NEW_LOG_STREAMS, Statement, service_role


class SageMakerRoles(Construct):
    """A job reads features and writes models or what it thinks of them; an endpoint serves one."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        config: StageConfig,
        *,
        assets: PipelineAssets,
        lake: Lake,
    ) -> None:
        super().__init__(scope, construct_id)
        self.training = service_role(
            self,
            "Training",
            name=f"{config.prefix}-training-job",
            service="sagemaker.amazonaws.com",
            description="Training jobs read features and the model that served, and write models",
            statements=[
                Statement(
                    "ReadRowsAndModels",
                    ["s3:GetObject"],
                    [
                        lake.processed.arn_for_objects(FEATURES_PREFIX),
                        lake.artefacts.arn_for_objects(MODELS_PREFIX),
                    ],
                    NEW_KEYS,
                ),
                lists_inputs(lake),
                Statement(
                    "WriteModels",
                    ["s3:PutObject"],
                    [lake.artefacts.arn_for_objects(MODELS_PREFIX)],
                    NEW_KEYS,
                ),
                *container_statements(assets, "/aws/sagemaker/TrainingJobs"),
            ],
        )
        self.hosting = service_role(
            self,
            "Hosting",
            name=f"{config.prefix}-hosting",
            service="sagemaker.amazonaws.com",
            description="Endpoints and transform jobs read a model and keep what they were asked",
            statements=[
                Statement(
                    "ReadModels",
                    ["s3:GetObject"],
                    [lake.artefacts.arn_for_objects(MODELS_PREFIX)],
                    NEW_KEYS,
                ),
                Statement(
                    "CaptureData",
                    ["s3:PutObject"],
                    [lake.processed.arn_for_objects(CAPTURE_PREFIX)],
                    NEW_KEYS,
                ),
                # A transform job acts as its model's role.
                Statement(
                    "Transform",
                    ["s3:GetObject", "s3:PutObject"],
                    [lake.processed.arn_for_objects(TRANSFORM_PREFIX)],
                    NEW_KEYS,
                ),
                Statement("ListRows", ["s3:ListBucket"], [lake.processed.bucket_arn]),
                *container_statements(
                    assets,
                    f"/aws/sagemaker/Endpoints/{config.endpoint_name}",
                    "/aws/sagemaker/TransformJobs",
                ),
            ],
        )
        self.evaluation = service_role(
            self,
            "Evaluation",
            name=f"{config.prefix}-evaluation-job",
            service="sagemaker.amazonaws.com",
            description="Evaluation jobs read models, features and labels and write verdicts",
            statements=[
                Statement(
                    "ReadModelsAndRows",
                    ["s3:GetObject"],
                    [
                        lake.artefacts.arn_for_objects(MODELS_PREFIX),
                        lake.processed.arn_for_objects(FEATURES_PREFIX),
                        lake.processed.arn_for_objects(LABELS_PREFIX),
                    ],
                    NEW_KEYS,
                ),
                lists_inputs(lake),
                Statement(
                    "WriteEvaluations",
                    ["s3:PutObject"],
                    [lake.artefacts.arn_for_objects(EVALUATIONS_PREFIX)],
                    NEW_KEYS,
                ),
                *container_statements(assets, "/aws/sagemaker/ProcessingJobs"),
            ],
        )
        self.group_name = f"{config.prefix}-models"
        group = sagemaker.CfnModelPackageGroup(
            self,
            "Models",
            model_package_group_name=self.group_name,
            model_package_group_description="Detectors: what was trained, and what became of it",
        )
        # A group with versions in it cannot be deleted.
        group.cfn_options.deletion_policy = CfnDeletionPolicy.RETAIN
        group.cfn_options.update_replace_policy = CfnDeletionPolicy.RETAIN


def lists_inputs(lake: Lake) -> Statement:
    """Return what lets a job find its input: models among the artefacts, rows in the lake."""
    buckets = [lake.artefacts.bucket_arn, lake.processed.bucket_arn]
    return Statement("ListInputs", ["s3:ListBucket"], buckets)


def container_statements(assets: PipelineAssets, *log_groups: str) -> list[Statement]:
    return [
        Statement(
            "LogInToRegistry",
            ["ecr:GetAuthorizationToken"],
            ["*"],
            "The token is not of one repository: the action knows no resource",
        ),
        Statement(
            "PullImage",
            [
                "ecr:BatchCheckLayerAvailability",
                "ecr:BatchGetImage",
                "ecr:GetDownloadUrlForLayer",
            ],
            [assets.image.repository.repository_arn],
        ),
        Statement(
            "WriteLogs",
            [
                "logs:CreateLogGroup",
                "logs:CreateLogStream",
                "logs:DescribeLogStreams",
                "logs:PutLogEvents",
            ],
            [
                arns.regional("logs", f"log-group:{log_group}{streams}")
                for log_group in log_groups
                for streams in ("", ":log-stream:*")
            ],
            NEW_LOG_STREAMS,
        ),
    ]
