"""The nightly workflow: the day before, by the clock, from readings to features and scores."""

from __future__ import annotations

import json

from aws_cdk import CfnParameter, Duration, RemovalPolicy
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_sns as sns
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra_cdk.config import NIGHTLY_LIMITS, StageConfig
from infra_cdk.constructs import arns
from infra_cdk.constructs.assets import REPOSITORY
from infra_cdk.constructs.etl import FeaturesJob
from infra_cdk.constructs.lake import QUALITY_PREFIX, Lake
from infra_cdk.constructs.parameters import keep_name
from infra_cdk.constructs.permissions import NEW_KEYS, NEW_NAMES, Statement, service_role

DEFINITION = REPOSITORY / "pipeline" / "workflow" / "nightly.asl.json"
SYNC_RULE = "StepFunctionsGetEventsForStepFunctionsExecutionRule"
"""Step Functions Developer Guide, "IAM policies for AWS Step Functions"."""


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
        self.machine = sfn.StateMachine(
            self,
            "Machine",
            state_machine_name=f"{config.prefix}-nightly",
            state_machine_type=sfn.StateMachineType.STANDARD,
            role=role,
            definition_body=sfn.DefinitionBody.from_string(
                json.dumps(json.loads(DEFINITION.read_text()), separators=(",", ":"))
            ),
            definition_substitutions={
                "FeaturesJob": features.name,
                "ProcessedBucket": lake.processed.bucket_name,
                "MaxMalformedShare": str(NIGHTLY_LIMITS["malformed"]),
                "MaxLateShare": str(NIGHTLY_LIMITS["late"]),
                "Scoring": scoring.value_as_string,
                "BatchWorkflow": batch.state_machine_arn,
                "AlertTopic": topic.topic_arn,
            },
            removal_policy=RemovalPolicy.DESTROY,
        )
        self._schedule(config)

    def _schedule(self, config: StageConfig) -> None:
        schedule = CfnParameter(
            self,
            "NightlySchedule",
            type="String",
            default=config.nightly_schedule,
            description="When the day before is worked on: an expression of EventBridge, UTC",
        )
        state = CfnParameter(
            self,
            "NightlyState",
            type="String",
            default="ENABLED" if config.nightly_on_schedule else "DISABLED",
            allowed_values=["ENABLED", "DISABLED"],
            description="Whether that schedule is on",
        )
        keep_name(schedule, state)
        starter = service_role(
            self,
            "StarterRole",
            name=f"{config.prefix}-nightly-starter",
            service="events.amazonaws.com",
            description="The rule starts the nightly workflow",
            statements=[
                Statement("Start", ["states:StartExecution"], [self.machine.state_machine_arn])
            ],
        )
        rule = events.Rule(
            self,
            "Schedule",
            rule_name=f"{config.prefix}-nightly-schedule",
            description="The day before, by the clock",
            schedule=events.Schedule.expression(schedule.value_as_string),
            targets=[
                targets.SfnStateMachine(
                    self.machine,
                    role=starter.without_policy_updates(),
                    max_event_age=Duration.hours(1),
                    retry_attempts=3,
                )
            ],
        )
        resource = rule.node.default_child
        assert isinstance(resource, events.CfnRule)
        resource.state = state.value_as_string


def _statements(
    config: StageConfig,
    lake: Lake,
    features: FeaturesJob,
    batch: sfn.StateMachine,
    topic: sns.Topic,
) -> list[Statement]:
    """Return what the states call; the last of each job's actions are how `.sync` waits."""
    return [
        Statement(
            "FindOthers",
            ["states:ListExecutions"],
            [arns.regional("states", f"stateMachine:{config.prefix}-nightly")],
        ),
        Statement(
            "RunFeatures",
            ["glue:StartJobRun", "glue:GetJobRun", "glue:GetJobRuns", "glue:BatchStopJobRun"],
            [arns.regional("glue", f"job/{features.job.ref}")],
        ),
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
        Statement(
            "HearOfTheEnd",
            ["events:PutTargets", "events:PutRule", "events:DescribeRule"],
            [arns.regional("events", f"rule/{SYNC_RULE}")],
        ),
        Statement("Notify", ["sns:Publish"], [topic.topic_arn]),
    ]
