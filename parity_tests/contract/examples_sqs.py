"""Examples of SQS: queues, messages, dead letters."""

from __future__ import annotations

import json
from typing import Any

from parity_tests.contract.examples import Examples
from parity_tests.contract.world import World

sqs = Examples("sqs")

ATTRIBUTES = {"device_id": {"DataType": "String", "StringValue": "pump-007"}}
TRACE = {"AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1-5759e988-bd862e3fe"}}


def queue(w: World, **attributes: str) -> dict[str, Any]:
    """Return the URL of a new queue, as parameters."""
    made = w.do("sqs", "CreateQueue", QueueName=w.new("queue"), Attributes=attributes)
    return {"QueueUrl": made["QueueUrl"]}


def fifo(w: World, **attributes: str) -> dict[str, Any]:
    """Return the URL of a new FIFO queue, as parameters."""
    name = f"{w.new('queue')}.fifo"
    made = w.do(
        "sqs", "CreateQueue", QueueName=name, Attributes={"FifoQueue": "true", **attributes}
    )
    return {"QueueUrl": made["QueueUrl"]}


def sent(w: World) -> dict[str, Any]:
    """Return a queue with a message in it that has everything."""
    named = queue(w)
    message = {"MessageBody": "m", "MessageAttributes": ATTRIBUTES, "MessageGroupId": "g"}
    w.do("sqs", "SendMessage", **named, **message, MessageSystemAttributes=TRACE)
    return named


def received(w: World) -> dict[str, Any]:
    """Return a queue and the handle of its message."""
    named = sent(w)
    (message,) = w.do("sqs", "ReceiveMessage", **named)["Messages"]
    return {**named, "ReceiptHandle": message["ReceiptHandle"]}


def _one(entry: dict[str, Any]) -> dict[str, Any]:
    """Return a request for one message as a batch with it and one that fails."""
    url = entry.pop("QueueUrl")
    return {"QueueUrl": url, "Entries": [{"Id": "a", **entry}, {"Id": "b", "ReceiptHandle": "x"}]}


def _redriven(w: World) -> dict[str, Any]:
    dead = queue(w)
    arn = f"{w.cloud.context.arn('sqs', '')}{dead['QueueUrl'].rpartition('/')[2]}"
    policy = {"deadLetterTargetArn": arn, "maxReceiveCount": 3}
    queue(w, RedrivePolicy=json.dumps(policy))
    return dead


sqs.add("CreateQueue", lambda w: {"QueueName": w.new("queue"), "tags": {"a": "b"}}, "QueueUrl")
sqs.add("DeleteQueue", queue)
sqs.add("GetQueueUrl", lambda w: {"QueueName": queue(w)["QueueUrl"].rpartition("/")[2]}, "QueueUrl")
sqs.add("ListQueues", lambda w: queue(w) and {"MaxResults": 10}, "QueueUrls")
sqs.add("ListDeadLetterSourceQueues", _redriven, "queueUrls")
sqs.add(
    "GetQueueAttributes",
    lambda w: {**sent(w), "AttributeNames": ["All"]},
    "Attributes.QueueArn Attributes.ApproximateNumberOfMessages Attributes.CreatedTimestamp"
    " Attributes.ApproximateNumberOfMessagesNotVisible Attributes.LastModifiedTimestamp"
    " Attributes.ApproximateNumberOfMessagesDelayed Attributes.VisibilityTimeout"
    " Attributes.MaximumMessageSize Attributes.MessageRetentionPeriod Attributes.DelaySeconds"
    " Attributes.ReceiveMessageWaitTimeSeconds Attributes.SqsManagedSseEnabled",
)
sqs.add(
    "GetQueueAttributes",
    lambda w: {**fifo(w), "AttributeNames": ["All"]},
    "Attributes.FifoQueue Attributes.ContentBasedDeduplication Attributes.DeduplicationScope"
    " Attributes.FifoThroughputLimit",
    "FIFO",
)
sqs.add("SetQueueAttributes", lambda w: {**queue(w), "Attributes": {"DelaySeconds": "3"}})
sqs.add("PurgeQueue", sent)
sqs.add("TagQueue", lambda w: {**queue(w), "Tags": {"a": "b"}})
sqs.add("UntagQueue", lambda w: {**queue(w), "TagKeys": ["a"]})


def _tagged(w: World) -> dict[str, Any]:
    named = queue(w)
    w.do("sqs", "TagQueue", **named, Tags={"a": "b"})
    return named


sqs.add("ListQueueTags", _tagged, "Tags.a")
sqs.add(
    "SendMessage",
    lambda w: {
        **queue(w),
        "MessageBody": "m",
        "MessageAttributes": ATTRIBUTES,
        "MessageSystemAttributes": TRACE,
    },
    "MessageId MD5OfMessageBody MD5OfMessageAttributes MD5OfMessageSystemAttributes",
)
sqs.add(
    "SendMessage",
    lambda w: {
        **fifo(w, ContentBasedDeduplication="true"),
        "MessageBody": "m",
        "MessageGroupId": "g",
    },
    "MessageId MD5OfMessageBody SequenceNumber",
    "FIFO",
)
sqs.add(
    "SendMessageBatch",
    lambda w: {
        **queue(w),
        "Entries": [{"Id": "a", "MessageBody": "m"}, {"Id": "b", "MessageBody": "\x00"}],
    },
    "Successful.Id Successful.MessageId Successful.MD5OfMessageBody Failed.Id Failed.Code"
    " Failed.SenderFault Failed.Message",
)
sqs.add(
    "ReceiveMessage",
    lambda w: {
        **sent(w),
        "MessageSystemAttributeNames": ["All"],
        "MessageAttributeNames": ["All"],
    },
    "Messages.MessageId Messages.ReceiptHandle Messages.MD5OfBody Messages.Body"
    " Messages.Attributes.SenderId Messages.Attributes.SentTimestamp"
    " Messages.Attributes.ApproximateReceiveCount Messages.MD5OfMessageAttributes"
    " Messages.Attributes.ApproximateFirstReceiveTimestamp Messages.MessageAttributes.device_id"
    " Messages.Attributes.AWSTraceHeader Messages.Attributes.MessageGroupId",
)
sqs.add("ReceiveMessage", lambda w: {**queue(w), "WaitTimeSeconds": 1}, note="nothing there")
sqs.add("DeleteMessage", received)
sqs.add("DeleteMessageBatch", lambda w: _one(received(w)), "Successful.Id Failed.Code")
sqs.add("ChangeMessageVisibility", lambda w: {**received(w), "VisibilityTimeout": 7})
sqs.add("ChangeMessageVisibilityBatch", lambda w: _one(received(w)), "Successful.Id Failed.Code")
