"""What of a call can be refused before anything exists: by its parameters alone.

The services' own checks, gathered for `simulator.cloud.survey`, which lists all that the twin does
not have of an assembly before it creates a part of it. A call that is not here, or whose
parameters only an answer could complete, is judged when it is made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial

from simulator.cloud.alarm_rules import check_actions, check_definition
from simulator.cloud.asl_validation import problems_of
from simulator.cloud.composite_rules import parse_rule
from simulator.cloud.context import Context
from simulator.cloud.datasync import schedule_of
from simulator.cloud.dynamodb_admin import refuse_table
from simulator.cloud.errors import AwsError, NotSupportedByTwin
from simulator.cloud.event_targets import service_of
from simulator.cloud.events import checked_rule
from simulator.cloud.function_updates import check_runtime
from simulator.cloud.glue import refuse_job
from simulator.cloud.iot import check_payload
from simulator.cloud.iot_actions import parse_action
from simulator.cloud.iot_policies import checked_document
from simulator.cloud.iot_sql import parse
from simulator.cloud.kinesis import refuse_stream
from simulator.cloud.log_metric_filters import checked_filter
from simulator.cloud.mapping_settings import refuse_settings
from simulator.cloud.metric_math import compile_expression
from simulator.cloud.operations import Params
from simulator.cloud.sns_topics import (
    check_endpoint,
    check_topic_attributes,
    check_topic_name,
    wanted_by,
)
from simulator.cloud.stand_ins import variants
from simulator.cloud.workflows import check_request

Check = Callable[[Params], object]
LACKS = "the twin does not have "


def _function(params: Params) -> None:
    code = params.get("Code", {})
    if params.get("PackageType", "Zip") != "Zip" or "ImageUri" in code:
        raise NotSupportedByTwin("lambda:CreateFunction PackageType Image")
    check_runtime(params.get("Runtime"))
    if "S3Key" not in code:
        raise NotSupportedByTwin(f"lambda code given as {', '.join(sorted(code))}")


def _mapping(params: Params) -> None:
    source = str(params.get("EventSourceArn", "")).split(":")
    if len(source) > 2 and source[2] != "kinesis":
        raise NotSupportedByTwin(f"an event source mapping of {source[2]}")
    refuse_settings(params)


def _topic(params: Params) -> None:
    check_topic_attributes(params.get("Attributes", {}))
    check_topic_name(params["Name"])


def _targets(params: Params) -> None:
    for target in params["Targets"]:
        service_of(target)


CHECKS: Mapping[tuple[str, str], Check] = {
    ("cloudwatch", "PutCompositeAlarm"): check_actions,
    ("cloudwatch", "PutMetricAlarm"): check_definition,
    ("dynamodb", "CreateTable"): refuse_table,
    ("events", "PutTargets"): _targets,
    ("glue", "CreateJob"): refuse_job,
    ("kinesis", "CreateStream"): refuse_stream,
    ("lambda", "CreateEventSourceMapping"): _mapping,
    ("lambda", "CreateFunction"): _function,
    ("sns", "CreateTopic"): _topic,
    ("sns", "Subscribe"): lambda params: check_endpoint(params["Protocol"], params["Endpoint"]),
}


Said = Iterator[tuple[str, str]]
"""What was looked at, and what is said of it."""


def _tried(service: str, operation: str, checks: Mapping[str, Callable[[], object]]) -> Said:
    for name, check in checks.items():
        try:
            check()
        except NotSupportedByTwin as error:
            yield name, lacks(error)
        except AwsError as error:
            # An answer of AWS need not say why; the note does.
            notes = "".join(f" ({note})" for note in getattr(error, "__notes__", ()))
            yield name, f"{service}:{operation} would answer {error}{notes}"
        except (ArithmeticError, LookupError, TypeError, ValueError):
            pass  # Of values that are made up; the call itself will tell.


def _machine(params: Params, context: Context) -> Said:
    asked = "stepfunctions", "CreateStateMachine"
    yield from _tried(*asked, {"request": partial(check_request, params)})
    lacking: list[str] = []
    kind = params.get("type", "STANDARD")
    problems = problems_of(params["definition"], context.check_task, kind, lacking)
    for each in lacking:
        yield each, f"{LACKS}{each}"
    for each in problems:
        yield each, f"{':'.join(asked)} would answer InvalidDefinition: {each}"


def _alarm(params: Params, context: Context) -> Said:
    checks = {
        str(query.get("Id")): partial(compile_expression, query["Expression"])
        for query in params.get("Metrics", [])
        if "Expression" in query
    }
    return _tried("cloudwatch", "PutMetricAlarm", checks)


def _composite(params: Params, context: Context) -> Said:
    checks = {"rule": lambda: parse_rule(params["AlarmRule"])}
    return _tried("cloudwatch", "PutCompositeAlarm", checks)


def _metric_filter(params: Params, context: Context) -> Said:
    return _tried("logs", "PutMetricFilter", {"filter": partial(checked_filter, params)})


def _policy(params: Params, context: Context) -> Said:
    checks = {"document": lambda: checked_document(params["policyDocument"])}
    return _tried("iot", "CreatePolicy", checks)


def _rule(params: Params, context: Context) -> Said:
    return _tried("events", "PutRule", {"rule": partial(checked_rule, params)})


def _topic_rule(params: Params, context: Context) -> Said:
    payload = params["topicRulePayload"]
    checks: dict[str, Callable[[], object]] = {
        "payload": partial(check_payload, payload),
        "sql": lambda: parse(payload["sql"]),
    }
    actions = [*payload.get("actions", []), payload.get("errorAction")]
    for number, action in enumerate(actions):
        if action:
            checks[f"action {number}"] = partial(parse_action, action)
    return _tried("iot", "CreateTopicRule", checks)


def _task(params: Params, context: Context) -> Said:
    checks = {"schedule": lambda: schedule_of(params["Schedule"]["ScheduleExpression"])}
    return _tried("datasync", "CreateTask", checks)


def _subscription(params: Params, context: Context) -> Said:
    given = {name: str(value) for name, value in params.get("Attributes", {}).items()}
    filled = {name: value for name, value in given.items() if value not in ("", "{}")}
    attributes = partial(wanted_by, filled, params["Protocol"], "Attributes Reason: ")
    return _tried("sns", "Subscribe", {"attributes": attributes})


TEXTS: Mapping[tuple[str, str], Callable[[Params, Context], Said]] = {
    ("cloudwatch", "PutCompositeAlarm"): _composite,
    ("cloudwatch", "PutMetricAlarm"): _alarm,
    ("datasync", "CreateTask"): _task,
    ("events", "PutRule"): _rule,
    ("iot", "CreatePolicy"): _policy,
    ("iot", "CreateTopicRule"): _topic_rule,
    ("logs", "PutMetricFilter"): _metric_filter,
    ("sns", "Subscribe"): _subscription,
    ("stepfunctions", "CreateStateMachine"): _machine,
}


def refusals(service: str, operation: str, params: Params, context: Context) -> list[str]:
    """Return what is known to be wrong with a call, or missing in the twin; makes no call."""
    said = []
    check = CHECKS.get((service, operation))
    try:
        if check is not None:
            check(params)
    except NotSupportedByTwin as error:
        said.append(lacks(error))
    except (AwsError, ArithmeticError, LookupError, TypeError, ValueError):
        # Values that only another resource's answer gives; the call itself will tell.
        pass
    look = TEXTS.get((service, operation))
    if look is not None:
        found = dict(look(params, context))
        if found:
            others = [dict(look(each, context)) for each in variants(params)]
            said += [text for name, text in found.items() if all(name in each for each in others)]
    return said


def lacks(error: NotSupportedByTwin) -> str:
    """Return what a table says of what the twin does not have."""
    return f"{LACKS}{error.args[0]}"
