"""The account's streams and how a request names one; shared by all of Kinesis here."""

from __future__ import annotations

import base64
import zlib
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from operator import attrgetter

from simulator.cloud.context import Context
from simulator.cloud.errors import AccessDenied, AwsError
from simulator.cloud.key_use import DECRYPT, KeyUnusable
from simulator.cloud.operations import Params, Principal
from simulator.cloud.shards import Shard

HASH_KEYS = 1 << 128
MIN_RETENTION_H = 24
FIRST_HASH = attrgetter("first_hash")


@dataclass
class Stream:
    """One provisioned stream; ``created_s`` is seconds since the engine's start."""

    name: str
    arn: str
    created_s: float
    created_at: datetime
    shards: list[Shard]
    status: str = "CREATING"
    retention_h: int = MIN_RETENTION_H
    encryption: tuple[str, str | None] = ("NONE", None)
    key: str | None = None
    """The KMS key that writers and readers must be let use; None where nobody need be."""
    tags: dict[str, str] = field(default_factory=dict)
    shard_of_key: dict[str, Shard] = field(default_factory=dict)
    changed_s: list[float] = field(default_factory=list)
    """When the number of shards was changed, within the last day."""
    all: dict[int, Shard] = field(init=False)
    """Open and closed shards by their numbers; ``shards`` are the open ones by hash range."""

    def __post_init__(self) -> None:
        self.all = {shard.index: shard for shard in self.shards}
        self._next = len(self.shards)

    def successor(self, first_hash: int, last_hash: int, epoch_s: float) -> Shard:
        """Return a new shard of this stream, which is not yet in it."""
        index, self._next = self._next, self._next + 1
        prefix = _sequence_prefix(self.arn, round(epoch_s))
        return Shard(index, first_hash, last_hash, f"{prefix}{index:010d}")

    def shard_of_hash(self, hashed: int) -> Shard:
        """Return the shard whose range has a hash key; the ranges are sorted and without gaps."""
        return self.shards[bisect_right(self.shards, hashed, key=FIRST_HASH) - 1]


def not_found(message: str) -> AwsError:
    """Return AWS's error for a stream or shard that is not there."""
    return AwsError("ResourceNotFoundException", message)


def invalid(message: str) -> AwsError:
    """Return AWS's error for an argument that a model cannot refuse."""
    return AwsError("InvalidArgumentException", message)


def not_active(context: Context, stream: Stream) -> AwsError:
    """Return AWS's error for what a stream cannot do in its state."""
    return AwsError(
        "ResourceInUseException",
        f"Stream {stream.name} under account {context.account} not ACTIVE, instead in state "
        f"{stream.status}",
    )


def require_key(context: Context, stream: Stream, principal: Principal, action: str) -> None:
    """Raise what Kinesis says of a caller who may not use the stream's key, or of the key.

    The words of both denials are as recorded in public; a writer is told KMS's action and key, a
    reader only the stream.
    """
    assert stream.key is not None
    try:
        context.keys.require(principal, action, stream.key, "kinesis")
    except AccessDenied as error:
        if action == DECRYPT:
            place = f"{context.account}:{stream.name}"
            told = f"User {principal.arn} is not authorized to decrypt records in stream {place}"
        else:
            told = f"User: {principal.arn} is not authorized to perform: {action} on resource: "
            told += str(error.args[2])
        raise AwsError("KMSAccessDeniedException", told) from None
    except KeyUnusable as error:
        code = error.code if error.code.startswith("KMS") else f"KMS{error.code}"
        raise AwsError(code, error.message) from None


class Streams:
    """The account's streams by name; shared by the operations and by in-process readers."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.by_name: dict[str, Stream] = {}

    def arn(self, params: Params) -> str:
        """Return the ARN of the stream that a request names."""
        if "StreamARN" in params:
            return str(params["StreamARN"])
        if "StreamName" in params:
            return self.context.arn("kinesis", f"stream/{params['StreamName']}")
        if "ShardIterator" in params:
            return self.context.arn("kinesis", f"stream/{_stream_of(params['ShardIterator'])}")
        return "*"

    def resources(self, params: Params) -> Sequence[str]:
        """Return what IAM checks for an operation on one stream."""
        return (self.arn(params),)

    def named(self, params: Params) -> Stream:
        """Return the stream that a request names.

        Raises:
            AwsError: ResourceNotFoundException, or InvalidArgumentException without a name.
        """
        arn = self.arn(params)
        name = arn.rpartition("/")[2]
        if arn == "*":
            raise invalid("Either StreamName or StreamARN should be present in the request")
        stream = self.by_name.get(name)
        if stream is None or stream.arn != arn:
            raise not_found(f"Stream {name} under account {self.context.account} not found.")
        return stream

    def shard(self, stream: Stream, shard_id: str) -> Shard:
        """Return a shard by its id, or answer as AWS does when there is none."""
        for shard in stream.all.values():
            if shard.id == shard_id:
                return shard
        raise not_found(
            f"Shard {shard_id} in stream {stream.name} "
            f"under account {self.context.account} does not exist"
        )

    def trim(self, stream: Stream) -> None:
        """Forget what is older than the stream's retention."""
        horizon_s = self.context.engine.env.now - stream.retention_h * 3600.0
        if horizon_s > 0.0:
            for shard in stream.all.values():
                shard.trim(horizon_s)
            if len(stream.all) > len(stream.shards):
                gone = [i for i, shard in stream.all.items() if shard.closed_s < horizon_s]
                for index in gone:
                    del stream.all[index]


def _stream_of(iterator: str) -> str:
    """Return the stream's name in an iterator, ``*`` when it is garbage (refused later)."""
    try:
        return base64.b64decode(iterator, validate=True).decode().partition("|")[0]
    except ValueError:
        return "*"


def open_shards(count: int, arn: str, created_epoch_s: int) -> list[Shard]:
    """Return ``count`` shards that share the key space evenly.

    A sequence number is ``49``, the stream (10 digits), its creation (10), the shard (10) and
    the position (24): AWS's length and order, and the same in every run.
    """
    stream = _sequence_prefix(arn, created_epoch_s)
    edges = [HASH_KEYS * i // count for i in range(count + 1)]
    return [Shard(i, edges[i], edges[i + 1] - 1, f"{stream}{i:010d}") for i in range(count)]


def _sequence_prefix(arn: str, created_epoch_s: int) -> str:
    return f"49{zlib.crc32(arn.encode()):010d}{created_epoch_s:010d}"
