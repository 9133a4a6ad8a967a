"""Training and hosting: the roles that SageMaker assumes, for a job and for the endpoint."""

from __future__ import annotations

from constructs import Construct

from infra_cdk.config import StageConfig
from infra_cdk.constructs import arns
from infra_cdk.constructs.assets import PipelineAssets
from infra_cdk.constructs.lake import FEATURES_PREFIX, MODELS_PREFIX, Lake
from infra_cdk.constructs.permissions import NEW_KEYS, NEW_LOG_STREAMS, Statement, service_role


class SageMakerRoles(Construct):
    """A training job reads features and writes models; an endpoint only reads models."""

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
            description="Training jobs read features and write model artefacts",
            statements=[
                Statement(
                    "ReadFeatures",
                    ["s3:GetObject"],
                    [lake.processed.arn_for_objects(FEATURES_PREFIX)],
                    NEW_KEYS,
                ),
                Statement("ListFeatures", ["s3:ListBucket"], [lake.processed.bucket_arn]),
                Statement(
                    "WriteModels",
                    ["s3:PutObject"],
                    [lake.artefacts.arn_for_objects(MODELS_PREFIX)],
                    NEW_KEYS,
                ),
                *_container_statements(assets, "/aws/sagemaker/TrainingJobs"),
            ],
        )
        self.hosting = service_role(
            self,
            "Hosting",
            name=f"{config.prefix}-hosting",
            service="sagemaker.amazonaws.com",
            description="Endpoints read model artefacts",
            statements=[
                Statement(
                    "ReadModels",
                    ["s3:GetObject"],
                    [lake.artefacts.arn_for_objects(MODELS_PREFIX)],
                    NEW_KEYS,
                ),
                *_container_statements(assets, f"/aws/sagemaker/Endpoints/{config.endpoint_name}"),
            ],
        )


def _container_statements(assets: PipelineAssets, log_group: str) -> list[Statement]:
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
                arns.regional("logs", f"log-group:{log_group}"),
                arns.regional("logs", f"log-group:{log_group}:log-stream:*"),
            ],
            NEW_LOG_STREAMS,
        ),
    ]
