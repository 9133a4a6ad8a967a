"""The DynamoDB tables: the devices' state and the detections."""

from __future__ import annotations

from aws_cdk import RemovalPolicy
from aws_cdk import aws_dynamodb as dynamodb
from constructs import Construct

from infra_cdk.config import StageConfig


class Tables(Construct):
    """State (per function and device, and the active model) and detections (one an episode)."""

    def __init__(self, scope: Construct, construct_id: str, config: StageConfig) -> None:
        super().__init__(scope, construct_id)
        self.state = self._table(config, "State", "device-state", "pk")
        self.detections = self._table(config, "Detections", "detections", "detection_id")

    def _table(self, config: StageConfig, construct_id: str, name: str, key: str) -> dynamodb.Table:
        return dynamodb.Table(
            self,
            construct_id,
            table_name=f"{config.prefix}-{name}",
            partition_key=dynamodb.Attribute(name=key, type=dynamodb.AttributeType.STRING),
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            removal_policy=RemovalPolicy.RETAIN,
        )
