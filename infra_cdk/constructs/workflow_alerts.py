"""What tells of executions that did not tell of themselves: out of time, stopped, failed unheard.

A workflow's own NotifyFailure has the rest: it ends with a cause that begins with `TOLD`.
"""

from __future__ import annotations

from typing import Any

from aws_cdk import aws_events as events
from aws_cdk import aws_sns as sns
from constructs import Construct

from infra_cdk.config import StageConfig
from infra_cdk.constructs import arns
from infra_cdk.constructs.permissions import Statement, service_role

TOLD = "Alerted: "
"""How the cause of an execution begins whose NotifyFailure has published (the state `Failed`)."""

_LINK = (
    '"link": "https://<region>.console.aws.amazon.com/states/home?region=<region>'
    '#/v2/executions/details/<execution>"}'
)
ENDED = (
    '{"kind": "workflow_ended", "status": <status>, "workflow": <workflow>, "execution": <name>, '
    + _LINK
)
"""The alert of one that ran no state any more, with the execution's page in the console."""
FAILED = (
    '{"kind": "workflow_failed", "workflow": <workflow>, "execution": <name>, "error": <error>, '
    '"cause": <cause>, ' + _LINK
)
"""The alert of one that no Catch saw: like those of NotifyFailure, but the state is not known."""

_PATHS = {
    "workflow": "$.detail.stateMachineArn",
    "name": "$.detail.name",
    "execution": "$.detail.executionArn",
    "region": "$.region",
}


class WorkflowAlerts(Construct):
    """Two rules for all state machines of a stage."""

    def __init__(
        self, scope: Construct, construct_id: str, config: StageConfig, *, topic: sns.Topic
    ) -> None:
        super().__init__(scope, construct_id)
        self._config, self._topic = config, topic
        # As a role of its own: a topic policy could not say of which account the rule is.
        self._role = service_role(
            self,
            "Role",
            name=f"{config.prefix}-workflow-alerts",
            service="events.amazonaws.com",
            description="Alerts of executions that could not alert themselves",
            statements=[Statement("Alert", ["sns:Publish"], [topic.topic_arn])],
        )
        self._rule(
            "Rule",
            "workflow-ended",
            "Executions that timed out or were stopped",
            {"status": ["TIMED_OUT", "ABORTED"]},
            ENDED,
            {"status": "$.detail.status"},
        )
        self._rule(
            "FailedRule",
            "workflow-failed",
            "Executions that failed where no Catch saw it, or could not publish that they failed",
            {"status": ["FAILED"], "cause": [{"anything-but": {"prefix": TOLD}}]},
            FAILED,
            {"error": "$.detail.error", "cause": "$.detail.cause"},
        )

    def _rule(
        self,
        construct_id: str,
        name: str,
        description: str,
        detail: dict[str, Any],
        template: str,
        paths: dict[str, str],
    ) -> None:
        machines = arns.regional("states", f"stateMachine:{self._config.prefix}-")
        events.CfnRule(
            self,
            construct_id,
            name=f"{self._config.prefix}-{name}",
            description=description,
            event_pattern={
                "source": ["aws.states"],
                "detail-type": ["Step Functions Execution Status Change"],
                "detail": {**detail, "stateMachineArn": [{"prefix": machines}]},
            },
            targets=[
                events.CfnRule.TargetProperty(
                    id="alerts",
                    arn=self._topic.topic_arn,
                    role_arn=self._role.role_arn,
                    input_transformer=events.CfnRule.InputTransformerProperty(
                        input_paths_map={**paths, **_PATHS}, input_template=template
                    ),
                )
            ],
        )
