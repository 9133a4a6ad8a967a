"""SQS on the run's clock: queues, their attributes and tags, and the table of operations.

Serves the gateway, SNS, EventBridge, mappings, workflows and tests through `dispatch`; messages
are in `sqs_messages`, what a queue does with them in `sqs_queues`. Moving messages back from a
dead-letter queue and AddPermission are not here: dispatch refuses them by name.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from simulator.cloud.context import Context
from simulator.cloud.engine import SimGenerator
from simulator.cloud.operations import Answer, Call, Execute, Operation, Params
from simulator.cloud.pages import page
from simulator.cloud.sqs_attributes import (
    DEFAULTS,
    FIFO_DEFAULTS,
    TEXTS,
    check_name,
    checked,
    may_redrive,
    redrive_of,
)
from simulator.cloud.sqs_errors import exists, invalid_value, named, no_queue, plain
from simulator.cloud.sqs_messages import Messages
from simulator.cloud.sqs_queues import Queue

REMEMBERED_S = 60.0
"""For so long a deleted queue's name cannot be used, and a queue is not purged again."""

SAMPLED_EVERY_S = 60.0
_COUNTED = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
_DELAYED = "ApproximateNumberOfMessagesDelayed"


class Sqs:
    """The service. Used on the engine's thread only."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._engine = context.engine
        self._queues: dict[str, Queue] = {}
        self._deleted_s: dict[str, float] = {}

    def operations(self) -> dict[str, Operation]:
        """Return the operations that run here, keyed by botocore's names."""
        messages = Messages(self._context, self.named, self._told)
        on_queue: dict[str, Execute] = {
            "CreateQueue": self._create,
            "DeleteQueue": self._delete,
            "GetQueueUrl": self._url,
            "GetQueueAttributes": self._attributes,
            "SetQueueAttributes": self._set,
            "PurgeQueue": self._purge,
            "TagQueue": self._tag,
            "UntagQueue": self._untag,
            "ListQueueTags": self._tags,
            "ListDeadLetterSourceQueues": self._sources,
            "SendMessage": messages.send,
            "ReceiveMessage": messages.receive,
            "DeleteMessage": messages.delete,
            "ChangeMessageVisibility": messages.change,
        }
        batches: dict[str, Execute] = {
            "SendMessage": messages.send_batch,
            "DeleteMessage": messages.delete_batch,
            "ChangeMessageVisibility": messages.change_batch,
        }
        table = {name: Operation(do, resources=self._arns) for name, do in on_queue.items()}
        table |= {
            f"{name}Batch": Operation(do, resources=self._arns, action=f"sqs:{name}")
            for name, do in batches.items()
        }
        return table | {"ListQueues": Operation(self._list)}

    def named(self, params: Params) -> Queue:
        """Return the queue of a request's URL; raises QueueDoesNotExist."""
        return self._found(params["QueueUrl"].rpartition("/")[2])

    def _found(self, name: str) -> Queue:
        queue = self._queues.get(name)
        if queue is None:
            raise no_queue()
        return queue

    def _arns(self, params: Params) -> Sequence[str]:
        name = params.get("QueueName") or params.get("QueueUrl", "*").rpartition("/")[2]
        return (self._context.arn("sqs", name),)

    def _of_arn(self, arn: str) -> Queue | None:
        queue = self._queues.get(arn.rpartition(":")[2])
        return queue if queue is not None and queue.arn == arn else None

    def _url_of(self, queue: Queue) -> str:
        return f"{self._context.gateway_url}/{self._context.account}/{queue.name}"

    # -- queues

    def _create(self, call: Call) -> Answer:
        name, given = call.params["QueueName"], call.params.get("Attributes", {})
        fifo = given.get("FifoQueue", "").lower() == "true"
        check_name(name, fifo=fifo)
        wanted = checked(given, fifo=fifo)
        there = self._queues.get(name)
        if there is not None:
            for attribute, value in wanted.items():
                if there.attributes.get(attribute, "") != value:
                    raise exists(attribute)
            return {"QueueUrl": self._url_of(there)}
        now = self._engine.env.now
        if self._deleted_s.get(name, float("-inf")) + REMEMBERED_S > now:
            raise named(
                "QueueDeletedRecently",
                "You must wait 60 seconds after deleting a queue before you can create another "
                "with the same name.",
            )
        arn = self._context.arn("sqs", name)
        created = int(self._engine.epoch_s())
        defaults = {**DEFAULTS, **(FIFO_DEFAULTS if fifo else {})}
        tags = dict(call.params.get("tags", {}))
        queue = Queue(
            self._engine.env,
            name,
            arn,
            defaults,
            tags,
            created,
            self._of_arn,
            self._look_after,
            created,
        )
        self._apply(queue, wanted)
        self._queues[name] = queue
        return {"QueueUrl": self._url_of(queue)}

    def _delete(self, call: Call) -> Answer:
        queue = self.named(call.params)
        queue.deleted = True
        queue.clear()
        del self._queues[queue.name]
        self._deleted_s[queue.name] = self._engine.env.now
        if "Policy" in queue.attributes:
            self._context.iam.remove_resource_policy(queue.arn)
        return {}

    def _url(self, call: Call) -> Answer:
        owner = call.params.get("QueueOwnerAWSAccountId", self._context.account)
        if owner != self._context.account:
            raise no_queue()
        return {"QueueUrl": self._url_of(self._found(call.params["QueueName"]))}

    def _list(self, call: Call) -> Answer:
        prefix = call.params.get("QueueNamePrefix", "")
        urls = [self._url_of(q) for n, q in sorted(self._queues.items()) if n.startswith(prefix)]
        return _listed("QueueUrls", urls, call.params)

    def _sources(self, call: Call) -> Answer:
        queue = self.named(call.params)
        policies = ((q, q.attributes.get("RedrivePolicy")) for _, q in sorted(self._queues.items()))
        urls = [
            self._url_of(q) for q, text in policies if text and redrive_of(text)[0] == queue.arn
        ]
        # Unlike ListQueues, the list is there when nothing is in it.
        return {"queueUrls": [], **_listed("queueUrls", urls, call.params)}

    # -- attributes and tags

    def _attributes(self, call: Call) -> Answer:
        queue, names = self.named(call.params), call.params.get("AttributeNames", ())
        if not names:
            return {}
        counts = queue.counts()
        numbers = (counts.visible, counts.in_flight, counts.delayed)
        known = {
            "QueueArn": queue.arn,
            **{
                name: str(number)
                for name, number in zip((*_COUNTED, _DELAYED), numbers, strict=True)
            },
            "CreatedTimestamp": str(queue.created_s),
            "LastModifiedTimestamp": str(queue.modified_s),
            **queue.attributes,
        }
        if "All" in names:
            return {"Attributes": known}
        shown = {name: known[name] for name in names if name in known}
        return {"Attributes": shown} if shown else {}

    def _set(self, call: Call) -> Answer:
        queue, given = self.named(call.params), call.params["Attributes"]
        if queue.is_fifo and given.get("FifoQueue", "true").lower() != "true":
            reason = "Modifying queue type is not supported."
            message = f"Invalid value for the parameter FifoQueue. Reason: {reason}"
            raise plain("InvalidAttributeValue", message)
        self._apply(queue, checked(given, fifo=queue.is_fifo))
        queue.modified_s = int(self._engine.epoch_s())
        return {}

    def _apply(self, queue: Queue, wanted: Params) -> None:
        """Set attributes that were checked; an empty text takes one away."""
        policy = wanted.get("RedrivePolicy")
        if policy:
            self._check_redrive(queue, policy)
        attributes = {**queue.attributes, **wanted}
        if wanted.get("SqsManagedSseEnabled") == "true":
            attributes.pop("KmsMasterKeyId", None)
        for name in TEXTS:
            if not attributes.get(name):
                attributes.pop(name, None)
        if "Policy" in wanted:
            # Who may send is decided by IAM.
            if wanted["Policy"]:
                document = json.loads(wanted["Policy"])
                self._context.iam.put_resource_policy(queue.arn, document)
            elif "Policy" in queue.attributes:
                self._context.iam.remove_resource_policy(queue.arn)
        queue.attributes = attributes

    def _check_redrive(self, queue: Queue, policy: str) -> None:
        arn, _ = redrive_of(policy)
        dead = self._of_arn(arn)
        if dead is None:
            raise invalid_value(policy, "RedrivePolicy", "Dead letter target does not exist.")
        if dead.is_fifo != queue.is_fifo:
            reason = "Dead-letter queue must be same type of queue as the source."
            raise invalid_value(policy, "RedrivePolicy", reason)
        if not may_redrive(dead.attributes.get("RedriveAllowPolicy", ""), queue.arn):
            reason = "Dead-letter queue does not allow the source queue."
            raise invalid_value(policy, "RedrivePolicy", reason)

    def _purge(self, call: Call) -> Answer:
        queue = self.named(call.params)
        if queue.purged_s + REMEMBERED_S > self._engine.env.now:
            raise named(
                "PurgeQueueInProgress",
                f"Only one PurgeQueue operation on {queue.name} is allowed every 60 seconds.",
                403,
            )
        queue.purged_s = self._engine.env.now
        queue.clear()
        return {}

    def _tag(self, call: Call) -> Answer:
        self.named(call.params).tags.update(call.params["Tags"])
        return {}

    def _untag(self, call: Call) -> Answer:
        tags = self.named(call.params).tags
        for key in call.params["TagKeys"]:
            tags.pop(key, None)
        return {}

    def _tags(self, call: Call) -> Answer:
        tags = self.named(call.params).tags
        return {"Tags": dict(tags)} if tags else {}

    # -- metrics

    def _told(self, queue: Queue, name: str, value: float = 1.0, unit: str = "Count") -> None:
        record = self._context.cloudwatch.record
        record("AWS/SQS", name, {"QueueName": queue.name}, value, unit)

    def _look_after(self, queue: Queue) -> None:
        """Have a queue counted that is not empty any more, however its message came there."""
        if not queue.sampled:
            queue.sampled = True
            self._engine.process(self._sampled(queue))

    def _sampled(self, queue: Queue) -> SimGenerator:
        """Count a queue each whole minute as long as there is something in it, and once more."""
        record, dimensions = self._context.cloudwatch.record, {"QueueName": queue.name}
        busy = True
        while busy and not queue.deleted:
            # All queues at the same moment, and with the alarms: fewer moments to look at.
            yield self._engine.env.timeout(SAMPLED_EVERY_S - self._engine.env.now % SAMPLED_EVERY_S)
            counts = queue.counts()
            busy = bool(queue.messages)
            for name, number in (
                ("ApproximateNumberOfMessagesVisible", counts.visible),
                ("ApproximateNumberOfMessagesNotVisible", counts.in_flight),
                ("ApproximateNumberOfMessagesDelayed", counts.delayed),
            ):
                record("AWS/SQS", name, dimensions, float(number), "Count")
            oldest_s = queue.oldest_s()
            record("AWS/SQS", "ApproximateAgeOfOldestMessage", dimensions, oldest_s, "Seconds")
        queue.sampled = False


def _listed(member: str, urls: Sequence[str], params: Params) -> Answer:
    most = params.get("MaxResults")
    if most is None:
        return {member: list(urls)[:1_000]} if urls else {}
    found, token = page(urls, most, params.get("NextToken"), "InvalidParameterValue")
    return {**({member: found} if found else {}), **({"NextToken": token} if token else {})}
