"""A CDK app that has nothing to do with pumps: cold rooms that tell when they get warm.

It stands for an app of your own. `python app.py FOLDER` synthesizes it (needs aws-cdk-lib and
Node); what it wrote last is in `synthesized/`, so that the twin can boot it without either:

    fleetwin assembly examples/cold-store/synthesized
    fleetwin up --assembly examples/cold-store/synthesized
"""

from __future__ import annotations

import sys
from pathlib import Path

from aws_cdk import App, DefaultStackSynthesizer, RemovalPolicy, Stack
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_iot as iot
from aws_cdk import aws_kinesis as kinesis
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_event_sources as sources
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from aws_cdk.aws_sns_subscriptions import SqsSubscription
from constructs import Construct

HERE = Path(__file__).parent


class ColdStore(Stack):
    """Rooms publish their temperature; a function counts and tells the warm ones."""

    def __init__(self, scope: Construct, construct_id: str) -> None:
        super().__init__(
            scope,
            construct_id,
            synthesizer=DefaultStackSynthesizer(generate_bootstrap_version_rule=False),
            analytics_reporting=False,
        )
        rooms = dynamodb.Table(
            self,
            "Rooms",
            partition_key=dynamodb.Attribute(name="room", type=dynamodb.AttributeType.STRING),
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            removal_policy=RemovalPolicy.DESTROY,
        )
        warm = sns.Topic(self, "Warm")
        warm.add_subscription(SqsSubscription(sqs.Queue(self, "Inbox"), raw_message_delivery=True))
        stream = kinesis.Stream(self, "Temperatures", shard_count=1)
        watch = lambda_.Function(
            self,
            "DoorWatch",
            runtime=lambda_.Runtime.PYTHON_3_11,
            handler="door_watch.handler",
            code=lambda_.Code.from_asset(str(HERE / "handler")),
            environment={
                "LIMIT_C": "-15",
                "ROOMS": rooms.table_name,
                "TOPIC": warm.topic_arn,
            },
            log_group=logs.LogGroup(self, "Log", retention=logs.RetentionDays.ONE_WEEK),
        )
        rooms.grant_read_write_data(watch)
        warm.grant_publish(watch)
        watch.add_event_source(
            sources.KinesisEventSource(
                stream,
                starting_position=lambda_.StartingPosition.TRIM_HORIZON,
                batch_size=100,
                report_batch_item_failures=True,
            )
        )
        rule_role = iam.Role(self, "RuleRole", assumed_by=iam.ServicePrincipal("iot.amazonaws.com"))
        stream.grant_write(rule_role)
        iot.CfnTopicRule(
            self,
            "Rule",
            rule_name="cold_rooms",
            topic_rule_payload=iot.CfnTopicRule.TopicRulePayloadProperty(
                sql="SELECT topic(2) AS room, celsius FROM 'store/+/temperature'",
                aws_iot_sql_version="2016-03-23",
                actions=[
                    iot.CfnTopicRule.ActionProperty(
                        kinesis=iot.CfnTopicRule.KinesisActionProperty(
                            stream_name=stream.stream_name,
                            role_arn=rule_role.role_arn,
                            partition_key="${topic(2)}",
                        )
                    )
                ],
            ),
        )


if __name__ == "__main__":
    folder = sys.argv[1] if len(sys.argv) > 1 else str(HERE / "synthesized")
    app = App(outdir=folder)
    ColdStore(app, "ColdStore")
    app.synth()
