"""The rules by which `.sync` hears of an end: whether a machine's role may have them made.

On AWS, Step Functions manages one EventBridge rule a kind of job. It makes it in the name of the
machine's role when a machine that needs it is created or changed, and refuses the machine where
the role may not. The twin's clock tells an end, so that no such rule exists here; the role is
asked all the same. Used by `workflows`. Jobs that Step Functions only polls (Glue) need no rule.

Source: Step Functions Developer Guide, "How Step Functions generates IAM policies for integrated
services", and the pages of the single services; the words of the refusal are AWS's own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from simulator.cloud.asl_resources import Resource
from simulator.cloud.context import Context
from simulator.cloud.errors import AccessDenied, AwsError

STEP = "CreateStateMachine"
ACTIONS = ("events:PutTargets", "events:PutRule", "events:DescribeRule")
_KINDS = {
    ("sagemaker", "CreateTrainingJob"): "SageMakerTrainingJobs",
    ("sagemaker", "CreateTransformJob"): "SageMakerTransformJobs",
    ("sagemaker", "CreateProcessingJob"): "SageMakerProcessingJobs",
    ("sagemaker", "CreateHyperParameterTuningJob"): "SageMakerTuningJobs",
    ("stepfunctions", "StartExecution"): "StepFunctionsExecution",
}


def check(context: Context, role_arn: str, machine_arn: str, tasks: Iterable[Resource]) -> None:
    """Raise AccessDeniedException where a role may not have the rules of these tasks made."""
    needed = {_KINDS.get((each.service, each.operation)) for each in tasks if each.sync}
    kinds = sorted(kind for kind in needed if kind is not None)
    if not kinds:
        return
    try:
        principal = context.iam.principal_for_role(
            role_arn, "managed-rule", "states.amazonaws.com", {"aws:SourceArn": machine_arn}
        )
        for kind in kinds:
            rule = context.arn("events", f"rule/StepFunctionsGetEventsFor{kind}Rule")
            for action in ACTIONS:
                context.iam.authorise(replace(principal, step=STEP), action, rule)
    except AccessDenied as denied:
        text = f"'{role_arn}' is not authorized to create managed-rule."
        raise AwsError("AccessDeniedException", text) from denied
