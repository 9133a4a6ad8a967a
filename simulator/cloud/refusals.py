"""What of a call can be refused before anything exists: by its parameters alone.

The services' own checks, gathered for `simulator.cloud.survey`, which lists all that the twin does
not have of an assembly before it creates a part of it. A call that is not here, or whose
parameters only an answer could complete, is judged when it is made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from simulator.cloud.alarm_rules import check_actions, check_definition
from simulator.cloud.dynamodb_admin import refuse_table
from simulator.cloud.errors import AwsError, NotSupportedByTwin
from simulator.cloud.event_targets import service_of
from simulator.cloud.events import check_bus
from simulator.cloud.function_updates import check_runtime
from simulator.cloud.glue import refuse_job
from simulator.cloud.iot_actions import parse_action
from simulator.cloud.kinesis import refuse_stream
from simulator.cloud.mapping_settings import refuse_settings
from simulator.cloud.operations import Params
from simulator.cloud.sns_topics import check_endpoint, check_topic_attributes, check_topic_name

Check = Callable[[Params], object]


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


def _topic_rule(params: Params) -> None:
    for action in params["topicRulePayload"].get("actions", []):
        parse_action(action)


def _targets(params: Params) -> None:
    for target in params["Targets"]:
        service_of(target)


CHECKS: Mapping[tuple[str, str], Check] = {
    ("cloudwatch", "PutCompositeAlarm"): check_actions,
    ("cloudwatch", "PutMetricAlarm"): check_definition,
    ("dynamodb", "CreateTable"): refuse_table,
    ("events", "PutRule"): check_bus,
    ("events", "PutTargets"): _targets,
    ("glue", "CreateJob"): refuse_job,
    ("iot", "CreateTopicRule"): _topic_rule,
    ("kinesis", "CreateStream"): refuse_stream,
    ("lambda", "CreateEventSourceMapping"): _mapping,
    ("lambda", "CreateFunction"): _function,
    ("sns", "CreateTopic"): _topic,
    ("sns", "Subscribe"): lambda params: check_endpoint(params["Protocol"], params["Endpoint"]),
}


def refusal(service: str, operation: str, params: Params) -> str:
    """Return what of a call the twin does not have, "" where nothing is known to be missing."""
    check = CHECKS.get((service, operation))
    try:
        if check is not None:
            check(params)
    except NotSupportedByTwin as error:
        return str(error.args[0])
    except (AwsError, ArithmeticError, LookupError, TypeError, ValueError):
        # Values that only another resource's answer gives; the call itself will tell.
        return ""
    return ""
