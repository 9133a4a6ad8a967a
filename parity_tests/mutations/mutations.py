"""Defects to plant in a twin: each one is a few lines that break one thing, quietly.

Every one is of a kind that an emulator has had: the answer says that all went well. `CAUGHT_BY`
names the comparison that must find it.
"""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import orjson

from parity_tests.mutations.small_world import Mutate, SmallWorld
from simulator.cloud.errors import AwsError
from simulator.cloud.kinesis_writes import StampedRecords

Execute = Callable[[Any], Any]

EVERY = 97
"""Defects of single records hit each so manieth one."""

MUTATIONS: dict[str, tuple[str, Mutate]] = {}
"""By its name: which comparison must find it, and how it is planted."""


def mutation(name: str, caught_by: str) -> Callable[[Mutate], Mutate]:
    """Register a defect."""

    def register(plant: Mutate) -> Mutate:
        MUTATIONS[name] = caught_by, plant
        return plant

    return register


def _records(
    world: SmallWorld, change: Callable[[int, dict[str, Any]], list[dict[str, Any]]]
) -> None:
    """Have the stream store other records than were put; the answer is as if it had not."""
    number = 0

    def put(execute: Execute, call: Any) -> Any:
        nonlocal number
        records = call.params["Records"]
        if not isinstance(records, StampedRecords):
            return execute(call)
        changed: list[dict[str, Any]] = []
        times: list[float] = []
        for record, at_s in zip(records, records.arrivals_s, strict=True):
            number += 1
            instead = change(number, record)
            changed += instead
            times += [at_s] * len(instead)
        stamped = StampedRecords(changed, times)
        answer = execute(replace(call, params={**call.params, "Records": stamped}))
        # As many answers as there were records: nobody is told.
        answers = answer["Records"][: len(records)]
        answers += answers[-1:] * (len(records) - len(answers))
        return {**answer, "Records": answers}

    world.around("kinesis", "PutRecords", put)


@mutation("a dropped record", "journey")
def _dropped(world: SmallWorld) -> None:
    _records(world, lambda number, record: [] if number % EVERY == 0 else [record])


@mutation("a record twice, with another number", "raw zone")
def _twice(world: SmallWorld) -> None:
    def again(number: int, record: dict[str, Any]) -> list[dict[str, Any]]:
        if number % EVERY:
            return [record]
        body = orjson.loads(record["Data"])
        return [
            record,
            {**record, "Data": orjson.dumps({**body, "seq": body.get("seq", 0) + 10**6})},
        ]

    _records(world, again)


@mutation("a shifted event time", "raw zone")
def _shifted_time(world: SmallWorld) -> None:
    def later(number: int, record: dict[str, Any]) -> list[dict[str, Any]]:
        body = orjson.loads(record["Data"])
        if "event_time_ms" in body:
            body["event_time_ms"] += 1
        return [{**record, "Data": orjson.dumps(body)}]

    _records(world, later)


@mutation("a truncated float", "journey")
def _truncated(world: SmallWorld) -> None:
    def shorter(value: Any) -> Any:
        return round(value, 4) if isinstance(value, float) else value

    def short(number: int, record: dict[str, Any]) -> list[dict[str, Any]]:
        body = orjson.loads(record["Data"])
        if "values" in body:
            body["values"] = {name: shorter(value) for name, value in body["values"].items()}
        return [{**record, "Data": orjson.dumps(body)}]

    def request(execute: Execute, call: Any) -> Any:
        body = orjson.loads(call.params["Body"])
        for row in body.get("rows", []):
            row["features"] = [shorter(value) for value in row["features"]]
        return execute(replace(call, params={**call.params, "Body": orjson.dumps(body)}))

    _records(world, short)
    world.around("sagemaker-runtime", "InvokeEndpoint", request)


@mutation("a reordered batch", "raw zone")
def _reordered(world: SmallWorld) -> None:
    def read(execute: Execute, call: Any) -> Any:
        answer = execute(call)
        return {**answer, "Records": answer["Records"][::-1]}

    world.around("kinesis", "GetRecords", read)


@mutation("a shifted feature", "journey")
def _shifted_feature(world: SmallWorld) -> None:
    def invoke(execute: Execute, call: Any) -> Any:
        body = orjson.loads(call.params["Body"])
        for row in body.get("rows", []):
            row["features"] = row["features"][1:] + row["features"][:1]
        return execute(replace(call, params={**call.params, "Body": orjson.dumps(body)}))

    world.around("sagemaker-runtime", "InvokeEndpoint", invoke)


@mutation("a stale model", "journey")
def _stale(world: SmallWorld) -> None:
    world.model = world.older


@mutation("a doubled delay", "latency")
def _doubled(world: SmallWorld) -> None:
    for mapping in world.twin.call("lambda", "ListEventSourceMappings")["EventSourceMappings"]:
        window_s = mapping["MaximumBatchingWindowInSeconds"]
        world.cloud.mappings._named({"UUID": mapping["UUID"]}).window_s = 2 * window_s


@mutation("a missed retry", "journey")
def _missed_retry(world: SmallWorld) -> None:
    world.patch("simulator.cloud.batches.Batches._again", lambda self, piece, first_failed: [])


@mutation("a lost dead letter", "journey")
def _lost_dead_letter(world: SmallWorld) -> None:
    def put(execute: Execute, call: Any) -> Any:
        if call.params["Key"].startswith("dead-letter/"):
            return execute(replace(call, params={**call.params, "Key": "elsewhere/x"}))
        return execute(call)

    world.around("s3", "PutObject", put)


@mutation("a lost alert", "journey")
def _lost_alert(world: SmallWorld) -> None:
    world.around("sns", "Publish", lambda execute, call: {"MessageId": "0" * 36})


@mutation("a widened permission", "permissions")
def _widened(world: SmallWorld) -> None:
    decide = world.cloud.iam._decide

    def lax(principal: Any, role: str, action: str, resource: str, context: Any) -> bool | None:
        if action.startswith("s3:") and resource.startswith("arn:aws:s3:::fleetwin"):
            return None
        return decide(principal, role, action, resource, context)

    world.set_on(world.cloud.iam, "_decide", lax)


@mutation("permissions that are not asked", "permissions")
def _not_asked(world: SmallWorld) -> None:
    world.set_on(world.cloud.iam, "authorise", lambda *arguments, **named: None)


@mutation("a wrong error code", "answers")
def _wrong_code(world: SmallWorld) -> None:
    def get(execute: Execute, call: Any) -> Any:
        try:
            return execute(call)
        except AwsError as error:
            raise AwsError("NotFound", error.message, error.status) from None

    world.around("s3", "GetObject", get)


@mutation("a wrong status of an error", "answers")
def _wrong_status(world: SmallWorld) -> None:
    def get(execute: Execute, call: Any) -> Any:
        try:
            return execute(call)
        except AwsError as error:
            raise AwsError(error.code, error.message, 500) from None

    world.around("lambda", "GetFunction", get)


@mutation("a member that is missing", "answers")
def _missing_member(world: SmallWorld) -> None:
    def listed(execute: Execute, call: Any) -> Any:
        answer = dict(execute(call))
        del answer["HasMoreStreams"]
        return answer

    world.around("kinesis", "ListStreams", listed)


@mutation("a shard without limits", "answers")
def _no_limits(world: SmallWorld) -> None:
    world.patch(
        "simulator.cloud.shards.Shard._admit",
        lambda self, sizes, arrivals_s: ([True] * len(sizes), list(arrivals_s)),
    )


@mutation("half of an object", "raw zone")
def _half(world: SmallWorld) -> None:
    done: list[bool] = []

    def put(execute: Execute, call: Any) -> Any:
        if call.params["Key"].startswith("telemetry/") and not done:
            done.append(True)
            lines = gzip.decompress(_read(call.params["Body"])).splitlines(keepends=True)
            half = gzip.compress(b"".join(lines[: len(lines) // 2]))
            return execute(replace(call, params={**call.params, "Body": half}))
        return execute(call)

    # The checksum that boto3 sent is of the whole, so it is taken off, as a careless proxy would.
    world.around("s3", "PutObject", lambda execute, call: put(execute, _without_checksum(call)))


def _without_checksum(call: Any) -> Any:
    kept = {k: v for k, v in call.params.items() if not k.startswith(("Checksum", "ContentMD5"))}
    return replace(call, params=kept)


def _read(body: Any) -> bytes:
    return bytes(body.read()) if isinstance(body, io.IOBase) else bytes(body)
