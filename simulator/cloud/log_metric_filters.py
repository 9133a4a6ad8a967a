"""Metric filters: what log events of a group become metrics, and the operations on them.

`Logs` offers every new event to `MetricFilters.watch`. A match gives a value at the event's own
time; a default value is given for a minute that had events and no match, when that minute is over.
Source: CloudWatch Logs API reference and user guide, "Configuring metric values for a metric
filter". Not verified on AWS: that an event without a dimension's field gives no value.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from simulator.cloud.context import Context
from simulator.cloud.engine import SimGenerator
from simulator.cloud.errors import AwsError, NotSupportedByTwin
from simulator.cloud.log_conditions import as_number
from simulator.cloud.log_groups import Event, Group, group_name
from simulator.cloud.log_patterns import Found, Pattern, compile_pattern
from simulator.cloud.operations import Answer, Call, Operation, Params
from simulator.cloud.pages import page

MAX_FILTERS, MAX_REGEX_FILTERS = 100, 5
"""Of one log group (API reference of PutMetricFilter)."""
MAX_DIMENSIONS = 3
_PAGE = 50
_MINUTE_MS = 60_000


@dataclass
class MetricFilter:
    """One filter of one group, with what its transformation says."""

    name: str
    text: str
    pattern: Pattern
    transformation: dict[str, Any]
    created_ms: int
    matched: set[int] = field(default_factory=set)
    """Minutes since 1970 with a match; only kept for filters with a default value."""
    unmatched: set[int] = field(default_factory=set)

    def shown(self, group: str) -> dict[str, Any]:
        """Return the filter as DescribeMetricFilters shows it."""
        return {
            "filterName": self.name,
            "filterPattern": self.text,
            "metricTransformations": [self.transformation],
            "creationTime": self.created_ms,
            "logGroupName": group,
            "applyOnTransformedLogs": False,
        }


class MetricFilters:
    """The metric filters of all groups; the groups themselves belong to `Logs`."""

    def __init__(self, context: Context, groups: Mapping[str, Group]) -> None:
        self._context = context
        self._groups = groups
        self._filters: dict[str, dict[str, MetricFilter]] = {}

    def operations(self) -> dict[str, Operation]:
        """Return the operations on metric filters."""
        return {
            "PutMetricFilter": Operation(self._put, resources=self._one),
            "DescribeMetricFilters": Operation(self._describe, resources=self._one_or_all),
            "DeleteMetricFilter": Operation(self._delete, resources=self._one),
            "TestMetricFilter": Operation(self._test),
        }

    def count(self, group: str) -> int:
        """Return how many filters a group has."""
        return len(self._filters.get(group, {}))

    def forget(self, group: str) -> None:
        """Drop the filters of a group that is deleted."""
        self._filters.pop(group, None)

    def watch(self, group: str, events: Sequence[Event]) -> None:
        """Make metrics of new events."""
        for one in self._filters.get(group, {}).values():
            for event in events:
                self._take(one, event)

    def _take(self, one: MetricFilter, event: Event) -> None:
        found = one.pattern.find(event.message)
        minute = event.at_ms // _MINUTE_MS
        if "defaultValue" in one.transformation:
            if not one.matched and not one.unmatched:
                self._context.engine.process(self._default(one))
            (one.matched if found else one.unmatched).add(minute)
        if found is None:
            return
        value = _value(one.transformation["metricValue"], found)
        dimensions = {
            name: found.value(reference)
            for name, reference in one.transformation.get("dimensions", {}).items()
        }
        if value is not None and None not in dimensions.values():
            shown = {name: str(given) for name, given in dimensions.items()}
            self._record(one, value, event.at_ms / 1000.0, shown)

    def _record(
        self, one: MetricFilter, value: float, at_s: float, dimensions: Mapping[str, str]
    ) -> None:
        said = one.transformation
        self._context.cloudwatch.record(
            said["metricNamespace"],
            said["metricName"],
            dimensions,
            value,
            said.get("unit", "None"),
            at_s=at_s,
        )

    def _default(self, one: MetricFilter) -> SimGenerator:
        """At the end of the minute give the default to the minutes that had no match."""
        engine = self._context.engine
        yield engine.env.timeout(60.0 - engine.epoch_s() % 60.0)
        for minute in sorted(one.unmatched - one.matched):
            self._record(one, float(one.transformation["defaultValue"]), minute * 60.0, {})
        one.matched.clear()
        one.unmatched.clear()

    # -- operations

    def _one(self, params: Params) -> list[str]:
        return [self._context.arn("logs", f"log-group:{group_name(params)}:*")]

    def _one_or_all(self, params: Params) -> list[str]:
        return self._one(params) if "logGroupName" in params else ["*"]

    def _group(self, params: Params) -> str:
        name = group_name(params)
        if name not in self._groups:
            raise AwsError("ResourceNotFoundException", "The specified log group does not exist.")
        return name

    def _put(self, call: Call) -> Answer:
        params, group = call.params, self._group(call.params)
        pattern, transformations = checked_filter(params), params["metricTransformations"]
        others = {
            name: one
            for name, one in self._filters.get(group, {}).items()
            if name != params["filterName"]
        }
        _check_room(others.values(), pattern)
        made = MetricFilter(
            params["filterName"],
            params["filterPattern"],
            pattern,
            transformations[0],
            int(self._context.engine.epoch_s() * 1000),
        )
        self._filters[group] = {**others, made.name: made}
        return {}

    def _describe(self, call: Call) -> Answer:
        params = call.params
        if ("metricName" in params) != ("metricNamespace" in params):
            raise AwsError(
                "InvalidParameterException", "metricName and metricNamespace go together."
            )
        groups = [self._group(params)] if "logGroupName" in params else sorted(self._filters)
        prefix = params.get("filterNamePrefix", "")
        found = [
            one.shown(group)
            for group in groups
            for name, one in sorted(self._filters.get(group, {}).items())
            if name.startswith(prefix)
            and all(
                params.get(key) in (None, one.transformation[key])
                for key in ("metricName", "metricNamespace")
            )
        ]
        shown, token = page(
            found, params.get("limit", _PAGE), params.get("nextToken"), "InvalidParameterException"
        )
        return {"metricFilters": shown, **({"nextToken": token} if token else {})}

    def _delete(self, call: Call) -> Answer:
        filters = self._filters.get(self._group(call.params), {})
        if filters.pop(call.params["filterName"], None) is None:
            raise AwsError(
                "ResourceNotFoundException", "The specified metric filter does not exist."
            )
        return {}

    def _test(self, call: Call) -> Answer:
        pattern = compile_pattern(call.params["filterPattern"])
        found = [
            (number, message, pattern.find(message))
            for number, message in enumerate(call.params["logEventMessages"], 1)
        ]
        return {
            "matches": [
                {
                    "eventNumber": number,
                    "eventMessage": message,
                    "extractedValues": dict(one.extracted),
                }
                for number, message, one in found
                if one is not None
            ]
        }


def _value(said: str, found: Found) -> float | None:
    """Return the value to publish: the number written, or the one that the event holds."""
    given = found.value(said) if said.startswith("$") else said
    return as_number(given) if isinstance(given, str) else given


def checked_filter(params: Params) -> Pattern:
    """Return what a filter takes; raises as PutMetricFilter does, whatever other filters are."""
    for name in ("fieldSelectionCriteria", "emitSystemFieldDimensions"):
        if params.get(name):
            raise NotSupportedByTwin(f"{name} of PutMetricFilter")
    if params.get("applyOnTransformedLogs"):
        raise NotSupportedByTwin("applyOnTransformedLogs of PutMetricFilter")
    pattern = compile_pattern(params["filterPattern"])
    transformations = params["metricTransformations"]
    if len(transformations) != 1:
        raise AwsError(
            "InvalidParameterException",
            "1 validation error detected: Value at 'metricTransformations' failed to satisfy "
            "constraint: Member must have length less than or equal to 1",
        )
    _check(transformations[0], pattern)
    return pattern


def _check(transformation: Mapping[str, Any], pattern: Pattern) -> None:
    """Raise InvalidParameterException for a transformation that does not fit its pattern."""
    value, dimensions = transformation["metricValue"], transformation.get("dimensions", {})
    if dimensions and "defaultValue" in transformation:
        raise AwsError(
            "InvalidParameterException", "A metric with dimensions cannot have a default value."
        )
    if len(dimensions) > MAX_DIMENSIONS:
        raise AwsError("InvalidParameterException", f"More than {MAX_DIMENSIONS} dimensions.")
    references = [*([value] if value.startswith("$") else []), *dimensions.values()]
    unknown = next((one for one in references if not pattern.declares(one)), None)
    if unknown is not None:
        raise AwsError("InvalidParameterException", f"The pattern has no field '{unknown}'.")
    if not value.startswith("$") and as_number(value) is None:
        raise AwsError("InvalidParameterException", f"Invalid metric value: {value}")


def _check_room(others: Collection[MetricFilter], pattern: Pattern) -> None:
    """Raise LimitExceededException when a group has no room for one more filter."""
    patterns = [pattern, *(one.pattern for one in others)]
    regular = sum(one.has_regular_expression for one in patterns)
    if len(others) >= MAX_FILTERS or regular > MAX_REGEX_FILTERS:
        raise AwsError("LimitExceededException", "Resource limit exceeded.")
