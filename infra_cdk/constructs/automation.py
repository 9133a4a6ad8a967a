"""When features are made without being asked for: by the clock, and when an import has arrived."""

from __future__ import annotations

from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sns as sns
from aws_cdk.aws_s3 import CfnBucket
from constructs import Construct

from infra_cdk.config import StageConfig
from infra_cdk.constructs.etl import FeaturesJob
from infra_cdk.constructs.lake import IMPORTS_PREFIX, Lake
from infra_cdk.constructs.machines import (
    records_failures,
    runs_glue_job,
    started,
    starter_role,
    state_machine,
)
from infra_cdk.constructs.permissions import NEW_KEYS, Statement, service_role


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
                runs_glue_job("RunFeatures", features.job.ref),
                *records_failures(config, "features", lake),
                Statement("Notify", ["sns:Publish"], [topic.topic_arn]),
            ],
        )
        self.machine = state_machine(
            self,
            config,
            "features",
            role=role,
            substitutions={
                "FeaturesJob": features.name,
                "ArtefactBucket": lake.artefacts.bucket_name,
                "AlertTopic": topic.topic_arn,
            },
        )
        starter = starter_role(
            self, config, "features", "The rules start the features workflow", self.machine
        )
        self._rule(
            config,
            "schedule",
            "What is new, by the clock",
            starter,
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
            starter,
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
            targets=[started(self.machine, role)],
        )
