"""When features are made without being asked for: by the clock, and when an import has arrived."""

from __future__ import annotations

import json

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sns as sns
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk.aws_s3 import CfnBucket
from constructs import Construct

from infra_cdk.config import StageConfig
from infra_cdk.constructs import arns
from infra_cdk.constructs.assets import REPOSITORY
from infra_cdk.constructs.etl import FeaturesJob
from infra_cdk.constructs.lake import IMPORTS_PREFIX, Lake
from infra_cdk.constructs.permissions import NEW_KEYS, Statement, service_role

DEFINITION = REPOSITORY / "pipeline" / "workflow" / "features.asl.json"


class Automation(Construct):
    """A state machine around the features job, and the two rules that start it."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        config: StageConfig,
        *,
        lake: Lake,
        features: FeaturesJob,
        topic: sns.Topic,
    ) -> None:
        super().__init__(scope, construct_id)
        imports = lake.raw.arn_for_objects(IMPORTS_PREFIX)
        role = service_role(
            self,
            "Role",
            name=f"{config.prefix}-features",
            service="states.amazonaws.com",
            description="The workflow reads what an import says and runs the features job",
            statements=[
                Statement("ReadManifest", ["s3:GetObject"], [imports], NEW_KEYS),
                Statement(
                    "RunFeatures",
                    # The last three are how `.sync` waits, and how a time-out stops the run.
                    [
                        "glue:StartJobRun",
                        "glue:GetJobRun",
                        "glue:GetJobRuns",
                        "glue:BatchStopJobRun",
                    ],
                    [arns.regional("glue", f"job/{features.job.ref}")],
                ),
                Statement("Notify", ["sns:Publish"], [topic.topic_arn]),
            ],
        )
        self.machine = sfn.StateMachine(
            self,
            "Machine",
            state_machine_name=f"{config.prefix}-features",
            state_machine_type=sfn.StateMachineType.STANDARD,
            role=role,
            definition_body=sfn.DefinitionBody.from_string(
                json.dumps(json.loads(DEFINITION.read_text()), separators=(",", ":"))
            ),
            definition_substitutions={
                "FeaturesJob": features.name,
                "AlertTopic": topic.topic_arn,
            },
            removal_policy=RemovalPolicy.DESTROY,
        )
        starter = service_role(
            self,
            "StarterRole",
            name=f"{config.prefix}-features-starter",
            service="events.amazonaws.com",
            description="The rules start the features workflow",
            statements=[
                Statement("Start", ["states:StartExecution"], [self.machine.state_machine_arn])
            ],
        )
        self._rule(
            config,
            "schedule",
            "What is new, by the clock",
            starter.without_policy_updates(),
            enabled=config.features_on_schedule,
            schedule=events.Schedule.expression(config.features_schedule),
        )
        bucket = lake.raw.node.default_child
        assert isinstance(bucket, CfnBucket)
        # The construct's own switch would deploy a function that sets this property.
        bucket.add_property_override(
            "NotificationConfiguration", {"EventBridgeConfiguration": {"EventBridgeEnabled": True}}
        )
        self._rule(
            config,
            "arrival",
            "The hours that an import has brought",
            starter.without_policy_updates(),
            enabled=True,
            event_pattern=events.EventPattern(
                source=["aws.s3"],
                detail_type=["Object Created"],
                detail={
                    "bucket": {"name": [lake.raw.bucket_name]},
                    "object": {"key": [{"wildcard": f"{IMPORTS_PREFIX}/manifest.json"}]},
                },
            ),
        )

    def _rule(
        self,
        config: StageConfig,
        name: str,
        description: str,
        role: iam.IRole,
        *,
        enabled: bool,
        schedule: events.Schedule | None = None,
        event_pattern: events.EventPattern | None = None,
    ) -> None:
        events.Rule(
            self,
            name.capitalize(),
            rule_name=f"{config.prefix}-features-{name}",
            description=description,
            enabled=enabled,
            schedule=schedule,
            event_pattern=event_pattern,
            targets=[
                targets.SfnStateMachine(
                    self.machine, role=role, max_event_age=Duration.hours(1), retry_attempts=3
                )
            ],
        )
