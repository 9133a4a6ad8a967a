"""Where alerts go: the topic and the inbox that keeps them for reading."""

from __future__ import annotations

from aws_cdk import Aws, Duration, RemovalPolicy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra_cdk.config import StageConfig


class Alerting(Construct):
    """One topic for alerts of the pipeline and for alarms, with a queue subscribed to it."""

    def __init__(self, scope: Construct, construct_id: str, config: StageConfig) -> None:
        super().__init__(scope, construct_id)
        self.topic = sns.Topic(
            self,
            "Topic",
            topic_name=f"{config.prefix}-alerts",
            display_name="Fleet alerts",
        )
        # A policy of our own replaces the default one, under which alarms could publish.
        policy = sns.TopicPolicy(self, "TopicPolicy", topics=[self.topic])
        policy.document.add_statements(
            iam.PolicyStatement(
                sid="AlarmsPublish",
                principals=[iam.ServicePrincipal("cloudwatch.amazonaws.com")],
                actions=["sns:Publish"],
                resources=[self.topic.topic_arn],
                conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}},
            ),
            only_encrypted("sns:Publish", self.topic.topic_arn),
        )
        self.inbox = sqs.Queue(
            self,
            "Inbox",
            queue_name=f"{config.prefix}-alert-inbox",
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            retention_period=Duration.days(14),
            removal_policy=RemovalPolicy.DESTROY,
        )
        inbox_policy = sqs.QueuePolicy(self, "InboxPolicy", queues=[self.inbox])
        inbox_policy.document.add_statements(
            iam.PolicyStatement(
                sid="TopicDelivers",
                principals=[iam.ServicePrincipal("sns.amazonaws.com")],
                actions=["sqs:SendMessage"],
                resources=[self.inbox.queue_arn],
                conditions={"ArnEquals": {"aws:SourceArn": self.topic.topic_arn}},
            ),
            only_encrypted("sqs:*", self.inbox.queue_arn),
        )
        subscription = sns.Subscription(
            self,
            "InboxSubscription",
            topic=self.topic,
            protocol=sns.SubscriptionProtocol.SQS,
            endpoint=self.inbox.queue_arn,
            raw_message_delivery=True,
        )
        # A message that arrives before the policy would be refused, and lost.
        subscription.node.add_dependency(inbox_policy)


def only_encrypted(action: str, resource: str) -> iam.PolicyStatement:
    """Return the statement of a resource policy that denies what does not come over TLS."""
    return iam.PolicyStatement(
        sid="OnlyOverTls",
        effect=iam.Effect.DENY,
        principals=[iam.AnyPrincipal()],
        actions=[action],
        resources=[resource],
        conditions={"Bool": {"aws:SecureTransport": "false"}},
    )
