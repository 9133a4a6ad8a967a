"""The way in: the Kinesis stream and the topic rules that feed it."""

from __future__ import annotations

from aws_cdk import Acknowledgment, CfnParameter, Duration, RemovalPolicy, Validations
from aws_cdk import aws_iot as iot
from aws_cdk import aws_kinesis as kinesis
from constructs import Construct

from infra_cdk.config import RULE_SQL_VERSION, StageConfig
from infra_cdk.constructs.key import stage_key
from infra_cdk.constructs.lake import IOT_DEAD_LETTERS, Lake
from infra_cdk.constructs.parameters import keep_name
from infra_cdk.constructs.permissions import NEW_KEYS, Statement, service_role

KINDS = ("telemetry", "burst")


class Stream(Construct):
    """Topic rules put what devices publish on the stream, in order for each device.

    `MappingWindowS` of the stack is how long a function's batch waits for more records: what one
    reading costs falls with it, and detections come later by as much.
    """

    def __init__(
        self, scope: Construct, construct_id: str, config: StageConfig, lake: Lake
    ) -> None:
        super().__init__(scope, construct_id)
        key = stage_key(self, config)
        self.stream = kinesis.Stream(
            self,
            "Stream",
            stream_name=f"{config.prefix}-telemetry",
            stream_mode=kinesis.StreamMode.PROVISIONED,
            shard_count=config.stream_shards,
            retention_period=Duration.hours(config.stream_retention_hours),
            # Without a key of the stage, the one that AWS manages for Kinesis: its policy admits
            # whoever may use the stream, so the roles need no statement of their own for it.
            encryption=kinesis.StreamEncryption.KMS if key else kinesis.StreamEncryption.MANAGED,
            encryption_key=key.key if key else None,
            removal_policy=RemovalPolicy.DESTROY,
        )
        if key is not None:
            key.covered.append(("kinesis", self.stream.stream_arn))
            Validations.of(self.stream).acknowledge(
                Acknowledgment(
                    id="AwsSolutions::AwsSolutions-KDS3",
                    reason="Who may read is up to the key of the stage, as of the lake",
                )
            )
        self.rule_role = service_role(
            self,
            "RuleRole",
            name=f"{config.prefix}-topic-rule",
            service="iot.amazonaws.com",
            description="Topic rules put messages on the stream, and into S3 where that fails",
            statements=[
                Statement("PutOnStream", ["kinesis:PutRecord"], [self.stream.stream_arn]),
                Statement(
                    "KeepFailedMessages",
                    ["s3:PutObject"],
                    [lake.raw.arn_for_objects(IOT_DEAD_LETTERS)],
                    NEW_KEYS,
                ),
            ],
        )
        window = CfnParameter(
            self,
            "MappingWindowS",
            type="Number",
            default=config.mapping_window_s,
            min_value=0,
            max_value=300,
            description="How long a batch of readings waits for more, in seconds",
        )
        keep_name(window)
        self.window_s = window.value_as_number
        for kind in KINDS:
            self._rule(config, kind, lake)

    def _rule(self, config: StageConfig, kind: str, lake: Lake) -> iot.CfnTopicRule:
        return iot.CfnTopicRule(
            self,
            f"{kind.capitalize()}Rule",
            rule_name=f"{config.underscored}_{kind}",
            topic_rule_payload=iot.CfnTopicRule.TopicRulePayloadProperty(
                sql=f"SELECT * FROM 'fleet/+/{kind}'",
                aws_iot_sql_version=RULE_SQL_VERSION,
                description=f"{kind} of all devices to the stream, in order for each device",
                rule_disabled=False,
                actions=[
                    iot.CfnTopicRule.ActionProperty(
                        kinesis=iot.CfnTopicRule.KinesisActionProperty(
                            stream_name=self.stream.stream_name,
                            partition_key="${topic(2)}",
                            role_arn=self.rule_role.role_arn,
                        )
                    )
                ],
                error_action=iot.CfnTopicRule.ActionProperty(
                    s3=iot.CfnTopicRule.S3ActionProperty(
                        bucket_name=lake.raw.bucket_name,
                        key="dead-letter/iot/${topic(2)}/${timestamp()}-${newuuid()}.json",
                        role_arn=self.rule_role.role_arn,
                    )
                ),
            ),
        )
