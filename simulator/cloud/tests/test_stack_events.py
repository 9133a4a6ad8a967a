"""What a stack tells of itself: each resource's states in order, failures with their reasons."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from simulator.cloud.cloud import Cloud
from simulator.cloud.errors import AwsError, NotSupportedByTwin
from simulator.cloud.operations import Answer, Call
from simulator.cloud.stack_calls import PAUSES_S, may_pass
from simulator.cloud.stack_deletion import DeletionFailed
from simulator.cloud.stack_update import UpdateFailed
from simulator.cloud.tests.recording import only, written
from simulator.cloud.tests.stack_answers import described
from simulator.cloud.tests.stack_bench import applied, resource, twin

BUCKET = resource("AWS::S3::Bucket", {"BucketName": "raw"})
QUEUE = resource("AWS::SQS::Queue", {"QueueName": "q"})
STREAM = {"ShardCount": 1}


def parameter(value: Any, **more: Any) -> dict[str, Any]:
    properties = {"Name": "/p", "Type": "String", "Value": value}
    return resource("AWS::SSM::Parameter", properties, **more)


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    with twin(tmp_path) as found:
        yield found


def apply(cloud: Cloud, **resources: dict[str, Any]) -> str:
    return applied(cloud, cloud.context.state.parent / "app", only(**resources))


def fails(cloud: Cloud, **resources: dict[str, Any]) -> str:
    folder = cloud.context.state.parent / "app"
    folder.mkdir(exist_ok=True)
    written(folder, Dev=only(**resources))
    changes = cloud.plan(folder, {})
    with pytest.raises(UpdateFailed) as caught:
        cloud.update(changes)
    return str(caught.value)


def events(cloud: Cloud, name: str = "Dev") -> list[dict[str, Any]]:
    """Return a stack's events, the oldest first."""
    found: list[dict[str, Any]] = []
    token: dict[str, str] = {}
    while True:
        answer = cloud.call("cloudformation", "DescribeStackEvents", StackName=name, **token)
        found += answer["StackEvents"]
        if "NextToken" not in answer:
            return found[::-1]
        token = {"NextToken": answer["NextToken"]}


def since(cloud: Cloud, count: int) -> list[str]:
    """Return the events after the first ``count``, each as logical id and status."""
    found = events(cloud, cloud.context.stack_events.stack_id("Dev"))[count:]
    return [f"{one['LogicalResourceId']} {one['ResourceStatus']}" for one in found]


def test_a_creation_is_told_in_the_order_of_need_and_the_newest_comes_first(cloud: Cloud) -> None:
    apply(cloud, P=parameter({"Ref": "Q"}), Q=QUEUE)
    assert since(cloud, 0) == [
        "Dev CREATE_IN_PROGRESS",
        "Q CREATE_IN_PROGRESS",
        "Q CREATE_COMPLETE",
        "P CREATE_IN_PROGRESS",
        "P CREATE_COMPLETE",
        "Dev CREATE_COMPLETE",
    ]
    (newest, *_) = cloud.call("cloudformation", "DescribeStackEvents", StackName="Dev")[
        "StackEvents"
    ]
    assert newest["ResourceType"] == "AWS::CloudFormation::Stack"
    assert newest["PhysicalResourceId"] == newest["StackId"]
    assert len({one["EventId"] for one in events(cloud)}) == 6


def test_an_update_tells_of_what_it_changes_replaces_and_removes(cloud: Cloud) -> None:
    apply(cloud, P=parameter("1"), Q=resource("AWS::SQS::Queue", {}), B=BUCKET)
    count = len(events(cloud))
    apply(cloud, P=parameter("2"), Q=QUEUE)
    assert since(cloud, count) == [
        "Dev UPDATE_IN_PROGRESS",
        "P UPDATE_IN_PROGRESS",
        "P UPDATE_COMPLETE",
        "Q UPDATE_IN_PROGRESS",
        "Q UPDATE_COMPLETE",
        "Dev UPDATE_COMPLETE_CLEANUP_IN_PROGRESS",
        "B DELETE_IN_PROGRESS",
        "B DELETE_COMPLETE",
        "Q DELETE_IN_PROGRESS",
        "Q DELETE_COMPLETE",
        "Dev UPDATE_COMPLETE",
    ]
    replaced = [one for one in events(cloud) if one["LogicalResourceId"] == "Q"][2:]
    assert "requires the creation of a new physical resource" in replaced[0]["ResourceStatusReason"]
    assert replaced[1]["PhysicalResourceId"].endswith("/q")
    assert replaced[0]["PhysicalResourceId"] == replaced[2]["PhysicalResourceId"]
    answer = cloud.call("cloudformation", "DescribeStackResources", StackName="Dev")
    statuses = {one["LogicalResourceId"]: one["ResourceStatus"] for one in answer["StackResources"]}
    assert statuses == {"P": "UPDATE_COMPLETE", "Q": "UPDATE_COMPLETE"}


def test_a_failure_names_the_resource_and_each_is_taken_back_the_last_first(cloud: Cloud) -> None:
    apply(cloud, P=parameter("1"), Q=resource("AWS::SQS::Queue", {}))
    count = len(events(cloud))
    late = resource("AWS::S3::Bucket", {"BucketName": "Not A Name"}, DependsOn=["P", "Q", "N"])
    more = resource("AWS::SNS::Topic", {"TopicName": "n"}, DependsOn=["P", "Q"])
    said = fails(cloud, P=parameter("2"), Q=QUEUE, N=more, Late=late)
    assert said.endswith("UPDATE_ROLLBACK_COMPLETE: all is as before")
    told = since(cloud, count)
    assert told[-13:] == [
        "Late CREATE_IN_PROGRESS",
        "Late CREATE_FAILED",
        "Dev UPDATE_ROLLBACK_IN_PROGRESS",
        "Late DELETE_IN_PROGRESS",
        "Late DELETE_COMPLETE",
        "N DELETE_IN_PROGRESS",
        "N DELETE_COMPLETE",
        "Q DELETE_IN_PROGRESS",
        "Q DELETE_COMPLETE",
        "Q UPDATE_COMPLETE",
        "P UPDATE_IN_PROGRESS",
        "P UPDATE_COMPLETE",
        "Dev UPDATE_ROLLBACK_COMPLETE",
    ]
    by_status = {one["ResourceStatus"]: one for one in events(cloud)}
    assert "s3:CreateBucket answered" in by_status["CREATE_FAILED"]["ResourceStatusReason"]
    why = by_status["UPDATE_ROLLBACK_IN_PROGRESS"]["ResourceStatusReason"]
    assert why == "The following resource(s) failed to create: [Late]. "
    (stack,) = cloud.call("cloudformation", "DescribeStacks")["Stacks"]
    assert stack["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"


def test_a_stack_that_cannot_be_created_is_rolled_back_to_nothing(cloud: Cloud) -> None:
    late = resource("AWS::S3::Bucket", {"BucketName": "Not A Name"}, DependsOn="Q")
    assert "\nROLLBACK_COMPLETE" in fails(cloud, Q=QUEUE, Late=late)
    assert since(cloud, 0)[-1] == "Dev ROLLBACK_COMPLETE"
    assert "QueueUrls" not in cloud.call("sqs", "ListQueues")


def test_what_is_deleted_is_still_told_by_the_stacks_id(cloud: Cloud) -> None:
    apply(cloud, B={**BUCKET, "DeletionPolicy": "Retain"}, Q=QUEUE)
    count = len(events(cloud))
    cloud.destroy()
    assert since(cloud, count) == [
        "Dev DELETE_IN_PROGRESS",
        "Q DELETE_IN_PROGRESS",
        "Q DELETE_COMPLETE",
        "B DELETE_SKIPPED",
        "Dev DELETE_COMPLETE",
    ]
    with pytest.raises(AwsError, match="does not exist"):
        events(cloud)


def test_what_could_not_be_deleted_says_why(cloud: Cloud) -> None:
    apply(cloud, B=BUCKET)
    cloud.call("s3", "PutObject", Bucket="raw", Key="k", Body=b"kept")
    with pytest.raises(DeletionFailed):
        cloud.destroy()
    *_, bucket, stack = events(cloud)
    assert bucket["ResourceStatus"] == "DELETE_FAILED"
    assert "BucketNotEmpty" in bucket["ResourceStatusReason"]
    assert stack["ResourceStatusReason"] == "The following resource(s) failed to delete: [B]. "
    folder = cloud.context.state.parent / "app"
    written(folder, Dev=only(Q=QUEUE))
    assert len(cloud.update(cloud.plan(folder, {}))) == 1
    assert "could not be deleted" in events(cloud)[-1]["ResourceStatusReason"]


# -- throttling


def test_more_streams_than_kinesis_takes_a_second_are_created_all_the_same(cloud: Cloud) -> None:
    streams = {f"S{i}": resource("AWS::Kinesis::Stream", STREAM) for i in range(12)}
    apply(cloud, **streams)
    assert len(cloud.call("kinesis", "ListStreams")["StreamNames"]) == 12
    assert cloud.engine.env.now == pytest.approx(2.0)


def throttled(cloud: Cloud, times: int, error: AwsError) -> None:
    """Have the next ``times`` calls of SetQueueAttributes fail."""
    dispatch = cloud.dispatch
    right = dispatch._table["sqs", "SetQueueAttributes"].execute
    left = iter(range(times))

    def execute(call: Call) -> Answer:
        if next(left, None) is not None:
            raise error
        answer: Answer = right(call)
        return answer

    dispatch.replace("sqs", "SetQueueAttributes", execute)


def slow(seconds: int) -> dict[str, Any]:
    return resource("AWS::SQS::Queue", {"QueueName": "q", "VisibilityTimeout": seconds})


@pytest.mark.parametrize(
    "error",
    [
        AwsError("ThrottlingException", "Rate exceeded"),
        AwsError("InternalFailure", "we are sorry", 500),
    ],
)
def test_what_is_throttled_or_fails_in_the_service_is_tried_again_later(
    cloud: Cloud, error: AwsError
) -> None:
    apply(cloud, Q=slow(40))
    throttled(cloud, 3, error)
    apply(cloud, Q=slow(50))
    assert cloud.engine.env.now == pytest.approx(sum(PAUSES_S[:3]))


def test_what_stays_throttled_fails_in_the_end_and_is_rolled_back(cloud: Cloud) -> None:
    apply(cloud, Q=slow(40))
    before = described(cloud)
    throttled(cloud, len(PAUSES_S) + 1, AwsError("ThrottlingException", "Rate exceeded"))
    said = fails(cloud, Q=slow(50))
    assert "Rate exceeded" in said
    assert "UPDATE_ROLLBACK_COMPLETE" in said
    assert described(cloud) == before


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (AwsError("LimitExceededException", "Rate exceeded for account 1."), True),
        (AwsError("LimitExceededException", "10 streams are the most"), False),
        (AwsError("ValidationException", "no"), False),
        (NotSupportedByTwin("s3:SelectObjectContent"), False),
    ],
)
def test_only_what_may_pass_is_tried_again(error: AwsError, passes: bool) -> None:
    assert may_pass(error) == passes
