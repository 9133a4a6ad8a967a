"""What tells of executions that could not tell of themselves: timed out, or stopped by somebody.

A workflow's own NotifyFailure has the rest; these two ways to end run no state.
"""

from __future__ import annotations

from aws_cdk import aws_events as events
from aws_cdk import aws_sns as sns
from constructs import Construct

from infra_cdk.config import StageConfig
from infra_cdk.constructs import arns
from infra_cdk.constructs.permissions import Statement, service_role

TEMPLATE = (
    '{"kind": "workflow_ended", "status": <status>, "workflow": <workflow>, "execution": <name>, '
    '"link": "https://<region>.console.aws.amazon.com/states/home?region=<region>'
    '#/v2/executions/details/<execution>"}'
)
"""The alert: like those of NotifyFailure, with the execution's page in the console."""


class WorkflowAlerts(Construct):
    """One rule for all state machines of a stage."""

    def __init__(
        self, scope: Construct, construct_id: str, config: StageConfig, *, topic: sns.Topic
    ) -> None:
        super().__init__(scope, construct_id)
        # As a role of its own: a topic policy could not say of which account the rule is.
        role = service_role(
            self,
            "Role",
            name=f"{config.prefix}-workflow-alerts",
            service="events.amazonaws.com",
            description="The rule alerts of executions that timed out or were stopped",
            statements=[Statement("Alert", ["sns:Publish"], [topic.topic_arn])],
        )
        machines = arns.regional("states", f"stateMachine:{config.prefix}-")
        events.CfnRule(
            self,
            "Rule",
            name=f"{config.prefix}-workflow-ended",
            description="Executions that timed out or were stopped",
            event_pattern={
                "source": ["aws.states"],
                "detail-type": ["Step Functions Execution Status Change"],
                "detail": {
                    "status": ["TIMED_OUT", "ABORTED"],
                    "stateMachineArn": [{"prefix": machines}],
                },
            },
            targets=[
                events.CfnRule.TargetProperty(
                    id="alerts",
                    arn=topic.topic_arn,
                    role_arn=role.role_arn,
                    input_transformer=events.CfnRule.InputTransformerProperty(
                        input_paths_map={
                            "status": "$.detail.status",
                            "workflow": "$.detail.stateMachineArn",
                            "name": "$.detail.name",
                            "execution": "$.detail.executionArn",
                            "region": "$.region",
                        },
                        input_template=TEMPLATE,
                    ),
                )
            ],
        )
