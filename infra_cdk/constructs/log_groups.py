"""Log groups with a retention: what AWS makes by itself keeps its lines for ever.

Those of Glue and of the endpoint have the stage in their names. SageMaker writes what all training,
processing and transform jobs of an account print into one group each, of a name that nobody
chooses: a stack may own them only where no other does and they are not there yet, so they are left
out unless the parameter `AccountLogs` is `true`.
"""

from __future__ import annotations

from aws_cdk import CfnCondition, CfnParameter, Fn, RemovalPolicy
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra_cdk.config import StageConfig
from infra_cdk.constructs.parameters import keep_name

OF_ACCOUNT = ("TrainingJobs", "ProcessingJobs", "TransformJobs")
_DAYS = {7: "ONE_WEEK", 14: "TWO_WEEKS", 30: "ONE_MONTH", 90: "THREE_MONTHS", 365: "ONE_YEAR"}


def glue_log_prefix(config: StageConfig) -> str:
    """Return what a stage's Glue jobs put before `/output` and `/error`."""
    return f"/aws-glue/{config.prefix}"


def log_group(
    scope: Construct,
    construct_id: str,
    config: StageConfig,
    name: str,
    removal_policy: RemovalPolicy = RemovalPolicy.DESTROY,
) -> logs.LogGroup:
    """Return a group that keeps its lines as long as the stage says."""
    return logs.LogGroup(
        scope,
        construct_id,
        log_group_name=name,
        retention=logs.RetentionDays[_DAYS[config.log_retention_days]],
        removal_policy=removal_policy,
    )


class JobLogs(Construct):
    """The groups of jobs and of the endpoint; those of functions are beside them."""

    def __init__(self, scope: Construct, construct_id: str, config: StageConfig) -> None:
        super().__init__(scope, construct_id)
        for kind in ("output", "error"):
            name = f"{glue_log_prefix(config)}/{kind}"
            log_group(self, f"Glue{kind.capitalize()}", config, name)
        log_group(self, "Endpoint", config, f"/aws/sagemaker/Endpoints/{config.endpoint_name}")
        owned = CfnParameter(
            self,
            "AccountLogs",
            type="String",
            default="false",
            allowed_values=["true", "false"],
            description="Whether this stack owns the log groups of all SageMaker jobs here",
        )
        keep_name(owned)
        condition = CfnCondition(
            self, "OwnsAccountLogs", expression=Fn.condition_equals(owned.value_as_string, "true")
        )
        for kind in OF_ACCOUNT:
            # Retained: what other jobs of the account have printed is not this stack's to delete.
            group = log_group(self, kind, config, f"/aws/sagemaker/{kind}", RemovalPolicy.RETAIN)
            resource = group.node.default_child
            assert isinstance(resource, logs.CfnLogGroup)
            resource.cfn_options.condition = condition
