"""Sending, receiving and deleting messages: the operations on what is in a queue.

`simulator.cloud.sqs` has the queues and the table of operations. Receiving waits on the run's
clock; everything else is answered at once.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import count
from typing import Any, Protocol

import simpy

from simulator.cloud.context import Context
from simulator.cloud.engine import SimGenerator
from simulator.cloud.errors import AwsError, NotSupportedByTwin
from simulator.cloud.operations import Answer, Call, Params, Principal
from simulator.cloud.sqs_bodies import (
    check_attributes,
    check_body,
    md5_of,
    md5_of_attributes,
    size_of,
    wanted_attributes,
)
from simulator.cloud.sqs_errors import invalid, invalid_value, missing, named, plain
from simulator.cloud.sqs_queues import LONGEST_HIDDEN_S, Message, Queue

MOST_ENTRIES = 10
MOST_BATCH_BYTES = 1_048_576
_ENTRY_ID = re.compile(r"[A-Za-z0-9_-]{1,80}\Z")
_GROUP = re.compile(r"[A-Za-z0-9!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~]{1,128}\Z")
_HANDLE = re.compile(r"(arn:[^/]+)/([0-9a-f-]{36})/(\d+)\Z")


class Told(Protocol):
    """Told of what happens in a queue, for metrics."""

    def __call__(self, queue: Queue, name: str, value: float = 1.0, unit: str = "Count") -> None:
        """Take one value of a metric."""


class Messages:
    """The operations on messages. ``named`` finds a queue by a request; ``told`` counts."""

    def __init__(self, context: Context, named: Callable[[Params], Queue], told: Told) -> None:
        self._context = context
        self._engine = context.engine
        self._named = named
        self._told = told
        self._sequence = count(18_850_000_000_000_000_000)

    # -- sending

    def send(self, call: Call) -> Answer:
        """SendMessage."""
        queue, params = self._named(call.params), call.params
        attributes = params.get("MessageAttributes", {})
        most = queue.number("MaximumMessageSize")
        if size_of(params["MessageBody"], attributes) > most:
            reason = f"Reason: Message must be shorter than {most} bytes."
            raise invalid(f"One or more parameters are invalid. {reason}")
        self._check_ids(queue, params, alone=True)
        return self._sent(queue, call.principal, params)

    def send_batch(self, call: Call) -> Answer:
        """SendMessageBatch: a message that cannot be sent fails alone."""
        queue, entries = self._named(call.params), call.params["Entries"]
        _check_entries(entries, "SendMessageBatchRequestEntry")
        # The queue's own limit is not asked here (recorded 2023-11-14).
        size = sum(size_of(e["MessageBody"], e.get("MessageAttributes", {})) for e in entries)
        if size > MOST_BATCH_BYTES:
            raise named(
                "BatchRequestTooLong",
                f"Batch requests cannot be longer than {MOST_BATCH_BYTES} bytes. You have sent "
                f"{size} bytes.",
            )
        for entry in entries:
            self._check_ids(queue, entry, alone=False)
        return _each(entries, lambda entry: self._sent(queue, call.principal, entry))

    def _check_ids(self, queue: Queue, params: Params, *, alone: bool) -> None:
        group = params.get("MessageGroupId")
        if group is not None and not _GROUP.match(group):
            raise _bad_id("MessageGroupId", group)
        given = params.get("MessageDeduplicationId")
        if given is not None and not _GROUP.match(given):
            raise _bad_id("MessageDeduplicationId", given)
        if not queue.is_fifo:
            if given is not None:
                raise _not_of_this_type(given, "MessageDeduplicationId")
            return
        if group is None:
            lacking = missing("MessageGroupId")
            raise lacking if alone else invalid(lacking.message)
        if given is None and queue.attributes["ContentBasedDeduplication"] != "true":
            raise invalid(
                "The queue should either have ContentBasedDeduplication enabled or "
                "MessageDeduplicationId provided explicitly"
            )
        if params.get("DelaySeconds"):
            raise _not_of_this_type(params["DelaySeconds"], "DelaySeconds")

    def _sent(self, queue: Queue, principal: Principal, params: Params) -> Answer:
        body, attributes = params["MessageBody"], params.get("MessageAttributes", {})
        check_body(body)
        if attributes:
            check_attributes(attributes)
        delay = params.get("DelaySeconds")
        if delay is not None and not 0 <= delay <= 900:
            raise invalid_value(delay, "DelaySeconds", "DelaySeconds must be >= 0 and <= 900.")
        system = self._system(queue, principal, params)
        traced = params.get("MessageSystemAttributes", {})
        answer: Answer = {"MD5OfMessageBody": md5_of(body.encode())}
        if attributes:
            answer["MD5OfMessageAttributes"] = md5_of_attributes(attributes)
        if traced:
            answer["MD5OfMessageSystemAttributes"] = md5_of_attributes(traced)
        again = None
        if queue.is_fifo:
            again = queue.duplicate_of(system["MessageGroupId"], system["MessageDeduplicationId"])
        message = again or self._message(body, answer["MD5OfMessageBody"], attributes, system)
        if again is None:
            if queue.is_fifo:
                message.system["SequenceNumber"] = str(next(self._sequence))
            queue.add(message, float(queue.number("DelaySeconds") if delay is None else delay))
        answer["MessageId"] = message.id
        if queue.is_fifo:
            answer["SequenceNumber"] = message.system["SequenceNumber"]
        self._told(queue, "NumberOfMessagesSent")
        self._told(queue, "SentMessageSize", float(size_of(body, attributes)), "Bytes")
        return answer

    def _system(self, queue: Queue, principal: Principal, params: Params) -> dict[str, str]:
        arn = principal.arn
        system = {"SenderId": arn.rpartition("/")[2] if "/" in arn else self._context.account}
        if "MessageGroupId" in params:
            system["MessageGroupId"] = params["MessageGroupId"]
        if queue.is_fifo:
            given = params.get("MessageDeduplicationId")
            system["MessageDeduplicationId"] = given or _content_id(params["MessageBody"])
        trace = params.get("MessageSystemAttributes", {}).get("AWSTraceHeader")
        if trace is not None:
            system["AWSTraceHeader"] = trace["StringValue"]
        return system

    def _message(
        self, body: str, digest: str, attributes: dict[str, Any], system: dict[str, str]
    ) -> Message:
        now_ms = int(self._engine.epoch_s() * 1000)
        identity = self._engine.new_id()
        return Message(identity, body, digest, attributes, system, now_ms, self._engine.env.now)

    # -- receiving

    def receive(self, call: Call) -> Answer | simpy.Event:
        """ReceiveMessage; a long poll ends with the first message that comes."""
        queue, params = self._named(call.params), call.params
        if "ReceiveRequestAttemptId" in params:
            raise NotSupportedByTwin("sqs:ReceiveMessage ReceiveRequestAttemptId")
        most = params.get("MaxNumberOfMessages", 1)
        if not 1 <= most <= 10:
            reason = "Must be between 1 and 10, if provided."
            raise invalid_value(most, "MaxNumberOfMessages", reason)
        wait_s = params.get("WaitTimeSeconds", queue.number("ReceiveMessageWaitTimeSeconds"))
        if not 0 <= wait_s <= 20:
            reason = "Must be >= 0 and <= 20, if provided."
            raise invalid_value(wait_s, "WaitTimeSeconds", reason)
        hidden_s = params.get("VisibilityTimeout", queue.number("VisibilityTimeout"))
        _check_hidden(hidden_s)
        found = queue.take(most, hidden_s, _handle_of(queue))
        if found or not wait_s:
            return self._received(queue, found, params)
        return self._engine.process(self._poll(queue, params, most, hidden_s, float(wait_s)))

    def _poll(
        self, queue: Queue, params: Params, most: int, hidden_s: float, wait_s: float
    ) -> SimGenerator:
        env = self._engine.env
        until_s = env.now + wait_s
        found: list[Message] = []
        while not found and not queue.deleted and env.now < until_s:
            pause = env.timeout(min(until_s, queue.next_s()) - env.now)
            yield env.any_of([queue.arrival(), pause])
            found = queue.take(most, hidden_s, _handle_of(queue))
        return self._received(queue, found, params)

    def _received(self, queue: Queue, found: Sequence[Message], params: Params) -> Answer:
        if not found:
            self._told(queue, "NumberOfEmptyReceives")
            return {}
        self._told(queue, "NumberOfMessagesReceived", float(len(found)))
        now_ms = int(self._engine.epoch_s() * 1000)
        for message in found:
            message.first_received_ms = message.first_received_ms or now_ms
        names = [*params.get("AttributeNames", ()), *params.get("MessageSystemAttributeNames", ())]
        wanted = params.get("MessageAttributeNames", ())
        return {"Messages": [_handed_out(message, names, wanted) for message in found]}

    # -- what was received

    def delete(self, call: Call) -> Answer:
        """DeleteMessage."""
        queue = self._named(call.params)
        self._deleted(queue, call.params["ReceiptHandle"])
        return {}

    def delete_batch(self, call: Call) -> Answer:
        """DeleteMessageBatch."""
        queue, entries = self._named(call.params), call.params["Entries"]
        _check_entries(entries, "DeleteMessageBatchRequestEntry")

        def deleted(entry: Params) -> Answer:
            self._deleted(queue, entry["ReceiptHandle"])
            return {}

        return _each(entries, deleted)

    def _deleted(self, queue: Queue, handle: str) -> None:
        message = _held(queue, handle)
        queue.settle()
        if queue.is_fifo and message is not None and not message.in_flight:
            raise invalid_value(handle, "ReceiptHandle", "The receipt handle has expired.")
        # A message that was received again since stays: only the newest handle deletes it.
        if message is not None and message.handle == handle:
            queue.remove(message)
        self._told(queue, "NumberOfMessagesDeleted")

    def change(self, call: Call) -> Answer:
        """ChangeMessageVisibility."""
        queue, params = self._named(call.params), call.params
        self._changed(queue, params["ReceiptHandle"], params["VisibilityTimeout"])
        return {}

    def change_batch(self, call: Call) -> Answer:
        """ChangeMessageVisibilityBatch."""
        queue, entries = self._named(call.params), call.params["Entries"]
        _check_entries(entries, "ChangeMessageVisibilityBatchRequestEntry")

        def changed(entry: Params) -> Answer:
            self._changed(queue, entry["ReceiptHandle"], entry.get("VisibilityTimeout", 0))
            return {}

        return _each(entries, changed)

    def _changed(self, queue: Queue, handle: str, hidden_s: int) -> None:
        _check_hidden(hidden_s)
        message = _held(queue, handle)
        if message is None:
            reason = "Message does not exist or is not available for visibility timeout change."
            raise invalid_value(handle, "ReceiptHandle", reason)
        if self._engine.env.now + hidden_s - message.received_s > LONGEST_HIDDEN_S:
            reason = "Total VisibilityTimeout for the message is beyond the limit [43200 seconds]"
            raise invalid_value(hidden_s, "VisibilityTimeout", reason)
        queue.change(message, float(hidden_s))


def _bad_id(parameter: str, value: str) -> AwsError:
    reason = "can only include alphanumeric and punctuation characters. 1 to 128 in length."
    return invalid_value(value, parameter, f"{parameter} {reason}")


def _not_of_this_type(value: object, parameter: str) -> AwsError:
    reason = "The request include parameter that is not valid for this queue type."
    return invalid_value(value, parameter, reason)


def _content_id(body: str) -> str:
    from hashlib import sha256

    return sha256(body.encode()).hexdigest()


def _check_hidden(hidden_s: int) -> None:
    if not 0 <= hidden_s <= LONGEST_HIDDEN_S:
        reason = "Must be between 0 and 43200, if provided."
        raise invalid_value(hidden_s, "VisibilityTimeout", reason)


def _check_entries(entries: Sequence[Params], kind: str) -> None:
    """Raise what is answered for a batch as a whole."""
    if not entries:
        raise named("EmptyBatchRequest", f"There should be at least one {kind} in the request.")
    if len(entries) > MOST_ENTRIES:
        raise named(
            "TooManyEntriesInBatchRequest",
            f"Maximum number of entries per request are {MOST_ENTRIES}. You have sent "
            f"{len(entries)}.",
        )
    seen: set[str] = set()
    for entry in entries:
        identity = entry["Id"]
        if not _ENTRY_ID.match(identity):
            raise named(
                "InvalidBatchEntryId",
                "A batch entry id can only contain alphanumeric characters, hyphens and "
                "underscores. It can be at most 80 letters long.",
            )
        if identity in seen:
            raise named("BatchEntryIdsNotDistinct", f"Id {identity} repeated.")
        seen.add(identity)


def _each(entries: Iterable[Params], do: Callable[[Params], Answer]) -> Answer:
    """Do something for each entry of a batch; return what went well and what did not."""
    done: list[Answer] = []
    failed: list[Answer] = []
    for entry in entries:
        try:
            done.append({"Id": entry["Id"], **do(entry)})
        except AwsError as error:
            failed.append(
                {
                    "Id": entry["Id"],
                    "SenderFault": True,
                    "Code": error.code,
                    "Message": error.message,
                }
            )
    return {"Successful": done, "Failed": failed}


def _handle_of(queue: Queue) -> Callable[[Message], str]:
    def handle(message: Message) -> str:
        return b64encode(f"{queue.arn}/{message.id}/{message.receives}".encode()).decode()

    return handle


def _held(queue: Queue, handle: str) -> Message | None:
    """Return the message of a receipt handle, None when it is gone.

    Raises ReceiptHandleIsInvalid for what is no handle of the queue.
    """
    try:
        found = _HANDLE.match(b64decode(handle, validate=True).decode())
    except ValueError:
        found = None
    if found is None or found[1] != queue.arn:
        message = f'The input receipt handle "{handle}" is not a valid receipt handle.'
        raise plain("ReceiptHandleIsInvalid", message)
    return queue.messages.get(found[2])


def _handed_out(message: Message, names: Sequence[str], wanted: Sequence[str]) -> Mapping[str, Any]:
    answer: Answer = {
        "MessageId": message.id,
        "ReceiptHandle": message.handle,
        "MD5OfBody": message.body_md5,
        "Body": message.body,
    }
    if names:
        known = {
            **message.system,
            "SentTimestamp": str(message.sent_ms),
            "ApproximateReceiveCount": str(message.receives),
            "ApproximateFirstReceiveTimestamp": str(message.first_received_ms),
        }
        shown = known if "All" in names else {n: known[n] for n in names if n in known}
        if shown:
            answer["Attributes"] = shown
    attributes = wanted_attributes(message.attributes, wanted)
    if attributes:
        answer["MD5OfMessageAttributes"] = md5_of_attributes(attributes)
        answer["MessageAttributes"] = attributes
    return answer
