"""Queues themselves: names, lists, attributes, policies, purges, metrics."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from simulator.cloud.cloud import Cloud
from simulator.cloud.errors import AccessDenied
from simulator.cloud.tests.sqs_bench import Bench, bench, redrive, refused
from simulator.cloud.tests.twin import START

__all__ = ["bench"]


def test_a_queue_is_made_once_and_a_deleted_name_is_free_after_a_minute(bench: Bench) -> None:
    url = bench.queue(DelaySeconds="5")
    assert bench.queue(DelaySeconds="5") == bench.queue() == url
    code, text = refused(bench.queue, DelaySeconds="6")
    assert code == "QueueAlreadyExists"
    assert text.endswith("a different value for attribute DelaySeconds")
    bench.client.delete_queue(QueueUrl=url)
    assert refused(bench.send, url=url, body="m")[0].endswith("NonExistentQueue")
    assert refused(bench.queue)[0].endswith("QueueDeletedRecently")
    bench.run(60.0)
    assert bench.queue() == url


def test_a_queue_is_emptied_once_a_minute(bench: Bench) -> None:
    url = bench.queue()
    bench.send(url, "m")
    bench.receive(url)
    bench.send(url, "n")
    bench.client.purge_queue(QueueUrl=url)
    assert bench.counts(url) == (0, 0, 0)
    assert refused(bench.client.purge_queue, QueueUrl=url)[0].endswith("PurgeQueueInProgress")
    bench.run(60.0)
    bench.client.purge_queue(QueueUrl=url)


def test_a_message_is_gone_when_its_time_is_over_and_one_in_flight_when_it_is_back(
    bench: Bench,
) -> None:
    url = bench.queue(MessageRetentionPeriod="60", VisibilityTimeout="100")
    bench.send(url, "received")
    bench.receive(url)
    bench.run(30.0)
    bench.send(url, "left alone")
    bench.run(61.0)
    assert bench.counts(url) == (0, 1, 0)
    bench.run(40.0)
    assert bench.counts(url) == (0, 0, 0)
    # At the second whole minute both are gone.
    assert bench.metric("ApproximateAgeOfOldestMessage", "Maximum") == 60.0


def test_a_message_that_is_redriven_counts_where_it_is(bench: Bench) -> None:
    dead = bench.queue("dead")
    url = bench.queue(VisibilityTimeout="5", RedrivePolicy=redrive("dead", 1))
    bench.send(url, "m")
    for _ in range(2):
        bench.receive(url)
        bench.run(6.0)
    assert (bench.counts(url), bench.counts(dead)) == ((0, 0, 0), (1, 0, 0))
    bench.receive(dead)
    assert bench.counts(dead) == (0, 1, 0)
    bench.run(90.0)
    assert bench.metric("ApproximateAgeOfOldestMessage", "Maximum", "dead") == 60.0


def test_queues_are_listed_in_pages_and_by_prefix(bench: Bench) -> None:
    urls = [bench.queue(f"a{number}") for number in range(3)]
    bench.queue("b")
    assert bench.client.list_queues(QueueNamePrefix="a")["QueueUrls"] == urls
    first = bench.client.list_queues(QueueNamePrefix="a", MaxResults=2)
    rest = bench.client.list_queues(QueueNamePrefix="a", MaxResults=2, NextToken=first["NextToken"])
    assert [*first["QueueUrls"], *rest["QueueUrls"]] == urls
    assert "NextToken" not in rest
    assert "QueueUrls" not in bench.client.list_queues(QueueNamePrefix="none")


@pytest.mark.parametrize(
    ("name", "attributes", "code"),
    [
        ("a.b", {}, "InvalidParameterValue"),
        ("q.fifo", {}, "InvalidParameterValue"),
        ("q", {"FifoQueue": "true"}, "InvalidParameterValue"),
        ("q", {"VisibilityTimeout": "43201"}, "InvalidAttributeValue"),
        ("q", {"DelaySeconds": "x"}, "InvalidAttributeValue"),
        ("q", {"MaximumMessageSize": "1023"}, "InvalidAttributeValue"),
        ("q", {"FifoQueue": "false"}, "InvalidAttributeName"),
        ("q", {"ContentBasedDeduplication": "true"}, "InvalidAttributeName"),
        ("q", {"QueueArn": "x"}, "InvalidAttributeName"),
        ("q", {"KmsMasterKeyId": "k", "SqsManagedSseEnabled": "true"}, "InvalidAttributeName"),
        ("q", {"RedrivePolicy": "x"}, "InvalidParameterValue"),
        ("q", {"RedriveAllowPolicy": "x"}, "InvalidAttributeValue"),
        ("q", {"RedriveAllowPolicy": "[]"}, "InvalidAttributeValue"),
        ("q", {"RedrivePolicy": "{}"}, "InvalidParameterValue"),
        ("q", {"RedrivePolicy": redrive("none", 0)}, "InvalidParameterValue"),
    ],
    ids=str,
)
def test_what_a_queue_cannot_be_is_refused(
    bench: Bench, name: str, attributes: dict[str, str], code: str
) -> None:
    assert refused(bench.queue, name=name, **attributes)[0] == code


def test_a_queues_policy_decides_who_may_send(tmp_path: Path) -> None:
    cloud = Cloud(START, tmp_path)
    try:
        arn = cloud.context.arn("sqs", "q")
        statement = {
            "Effect": "Allow",
            "Principal": {"Service": "sns.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": arn,
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        url = cloud.call("sqs", "CreateQueue", QueueName="q")["QueueUrl"]
        sender = cloud.context.iam.service_principal("sns.amazonaws.com", "arn:aws:sns:::t")
        message = {"QueueUrl": url, "MessageBody": "m"}
        for text, may in (("", False), (policy, True), ("", False)):
            cloud.call("sqs", "SetQueueAttributes", QueueUrl=url, Attributes={"Policy": text})
            # Another attribute leaves the policy alone.
            other = {"VisibilityTimeout": "60"}
            cloud.call("sqs", "SetQueueAttributes", QueueUrl=url, Attributes=other)
            if may:
                cloud.dispatch(sender, "sqs", "SendMessage", message)
                shown = cloud.call(
                    "sqs", "GetQueueAttributes", QueueUrl=url, AttributeNames=["Policy"]
                )
                assert shown["Attributes"]["Policy"] == policy
            else:
                with pytest.raises(AccessDenied):
                    cloud.dispatch(sender, "sqs", "SendMessage", message)
    finally:
        cloud.close()


# -- metrics


def test_a_dead_letter_queue_is_counted_from_its_first_message_on(bench: Bench) -> None:
    bench.queue("dead")
    url = bench.queue(VisibilityTimeout="1", RedrivePolicy=redrive("dead", 1))
    bench.send(url, "m")
    bench.receive(url)
    bench.run(1.0)
    assert bench.receive(url) == []
    bench.run(120.0)
    assert bench.metric("ApproximateNumberOfMessagesVisible", "Maximum", "dead") == 1.0


def test_a_queue_is_counted_each_minute_while_something_is_in_it(bench: Bench) -> None:
    url = bench.queue()
    bench.send(url, "hello")
    bench.send(url, "late", DelaySeconds=900)
    bench.run(600.0)
    assert bench.metric("ApproximateNumberOfMessagesVisible", "Maximum") == 1.0
    assert bench.metric("ApproximateNumberOfMessagesDelayed", "Maximum") == 1.0
    assert bench.metric("ApproximateAgeOfOldestMessage", "Maximum") == 540.0
    bench.run(600.0)
    for message in bench.receive(url):
        bench.delete(url, message)
    bench.receive(url)
    assert bench.metric("NumberOfMessagesSent") == 2.0
    assert bench.metric("SentMessageSize") == 9.0
    assert bench.metric("NumberOfMessagesReceived") == 2.0
    assert bench.metric("NumberOfMessagesDeleted") == 2.0
    assert bench.metric("NumberOfEmptyReceives") == 1.0
    bench.run(120.0)
    assert bench.engine.env.peek() == float("inf"), "nobody counts an empty queue for ever"
