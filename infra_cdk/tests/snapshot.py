"""The committed templates, as the tests look at them: no CDK is needed.

Where no stage is named, dev is meant.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from infra_cdk.config import STAGES, StageConfig

SNAPSHOTS = Path(__file__).parents[1] / "snapshots"
Body = Mapping[str, Any]
ACCOUNT_LOGS = {f"/aws/sagemaker/{kind}Jobs" for kind in ("Training", "Processing", "Transform")}
"""Log groups of which an account has one each, whatever its stages."""

LOG_DELIVERY = {
    *(f"logs:{verb}LogDelivery" for verb in ("Create", "Get", "Update", "Delete")),
    "logs:ListLogDeliveries",
    "logs:PutResourcePolicy",
    "logs:DescribeResourcePolicies",
    "logs:DescribeLogGroups",
}
"""What a state machine that logs may do besides what its states call."""


@cache
def template(stage: str = "dev") -> Body:
    """Return the template of a stage."""
    config: StageConfig = STAGES[stage]
    folder = SNAPSHOTS if stage == "dev" else SNAPSHOTS.with_name(f"snapshots-{stage}")
    parsed: Body = json.loads((folder / f"{config.stack_name}.template.json").read_text())
    return parsed


def resources(kind: str, stage: str = "dev") -> dict[str, Body]:
    """Return the properties of all resources of a type, by logical id."""
    return {
        logical_id: body.get("Properties", {})
        for logical_id, body in template(stage)["Resources"].items()
        if body["Type"] == kind
    }


def of_each_stage(kind: str) -> list[tuple[str, str]]:
    """Return (stage, logical id) of every resource of a type."""
    return [(stage, logical_id) for stage in STAGES for logical_id in resources(kind, stage)]


def role_statements(role_name: str) -> dict[str, Body]:
    """Return a role's statements by Sid."""
    for role in resources("AWS::IAM::Role").values():
        if role["RoleName"] == role_name:
            return {statement["Sid"]: statement for statement in _statements(role)}
    raise KeyError(role_name)


def all_role_statements(stage: str = "dev") -> Iterator[tuple[str, Body]]:
    """Yield (role name, statement) of every role."""
    for role in resources("AWS::IAM::Role", stage).values():
        for statement in _statements(role):
            yield role["RoleName"], statement


def listed(value: Any) -> list[Any]:
    """Return what a policy may write as one item or as a list of them."""
    return value if isinstance(value, list) else [value]


def text_of(value: Any) -> str:
    """Return a value of the template as text, with ``<name>`` for what it refers to."""
    if isinstance(value, str):
        return value
    ((function, argument),) = value.items()
    if function == "Fn::Join":
        return "".join(text_of(part) for part in argument[1])
    if function == "Fn::Sub":
        return str(argument).replace("${", "<").replace("}", ">")
    return f"<{argument if isinstance(argument, str) else '.'.join(argument)}>"


def _statements(role: Body) -> Iterator[Body]:
    for policy in role["Policies"]:
        yield from policy["PolicyDocument"]["Statement"]


def sagemaker_job(kind: str, *, passes_role: bool = True) -> set[str]:
    """Return what `.sync` needs for one kind of SageMaker's jobs.

    Source: Step Functions Developer Guide, "How Step Functions generates IAM policies for
    integrated services".
    """
    of_jobs = {f"sagemaker:{verb}{kind}Job" for verb in ("Create", "Describe", "Stop")}
    of_rules = {"events:PutTargets", "events:PutRule", "events:DescribeRule"}
    passed = {"iam:PassRole"} if passes_role else set()
    return {*of_jobs, "sagemaker:ListTags", "sagemaker:AddTags", *of_rules, *passed}
