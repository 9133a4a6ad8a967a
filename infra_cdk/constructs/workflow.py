"""The training workflow: the definition in ``pipeline/workflow`` with this stack's names."""

from __future__ import annotations

from aws_cdk import Aws
from aws_cdk import aws_sns as sns
from constructs import Construct

from infra_cdk.config import StageConfig
from infra_cdk.constructs import arns
from infra_cdk.constructs.alarms import ENDPOINT_ERRORS, ENDPOINT_LATENCY, VARIANT
from infra_cdk.constructs.assets import PipelineAssets
from infra_cdk.constructs.etl import FeaturesJob
from infra_cdk.constructs.lake import EVALUATIONS_PREFIX, Lake
from infra_cdk.constructs.machines import (
    finds_others,
    hears_of_the_end,
    passes_role,
    records_failures,
    runs_glue_job,
    runs_sagemaker_job,
    state_machine,
)
from infra_cdk.constructs.parameters import parameter
from infra_cdk.constructs.permissions import NEW_KEYS, NEW_NAMES, Statement, service_role
from infra_cdk.constructs.tables import Tables
from infra_cdk.constructs.training import SageMakerRoles

SCALING_SERVICE = "sagemaker.application-autoscaling.amazonaws.com"


class TrainingWorkflow(Construct):
    """A standard state machine; it may do exactly what its states call."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        config: StageConfig,
        *,
        assets: PipelineAssets,
        lake: Lake,
        tables: Tables,
        features: FeaturesJob,
        roles: SageMakerRoles,
        topic: sns.Topic,
        feature_spec: str,
        training_settings: str,
    ) -> None:
        super().__init__(scope, construct_id)
        spec = parameter(self, config, "feature-spec", feature_spec)
        settings = parameter(self, config, "training-settings", training_settings)
        self.role = service_role(
            self,
            "Role",
            name=f"{config.prefix}-training",
            service="states.amazonaws.com",
            description="The workflow runs the features job, trains, judges and moves the endpoint",
            statements=[
                Statement(
                    "ReadSettings",
                    ["ssm:GetParameter"],
                    [spec.parameter_arn, settings.parameter_arn],
                ),
                runs_glue_job("RunFeatures", features.job.ref),
                *_training_statements(config, roles),
                *_registry_statements(roles),
                *_evaluation_statements(config, roles),
                Statement(
                    "ReadEvaluation",
                    ["s3:GetObject"],
                    [lake.artefacts.arn_for_objects(EVALUATIONS_PREFIX)],
                    NEW_KEYS,
                ),
                *_endpoint_statements(config, roles),
                *_scaling_statements(config),
                finds_others(config, "training"),
                Statement("ActivateModel", ["dynamodb:PutItem"], [tables.state.table_arn]),
                *records_failures(config, "training", lake),
                Statement("Notify", ["sns:Publish"], [topic.topic_arn]),
            ],
        )
        self.machine = state_machine(
            self,
            config,
            "training",
            role=self.role,
            substitutions={
                "FeatureSpecParameter": spec.parameter_name,
                "TrainingSettingsParameter": settings.parameter_name,
                "FeaturesJob": features.name,
                "Image": assets.image.image_uri,
                "TrainingRole": roles.training.role_arn,
                "HostingRole": roles.hosting.role_arn,
                "EvaluationRole": roles.evaluation.role_arn,
                "ModelPackageGroup": roles.group_name,
                "EndpointErrorsAlarm": f"{config.prefix}-{ENDPOINT_ERRORS}",
                "EndpointLatencyAlarm": f"{config.prefix}-{ENDPOINT_LATENCY}",
                "ProcessedBucket": lake.processed.bucket_name,
                "ArtefactBucket": lake.artefacts.bucket_name,
                "StateTable": tables.state.table_name,
                "AlertTopic": topic.topic_arn,
                "EndpointName": config.endpoint_name,
                "TuningPrefix": f"{config.prefix}-tuned",
                "TrainingInstance": config.training_instance,
                "EndpointInstance": config.endpoint_instance,
                "EndpointInstances": str(config.endpoint_instances),
                "EndpointMostInstances": str(config.endpoint_most_instances),
                "RequestsPerInstance": str(config.requests_per_instance),
            },
        )


def _training_statements(config: StageConfig, roles: SageMakerRoles) -> list[Statement]:
    """Return what ``sagemaker:createTrainingJob.sync`` needs, and tuning."""
    return [
        runs_sagemaker_job(
            "Train",
            "Training",
            [arns.sagemaker(f"training-job/{config.endpoint_name}-*")],
            NEW_NAMES,
        ),
        hears_of_the_end("SageMakerTrainingJobs"),
        passes_role("PassTrainingRole", roles.training),
        # A tuning job's name, of 32 characters, begins those of its training jobs.
        runs_sagemaker_job(
            "Tune",
            "HyperParameterTuning",
            [arns.sagemaker(f"hyper-parameter-tuning-job/{config.prefix}-tuned-*")],
            NEW_NAMES,
        ),
        hears_of_the_end("SageMakerTuningJobs", "HearOfTheBest"),
        Statement(
            "DescribeBest",
            ["sagemaker:DescribeTrainingJob"],
            [arns.sagemaker(f"training-job/{config.prefix}-tuned-*")],
            NEW_NAMES,
        ),
    ]


def _registry_statements(roles: SageMakerRoles) -> list[Statement]:
    packages = arns.sagemaker(f"model-package/{roles.group_name}/*")
    return [
        Statement(
            "FindCurrentModel",
            ["sagemaker:ListModelPackages"],
            ["*"],
            "A list of all packages, from which the service filters: the action knows no resource",
        ),
        Statement(
            "RegisterModel",
            # A version is created in its group and as itself.
            ["sagemaker:CreateModelPackage"],
            [arns.sagemaker(f"model-package-group/{roles.group_name}"), packages],
            "The registry numbers the versions",
        ),
        Statement(
            "JudgeModel",
            ["sagemaker:DescribeModelPackage", "sagemaker:UpdateModelPackage"],
            [packages],
            "The registry numbers the versions",
        ),
    ]


def _evaluation_statements(config: StageConfig, roles: SageMakerRoles) -> list[Statement]:
    """Return what ``sagemaker:createProcessingJob.sync`` needs, as for training."""
    return [
        runs_sagemaker_job(
            "Evaluate",
            "Processing",
            [arns.sagemaker(f"processing-job/{config.endpoint_name}-*")],
            NEW_NAMES,
        ),
        hears_of_the_end("SageMakerProcessingJobs", "HearOfTheVerdict"),
        passes_role("PassEvaluationRole", roles.evaluation),
    ]


def _endpoint_statements(config: StageConfig, roles: SageMakerRoles) -> list[Statement]:
    endpoint = arns.sagemaker(f"endpoint/{config.endpoint_name}")
    configs = arns.sagemaker(f"endpoint-config/{config.endpoint_name}-*")
    return [
        Statement(
            "CreateModel",
            ["sagemaker:CreateModel"],
            [arns.sagemaker(f"model/{config.endpoint_name}-*")],
            NEW_NAMES,
        ),
        passes_role("PassHostingRole", roles.hosting),
        Statement("ConfigureEndpoint", ["sagemaker:CreateEndpointConfig"], [configs], NEW_NAMES),
        Statement("DescribeEndpoint", ["sagemaker:DescribeEndpoint"], [endpoint]),
        Statement(
            "MoveEndpoint",
            # Both are authorised on the endpoint and on the configuration that it gets.
            ["sagemaker:CreateEndpoint", "sagemaker:UpdateEndpoint"],
            [endpoint, configs],
            NEW_NAMES,
        ),
        Statement(
            "WatchCanary",
            # SageMaker looks at the alarms of a rollback as whoever asked for the update.
            ["cloudwatch:DescribeAlarms"],
            [
                arns.regional("cloudwatch", f"alarm:{config.prefix}-{name}")
                for name in (ENDPOINT_ERRORS, ENDPOINT_LATENCY)
            ],
        ),
    ]


def _scaling_statements(config: StageConfig) -> list[Statement]:
    """Return what Application Auto Scaling asks of who has an endpoint scaled (its user guide)."""
    endpoint = f"endpoint/{config.endpoint_name}"
    linked = f"{SCALING_SERVICE}/AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint"
    return [
        Statement(
            "ScaleEndpoint",
            [
                "application-autoscaling:PutScalingPolicy",
                "application-autoscaling:RegisterScalableTarget",
            ],
            [arns.regional("application-autoscaling", "scalable-target/*")],
            "The service names a target when it is registered",
            {
                "StringEquals": {
                    "application-autoscaling:service-namespace": "sagemaker",
                    "application-autoscaling:scalable-dimension": (
                        "sagemaker:variant:DesiredInstanceCount"
                    ),
                }
            },
        ),
        Statement(
            "ResizeEndpoint",
            ["sagemaker:UpdateEndpointWeightsAndCapacities"],
            [arns.sagemaker(endpoint)],
        ),
        Statement(
            "PutScalingAlarms",
            ["cloudwatch:PutMetricAlarm"],
            [arns.regional("cloudwatch", f"alarm:TargetTracking-{endpoint}/variant/{VARIANT}-*")],
            "The service names a policy's alarms",
        ),
        Statement(
            "LinkScalingRole",
            # For the account's first target only.
            ["iam:CreateServiceLinkedRole"],
            [
                f"arn:{Aws.PARTITION}:iam::{Aws.ACCOUNT_ID}:role/aws-service-role/{linked}",
            ],
            conditions={"StringEquals": {"iam:AWSServiceName": SCALING_SERVICE}},
        ),
    ]
