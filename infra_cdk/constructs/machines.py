"""State machines with the definitions in ``pipeline/workflow``, and the rules that start them.

The constructs of the workflows call it; what a machine may do each of them says itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from aws_cdk import CfnParameter, Duration, RemovalPolicy
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra_cdk.config import StageConfig
from infra_cdk.constructs import arns
from infra_cdk.constructs.lake import FAILURES_PREFIX, Lake
from infra_cdk.constructs.log_groups import log_group
from infra_cdk.constructs.parameters import keep_name
from infra_cdk.constructs.permissions import Statement, service_role
from infra_cdk.contents import REPOSITORY


def state_machine(
    scope: Construct,
    config: StageConfig,
    name: str,
    *,
    role: iam.Role,
    substitutions: Mapping[str, str],
) -> sfn.StateMachine:
    """Return the standard machine of ``pipeline/workflow/NAME.asl.json``.

    Its log group has what failed, also where no state could catch it: a time-out, an end by hand.
    """
    definition = REPOSITORY / "pipeline" / "workflow" / f"{name}.asl.json"
    # Below this prefix AWS needs no line for each group in the account's one resource policy.
    group = log_group(scope, "Logs", config, f"/aws/vendedlogs/states/{config.prefix}-{name}")
    return sfn.StateMachine(
        scope,
        "Machine",
        logs=sfn.LogOptions(
            destination=group, level=sfn.LogLevel.ERROR, include_execution_data=True
        ),
        state_machine_name=f"{config.prefix}-{name}",
        state_machine_type=sfn.StateMachineType.STANDARD,
        role=role.without_policy_updates(),
        definition_body=sfn.DefinitionBody.from_string(
            json.dumps(json.loads(definition.read_text()), separators=(",", ":"))
        ),
        definition_substitutions=dict(substitutions),
        removal_policy=RemovalPolicy.DESTROY,
    )


def starter_role(
    scope: Construct,
    config: StageConfig,
    name: str,
    description: str,
    machine: sfn.StateMachine,
    construct_id: str = "StarterRole",
) -> iam.IRole:
    """Return the role with which rules of EventBridge start a machine."""
    return service_role(
        scope,
        construct_id,
        name=f"{config.prefix}-{name}-starter",
        service="events.amazonaws.com",
        description=description,
        statements=[Statement("Start", ["states:StartExecution"], [machine.state_machine_arn])],
    ).without_policy_updates()


def started(
    machine: sfn.StateMachine, role: iam.IRole, event_input: events.RuleTargetInput | None = None
) -> targets.SfnStateMachine:
    """Return a machine as the target of a rule; an event that is an hour old starts nothing."""
    return targets.SfnStateMachine(
        machine, role=role, input=event_input, max_event_age=Duration.hours(1), retry_attempts=3
    )


def schedule_by_parameters(
    scope: Construct,
    config: StageConfig,
    name: str,
    *,
    expression: str,
    about: str,
    is_on: bool,
    description: str,
    target: targets.SfnStateMachine,
) -> None:
    """Add a rule by the clock whose expression and state are parameters of the stack.

    They are ``NAMESchedule`` (`about` describes it) and ``NAMEState``, with these defaults.
    """
    title = name.capitalize()
    schedule = CfnParameter(
        scope,
        f"{title}Schedule",
        type="String",
        default=expression,
        description=f"{about}: an expression of EventBridge, UTC",
    )
    state = CfnParameter(
        scope,
        f"{title}State",
        type="String",
        default="ENABLED" if is_on else "DISABLED",
        allowed_values=["ENABLED", "DISABLED"],
        description="Whether that schedule is on",
    )
    keep_name(schedule, state)
    rule = events.Rule(
        scope,
        "Schedule",
        rule_name=f"{config.prefix}-{name}-schedule",
        description=description,
        schedule=events.Schedule.expression(schedule.value_as_string),
        targets=[target],
    )
    resource = rule.node.default_child
    assert isinstance(resource, events.CfnRule)
    resource.state = state.value_as_string


def runs_glue_job(sid: str, job: str) -> Statement:
    """Return what ``glue:startJobRun.sync`` needs for a job of this name.

    All but the first action are how `.sync` waits, and how a time-out stops the run.
    """
    return Statement(
        sid,
        ["glue:StartJobRun", "glue:GetJobRun", "glue:GetJobRuns", "glue:BatchStopJobRun"],
        [arns.regional("glue", f"job/{job}")],
    )


def runs_sagemaker_job(sid: str, kind: str, jobs: list[str], wildcard: str) -> Statement:
    """Return what `.sync` of a SageMaker job of this kind ("Training") needs to run and follow it.

    The service marks the jobs that it waits for with a tag.
    """
    return Statement(
        sid,
        [
            f"sagemaker:Create{kind}Job",
            f"sagemaker:Describe{kind}Job",
            f"sagemaker:Stop{kind}Job",
            "sagemaker:ListTags",
            "sagemaker:AddTags",
        ],
        jobs,
        wildcard,
    )


def hears_of_the_end(what: str, sid: str = "HearOfTheEnd") -> Statement:
    """Return what lets `.sync` be told of an end, by a rule that Step Functions manages itself.

    ``what`` is "SageMakerTrainingJobs", "StepFunctionsExecution" ... Source: Step Functions
    Developer Guide, "IAM policies for integrated services".
    """
    return Statement(
        sid,
        ["events:PutTargets", "events:PutRule", "events:DescribeRule"],
        [arns.regional("events", f"rule/StepFunctionsGetEventsFor{what}Rule")],
    )


def finds_others(config: StageConfig, name: str) -> Statement:
    """Return what a machine needs to see whether another execution of it is running."""
    return Statement(
        "FindOthers",
        ["states:ListExecutions"],
        [arns.regional("states", f"stateMachine:{config.prefix}-{name}")],
    )


def records_failures(config: StageConfig, name: str, lake: Lake) -> list[Statement]:
    """Return what a machine needs to keep what failed: an object named after the execution, a log.

    Source of the second: Step Functions Developer Guide, "IAM Policies for logging to CloudWatch
    Logs".
    """
    return [
        Statement(
            "RecordFailure",
            ["s3:PutObject"],
            [lake.artefacts.arn_for_objects(f"{FAILURES_PREFIX}/{config.prefix}-{name}/*")],
            "Executions are named as they start",
        ),
        Statement(
            "DeliverLogs",
            [
                "logs:CreateLogDelivery",
                "logs:GetLogDelivery",
                "logs:UpdateLogDelivery",
                "logs:DeleteLogDelivery",
                "logs:ListLogDeliveries",
                "logs:PutResourcePolicy",
                "logs:DescribeResourcePolicies",
                "logs:DescribeLogGroups",
            ],
            ["*"],
            "Deliveries of logs, and the account's policy of them, are no resources of IAM",
        ),
    ]


def passes_role(sid: str, role: iam.IRole) -> Statement:
    """Return what lets a machine give a role to a SageMaker job or model."""
    return Statement(
        sid,
        ["iam:PassRole"],
        [role.role_arn],
        conditions={"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
    )
