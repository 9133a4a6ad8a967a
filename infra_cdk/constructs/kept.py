"""What is put aside because it could not go on, counted as it arrives in the raw bucket.

S3 has no metric of what lies under a prefix. So its event of a new object leads, by a rule, to a
queue, and the alarm `records-kept` is on as long as there is a message in it. `replay-dead-letters`
brings the objects back; the queue is emptied by whoever has looked at them.
"""

from __future__ import annotations

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra_cdk.config import StageConfig
from infra_cdk.constructs.alerting import only_encrypted
from infra_cdk.constructs.lake import IOT_DEAD_LETTERS, MAPPING_FAILURES, Lake


class KeptRecords(Construct):
    """A queue of the objects that topic rules and event source mappings have put aside."""

    def __init__(
        self, scope: Construct, construct_id: str, config: StageConfig, *, lake: Lake
    ) -> None:
        super().__init__(scope, construct_id)
        self.queue = sqs.Queue(
            self,
            "Queue",
            queue_name=f"{config.prefix}-records-kept",
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            # The longest there is; the objects stay for 90 days.
            retention_period=Duration.days(14),
            removal_policy=RemovalPolicy.DESTROY,
        )
        rule = events.CfnRule(
            self,
            "Rule",
            name=f"{config.prefix}-records-kept",
            description="Objects of messages and batches that were given up",
            event_pattern={
                "source": ["aws.s3"],
                "detail-type": ["Object Created"],
                "detail": {
                    "bucket": {"name": [lake.raw.bucket_name]},
                    "object": {
                        "key": [
                            {"prefix": prefix.removesuffix("*")}
                            for prefix in (IOT_DEAD_LETTERS, MAPPING_FAILURES)
                        ]
                    },
                },
            },
            targets=[
                events.CfnRule.TargetProperty(
                    id="kept",
                    arn=self.queue.queue_arn,
                    # Which object, and nothing else of the event.
                    input_path="$.detail.object",
                )
            ],
        )
        policy = sqs.QueuePolicy(self, "Policy", queues=[self.queue])
        policy.document.add_statements(
            iam.PolicyStatement(
                sid="RuleDelivers",
                principals=[iam.ServicePrincipal("events.amazonaws.com")],
                actions=["sqs:SendMessage"],
                resources=[self.queue.queue_arn],
                conditions={"ArnEquals": {"aws:SourceArn": rule.attr_arn}},
            ),
            only_encrypted("sqs:*", self.queue.queue_arn),
        )
