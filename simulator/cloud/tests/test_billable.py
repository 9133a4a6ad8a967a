"""Units that AWS charges for: of requests as they are made, of time as it passes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.cloud.cloud import Cloud
from simulator.cloud.metered import MESSAGE_UNIT_BYTES, PAYLOAD_UNIT_BYTES, Metered

START = datetime(2026, 1, 5, tzinfo=UTC)


@contextmanager
def twin(folder: Path) -> Iterator[Cloud]:
    cloud = Cloud(START, folder)
    try:
        yield cloud
    finally:
        cloud.close()


@given(st.lists(st.integers(1, 4 * PAYLOAD_UNIT_BYTES), min_size=1, max_size=20))
def test_each_record_is_charged_by_units_of_25_kib_of_key_and_data(sizes: list[int]) -> None:
    metered = Metered()
    records = [{"Data": b"x" * (size - 1), "PartitionKey": "k"} for size in sizes]
    metered.count("kinesis", "PutRecords", {"Records": records}, {"FailedRecordCount": 0})
    for record in records:
        metered.count("kinesis", "PutRecord", record, {})
    wanted = sum(-(-size // PAYLOAD_UNIT_BYTES) for size in sizes)
    assert metered.payload_units == 2 * wanted
    assert metered.requests["kinesis", "PutRecord"] == len(sizes)


@given(st.lists(st.integers(0, 3 * MESSAGE_UNIT_BYTES), max_size=20))
def test_each_message_is_charged_by_units_of_5_kib_and_by_one_at_least(sizes: list[int]) -> None:
    metered = Metered()
    metered.published(sizes)
    assert metered.messages == sum(max(1, -(-size // MESSAGE_UNIT_BYTES)) for size in sizes)


def test_requests_are_charged_by_their_class_and_refused_ones_not_at_all(tmp_path: Path) -> None:
    with twin(tmp_path) as cloud:
        call = cloud.call
        call("s3", "CreateBucket", Bucket="billed")
        for number in range(3):
            call("s3", "PutObject", Bucket="billed", Key=str(number), Body=b"x")
        call("s3", "ListObjectsV2", Bucket="billed")
        call("s3", "GetObject", Bucket="billed", Key="0")
        call("s3", "HeadObject", Bucket="billed", Key="0")
        with pytest.raises(Exception, match="key does not exist"):
            call("s3", "GetObject", Bucket="billed", Key="none")
        call("s3", "DeleteObject", Bucket="billed", Key="0")
        topic = call("sns", "CreateTopic", Name="t")["TopicArn"]
        call("sns", "Publish", TopicArn=topic, Message="m")
        assert cloud.billable() == {
            "S3 PUT requests": 5.0,
            "S3 GET requests": 2.0,
            "SNS requests": 2.0,
        }
        # To be asked is no use of anything.
        assert cloud.billable()["S3 PUT requests"] == 5.0


def test_shards_are_charged_by_the_hour(tmp_path: Path) -> None:
    with twin(tmp_path) as cloud:
        cloud.call("kinesis", "CreateStream", StreamName="s", ShardCount=2)
        cloud.engine.run(cloud.engine.env.now + 5_400.0)
        cloud.call("kinesis", "PutRecord", StreamName="s", Data=b"x" * 30_000, PartitionKey="k")
        assert cloud.billable() == {
            "Kinesis shard hours": pytest.approx(3.0),
            "Kinesis PUT payload units": 2.0,
        }


def test_workflows_are_charged_by_the_state_and_alarms_by_their_number(tmp_path: Path) -> None:
    with twin(tmp_path) as cloud:
        definition = {
            "StartAt": "One",
            "States": {
                "One": {"Type": "Pass", "Next": "Two"},
                "Two": {"Type": "Wait", "Seconds": 5, "Next": "Three"},
                "Three": {"Type": "Succeed"},
            },
        }
        role = "arn:aws:iam::000000000000:role/r"
        service = {"Service": "states.amazonaws.com"}
        trust = {"Effect": "Allow", "Principal": service, "Action": "sts:AssumeRole"}
        cloud.iam.put_role(role, {"Version": "2012-10-17", "Statement": [trust]}, {})
        for kind in ("STANDARD", "EXPRESS"):
            arn = cloud.call(
                "stepfunctions",
                "CreateStateMachine",
                name=kind.lower(),
                type=kind,
                definition=json.dumps(definition),
                roleArn=role,
            )["stateMachineArn"]
            cloud.call("stepfunctions", "StartExecution", stateMachineArn=arn)
        cloud.call(
            "cloudwatch",
            "PutMetricAlarm",
            AlarmName="a",
            Namespace="Own",
            MetricName="m",
            Statistic="Sum",
            Period=60,
            EvaluationPeriods=1,
            Threshold=1.0,
            ComparisonOperator="GreaterThanThreshold",
        )
        point = {"MetricName": "m", "Value": 1.0}
        cloud.call("cloudwatch", "PutMetricData", Namespace="Own", MetricData=[point])
        cloud.engine.run(cloud.engine.env.now + 60.0)
        assert cloud.billable() == {
            "Step Functions transitions": 3.0,
            "CloudWatch alarms": 1.0,
            "CloudWatch metrics": 1.0,
        }
