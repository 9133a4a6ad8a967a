"""A stream, a Python function and mappings between them, for tests of mappings."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, cast

import simpy

from simulator.cloud.event_source_mappings import EventSourceMappings
from simulator.cloud.functions import Functions
from simulator.cloud.invocations import Invocation
from simulator.cloud.kinesis import Kinesis
from simulator.cloud.tests.fakes import ROLE, Twin, fake_twin

STREAM = "arn:aws:kinesis:us-east-1:000000000000:stream/s"
BUCKET = "arn:aws:s3:::dead"
QUEUE = "arn:aws:sqs:us-east-1:000000000000:dead"
Handler = Callable[[list[dict[str, Any]]], Any]


class Recorded:
    """Stands for the warm processes: runs a Python function and remembers what it was given."""

    def __init__(self, twin: Twin, handler: Handler) -> None:
        self.handler = handler
        self.batches: list[list[bytes]] = []
        self.times_s: list[float] = []
        self.events: list[Any] = []
        self._engine = twin.engine

    def invoke(self, function: Any, event: bytes, **_: Any) -> simpy.Process:
        """Answer at once on the run's clock."""
        return self._engine.process(self._invoke(event))

    def _invoke(self, event: bytes) -> Generator[simpy.Event, Any, Invocation]:
        records = json.loads(event)["Records"]
        self.events.append(records)
        self.batches.append([b64decode(record["kinesis"]["data"]) for record in records])
        self.times_s.append(self._engine.env.now)
        yield self._engine.env.timeout(0.01)
        try:
            return Invocation("r", True, json.dumps(self.handler(records)).encode())
        except ValueError:
            return Invocation("r", False, b'{"errorType":"ValueError"}')


class Bench:
    """A stream, a function and mappings on a fake twin."""

    def __init__(self, state: Path, handler: Handler, shards: int = 1) -> None:
        self.twin = fake_twin(state)
        self.kinesis = Kinesis(self.twin.context)
        functions = Functions(self.twin.context)
        self.function = Recorded(self.twin, handler)
        functions.invocations = cast(Any, self.function)
        self.mappings = EventSourceMappings(self.twin.context, functions, self.kinesis)
        dispatch = self.twin.dispatch
        dispatch.register("kinesis", self.kinesis.operations())
        dispatch.register("lambda", {**functions.operations(), **self.mappings.operations()})
        self.twin.context.assets["code"] = state
        self.twin.do("kinesis", "CreateStream", StreamName="s", ShardCount=shards)
        self.twin.do(
            "lambda",
            "CreateFunction",
            FunctionName="f",
            Runtime="python3.11",
            Role=ROLE,
            Handler="m.handler",
            Code={"S3Bucket": "assets", "S3Key": "code.zip"},
        )

    def map(self, **more: Any) -> Any:
        """Create a mapping from the beginning of the stream."""
        wanted = {
            "EventSourceArn": STREAM,
            "FunctionName": "f",
            "StartingPosition": "TRIM_HORIZON",
        }
        return self.twin.do("lambda", "CreateEventSourceMapping", **wanted | more)

    def put(self, *payloads: bytes, key: str = "k") -> None:
        """Write records."""
        records = [{"Data": data, "PartitionKey": key} for data in payloads]
        self.twin.do("kinesis", "PutRecords", StreamName="s", Records=records)

    def drain(self, at_most_s: float = 200_000.0) -> None:
        """Run until all that was written is processed."""
        drained = self.mappings.drained_event()
        self.twin.engine.run(drained | self.twin.engine.env.timeout(at_most_s))
        assert self.mappings.idle()


class Trouble:
    """A handler that fails as told: by poison records always, else by a list of accidents."""

    def __init__(self, poison: set[bytes], accidents: list[bool], report: bool) -> None:
        self.done: list[bytes] = []
        self._poison, self._accidents, self._report = poison, accidents, report

    def __call__(self, records: list[dict[str, Any]]) -> Any:
        """Process records in order; raise, or report the first that fails."""
        if self._accidents and self._accidents.pop():
            raise ValueError("accident")
        for record in records:
            data = b64decode(record["kinesis"]["data"])
            if data in self._poison:
                if self._report:
                    number = record["kinesis"]["sequenceNumber"]
                    return {"batchItemFailures": [{"itemIdentifier": number}]}
                raise ValueError("poison")
            self.done.append(data)
        return {"batchItemFailures": []}
