"""Kinesis Data Streams on the run's clock: the control plane and the table of operations.

Serves the gateway, topic rules, mappings and tests through `dispatch`; reading and writing
are in `kinesis_reads` and `kinesis_writes`, changes of shards in `resharding`, a shard's limits in
`shards`. On-demand mode and enhanced fan-out are not here: dispatch refuses them by name.
"""

from __future__ import annotations

from collections.abc import Callable

from simulator.cloud.context import Context
from simulator.cloud.errors import AwsError, NotSupportedByTwin
from simulator.cloud.key_use import KeyUnusable, is_aws_managed
from simulator.cloud.kinesis_reads import Reads
from simulator.cloud.kinesis_writes import Writes, put_action
from simulator.cloud.operations import Answer, Call, Operation, Params
from simulator.cloud.resharding import Resharding
from simulator.cloud.shards import Listener, Shard
from simulator.cloud.streams import (
    MIN_RETENTION_H,
    Stream,
    Streams,
    invalid,
    open_shards,
)

MAX_RETENTION_H = 8760
MAX_CREATING = 5


class Kinesis:
    """The service. ``activation_s`` is how long a new stream stays in CREATING."""

    def __init__(self, context: Context, activation_s: float = 0.0) -> None:
        self._context = context
        self._engine = context.engine
        self._activation_s = activation_s
        self.streams = Streams(context)
        self.attentive: dict[object, Callable[[], tuple[int, int]]] = {}
        """Who sleeps until more is written, and how many records or bytes that are."""
        self.made_for_events: dict[tuple[str, str], dict[str, object]] = {}
        """Records that one mapping's reader has encoded, for the next one, by stream ARN and shard
        id, then by sequence number."""

    def operations(self) -> dict[str, Operation]:
        """Return the operations that run here, keyed by botocore's names."""
        reads = Reads(self._context, self.streams)
        writes = Writes(self._context, self.streams)
        resharding = Resharding(self._context, self.streams)
        on_stream = {
            "DeleteStream": self._delete,
            "DescribeStream": self._describe,
            "DescribeStreamSummary": self._summary,
            "ListShards": self._list_shards,
            "GetShardIterator": reads.get_shard_iterator,
            "GetRecords": reads.get_records,
            "AddTagsToStream": self._add_tags,
            "RemoveTagsFromStream": self._remove_tags,
            "ListTagsForStream": self._list_tags,
            "IncreaseStreamRetentionPeriod": self._increase_retention,
            "DecreaseStreamRetentionPeriod": self._decrease_retention,
            "StartStreamEncryption": self._start_encryption,
            "StopStreamEncryption": self._stop_encryption,
            "SplitShard": resharding.split_shard,
            "MergeShards": resharding.merge_shards,
            "UpdateShardCount": resharding.update_shard_count,
            "PutRecord": writes.put_record,
            "PutRecords": writes.put_records,
        }
        table = {
            name: Operation(execute, resources=self.streams.resources)
            for name, execute in on_stream.items()
        }
        table["PutRecords"] = Operation(
            writes.put_records, resources=self.streams.resources, action=put_action
        )
        table["CreateStream"] = Operation(self._create, resources=self.streams.resources)
        table["ListStreams"] = Operation(self._list_streams)
        return table

    # -- in process, for mappings

    def subscribe(self, stream_arn: str, shard_id: str, listener: Listener) -> None:
        """Have ``listener(records, bytes)`` called after each write to a shard."""
        stream = self.streams.named({"StreamARN": stream_arn})
        self.streams.shard(stream, shard_id).listeners.append(listener)

    def unsubscribe(self, stream_arn: str, shard_id: str, listener: Listener) -> None:
        """Undo `subscribe`; does nothing when the stream is gone."""
        stream = self.streams.by_name.get(stream_arn.rpartition("/")[2])
        for shard in stream.all.values() if stream else ():
            if shard.id == shard_id and listener in shard.listeners:
                shard.listeners.remove(listener)

    def lacking(self) -> tuple[float, float]:
        """Return how many records, and how many bytes, at least wake somebody who sleeps."""
        wanted = [lacks() for lacks in self.attentive.values()]
        return (
            min((records for records, _ in wanted), default=float("inf")),
            min((volume for _, volume in wanted), default=float("inf")),
        )

    def retention_s(self, stream_arn: str) -> float:
        """Return how long the stream keeps a record; for ever once it is deleted."""
        stream = self.streams.by_name.get(stream_arn.rpartition("/")[2])
        return stream.retention_h * 3600.0 if stream else float("inf")

    # -- control plane

    def _create(self, call: Call) -> Answer:
        params = call.params
        name = params["StreamName"]
        refuse_stream(params)
        account = self._context.account
        if name in self.streams.by_name:
            raise AwsError(
                "ResourceInUseException",
                f"Stream {name} under account {account} already exists.",
            )
        creating = sum(s.status == "CREATING" for s in self.streams.by_name.values())
        if creating >= MAX_CREATING:
            raise AwsError("LimitExceededException", f"Rate exceeded for account {account}.")
        arn = self._context.arn("kinesis", f"stream/{name}")
        shards = open_shards(params["ShardCount"], arn, round(self._engine.epoch_s()))
        stream = Stream(name, arn, self._engine.env.now, self._engine.now(), shards)
        stream.tags.update(params.get("Tags", {}))
        self.streams.by_name[name] = stream
        if self._activation_s > 0.0:
            timeout = self._engine.env.timeout(self._activation_s)
            assert timeout.callbacks is not None
            timeout.callbacks.append(lambda _: setattr(stream, "status", "ACTIVE"))
        else:
            stream.status = "ACTIVE"
        return {}

    def _delete(self, call: Call) -> Answer:
        stream = self.streams.named(call.params)
        del self.streams.by_name[stream.name]
        return {}

    def _describe(self, call: Call) -> Answer:
        stream = self.streams.named(call.params)
        shards, more = _page(stream, call.params, "ExclusiveStartShardId", "Limit", 100)
        description = self._described(stream)
        description |= {
            "Shards": [_shard_answer(s) for s in shards],
            "HasMoreShards": more,
        }
        return {"StreamDescription": description}

    def _summary(self, call: Call) -> Answer:
        stream = self.streams.named(call.params)
        summary = self._described(stream)
        summary |= {"OpenShardCount": len(stream.shards), "ConsumerCount": 0}
        return {"StreamDescriptionSummary": summary}

    def _described(self, stream: Stream) -> Answer:
        kind, key = stream.encryption
        return {
            "StreamName": stream.name,
            "StreamARN": stream.arn,
            "StreamStatus": stream.status,
            "StreamModeDetails": {"StreamMode": "PROVISIONED"},
            "RetentionPeriodHours": stream.retention_h,
            "StreamCreationTimestamp": stream.created_at,
            "EnhancedMonitoring": [{"ShardLevelMetrics": []}],
            "EncryptionType": kind,
        } | ({"KeyId": key} if key else {})

    def _list_streams(self, call: Call) -> Answer:
        after = call.params.get("NextToken") or call.params.get("ExclusiveStartStreamName", "")
        limit = call.params.get("Limit", 100)
        names = sorted(name for name in self.streams.by_name if name > after)
        shown = [self.streams.by_name[name] for name in names[:limit]]
        more = len(names) > limit
        answer: Answer = {
            "StreamNames": [s.name for s in shown],
            "HasMoreStreams": more,
            "StreamSummaries": [
                {
                    "StreamName": s.name,
                    "StreamARN": s.arn,
                    "StreamStatus": s.status,
                    "StreamModeDetails": {"StreamMode": "PROVISIONED"},
                    "StreamCreationTimestamp": s.created_at,
                }
                for s in shown
            ],
        }
        return answer | ({"NextToken": shown[-1].name} if more else {})

    def _list_shards(self, call: Call) -> Answer:
        params = dict(call.params)
        if "ShardFilter" in params:
            raise NotSupportedByTwin("kinesis:ListShards ShardFilter")
        if token := params.pop("NextToken", None):
            name, _, after = token.partition("|")
            params |= {"StreamName": name, "ExclusiveStartShardId": after}
        stream = self.streams.named(params)
        shards, more = _page(stream, params, "ExclusiveStartShardId", "MaxResults", 1000)
        answer: Answer = {"Shards": [_shard_answer(s) for s in shards]}
        return answer | ({"NextToken": f"{stream.name}|{shards[-1].id}"} if more else {})

    def _add_tags(self, call: Call) -> Answer:
        self.streams.named(call.params).tags.update(call.params["Tags"])
        return {}

    def _remove_tags(self, call: Call) -> Answer:
        tags = self.streams.named(call.params).tags
        for key in call.params["TagKeys"]:
            tags.pop(key, None)
        return {}

    def _list_tags(self, call: Call) -> Answer:
        tags = self.streams.named(call.params).tags
        return {
            "Tags": [{"Key": k, "Value": tags[k]} for k in sorted(tags)],
            "HasMoreTags": False,
        }

    def _increase_retention(self, call: Call) -> Answer:
        stream, hours = (
            self.streams.named(call.params),
            call.params["RetentionPeriodHours"],
        )
        if hours > MAX_RETENTION_H:
            raise invalid(
                f"Maximum allowed retention period is {MAX_RETENTION_H} hours. "
                f"Requested retention period ({hours} hours) is too long."
            )
        if hours < stream.retention_h:
            raise invalid(
                f"Requested retention period ({hours} hours) for stream {stream.name} can not be "
                f"shorter than existing retention period ({stream.retention_h} hours). "
                "Use DecreaseRetentionPeriod API."
            )
        stream.retention_h = hours
        return {}

    def _decrease_retention(self, call: Call) -> Answer:
        stream, hours = (
            self.streams.named(call.params),
            call.params["RetentionPeriodHours"],
        )
        if hours < MIN_RETENTION_H:
            raise invalid(
                f"Minimum allowed retention period is {MIN_RETENTION_H} hours. "
                f"Requested retention period ({hours} hours) is too short."
            )
        if hours > stream.retention_h:
            raise invalid(
                f"Requested retention period ({hours} hours) for stream {stream.name} can not be "
                f"longer than existing retention period ({stream.retention_h} hours). "
                "Use IncreaseRetentionPeriod API."
            )
        stream.retention_h = hours
        return {}

    def _start_encryption(self, call: Call) -> Answer:
        stream = self.streams.named(call.params)
        key = call.params["KeyId"]
        try:
            self._context.keys.arn(key)
        except KeyUnusable as error:
            raise AwsError("KMSNotFoundException", error.message) from None
        stream.encryption = (call.params["EncryptionType"], key)
        stream.key = None if is_aws_managed(key) else key
        return {}

    def _stop_encryption(self, call: Call) -> Answer:
        stream = self.streams.named(call.params)
        stream.encryption, stream.key = ("NONE", None), None
        return {}


def refuse_stream(params: Params) -> None:
    """Raise NotSupportedByTwin for a stream that the twin does not have."""
    mode = params.get("StreamModeDetails", {}).get("StreamMode", "PROVISIONED")
    if mode != "PROVISIONED" or "ShardCount" not in params:
        raise NotSupportedByTwin("kinesis:CreateStream in on-demand mode")
    if unknown := set(params) - {"StreamName", "ShardCount", "StreamModeDetails", "Tags"}:
        raise NotSupportedByTwin(f"kinesis:CreateStream {min(unknown)}")


def _page(
    stream: Stream, params: Params, after_name: str, limit_name: str, default: int
) -> tuple[list[Shard], bool]:
    after = params.get(after_name, "")
    limit = params.get(limit_name, default)
    left = [shard for shard in stream.all.values() if shard.id > after]
    return left[:limit], len(left) > limit


def _shard_answer(shard: Shard) -> Answer:
    ending = {"EndingSequenceNumber": shard.sequence_of(shard.tip)} if shard.closed else {}
    named = zip(("ParentShardId", "AdjacentParentShardId"), shard.parents, strict=False)
    return {
        **dict(named),
        "ShardId": shard.id,
        "HashKeyRange": {
            "StartingHashKey": str(shard.first_hash),
            "EndingHashKey": str(shard.last_hash),
        },
        "SequenceNumberRange": {"StartingSequenceNumber": shard.sequence_of(0), **ending},
    }
