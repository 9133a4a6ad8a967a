"""Examples of Kinesis, IoT and CloudWatch."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from parity_tests.contract.examples import Examples, below
from parity_tests.contract.world import World

kinesis = Examples("kinesis")
iot = Examples("iot")
iot_data = Examples("iot-data")
cloudwatch = Examples("cloudwatch")

SHARD = "shardId-000000000000"


def _s(w: World) -> dict[str, Any]:
    return {"StreamName": w.stream()}


def _split(w: World) -> dict[str, Any]:
    named = _s(w)
    w.do("kinesis", "SplitShard", **named, ShardToSplit=SHARD, NewStartingHashKey="7")
    shards = w.do("kinesis", "ListShards", **named)["Shards"]
    one, two = (each["ShardId"] for each in shards if each.get("ParentShardId") == SHARD)
    return {**named, "ShardToMerge": one, "AdjacentShardToMerge": two}


# -- Kinesis

kinesis.add("CreateStream", lambda w: {"StreamName": w.new("made"), "ShardCount": 1})
kinesis.add(
    "UpdateShardCount",
    lambda w: {**_s(w), "TargetShardCount": 2, "ScalingType": "UNIFORM_SCALING"},
    "StreamName StreamARN CurrentShardCount TargetShardCount",
)
kinesis.add(
    "SplitShard",
    lambda w: {**_s(w), "ShardToSplit": SHARD, "NewStartingHashKey": "7"},
)
kinesis.add("MergeShards", _split)
kinesis.add("DeleteStream", _s)
_STREAM = "StreamName StreamARN StreamStatus RetentionPeriodHours StreamCreationTimestamp"
_STREAM += " EnhancedMonitoring StreamModeDetails.StreamMode EncryptionType"
_SHARD = "ShardId HashKeyRange.StartingHashKey HashKeyRange.EndingHashKey"
_SHARD += " SequenceNumberRange.StartingSequenceNumber"


kinesis.add(
    "DescribeStream",
    _s,
    below("StreamDescription", f"{_STREAM} HasMoreShards {below('Shards', _SHARD)}"),
)
kinesis.add(
    "DescribeStreamSummary",
    _s,
    below("StreamDescriptionSummary", f"{_STREAM} OpenShardCount ConsumerCount"),
)
kinesis.add(
    "ListStreams",
    lambda w: {"Limit": 1},
    "StreamNames HasMoreStreams NextToken StreamSummaries.StreamName StreamSummaries.StreamARN"
    " StreamSummaries.StreamStatus StreamSummaries.StreamCreationTimestamp",
)
kinesis.add("ListShards", _s, below("Shards", _SHARD))
kinesis.add("ListShards", lambda w: {**_s(w), "MaxResults": 1}, "Shards NextToken", "a page")
kinesis.add(
    "GetShardIterator",
    lambda w: {**_s(w), "ShardId": SHARD, "ShardIteratorType": "AT_TIMESTAMP", "Timestamp": w.now},
    "ShardIterator",
)
kinesis.add(
    "GetRecords",
    lambda w: {"ShardIterator": w.iterator(w.stream(b"\x00\xff", b"{}"))},
    "Records.SequenceNumber Records.ApproximateArrivalTimestamp Records.Data"
    " Records.PartitionKey NextShardIterator MillisBehindLatest",
)
kinesis.add(
    "PutRecord",
    lambda w: {**_s(w), "Data": b"\x00", "PartitionKey": "pump-007"},
    "ShardId SequenceNumber",
)
kinesis.add(
    "PutRecords",
    lambda w: {**_s(w), "Records": [{"Data": b"{}", "PartitionKey": f"p{i}"} for i in range(3)]},
    "FailedRecordCount Records.SequenceNumber Records.ShardId",
)
kinesis.add(
    "PutRecords",
    lambda w: {
        **_s(w),
        "Records": [{"Data": b"x" * 700_000, "PartitionKey": "same"} for _ in range(3)],
    },
    "FailedRecordCount Records",
    "throttled in part",
)
kinesis.add("AddTagsToStream", lambda w: {**_s(w), "Tags": {"project": "fleetwin"}})
kinesis.add("RemoveTagsFromStream", lambda w: {**_s(w), "TagKeys": ["project"]})


def _tagged(w: World) -> dict[str, Any]:
    named = _s(w)
    w.do("kinesis", "AddTagsToStream", **named, Tags={"project": "fleetwin"})
    return named


kinesis.add("ListTagsForStream", _tagged, "Tags.Key Tags.Value HasMoreTags")
kinesis.add("IncreaseStreamRetentionPeriod", lambda w: {**_s(w), "RetentionPeriodHours": 48})
kinesis.add("DecreaseStreamRetentionPeriod", lambda w: {**_s(w), "RetentionPeriodHours": 24})
_KMS = {"EncryptionType": "KMS", "KeyId": "alias/aws/kinesis"}
kinesis.add("StartStreamEncryption", lambda w: {**_s(w), **_KMS})
kinesis.add("StopStreamEncryption", lambda w: {**_s(w), **_KMS})


def _encrypted(w: World) -> dict[str, Any]:
    named = _s(w)
    w.do("kinesis", "StartStreamEncryption", **named, **_KMS)
    return named


kinesis.add("DescribeStream", _encrypted, "StreamDescription.KeyId", "encrypted")

# -- IoT

RULE: dict[str, Any] = {
    "sql": "SELECT *, topic(2) AS device FROM 'plant/+/telemetry'",
    "description": "Raw telemetry",
    "awsIotSqlVersion": "2016-03-23",
    "ruleDisabled": False,
}


def _payload(w: World) -> dict[str, Any]:
    stream = {"roleArn": w.role, "streamName": "nowhere", "partitionKey": "${topic(2)}"}
    place = {"roleArn": w.role, "bucketName": "nowhere", "key": "dead/${newuuid()}.json"}
    return {**RULE, "actions": [{"kinesis": stream}], "errorAction": {"s3": place}}


def _rule(w: World) -> dict[str, Any]:
    name = w.new("made").replace("-", "_")
    w.do("iot", "CreateTopicRule", ruleName=name, topicRulePayload=_payload(w))
    return {"ruleName": name}


iot.add(
    "CreateTopicRule",
    lambda w: {"ruleName": w.new("rule").replace("-", "_"), "topicRulePayload": _payload(w)},
)
iot.add("ReplaceTopicRule", lambda w: {**_rule(w), "topicRulePayload": _payload(w)})
iot.add("DeleteTopicRule", _rule)
iot.add(
    "GetTopicRule",
    _rule,
    "ruleArn rule.ruleName rule.sql rule.createdAt rule.actions.kinesis rule.errorAction.s3"
    " rule.ruleDisabled rule.awsIotSqlVersion rule.description",
)
iot.add(
    "ListTopicRules",
    lambda w: _rule(w) and {"topic": "plant/pump-007/telemetry"},
    "rules.ruleArn rules.ruleName rules.topicPattern rules.createdAt rules.ruleDisabled",
)
iot_data.add(
    "Publish",
    lambda w: {"topic": "office/door", "qos": 1, "payload": json.dumps({"open": True}).encode()},
)

# -- CloudWatch

_DIMENSIONS = [{"Name": "FunctionName", "Value": "detector"}]


def _metric(w: World) -> dict[str, Any]:
    namespace = w.new("Fleetwin")
    datum = {"MetricName": "Late", "Dimensions": _DIMENSIONS, "Value": 2.5, "Unit": "Count"}
    w.do("cloudwatch", "PutMetricData", Namespace=namespace, MetricData=[datum])
    return {"Namespace": namespace, "MetricName": "Late"}


def alarm_of(w: World) -> dict[str, Any]:
    """Return the parameters of an alarm."""
    return {
        "AlarmName": w.new("alarm"),
        "AlarmDescription": "Readings come late",
        "Namespace": "Fleetwin",
        "MetricName": "Late",
        "Dimensions": _DIMENSIONS,
        "Statistic": "Sum",
        "Period": 60,
        "EvaluationPeriods": 3,
        "DatapointsToAlarm": 2,
        "Threshold": 1.0,
        "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        "TreatMissingData": "notBreaching",
        "AlarmActions": ["arn:aws:sns:us-east-1:000000000000:fleetwin-dev-alerts"],
    }


def _alarm(w: World) -> dict[str, Any]:
    params = alarm_of(w)
    w.do("cloudwatch", "PutMetricAlarm", **params)
    return {"AlarmName": params["AlarmName"]}


def _to_state(state: str) -> dict[str, Any]:
    return {"StateValue": state, "StateReason": "a test of the alarm"}


cloudwatch.add(
    "PutMetricData",
    lambda w: {
        "Namespace": "Fleetwin",
        "MetricData": [
            {"MetricName": "Late", "Timestamp": w.now, "Values": [1.0, 2.0], "Counts": [3.0, 1.0]}
        ],
    },
)
cloudwatch.add(
    "GetMetricStatistics",
    lambda w: {
        **_metric(w),
        "Dimensions": _DIMENSIONS,
        "StartTime": w.now - timedelta(minutes=5),
        "EndTime": w.now + timedelta(minutes=5),
        "Period": 60,
        "Statistics": ["Sum", "Average", "Minimum", "Maximum", "SampleCount"],
    },
    "Label Datapoints.Timestamp Datapoints.Unit Datapoints.Sum Datapoints.Average"
    " Datapoints.Minimum Datapoints.Maximum Datapoints.SampleCount",
)
cloudwatch.add(
    "ListMetrics",
    lambda w: {"Namespace": _metric(w)["Namespace"]},
    "Metrics.Namespace Metrics.MetricName Metrics.Dimensions.Name",
)
cloudwatch.add("PutMetricAlarm", alarm_of)
cloudwatch.add("SetAlarmState", lambda w: {**_alarm(w), **_to_state("ALARM")})
cloudwatch.add("DeleteAlarms", lambda w: {"AlarmNames": [_alarm(w)["AlarmName"]]})


def _changed(w: World) -> dict[str, Any]:
    named = _alarm(w)
    w.do("cloudwatch", "SetAlarmState", **named, **_to_state("ALARM"))
    return named


cloudwatch.add(
    "DescribeAlarms",
    lambda w: {"AlarmNames": [_changed(w)["AlarmName"]]},
    below(
        "MetricAlarms",
        "AlarmName AlarmArn AlarmDescription AlarmConfigurationUpdatedTimestamp ActionsEnabled"
        " OKActions AlarmActions InsufficientDataActions StateValue StateReason"
        " StateUpdatedTimestamp StateTransitionedTimestamp MetricName Namespace Statistic"
        " Dimensions.Name Period EvaluationPeriods DatapointsToAlarm Threshold"
        " ComparisonOperator TreatMissingData",
    )
    + " CompositeAlarms",
)
cloudwatch.add(
    "DescribeAlarmHistory",
    _changed,
    below(
        "AlarmHistoryItems",
        "AlarmName AlarmType Timestamp HistoryItemType HistorySummary HistoryData",
    ),
)


def _composite(w: World) -> dict[str, Any]:
    child = _alarm(w)["AlarmName"]
    return {"AlarmName": w.new("all"), "AlarmRule": f'ALARM("{child}") AND NOT OK("{child}")'}


def _put_composite(w: World) -> dict[str, Any]:
    params = _composite(w)
    w.do("cloudwatch", "PutCompositeAlarm", **params)
    return {"AlarmNames": [params["AlarmName"]], "AlarmTypes": ["CompositeAlarm"]}


def _dashboard(w: World) -> dict[str, Any]:
    properties = {"region": "us-east-1", "metrics": [["Fleetwin", "Late"]]}
    body = {"widgets": [{"type": "metric", "properties": properties}]}
    return {"DashboardName": w.new("fleet"), "DashboardBody": json.dumps(body)}


def _shown_dashboard(w: World) -> str:
    params = _dashboard(w)
    w.do("cloudwatch", "PutDashboard", **params)
    return str(params["DashboardName"])


def _query(w: World) -> dict[str, Any]:
    metric = {**_metric(w), "Dimensions": _DIMENSIONS}
    stat = {"Metric": metric, "Period": 60, "Stat": "p90"}
    return {
        "MetricDataQueries": [
            {"Id": "m1", "MetricStat": stat, "ReturnData": False},
            {"Id": "e1", "Expression": "FILL(m1, 0) * 2", "Label": "twice"},
        ],
        "StartTime": w.now - timedelta(minutes=5),
        "EndTime": w.now + timedelta(minutes=5),
    }


cloudwatch.add(
    "GetMetricData",
    _query,
    below("MetricDataResults", "Id Label Timestamps Values StatusCode"),
)
cloudwatch.add("PutCompositeAlarm", _composite)
cloudwatch.add(
    "DescribeAlarms",
    _put_composite,
    below("CompositeAlarms", "AlarmName AlarmArn AlarmRule StateValue StateReason ActionsEnabled")
    + " MetricAlarms",
    "composite",
)
cloudwatch.add(
    "DescribeAlarmsForMetric",
    lambda w: (
        _alarm(w) and {"Namespace": "Fleetwin", "MetricName": "Late", "Dimensions": _DIMENSIONS}
    ),
    below("MetricAlarms", "AlarmName MetricName Statistic"),
)
cloudwatch.add("EnableAlarmActions", lambda w: {"AlarmNames": [_alarm(w)["AlarmName"]]})
cloudwatch.add("DisableAlarmActions", lambda w: {"AlarmNames": [_alarm(w)["AlarmName"]]})
cloudwatch.add("PutDashboard", _dashboard, "DashboardValidationMessages")
cloudwatch.add(
    "GetDashboard",
    lambda w: {"DashboardName": _shown_dashboard(w)},
    "DashboardArn DashboardBody DashboardName",
)
cloudwatch.add(
    "ListDashboards",
    lambda w: {"DashboardNamePrefix": _shown_dashboard(w)},
    below("DashboardEntries", "DashboardName DashboardArn LastModified Size"),
)
cloudwatch.add("DeleteDashboards", lambda w: {"DashboardNames": [_shown_dashboard(w)]})
