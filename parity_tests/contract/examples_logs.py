"""Examples of CloudWatch Logs."""

from __future__ import annotations

from typing import Any

from parity_tests.contract.examples import Examples
from parity_tests.contract.world import World

logs = Examples("logs")


def _group(w: World) -> dict[str, Any]:
    name = f"/fleetwin/{w.new('group')}"
    w.do("logs", "CreateLogGroup", logGroupName=name)
    return {"logGroupName": name}


def _stream(w: World, *messages: str) -> dict[str, Any]:
    named = {**_group(w), "logStreamName": "2026/01/05/[$LATEST]0"}
    w.do("logs", "CreateLogStream", **named)
    if messages:
        events = [{"timestamp": w.now_ms, "message": text} for text in messages]
        w.do("logs", "PutLogEvents", **named, logEvents=events)
    return named


logs.add(
    "CreateLogGroup",
    lambda w: {"logGroupName": w.new("/made"), "logGroupClass": "STANDARD", "tags": {"a": "b"}},
)
logs.add("DeleteLogGroup", _group)
logs.add("PutRetentionPolicy", lambda w: {**_group(w), "retentionInDays": 7})


def _retained(w: World) -> dict[str, Any]:
    named = _group(w)
    w.do("logs", "PutRetentionPolicy", **named, retentionInDays=7)
    return {"logGroupNamePrefix": named["logGroupName"]}


logs.add(
    "DescribeLogGroups",
    _retained,
    "logGroups.logGroupName logGroups.creationTime logGroups.arn logGroups.metricFilterCount"
    " logGroups.storedBytes logGroups.retentionInDays logGroups.logGroupClass"
    " logGroups.logGroupArn",
)
logs.add("CreateLogStream", lambda w: {**_group(w), "logStreamName": "one"})
logs.add(
    "DescribeLogStreams",
    lambda w: {"logGroupName": _stream(w, "hello")["logGroupName"]},
    "logStreams.logStreamName logStreams.creationTime logStreams.arn logStreams.storedBytes"
    " logStreams.firstEventTimestamp logStreams.lastEventTimestamp logStreams.lastIngestionTime"
    " logStreams.uploadSequenceToken",
)
logs.add(
    "PutLogEvents",
    lambda w: {**_stream(w), "logEvents": [{"timestamp": w.now_ms, "message": "hello"}]},
    "nextSequenceToken",
)
logs.add(
    "PutLogEvents",
    lambda w: {
        **_stream(w),
        "logEvents": [
            {"timestamp": w.now_ms + days * 10_800_000, "message": "m"} for days in (0, 1)
        ],
    },
    "nextSequenceToken rejectedLogEventsInfo.tooNewLogEventStartIndex",
    "refused in part",
)
_EVENT = "events.timestamp events.message events.ingestionTime"
logs.add(
    "GetLogEvents",
    lambda w: {**_stream(w, "one", "zwei ✓"), "limit": 1},
    f"{_EVENT} nextForwardToken nextBackwardToken",
)
logs.add(
    "FilterLogEvents",
    lambda w: {"logGroupName": _stream(w, "one", "two")["logGroupName"], "limit": 1},
    f"{_EVENT} events.logStreamName events.eventId nextToken searchedLogStreams",
)

logs.add("DeleteRetentionPolicy", _group)


def metric_filter_of(w: World) -> dict[str, Any]:
    """Return the parameters of a metric filter on a group of its own."""
    said = {"metricName": "Late", "metricNamespace": "Fleetwin", "metricValue": "$.late"}
    return {
        **_group(w),
        "filterName": "late",
        "filterPattern": "{ $.late > 0 }",
        "metricTransformations": [{**said, "unit": "Count", "dimensions": {"Device": "$.id"}}],
    }


def _metric_filter(w: World) -> dict[str, Any]:
    params = metric_filter_of(w)
    w.do("logs", "PutMetricFilter", **params)
    return {"logGroupName": params["logGroupName"]}


logs.add("PutMetricFilter", metric_filter_of)
logs.add(
    "DescribeMetricFilters",
    _metric_filter,
    "metricFilters.filterName metricFilters.filterPattern metricFilters.metricTransformations"
    " metricFilters.creationTime metricFilters.logGroupName metricFilters.applyOnTransformedLogs",
)
logs.add("DeleteMetricFilter", lambda w: {**_metric_filter(w), "filterName": "late"})
logs.add(
    "TestMetricFilter",
    lambda w: {"filterPattern": "[ip, ..., size]", "logEventMessages": ["::1 GET / 12"]},
    "matches.eventNumber matches.eventMessage matches.extractedValues",
)
