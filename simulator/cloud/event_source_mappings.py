"""Event source mappings from Kinesis streams to functions: operations and pollers.

One SimPy process a shard reads (`shard_reader`) and has batches done (`batches`). Other
sources, parallelisation, tumbling windows and filters are refused by name.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from functools import partial
from typing import Any

import simpy

from simulator.cloud.batches import Batches
from simulator.cloud.context import Context
from simulator.cloud.errors import AwsError, NotSupportedByTwin
from simulator.cloud.functions import Functions
from simulator.cloud.kinesis import Kinesis
from simulator.cloud.mapping_settings import Mapping, starting_position
from simulator.cloud.operations import Answer, Call, Operation, Params, Principal
from simulator.cloud.shard_reader import DENIED_AGAIN_AFTER_S, ShardReader

SHARDS_OF_A_MAPPING = 10_000


class Poller:
    """One mapping's reader and batches on one shard."""

    def __init__(self, reader: ShardReader, batches: Batches, mapping: Mapping) -> None:
        self.reader = reader
        self.busy = False
        self.ended: Callable[[Poller], None] = lambda poller: None
        """Called when a closed shard has been read and processed to its end."""
        self._batches = batches
        self._mapping = mapping

    @property
    def idle(self) -> bool:
        """Tell whether all that was written is processed, or a problem stops the mapping."""
        reads_on = self.busy or self.reader.children is not None
        return not reads_on and (self.reader.caught_up or bool(self.reader.problem))

    def active(self) -> bool:
        """Tell whether the mapping is (still) to read."""
        return self._mapping.enabled and self._mapping.state != "Deleting"

    def run(self) -> Generator[simpy.Event, Any, None]:
        """Read and process until the mapping is disabled or deleted."""
        yield from self.reader.begin()
        while self.active():
            records = yield from self.reader.batch(self.active)
            if not records and self.reader.children is not None and self.active():
                self.ended(self)
                return
            if records:
                self.busy = True
                left = yield from self._batches.process(records, self.active)
                self.busy = False
                self.reader.put_back(left)
            self.reader.changed()


class EventSourceMappings:
    """The service's mappings. Needs the functions that they call and the streams they read."""

    def __init__(self, context: Context, functions: Functions, kinesis: Kinesis) -> None:
        self._context = context
        self._engine = context.engine
        self._functions = functions
        self._kinesis = kinesis
        self._by_uuid: dict[str, Mapping] = {}
        self._pollers: dict[str, list[Poller]] = {}
        self._listed: dict[str, set[str]] = {}
        """The shards that there were when a mapping began, by its id."""
        self._done: dict[str, set[str]] = {}
        """Closed shards that a mapping has processed to their end, by its id."""
        self._followers: dict[str, list[simpy.Process]] = {}
        self._drained: list[simpy.Event] = []

    def operations(self) -> dict[str, Operation]:
        """Return the operations that run here, keyed by botocore's names."""
        return {
            "CreateEventSourceMapping": Operation(self._create),
            "GetEventSourceMapping": Operation(self._get, resources=self._resources),
            "UpdateEventSourceMapping": Operation(self._update, resources=self._resources),
            "DeleteEventSourceMapping": Operation(self._delete, resources=self._resources),
            "ListEventSourceMappings": Operation(self._list),
        }

    # -- in process

    def idle(self) -> bool:
        """Tell whether every enabled mapping has processed all that was written so far.

        A mapping that a missing permission stops counts as idle: see `problems`.
        """
        return all(
            self._has_begun(mapping) and all(p.idle for p in self._pollers[uuid])
            for uuid, mapping in self._by_uuid.items()
            if mapping.enabled
        )

    def _has_begun(self, mapping: Mapping) -> bool:
        """Tell whether a mapping reads, or is kept from it by a problem."""
        return bool(self._pollers[mapping.uuid]) or mapping.last_result.startswith("PROBLEM")

    def drained_event(self) -> simpy.Event:
        """Return an event that succeeds as soon as `idle` holds."""
        event = self._engine.env.event()
        self._drained.append(event)
        self._poke()
        return event

    def problems(self) -> list[str]:
        """Return what stops mappings from reading, one line each."""
        return sorted(
            f"{mapping.function_arn}: {mapping.last_result}"
            for uuid, mapping in self._by_uuid.items()
            if any(p.reader.problem for p in self._pollers[uuid])
            or (not self._pollers[uuid] and mapping.last_result.startswith("PROBLEM"))
        )

    def _poke(self) -> None:
        if self._drained and self.idle():
            waiting, self._drained = self._drained, []
            for event in waiting:
                event.succeed()

    # -- operations

    def _resources(self, params: Params) -> Sequence[str]:
        return (self._context.arn("lambda", f"event-source-mapping:{params['UUID']}"),)

    def _create(self, call: Call) -> Answer:
        params = call.params
        source = params.get("EventSourceArn", "")
        if source.split(":")[2:3] != ["kinesis"] or ":stream/" not in source:
            raise NotSupportedByTwin(f"event source mapping of {source or 'no ARN'}")
        function = self._functions.find(params["FunctionName"])
        if function is None:
            raise AwsError("InvalidParameterValueException", "Function does not exist", status=400)
        position = starting_position(params)
        try:
            self._kinesis.streams.named({"StreamARN": source})
        except AwsError:
            raise AwsError(
                "InvalidParameterValueException", f"Stream not found: {source}"
            ) from None
        for other in self._by_uuid.values():
            if (other.stream_arn, other.function_arn) == (source, function.arn):
                raise AwsError(
                    "ResourceConflictException",
                    f'The event source arn (" {source} ") and function (" {function.name} ") '
                    "provided mapping already exists. Please update or delete the existing "
                    f"mapping with UUID {other.uuid}",
                    status=409,
                )
        uuid = self._engine.new_id()
        mapping = Mapping(
            uuid=uuid,
            arn=self._context.arn("lambda", f"event-source-mapping:{uuid}"),
            stream_arn=source,
            function_arn=function.arn,
            position=position,
            position_at=params.get("StartingPositionTimestamp"),
            modified=self._engine.now(),
            rank=len(self._by_uuid),
            tags=dict(params.get("Tags", {})),
        )
        mapping.change(params)
        self._by_uuid[uuid] = mapping
        self._pollers[uuid] = []
        self._engine.process(self._start(mapping))
        return mapping.answer()

    def _get(self, call: Call) -> Answer:
        return self._named(call.params).answer()

    def _update(self, call: Call) -> Answer:
        params, mapping = call.params, self._named(call.params)
        if mapping.state == "Disabling":
            raise AwsError(
                "ResourceInUseException",
                f"Cannot update the event source mapping {mapping.uuid} because it is in use.",
            )
        was_enabled = mapping.enabled
        if "FunctionName" in params:
            mapping.function_arn = self._functions.named(params["FunctionName"]).arn
        mapping.change({k: v for k, v in params.items() if k != "FunctionName"})
        mapping.modified = self._engine.now()
        for poller in self._pollers[mapping.uuid]:
            poller.reader.wake()
        if mapping.enabled and not was_enabled:
            mapping.state = "Enabling"
            self._engine.process(self._start(mapping))
        elif was_enabled and not mapping.enabled:
            mapping.state = "Disabling"
        return mapping.answer(State=mapping.state if mapping.state != "Enabled" else "Updating")

    def _delete(self, call: Call) -> Answer:
        mapping = self._named(call.params)
        mapping.state = "Deleting"
        del self._by_uuid[mapping.uuid]
        for poller in self._pollers.pop(mapping.uuid):
            poller.reader.close()
        self._poke()
        return mapping.answer()

    def _list(self, call: Call) -> Answer:
        params = call.params
        found = list(self._by_uuid.values())
        if "EventSourceArn" in params:
            found = [m for m in found if m.stream_arn == params["EventSourceArn"]]
        if "FunctionName" in params:
            wanted = self._functions.named(params["FunctionName"]).arn
            found = [m for m in found if m.function_arn == wanted]
        return {"EventSourceMappings": [m.answer() for m in found]}

    def _named(self, params: Params) -> Mapping:
        mapping = self._by_uuid.get(params["UUID"])
        if mapping is None:
            raise AwsError(
                "ResourceNotFoundException",
                "The resource you requested does not exist.",
                status=404,
            )
        return mapping

    # -- pollers

    def _principal(self, mapping: Mapping) -> Principal:
        """Return the session of the function's role that reads the stream."""
        function = self._functions.named(mapping.function_arn)
        return self._context.iam.principal_for_role(function.role, function.name)

    def _start(self, mapping: Mapping) -> Generator[simpy.Event, Any, None]:
        """Start the mapping's pollers, one a shard, those of an earlier time once more."""
        if not mapping.enabled and mapping.state == "Creating":
            mapping.state = "Disabled"
            return
        # It may be deleted before it has begun, and while it asks.
        while mapping.state != "Deleting" and not self._pollers[mapping.uuid]:
            shards = yield from self._shards(mapping)
            if mapping.state == "Deleting":
                return
            if not mapping.enabled:
                mapping.state = "Disabled"
                return
            first = _first_shards(shards, mapping.position)
            self._pollers[mapping.uuid] = [self._poller(mapping, i) for i in first]
            listed = self._listed[mapping.uuid] = {shard["ShardId"] for shard in shards}
            # Of closed shards nothing is read at LATEST.
            self._done[mapping.uuid] = (
                listed - set(first) if mapping.position == "LATEST" else set()
            )
        if mapping.state == "Deleting":
            return
        mapping.state = "Enabled"
        pollers = self._pollers[mapping.uuid]
        running = [self._engine.process(poller.run()) for poller in pollers]
        while running:
            yield self._engine.env.all_of(running)
            running = self._followers.pop(mapping.uuid, [])
        if not mapping.enabled and mapping.state != "Deleting":
            mapping.state = "Disabled"
        self._poke()

    def _follow(self, mapping: Mapping, poller: Poller) -> None:
        """Go on with a shard's children, once all their parents are processed (in order a key)."""
        pollers = self._pollers[mapping.uuid]
        pollers.remove(poller)
        poller.reader.close()
        done = self._done[mapping.uuid]
        done.add(poller.reader.shard_id)
        for child in poller.reader.children or []:
            if not done.issuperset(child["ParentShards"]):
                continue
            listed = child["ShardId"] in self._listed.get(mapping.uuid, set())
            follower = self._poller(mapping, child["ShardId"], from_horizon=not listed)
            pollers.append(follower)
            started = self._engine.process(follower.run())
            self._followers.setdefault(mapping.uuid, []).append(started)
        self._poke()

    def _shards(self, mapping: Mapping) -> Generator[simpy.Event, Any, list[dict[str, Any]]]:
        """Ask for the stream's shards as the function's role, again and again if refused."""
        try:
            answer = self._context.dispatch(
                self._principal(mapping),
                "kinesis",
                "ListShards",
                {"StreamARN": mapping.stream_arn, "MaxResults": SHARDS_OF_A_MAPPING},
            )
            if isinstance(answer, simpy.Event):
                answer = yield answer
        except AwsError as error:
            mapping.last_result = f"PROBLEM: {error.message}"
            self._poke()
            yield self._engine.env.timeout(DENIED_AGAIN_AFTER_S)
            return []
        assert isinstance(answer, dict)
        return list(answer["Shards"])

    def _poller(self, mapping: Mapping, shard_id: str, *, from_horizon: bool = False) -> Poller:
        reader = ShardReader(
            self._context,
            self._kinesis,
            mapping,
            shard_id,
            lambda: self._principal(mapping),
            from_horizon,
        )
        batches = Batches(
            self._context,
            self._functions,
            mapping,
            shard_id,
            priority=mapping.rank * SHARDS_OF_A_MAPPING + int(shard_id.rpartition("-")[2]),
            retention_s=lambda: self._kinesis.retention_s(mapping.stream_arn),
        )
        reader.changed = self._poke
        poller = Poller(reader, batches, mapping)
        poller.ended = partial(self._follow, mapping)
        return poller


def _first_shards(shards: Sequence[dict[str, Any]], position: str) -> list[str]:
    """Return the shards to begin with: the open ones at LATEST, else those without parents here."""
    if position == "LATEST":
        return [
            shard["ShardId"]
            for shard in shards
            if "EndingSequenceNumber" not in shard["SequenceNumberRange"]
        ]
    names = {shard["ShardId"] for shard in shards}
    parents = ("ParentShardId", "AdjacentParentShardId")
    return [s["ShardId"] for s in shards if not names.intersection(s.get(p, "") for p in parents)]
