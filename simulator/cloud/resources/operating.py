"""Log groups, dashboards, parameters and state machines: what a pipeline is operated with."""

from __future__ import annotations

import json
import re
from typing import Any

from simulator.cloud.resources.declarations import NAMED, TEXT, enforced, honoured, kept, stored
from simulator.cloud.resources.mapping import Outcome, Resource, maps
from simulator.cloud.resources.shapes import as_text


@maps(
    "AWS::Logs::LogGroup",
    {
        "LogGroupName": NAMED,
        "RetentionInDays": honoured(
            "test_logs.test_events_leave_with_the_retention_and_never_come_back"
        ),
        "KmsKeyId": stored("lines are kept without encryption"),
        "LogGroupClass": kept("changes the price of ingestion only"),
    },
)
def log_group(resource: Resource) -> Outcome:
    """Create a log group; retention is a call of its own."""
    properties = resource.properties
    name = resource.name("LogGroupName", longest=512)
    days = properties.take("RetentionInDays")
    values = {"logGroupName": name, **properties.rest()}
    params = resource.fit("logs", "CreateLogGroup", values)
    resource.call("logs", "CreateLogGroup", params)
    if days is not None:
        retention = {"logGroupName": name, "retentionInDays": int(days)}
        resource.call("logs", "PutRetentionPolicy", retention)
    return name, {"Arn": resource.context.arn("logs", f"log-group:{name}:*")}


@maps(
    "AWS::Logs::MetricFilter",
    {
        "FilterName": honoured(
            "test_log_metric_filters.test_filters_are_listed_replaced_and_deleted"
        ),
        "LogGroupName": honoured(
            "test_log_metric_filters.test_filters_are_listed_replaced_and_deleted"
        ),
        "FilterPattern": honoured(
            "test_log_metric_filters.test_a_match_is_a_value_at_the_events_own_time"
        ),
        "MetricTransformations": honoured(
            "test_log_metric_filters.test_a_value_and_dimensions_come_from_the_event"
        ),
    },
)
def metric_filter(resource: Resource) -> Outcome:
    """Put a metric filter; a template lists its dimensions, the call takes a map."""
    properties = resource.properties
    name = resource.name("FilterName", longest=512)
    transformations = [
        {
            "metricNamespace": one.need("MetricNamespace"),
            "metricName": one.need("MetricName"),
            "metricValue": as_text(one.need("MetricValue")),
            "dimensions": {d.need("Key"): d.need("Value") for d in one.each("Dimensions")},
            **one.rest(),
        }
        for one in properties.each("MetricTransformations")
    ]
    values = {
        "filterName": name,
        "filterPattern": properties.need("FilterPattern"),
        "metricTransformations": [
            {key: value for key, value in one.items() if value != {}} for one in transformations
        ],
        **properties.rest(),
    }
    params = resource.fit("logs", "PutMetricFilter", values)
    resource.call("logs", "PutMetricFilter", params)
    return name, {}


@maps(
    "AWS::CloudWatch::Dashboard",
    {
        "DashboardName": NAMED,
        "DashboardBody": honoured(
            "test_dashboard.test_a_picture_has_every_line_and_says_what_is_not_drawn"
        ),
    },
)
def dashboard(resource: Resource) -> Outcome:
    """Put a dashboard; it has no ARN that a template could ask for."""
    name = resource.name("DashboardName", longest=255)
    values = {"DashboardName": name, **resource.properties.rest()}
    params = resource.fit("cloudwatch", "PutDashboard", values)
    resource.call("cloudwatch", "PutDashboard", params)
    return name, {}


@maps(
    "AWS::SSM::Parameter",
    {
        "Name": NAMED,
        "Type": honoured("test_forward.test_parameters_are_kept"),
        "Value": honoured("test_forward.test_parameters_are_kept"),
        "Tier": stored("the same parameters are taken in every tier"),
        "Description": TEXT,
        "AllowedPattern": stored("moto keeps it; nothing here shows what follows"),
        "DataType": stored("moto keeps it; nothing here shows what follows"),
    },
)
def parameter(resource: Resource) -> Outcome:
    """Put a parameter."""
    name = resource.name("Name", longest=1011)
    values = {"Name": name, **resource.properties.rest()}
    params = resource.fit("ssm", "PutParameter", values)
    resource.call("ssm", "PutParameter", params)
    arn = resource.context.arn("ssm", "parameter/" + name.removeprefix("/"))
    return name, {"Arn": arn, "Type": params.get("Type"), "Value": params.get("Value")}


@maps(
    "AWS::StepFunctions::StateMachine",
    {
        "StateMachineName": NAMED,
        "RoleArn": enforced(
            "test_workflows.test_a_role_that_step_functions_may_not_assume_fails_the_execution"
        ),
        "DefinitionString": honoured(
            "test_resources.test_substitutions_land_escaped_in_the_definition"
        ),
        "Definition": honoured("test_resources.test_substitutions_land_escaped_in_the_definition"),
        "DefinitionSubstitutions": honoured(
            "test_resources.test_substitutions_land_escaped_in_the_definition"
        ),
        "StateMachineType": honoured(
            "test_workflow_express.test_what_waits_is_refused_in_an_express_machine"
        ),
        "LoggingConfiguration": honoured(
            "test_workflow_notices.test_a_log_has_the_events_of_its_level"
        ),
        "TracingConfiguration": stored("there is no X-Ray here"),
        "EncryptionConfiguration": stored("histories are kept without encryption"),
    },
)
def state_machine(resource: Resource) -> Outcome:
    """Create a state machine from its definition, with the substitutions filled in."""
    properties = resource.properties
    name = resource.name("StateMachineName", longest=80)
    definition = _definition(resource)
    values = {"name": name, "definition": definition, **properties.rest()}
    renames = {"StateMachineType": "type", "EncryptionConfiguration": "encryptionConfiguration"}
    params = resource.fit("stepfunctions", "CreateStateMachine", values, renames=renames)
    arn = str(resource.call("stepfunctions", "CreateStateMachine", params)["stateMachineArn"])
    return arn, {"Arn": arn, "Name": name}


@maps(
    "AWS::StepFunctions::Activity",
    {
        "Name": NAMED,
        "EncryptionConfiguration": stored("histories are kept without encryption"),
    },
)
def activity(resource: Resource) -> Outcome:
    """Create an activity."""
    values = {"name": resource.name("Name", longest=80), **resource.properties.rest()}
    renames = {"EncryptionConfiguration": "encryptionConfiguration"}
    params = resource.fit("stepfunctions", "CreateActivity", values, renames=renames)
    arn = str(resource.call("stepfunctions", "CreateActivity", params)["activityArn"])
    return arn, {"Arn": arn, "Name": params["name"]}


def _definition(resource: Resource) -> str:
    properties = resource.properties
    text = properties.take("DefinitionString")
    body = properties.take("Definition")
    if (text is None) == (body is None):
        raise resource.error("DefinitionString", "give either DefinitionString or Definition")
    definition = json.dumps(body) if text is None else str(text)
    values: dict[str, Any] = properties.take("DefinitionSubstitutions", {})

    def replace(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in values:
            raise resource.error("DefinitionString", f"${{{name}}} has no substitution")
        # The value lands inside a JSON string, so it is escaped as one.
        return json.dumps(str(values[name]))[1:-1]

    return re.sub(r"\$\{([A-Za-z0-9_]+)\}", replace, definition) if values else definition
