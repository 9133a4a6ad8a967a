"""Resource types that one call brings about as they stand: a table, not code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from simulator.cloud.resources.declarations import NAMED, TEXT, Declared, enforced, honoured, stored
from simulator.cloud.resources.mapping import Outcome, Resource, maps


@dataclass(frozen=True)
class OneCall:
    """Type -> operation by shape.

    ``name`` is the property that names the resource (generated when absent) and ``arn`` its
    ARN's service and resource part, with ``{name}``. ``ref`` says what Ref gives.
    """

    type: str
    service: str
    operation: str
    name: str
    arn: str
    ref: str = "{name}"
    renames: Mapping[str, str] = field(default_factory=dict)
    properties: Mapping[str, Declared] = field(default_factory=dict)
    longest: int = 64


_SENT = honoured("test_alarms.test_actions_run_when_the_state_changes_and_not_while_it_lasts")

_OF_ALARMS = {
    "AlarmName": NAMED,
    "ActionsEnabled": honoured("test_alarms.test_no_action_runs_while_actions_are_disabled"),
    "AlarmActions": _SENT,
    "OKActions": _SENT,
    "InsufficientDataActions": _SENT,
    "AlarmDescription": stored("text for people; what an alarm sends repeats it"),
}
"""What metric alarms and composite ones have in common."""

TABLE = (
    OneCall(
        "AWS::Glue::Job",
        "glue",
        "CreateJob",
        "Name",
        "glue:job/{name}",
        longest=255,
        properties={
            "Name": NAMED,
            "Description": TEXT,
            "Role": enforced(
                "test_glue.test_reading_what_the_role_may_not_ends_with_access_denied"
            ),
            "Command": enforced(
                "test_glue.test_what_the_host_would_run_differently_is_refused_by_name"
            ),
            "GlueVersion": enforced(
                "test_glue.test_what_the_host_would_run_differently_is_refused_by_name"
            ),
            "DefaultArguments": honoured(
                "test_glue.test_a_run_really_computes_and_its_effects_show_at_its_modelled_end"
            ),
            "ExecutionProperty": enforced(
                "test_glue.test_a_run_more_than_allowed_at_once_is_refused_and_a_run_can_be_stopped"
            ),
            "Timeout": enforced("test_glue.test_a_run_longer_than_its_timeout_ends_in_timeout"),
            "MaxRetries": honoured(
                "test_glue.test_a_run_that_fails_is_tried_again_as_a_run_of_its_own"
            ),
            "NumberOfWorkers": stored(
                "described with a job and its runs; they run on this machine"
            ),
            "WorkerType": stored("described with a job and its runs; they run on this machine"),
            "MaxCapacity": stored("described with a job and its runs; they run on this machine"),
            "ExecutionClass": stored("changes the price and the queue of a run only"),
            "LogUri": stored("Glue does not use it either"),
        },
    ),
    OneCall(
        "AWS::CloudWatch::Alarm",
        "cloudwatch",
        "PutMetricAlarm",
        "AlarmName",
        "cloudwatch:alarm:{name}",
        longest=255,
        properties={
            **_OF_ALARMS,
            "ComparisonOperator": honoured(
                "test_alarms.test_an_alarm_that_could_not_be_evaluated_is_refused_when_it_is_put"
            ),
            "Threshold": honoured(
                "test_alarms.test_an_alarm_that_could_not_be_evaluated_is_refused_when_it_is_put"
            ),
            "EvaluationPeriods": honoured(
                "test_alarms.test_an_alarm_that_could_not_be_evaluated_is_refused_when_it_is_put"
            ),
            "DatapointsToAlarm": honoured(
                "test_alarms.test_m_of_n_needs_m_breaching_periods_among_n"
            ),
            "Namespace": honoured(
                "test_composite_alarms.test_an_alarm_tells_eventbridge_of_every_change"
            ),
            "MetricName": honoured(
                "test_composite_alarms.test_an_alarm_tells_eventbridge_of_every_change"
            ),
            "Dimensions": honoured(
                "test_composite_alarms.test_an_alarm_tells_eventbridge_of_every_change"
            ),
            "Statistic": honoured(
                "test_alarms.test_a_reason_names_the_point_the_start_of_its_period_and_the_threshold"
            ),
            "Period": honoured(
                "test_alarms.test_a_reason_names_the_point_the_start_of_its_period_and_the_threshold"
            ),
            "ExtendedStatistic": honoured(
                "test_composite_alarms.test_a_percentile_with_few_samples_keeps_the_state_where_that_is_asked_for"
            ),
            "EvaluateLowSampleCountPercentile": honoured(
                "test_composite_alarms.test_a_percentile_with_few_samples_keeps_the_state_where_that_is_asked_for"
            ),
            "Metrics": honoured(
                "test_composite_alarms.test_an_alarm_on_an_expression_sees_what_the_expression_gives"
            ),
            "TreatMissingData": honoured(
                "test_alarms.test_missing_data_is_treated_as_awss_table_says"
            ),
            "Unit": honoured(
                "test_alarms.test_a_unit_in_the_definition_counts_only_values_of_that_unit"
            ),
        },
    ),
    OneCall(
        "AWS::CloudWatch::CompositeAlarm",
        "cloudwatch",
        "PutCompositeAlarm",
        "AlarmName",
        "cloudwatch:alarm:{name}",
        longest=255,
        properties={
            **_OF_ALARMS,
            "AlarmRule": honoured(
                "test_composite_alarms.test_a_composite_alarm_follows_its_children_and_acts_on_a_change"
            ),
        },
    ),
)


def _register(row: OneCall) -> None:
    def create(resource: Resource) -> Outcome:
        name = resource.name(row.name, longest=row.longest)
        values = {row.name: name, **resource.properties.rest()}
        params = resource.fit(row.service, row.operation, values, renames=row.renames)
        resource.call(row.service, row.operation, params)
        arn_service, _, arn_resource = row.arn.format(name=name).partition(":")
        arn = resource.context.arn(arn_service, arn_resource)
        return row.ref.format(name=name, arn=arn), {"Arn": arn, row.name: name}

    maps(row.type, row.properties)(create)


for _row in TABLE:
    _register(_row)
