"""SQS: refused calls and answers, as they were recorded on AWS in November 2023.

The recordings are of LocalStack's archived test suite; only what they say is here.
"""

from __future__ import annotations

from typing import Any

from parity_tests.behaviour.table import DOCUMENTED, RECORDED, Behaviours, differs
from parity_tests.contract.examples_sqs import fifo, queue, received
from parity_tests.contract.world import World

WHEN = "2023-11"
sqs = Behaviours("sqs")

_VALUE = "InvalidParameterValue"
_SERVICE = "AWS.SimpleQueueService."


def _refuses(operation: str, what: str, make: Any, code: str, text: str, status: int = 400) -> None:
    sqs.refuses(operation, what, make, code, text, date=WHEN, status=status)


def _twenty(w: World) -> list[dict[str, Any]]:
    return [{"Id": f"{number}", "ReceiptHandle": "x"} for number in range(20)]


def _purged(w: World) -> dict[str, Any]:
    named = queue(w)
    w.do("sqs", "PurgeQueue", **named)
    return named


def _other_attributes(w: World) -> dict[str, Any]:
    name = queue(w, DelaySeconds="1")["QueueUrl"].rpartition("/")[2]
    return {"QueueName": name, "Attributes": {"DelaySeconds": "2"}}


_refuses(
    "GetQueueUrl",
    "a queue that is not there",
    lambda w: {"QueueName": "none"},
    f"{_SERVICE}NonExistentQueue",
    r"^The specified queue does not exist\.$",
)
_refuses(
    "CreateQueue",
    "the same name with other attributes",
    _other_attributes,
    "QueueAlreadyExists",
    "^A queue already exists with the same name and a different value for attribute DelaySeconds$",
)
_refuses(
    "CreateQueue",
    "a dead letter target that is no ARN",
    lambda w: {
        "QueueName": w.new("queue"),
        "Attributes": {"RedrivePolicy": '{"deadLetterTargetArn": "dummy", "maxReceiveCount": 42}'},
    },
    _VALUE,
    r'^Value \{"deadLetterTargetArn": "dummy", "maxReceiveCount": 42\} for parameter RedrivePolicy '
    r"is invalid\. Reason: Invalid value for deadLetterTargetArn\.$",
)
_refuses(
    "SetQueueAttributes",
    "two kinds of encryption",
    lambda w: {
        **queue(w),
        "Attributes": {"KmsMasterKeyId": "k", "SqsManagedSseEnabled": "true"},
    },
    "InvalidAttributeName",
    r"^You can use one type of server-side encryption \(SSE\) at one time\. You can either enable "
    r"KMS SSE or SQS SSE\.$",
)
_refuses(
    "SetQueueAttributes",
    "FIFO of a standard queue",
    lambda w: {**queue(w), "Attributes": {"FifoQueue": "true"}},
    "InvalidAttributeName",
    r"^Unknown Attribute FifoQueue\.$",
)
_refuses(
    "SetQueueAttributes",
    "a FIFO queue that is to be none",
    lambda w: {**fifo(w), "Attributes": {"FifoQueue": "false"}},
    "InvalidAttributeValue",
    r"^Invalid value for the parameter FifoQueue\. Reason: Modifying queue type is not supported",
)
_refuses(
    "PurgeQueue",
    "twice within a minute",
    _purged,
    f"{_SERVICE}PurgeQueueInProgress",
    r"^Only one PurgeQueue operation on .* is allowed every 60 seconds\.$",
    403,
)
_refuses(
    "SendMessage",
    "more than the queue takes",
    lambda w: {**queue(w, MaximumMessageSize="1024"), "MessageBody": "x" * 1025},
    _VALUE,
    r"^One or more parameters are invalid\. Reason: Message must be shorter than 1024 bytes\.$",
)
_refuses(
    "SendMessage",
    "an empty attribute",
    lambda w: {
        **queue(w),
        "MessageBody": "m",
        "MessageAttributes": {"ErrorDetails": {"DataType": "String", "StringValue": ""}},
    },
    _VALUE,
    r"^Message \(user\) attribute 'ErrorDetails' must contain a non-empty value of type "
    r"'String'\.$",
)
_refuses(
    "SendMessage",
    "a delay in a FIFO queue",
    lambda w: {
        **fifo(w, ContentBasedDeduplication="true"),
        "MessageBody": "m",
        "MessageGroupId": "g",
        "DelaySeconds": 2,
    },
    _VALUE,
    r"^Value 2 for parameter DelaySeconds is invalid\. Reason: The request include parameter that "
    r"is not valid for this queue type\.$",
)
_refuses(
    "SendMessage",
    "no group in a FIFO queue",
    lambda w: {**fifo(w), "MessageBody": "m", "MessageDeduplicationId": "d"},
    "MissingParameter",
    r"^The request must contain the parameter MessageGroupId\.$",
)
_refuses(
    "SendMessage",
    "nothing to tell duplicates by",
    lambda w: {**fifo(w), "MessageBody": "m", "MessageGroupId": "g"},
    _VALUE,
    "^The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId "
    "provided explicitly$",
)
_refuses(
    "SendMessageBatch",
    "no group in a FIFO queue",
    lambda w: {**fifo(w), "Entries": [{"Id": "a", "MessageBody": "m"}]},
    _VALUE,
    r"^The request must contain the parameter MessageGroupId\.$",
)
_refuses(
    "SendMessageBatch",
    "an id with a colon",
    lambda w: {**queue(w), "Entries": [{"Id": "a:b", "MessageBody": "m"}]},
    f"{_SERVICE}InvalidBatchEntryId",
    r"^A batch entry id can only contain alphanumeric characters, hyphens and underscores\. It can "
    r"be at most 80 letters long\.$",
)
_refuses(
    "DeleteMessageBatch",
    "twenty entries",
    lambda w: {**queue(w), "Entries": _twenty(w)},
    f"{_SERVICE}TooManyEntriesInBatchRequest",
    r"^Maximum number of entries per request are 10\. You have sent 20\.$",
)
_refuses(
    "ChangeMessageVisibilityBatch",
    "twenty entries",
    lambda w: {**queue(w), "Entries": _twenty(w)},
    f"{_SERVICE}TooManyEntriesInBatchRequest",
    r"^Maximum number of entries per request are 10\. You have sent 20\.$",
)
_refuses(
    "ReceiveMessage",
    "eleven messages",
    lambda w: {**queue(w), "MaxNumberOfMessages": 11},
    _VALUE,
    r"^Value 11 for parameter MaxNumberOfMessages is invalid\. Reason: Must be between 1 and 10, "
    r"if provided\.$",
)


def _expired(w: World) -> dict[str, Any]:
    named = fifo(w, ContentBasedDeduplication="true", VisibilityTimeout="1")
    w.do("sqs", "SendMessage", **named, MessageBody="m", MessageGroupId="g")
    (message,) = w.do("sqs", "ReceiveMessage", **named)["Messages"]
    w.run(2.0)
    return {**named, "ReceiptHandle": message["ReceiptHandle"]}


_refuses(
    "DeleteMessage",
    "a FIFO queue's message with an expired handle",
    _expired,
    _VALUE,
    r"for parameter ReceiptHandle is invalid\. Reason: The receipt handle has expired\.$",
)


def _digest(attributes: dict[str, Any], wanted: str) -> Any:
    def check(w: World) -> str | None:
        message = {"MessageBody": "m", "MessageAttributes": attributes}
        answer = w.do("sqs", "SendMessage", **queue(w), **message)
        return differs(wanted, answer["MD5OfMessageAttributes"])

    return check


sqs.add(
    "SendMessage",
    "the digest of text attributes",
    RECORDED,
    "2023-07",
    _digest(
        {
            "Help.Me": {"DataType": "String", "StringValue": "Me"},
            "Hello": {"DataType": "String", "StringValue": "There"},
            "General": {"DataType": "String", "StringValue": "Kenobi"},
        },
        "4c360f3fdafd970e05fae2f149d997f5",
    ),
)
sqs.add(
    "SendMessage",
    "the digest of a binary attribute",
    RECORDED,
    WHEN,
    _digest(
        {
            "attr1": {
                "DataType": "Binary",
                "BinaryValue": b"traceparent\x1e00-774062d6c37081a5a0b9b5b88e30627c-"
                b"2d2482211f6489da-01",
            }
        },
        "8cbe4db156db8a94db8b801b7addb984",
    ),
)


def _late_change(w: World) -> str | None:
    params = received(w)
    w.run(31.0)
    return differs({}, w.do("sqs", "ChangeMessageVisibility", **params, VisibilityTimeout=2))


sqs.add(
    "ChangeMessageVisibility",
    "after the timeout, unless received again",
    RECORDED,
    WHEN,
    _late_change,
)


def _defaults(w: World) -> str | None:
    found = w.do("sqs", "GetQueueAttributes", **queue(w), AttributeNames=["All"])["Attributes"]
    wanted = {
        "DelaySeconds": "0",
        "MaximumMessageSize": "1048576",
        "MessageRetentionPeriod": "345600",
        "ReceiveMessageWaitTimeSeconds": "0",
        "VisibilityTimeout": "30",
    }
    return differs(wanted, {name: found.get(name) for name in wanted})


sqs.add("GetQueueAttributes", "what holds when nothing is set", DOCUMENTED, "2026-11", _defaults)


def _once(w: World) -> str | None:
    named = fifo(w)
    same = {"MessageBody": "m", "MessageGroupId": "g", "MessageDeduplicationId": "d"}
    sent = [w.do("sqs", "SendMessage", **named, **same)["MessageId"] for _ in range(2)]
    (message,) = w.do("sqs", "ReceiveMessage", **named)["Messages"]
    w.do("sqs", "DeleteMessage", **named, ReceiptHandle=message["ReceiptHandle"])
    w.do("sqs", "SendMessage", **named, **same)
    again = w.do("sqs", "ReceiveMessage", **named).get("Messages", [])
    return differs((1, []), (len(set(sent)), again))


sqs.add("SendMessage", "a duplicate after its deletion is not delivered", RECORDED, WHEN, _once)
