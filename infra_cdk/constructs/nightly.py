"""The nightly workflow: the day before, by the clock, from readings to features and scores."""

from __future__ import annotations

from aws_cdk import CfnParameter
from aws_cdk import aws_sns as sns
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra_cdk.config import NIGHTLY_LIMITS, StageConfig
from infra_cdk.constructs import arns
from infra_cdk.constructs.etl import FeaturesJob
from infra_cdk.constructs.lake import QUALITY_PREFIX, Lake
from infra_cdk.constructs.machines import (
    finds_others,
    hears_of_the_end,
    records_failures,
    runs_glue_job,
    schedule_by_parameters,
    started,
    starter_role,
    state_machine,
)
from infra_cdk.constructs.parameters import keep_name
from infra_cdk.constructs.permissions import NEW_KEYS, NEW_NAMES, Statement, service_role


class Nightly(Construct):
    """A state machine and its schedule.

    Parameters of the stack: `NightlySchedule`, `NightlyState` (off until somebody turns it on),
    and `NightlyScoring`: whether batch scoring follows, for which a model must be approved.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        config: StageConfig,
        *,
        lake: Lake,
        features: FeaturesJob,
        batch: sfn.StateMachine,
        topic: sns.Topic,
    ) -> None:
        super().__init__(scope, construct_id)
        scoring = CfnParameter(
            self,
            "NightlyScoring",
            type="String",
            default="false",
            allowed_values=["true", "false"],
            description="Whether the nightly workflow has the day scored; needs an approved model",
        )
        keep_name(scoring)
        role = service_role(
            self,
            "Role",
            name=f"{config.prefix}-nightly",
            service="states.amazonaws.com",
            description="The workflow runs the features job, reads its report and starts scoring",
            statements=_statements(config, lake, features, batch, topic),
        )
        self.machine = state_machine(
            self,
            config,
            "nightly",
            role=role,
            substitutions={
                "FeaturesJob": features.name,
                "ProcessedBucket": lake.processed.bucket_name,
                "MaxMalformedShare": str(NIGHTLY_LIMITS["malformed"]),
                "MaxLateShare": str(NIGHTLY_LIMITS["late"]),
                "Scoring": scoring.value_as_string,
                "BatchWorkflow": batch.state_machine_arn,
                "ArtefactBucket": lake.artefacts.bucket_name,
                "AlertTopic": topic.topic_arn,
            },
        )
        starter = starter_role(
            self, config, "nightly", "The rule starts the nightly workflow", self.machine
        )
        schedule_by_parameters(
            self,
            config,
            "nightly",
            expression=config.nightly_schedule,
            about="When the day before is worked on",
            is_on=config.nightly_on_schedule,
            description="The day before, by the clock",
            target=started(self.machine, starter),
        )


def _statements(
    config: StageConfig,
    lake: Lake,
    features: FeaturesJob,
    batch: sfn.StateMachine,
    topic: sns.Topic,
) -> list[Statement]:
    """Return what the states call."""
    return [
        finds_others(config, "nightly"),
        runs_glue_job("RunFeatures", features.job.ref),
        Statement(
            "ReadQuality",
            ["s3:GetObject"],
            [lake.processed.arn_for_objects(QUALITY_PREFIX)],
            NEW_KEYS,
        ),
        Statement("ScoreDay", ["states:StartExecution"], [batch.state_machine_arn]),
        Statement(
            "FollowScoring",
            ["states:DescribeExecution", "states:StopExecution"],
            [arns.regional("states", f"execution:{config.prefix}-batch:*")],
            NEW_NAMES,
        ),
        hears_of_the_end("StepFunctionsExecution"),
        *records_failures(config, "nightly", lake),
        Statement("Notify", ["sns:Publish"], [topic.topic_arn]),
    ]
