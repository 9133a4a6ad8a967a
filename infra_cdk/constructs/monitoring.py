"""Monitoring of the endpoint's model: by the clock, a job; on drift that lasts, a new training."""

from __future__ import annotations

from aws_cdk import CfnParameter
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sns as sns
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra_cdk.config import METRIC_NAMESPACE, StageConfig
from infra_cdk.constructs import arns
from infra_cdk.constructs.assets import PipelineAssets
from infra_cdk.constructs.lake import CAPTURE_PREFIX, FEATURES_PREFIX, MODELS_PREFIX, Lake
from infra_cdk.constructs.machines import (
    finds_others,
    hears_of_the_end,
    passes_role,
    records_failures,
    runs_sagemaker_job,
    schedule_by_parameters,
    started,
    starter_role,
    state_machine,
)
from infra_cdk.constructs.parameters import keep_name
from infra_cdk.constructs.permissions import NEW_KEYS, NEW_NAMES, Statement, service_role
from infra_cdk.constructs.training import container_statements, lists_inputs

MONITORING_PREFIX = "monitoring/*"
EVENT_SOURCE = "fleetwin.monitoring"
EVENT_TYPE = "Model Drift"
DEFAULT_BUS = "event-bus/default"


class Monitoring(Construct):
    """A state machine around the monitoring job, its schedule, and what drift starts.

    Schedule, its state and lengths of time are parameters of the stack: `MonitoringSchedule`,
    `MonitoringState`, `MonitoringEveryS`, `MonitoringWindowS`, `MonitoringMarginS`, `RetrainingS`.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        config: StageConfig,
        *,
        assets: PipelineAssets,
        lake: Lake,
        topic: sns.Topic,
        training: sfn.StateMachine,
    ) -> None:
        super().__init__(scope, construct_id)
        job_role = self._job_role(config, assets, lake)
        self.machine = state_machine(
            self,
            config,
            "monitoring",
            role=self._machine_role(config, lake, job_role, topic),
            substitutions={
                "Prefix": config.prefix,
                "EndpointName": config.endpoint_name,
                "Image": assets.image.image_uri,
                "MonitoringRole": job_role.role_arn,
                "MonitoringInstance": config.training_instance,
                "ProcessedBucket": lake.processed.bucket_name,
                "ArtefactBucket": lake.artefacts.bucket_name,
                "AlertTopic": topic.topic_arn,
                "MetricNamespace": METRIC_NAMESPACE,
                "WindowS": self._number("MonitoringWindowS", 3600, "Length of a window"),
                "HealthyMarginS": self._number(
                    "MonitoringMarginS", 1800, "Around an alarm, not judged for drift"
                ),
                "EveryS": self._number(
                    "MonitoringEveryS", 3600, "Between two judgements, as the schedule has it"
                ),
                "RetrainingS": self._number(
                    "RetrainingS", 86_400, "Drift that lasts so long is trained on"
                ),
            },
        )
        starter = starter_role(
            self,
            config,
            "monitoring",
            "A rule starts the workflow: monitoring",
            self.machine,
            "MonitoringStarterRole",
        )
        schedule_by_parameters(
            self,
            config,
            "monitoring",
            expression=config.monitoring_schedule,
            about="When the endpoint's traffic is judged",
            is_on=config.monitoring_on_schedule,
            description="The window that is over, by the clock",
            target=started(self.machine, starter),
        )
        self._retraining(config, training)

    def _job_role(self, config: StageConfig, assets: PipelineAssets, lake: Lake) -> iam.Role:
        files = lake.artefacts.arn_for_objects(MONITORING_PREFIX)
        return service_role(
            self,
            "JobRole",
            name=f"{config.prefix}-monitoring-job",
            service="sagemaker.amazonaws.com",
            description="Monitoring jobs compare captured traffic with a model's training rows",
            statements=[
                Statement(
                    "ReadModelsAndRows",
                    ["s3:GetObject"],
                    [
                        lake.artefacts.arn_for_objects(MODELS_PREFIX),
                        lake.processed.arn_for_objects(FEATURES_PREFIX),
                        lake.processed.arn_for_objects(CAPTURE_PREFIX),
                    ],
                    NEW_KEYS,
                ),
                Statement(
                    "KeepResults",
                    ["s3:GetObject", "s3:PutObject"],
                    [files],
                    NEW_KEYS,
                ),
                lists_inputs(lake),
                Statement(
                    "PutMetrics",
                    ["cloudwatch:PutMetricData"],
                    ["*"],
                    "The action knows no resource; the condition names the namespace",
                    {"StringEquals": {"cloudwatch:namespace": METRIC_NAMESPACE}},
                ),
                Statement(
                    "TellOfDrift", ["events:PutEvents"], [arns.regional("events", DEFAULT_BUS)]
                ),
                *container_statements(assets, "/aws/sagemaker/ProcessingJobs"),
            ],
        )

    def _machine_role(
        self, config: StageConfig, lake: Lake, job_role: iam.Role, topic: sns.Topic
    ) -> iam.Role:
        """Return the role with what the states call."""
        return service_role(
            self,
            "Role",
            name=f"{config.prefix}-monitoring",
            service="states.amazonaws.com",
            description="The workflow finds the endpoint's model and runs monitoring jobs",
            statements=[
                finds_others(config, "monitoring"),
                Statement(
                    "FindEndpoint",
                    ["sagemaker:DescribeEndpoint"],
                    [arns.sagemaker(f"endpoint/{config.endpoint_name}")],
                ),
                Statement(
                    "FindModel",
                    ["sagemaker:DescribeModel"],
                    [arns.sagemaker(f"model/{config.endpoint_name}-*")],
                    NEW_NAMES,
                ),
                Statement("FindBaseline", ["s3:ListBucket"], [lake.artefacts.bucket_arn]),
                runs_sagemaker_job(
                    "RunJobs",
                    "Processing",
                    [
                        arns.sagemaker(f"processing-job/{config.prefix}-{kind}-*")
                        for kind in ("baseline", "monitor")
                    ],
                    NEW_NAMES,
                ),
                hears_of_the_end("SageMakerProcessingJobs"),
                passes_role("PassJobRole", job_role),
                *records_failures(config, "monitoring", lake),
                Statement("Notify", ["sns:Publish"], [topic.topic_arn]),
            ],
        )

    def _retraining(self, config: StageConfig, training: sfn.StateMachine) -> None:
        starter = starter_role(
            self,
            config,
            "retraining",
            "A rule starts the workflow: retraining",
            training,
            "RetrainingStarterRole",
        )
        events.Rule(
            self,
            "Retraining",
            rule_name=f"{config.prefix}-retraining",
            description="Drift that has lasted long enough to train on",
            event_pattern=events.EventPattern(
                source=[EVENT_SOURCE],
                detail_type=[EVENT_TYPE],
                detail={"endpoint": [config.endpoint_name], "retrain": [True]},
            ),
            targets=[
                started(
                    training, starter, events.RuleTargetInput.from_event_path("$.detail.training")
                )
            ],
        )

    def _number(self, name: str, default: int, description: str) -> str:
        made = CfnParameter(
            self,
            name,
            type="Number",
            default=default,
            min_value=1,
            description=f"{description}, in seconds",
        )
        keep_name(made)
        # As text: the job's environment has nothing else.
        return made.value_as_string
