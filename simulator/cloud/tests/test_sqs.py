"""Queues on the run's clock: hidden and back, late, dead, in order, refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from simulator.cloud.engine import SimGenerator
from simulator.cloud.tests.sqs_bench import ACCOUNT_ARN, Bench, bench, redrive, refused
from simulator.cloud.tests.twin import START

__all__ = ["bench"]


# -- on the clock


def test_a_received_message_comes_back_after_its_visibility_timeout(bench: Bench) -> None:
    url = bench.queue(VisibilityTimeout="20")
    bench.send(url, "m")
    assert bench.bodies(url) == ["m"]
    bench.run(19.9)
    assert bench.bodies(url) == []
    bench.run(0.1)
    assert bench.bodies(url, VisibilityTimeout=5) == ["m"]
    bench.run(5.0)
    (again,) = bench.receive(url, AttributeNames=["All"])
    assert again["Attributes"]["ApproximateReceiveCount"] == "3"
    first_ms = round(START.timestamp() * 1000)
    assert again["Attributes"]["ApproximateFirstReceiveTimestamp"] == str(first_ms)


def test_a_delay_is_counted_on_the_clock_of_the_run(bench: Bench) -> None:
    url = bench.queue(DelaySeconds="10")
    bench.send(url, "queue's")
    bench.send(url, "own", DelaySeconds=3)
    bench.send(url, "none", DelaySeconds=0)
    assert bench.counts(url) == (1, 0, 2)
    assert bench.bodies(url) == ["none"]
    bench.run(3.0)
    assert bench.bodies(url) == ["own"]
    bench.run(7.0)
    assert bench.bodies(url) == ["queue's"]
    assert bench.counts(url) == (0, 3, 0)


def test_a_message_is_gone_after_its_retention(bench: Bench) -> None:
    url = bench.queue(MessageRetentionPeriod="60")
    bench.send(url, "old")
    bench.run(59.0)
    bench.send(url, "new")
    assert bench.counts(url) == (2, 0, 0)
    bench.run(1.0)
    assert bench.counts(url) == (1, 0, 0)
    assert bench.bodies(url) == ["new"]


def test_a_long_poll_ends_when_a_message_can_be_received(bench: Bench) -> None:
    url = bench.queue(ReceiveMessageWaitTimeSeconds="20")
    bench.send(url, "delayed", DelaySeconds=7)
    assert bench.bodies(url) == ["delayed"]
    assert bench.engine.env.now == 7.0

    def send_later() -> SimGenerator:
        yield bench.engine.env.timeout(2.5)
        bench.send(url, "sent")

    bench.engine.process(send_later())
    assert bench.bodies(url) == ["sent"]
    assert bench.engine.env.now == 9.5
    assert bench.bodies(url, WaitTimeSeconds=4) == []
    assert bench.engine.env.now == 13.5
    assert bench.bodies(url, WaitTimeSeconds=0) == []
    assert bench.engine.env.now == 13.5


def test_visibility_is_shortened_and_prolonged_until_twelve_hours(bench: Bench) -> None:
    url = bench.queue()
    bench.send(url, "m")
    (message,) = bench.receive(url)
    asked = {"QueueUrl": url, "ReceiptHandle": message["ReceiptHandle"]}
    bench.client.change_message_visibility(**asked, VisibilityTimeout=100)
    bench.run(60.0)
    assert bench.bodies(url) == []
    code, text = refused(bench.client.change_message_visibility, **asked, VisibilityTimeout=43_200)
    assert code == "InvalidParameterValue"
    assert "beyond the limit" in text
    bench.client.change_message_visibility(**asked, VisibilityTimeout=0)
    assert bench.bodies(url) == ["m"]


def test_only_the_newest_handle_deletes_a_message(bench: Bench) -> None:
    url = bench.queue(VisibilityTimeout="1")
    bench.send(url, "m")
    (first,) = bench.receive(url)
    bench.run(1.0)
    (second,) = bench.receive(url)
    bench.delete(url, first)
    assert bench.counts(url) == (0, 1, 0)
    bench.delete(url, second)
    assert bench.counts(url) == (0, 0, 0)
    bench.delete(url, second)


# -- dead letters


def test_what_is_received_too_often_moves_to_the_dead_letter_queue(bench: Bench) -> None:
    dead = bench.queue("dead")
    url = bench.queue(VisibilityTimeout="1", RedrivePolicy=redrive("dead"))
    bench.send(url, "m")
    for _ in range(2):
        assert bench.bodies(url) == ["m"]
        bench.run(1.0)
    assert bench.bodies(url) == []
    (moved,) = bench.receive(dead, AttributeNames=["DeadLetterQueueSourceArn", "SentTimestamp"])
    assert moved["Attributes"]["DeadLetterQueueSourceArn"] == f"{ACCOUNT_ARN}:q"
    assert moved["Attributes"]["SentTimestamp"] == str(round(START.timestamp() * 1000))
    sources = bench.client.list_dead_letter_source_queues(QueueUrl=dead)
    assert sources["queueUrls"] == [url]


def test_a_queue_decides_who_has_it_for_dead_letters(bench: Bench) -> None:
    bench.queue("closed", RedriveAllowPolicy='{"redrivePermission":"denyAll"}')
    allowed = {"redrivePermission": "byQueue", "sourceQueueArns": [f"{ACCOUNT_ARN}:friend"]}
    bench.queue("some", RedriveAllowPolicy=json.dumps(allowed))
    bench.queue("friend", RedrivePolicy=redrive("some"))
    for dead in ("closed", "some", "none"):
        code, _ = refused(bench.queue, name="stranger", RedrivePolicy=redrive(dead))
        assert code == "InvalidParameterValue", dead
    bench.fifo("dead.fifo")
    _, text = refused(bench.queue, name="stranger", RedrivePolicy=redrive("dead.fifo"))
    assert "same type" in text


# -- FIFO


def test_a_fifo_queue_keeps_order_within_a_group(bench: Bench) -> None:
    url = bench.fifo(VisibilityTimeout="5", ContentBasedDeduplication="true")
    for body in ("a1", "b1", "a2", "b2", "a3"):
        bench.send(url, body, MessageGroupId=body[0])
    first, second = bench.receive(url, MaxNumberOfMessages=2)
    assert (first["Body"], second["Body"]) == ("a1", "b1")
    assert bench.bodies(url) == [], "both groups have messages in flight"
    bench.delete(url, first)
    assert bench.bodies(url) == ["a2", "a3"]
    bench.run(5.0)
    # What came back goes first again, in the order in which it was sent.
    assert bench.bodies(url) == ["b1", "a2", "b2", "a3"]


def test_the_same_content_is_taken_once_in_five_minutes(bench: Bench) -> None:
    url = bench.fifo(ContentBasedDeduplication="true")
    sent = [bench.send(url, "m", MessageGroupId=group) for group in "ab"]
    assert sent[0]["MessageId"] == sent[1]["MessageId"]
    assert sent[0]["SequenceNumber"] == sent[1]["SequenceNumber"]
    (message,) = bench.receive(url)
    bench.delete(url, message)
    bench.run(299.0)
    bench.send(url, "m", MessageGroupId="a")
    assert bench.bodies(url) == [], "also when it was deleted"
    bench.run(1.0)
    bench.send(url, "m", MessageGroupId="a")
    assert bench.bodies(url) == ["m"]


def test_with_the_scope_of_groups_each_group_has_its_own_duplicates(bench: Bench) -> None:
    url = bench.fifo(DeduplicationScope="messageGroup", FifoThroughputLimit="perMessageGroupId")
    for group in "aab":
        bench.send(url, group, MessageGroupId=group, MessageDeduplicationId="same")
    assert bench.bodies(url) == ["a", "b"]


def test_an_expired_handle_deletes_nothing_from_a_fifo_queue(bench: Bench) -> None:
    url = bench.fifo(VisibilityTimeout="1", ContentBasedDeduplication="true")
    bench.send(url, "m", MessageGroupId="g")
    (message,) = bench.receive(url)
    bench.run(1.0)
    code, text = refused(
        bench.client.delete_message, QueueUrl=url, ReceiptHandle=message["ReceiptHandle"]
    )
    assert (code, text.partition("Reason: ")[2]) == (
        "InvalidParameterValue",
        "The receipt handle has expired.",
    )


# -- what is in a message

ATTRIBUTES: dict[str, Any] = {
    "Hello": {"DataType": "String", "StringValue": "There"},
    "General": {"DataType": "String", "StringValue": "Kenobi"},
    "Help.Me": {"DataType": "String", "StringValue": "Me"},
}


@pytest.mark.parametrize(
    ("names", "found", "digest"),
    [
        ([], [], None),
        (["All"], ["Hello", "General", "Help.Me"], "4c360f3fdafd970e05fae2f149d997f5"),
        ([".*"], ["Hello", "General", "Help.Me"], "4c360f3fdafd970e05fae2f149d997f5"),
        (["Foo", "Help"], [], None),
        (["Hello", "General"], ["Hello", "General"], "fca026605781cb4126a1e9044df24232"),
        (["Foo", "Hello"], ["Hello"], "a311262e065454b75da111d535b8dacd"),
        (["Hel.*"], [], None),
        (["Help.*"], ["Help.Me"], None),
    ],
    ids=str,
)
def test_attributes_are_handed_out_by_name_with_a_digest_of_theirs(
    bench: Bench, names: list[str], found: list[str], digest: str | None
) -> None:
    url = bench.queue()
    bench.send(url, "msg", MessageAttributes=ATTRIBUTES)
    (message,) = bench.receive(url, MessageAttributeNames=names)
    assert sorted(message.get("MessageAttributes", {})) == sorted(found)
    if digest is not None:
        # Recorded on AWS, 2023-07-06.
        assert message["MD5OfMessageAttributes"] == digest


def test_a_message_beyond_the_queues_limit_is_refused(bench: Bench) -> None:
    url = bench.queue(MaximumMessageSize="1024")
    bench.send(url, "é" * 512)
    code, text = refused(bench.send, url=url, body="é" * 512 + "x")
    assert (code, text) == (
        "InvalidParameterValue",
        "One or more parameters are invalid. Reason: Message must be shorter than 1024 bytes.",
    )
    attributes = {"a": {"DataType": "String", "StringValue": "x" * 1018}}
    assert refused(bench.send, url=url, body="x", MessageAttributes=attributes)[0] == code
    # Batches have a limit of their own only.
    entries = [{"Id": "a", "MessageBody": "x" * 2_000}]
    sent = bench.client.send_message_batch(QueueUrl=url, Entries=entries)
    assert [each["Id"] for each in sent["Successful"]] == ["a"]


def test_in_a_batch_what_cannot_be_sent_fails_alone(bench: Bench) -> None:
    url = bench.queue()
    entries = [
        {"Id": "good", "MessageBody": "m"},
        {"Id": "bad", "MessageBody": "\x00"},
        {"Id": "late", "MessageBody": "m", "DelaySeconds": 901},
    ]
    answer = bench.client.send_message_batch(QueueUrl=url, Entries=entries)
    assert [each["Id"] for each in answer["Successful"]] == ["good"]
    assert [(each["Id"], each["Code"]) for each in answer["Failed"]] == [
        ("bad", "InvalidMessageContents"),
        ("late", "InvalidParameterValue"),
    ]
    (message,) = bench.receive(url)
    handle = message["ReceiptHandle"]
    changes = [{"Id": "a", "ReceiptHandle": handle, "VisibilityTimeout": 0}]
    bench.client.change_message_visibility_batch(QueueUrl=url, Entries=changes)
    (message,) = bench.receive(url)
    handles = [
        {"Id": "a", "ReceiptHandle": message["ReceiptHandle"]},
        {"Id": "b", "ReceiptHandle": "none"},
    ]
    answer = bench.client.delete_message_batch(QueueUrl=url, Entries=handles)
    assert [each["Id"] for each in answer["Successful"]] == ["a"]
    assert [each["Code"] for each in answer["Failed"]] == ["ReceiptHandleIsInvalid"]
