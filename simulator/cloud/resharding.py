"""Kinesis's SplitShard, MergeShards and UpdateShardCount.

Part of `simulator.cloud.kinesis`. A shard that is split or merged is closed: it takes no more
records, and what it has is read from it until retention ends. Its children follow in the hash
range. A change of the count is made of splits and merges, so that no shard has more than two
parents; shards that only stood in between stay listed, empty, until retention ends.

Source: API reference of the three operations. Texts of errors are from memory and not verified.
"""

from __future__ import annotations

from simulator.cloud.context import Context
from simulator.cloud.errors import AwsError
from simulator.cloud.operations import Answer, Call, Params
from simulator.cloud.shards import Shard
from simulator.cloud.streams import FIRST_HASH, HASH_KEYS, Stream, Streams, invalid, not_active

MAX_SHARDS = 10_000
CHANGES_A_DAY = 10
DAY_S = 86_400.0


class Resharding:
    """The operations that change a stream's shards."""

    def __init__(self, context: Context, streams: Streams) -> None:
        self._context = context
        self._streams = streams

    def split_shard(self, call: Call) -> Answer:
        """Split an open shard at a hash key, where its second child begins."""
        stream, params = self._active(call.params), call.params
        shard = self._open(stream, params["ShardToSplit"])
        at = int(params["NewStartingHashKey"])
        if not shard.first_hash < at <= shard.last_hash:
            raise invalid(
                f"NewStartingHashKey {at} used in SplitShard() on shard {shard.id} in stream "
                f"{stream.name} under account {self._context.account} is not both greater than one "
                "plus the shard's StartingHashKey and less than the shard's EndingHashKey."
            )
        self._split(stream, shard, at)
        return {}

    def merge_shards(self, call: Call) -> Answer:
        """Merge two open shards whose hash ranges lie side by side."""
        stream, params = self._active(call.params), call.params
        shard = self._open(stream, params["ShardToMerge"])
        other = self._open(stream, params["AdjacentShardToMerge"])
        low, high = sorted((shard, other), key=FIRST_HASH)
        if low.last_hash + 1 != high.first_hash:
            raise invalid(
                f"Shards {shard.id} and {other.id} in stream {stream.name} under account "
                f"{self._context.account} are not an adjacent pair of shards eligible for merging"
            )
        self._merge(stream, shard, other)
        return {}

    def update_shard_count(self, call: Call) -> Answer:
        """Give a stream so many open shards of one size."""
        stream, target = self._active(call.params), int(call.params["TargetShardCount"])
        count, now_s = len(stream.shards), self._context.engine.env.now
        self._check_count(count, target)
        recent = [at_s for at_s in stream.changed_s if at_s > now_s - DAY_S]
        if len(recent) >= CHANGES_A_DAY:
            raise AwsError(
                "LimitExceededException",
                f"Stream {stream.name} was scaled {CHANGES_A_DAY} times within 24 hours",
            )
        stream.changed_s = [*recent, now_s]
        edges = [HASH_KEYS * i // target for i in range(target)]
        for edge in edges[1:]:
            shard = stream.shard_of_hash(edge)
            if shard.first_hash != edge:
                self._split(stream, shard, edge)
        for first in edges:
            self._merge_from(stream, first, set(edges))
        return {
            "StreamName": stream.name,
            "StreamARN": stream.arn,
            "CurrentShardCount": count,
            "TargetShardCount": target,
        }

    # -- rules

    def _active(self, params: Params) -> Stream:
        stream = self._streams.named(params)
        if stream.status != "ACTIVE":
            raise not_active(self._context, stream)
        return stream

    def _open(self, stream: Stream, shard_id: str) -> Shard:
        shard = self._streams.shard(stream, shard_id)
        if shard.closed:
            raise invalid(f"Shard {shard_id} in stream {stream.name} is closed")
        return shard

    def _check_count(self, count: int, target: int) -> None:
        shown = f"Current open shard count: {count} Target shard count: {target}"
        if target > 2 * count:
            raise invalid(
                "UpdateShardCount cannot scale up over double your current open shard count. "
                f"{shown}"
            )
        if 2 * target < count:
            raise invalid(
                "UpdateShardCount cannot scale down below half your current open shard count. "
                f"{shown}"
            )
        if target > MAX_SHARDS:
            raise AwsError("LimitExceededException", f"{target} shards are over {MAX_SHARDS}")

    # -- what is done to shards

    def _split(self, stream: Stream, shard: Shard, at: int) -> None:
        low = stream.successor(shard.first_hash, at - 1, self._context.engine.epoch_s())
        high = stream.successor(at, shard.last_hash, self._context.engine.epoch_s())
        self._succeed(stream, (shard,), (low, high))

    def _merge(self, stream: Stream, shard: Shard, other: Shard) -> Shard:
        first = min(shard.first_hash, other.first_hash)
        last = max(shard.last_hash, other.last_hash)
        child = stream.successor(first, last, self._context.engine.epoch_s())
        self._succeed(stream, (shard, other), (child,))
        return child

    def _merge_from(self, stream: Stream, first: int, edges: set[int]) -> None:
        """Merge what lies between an edge and the next one into one shard."""
        shard = stream.shard_of_hash(first)
        while shard.last_hash + 1 < HASH_KEYS and shard.last_hash + 1 not in edges:
            shard = self._merge(stream, shard, stream.shard_of_hash(shard.last_hash + 1))

    def _succeed(
        self, stream: Stream, parents: tuple[Shard, ...], children: tuple[Shard, ...]
    ) -> None:
        now_s = self._context.engine.env.now
        for child in children:
            child.parents = tuple(parent.id for parent in parents)
            stream.all[child.index] = child
        kept = [shard for shard in stream.shards if shard not in parents]
        stream.shards = sorted([*kept, *children], key=FIRST_HASH)
        stream.shard_of_key.clear()
        for parent in parents:
            parent.children = children
            parent.close(now_s)
