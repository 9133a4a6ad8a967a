"""A distributed map: each item, or batch of items, is a child execution of one map run.

`asl_fanout` calls `run`. The parent's history shows the map run only; children keep none. With a
ResultWriter, what became of them goes to S3. Source: "Using Map state in Distributed mode" and
"ResultWriter (Map)" in the developer guide.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import simpy

from simulator.cloud import asl_items
from simulator.cloud.asl_fanout import (
    Iterations,
    concurrency_of,
    goes_on,
    items_of,
    tolerances_of,
)
from simulator.cloud.asl_history import History, StateFailure, iso
from simulator.cloud.asl_interpreter import Frame, Interpreter, Steps
from simulator.cloud.asl_map_runs import MOST_AT_ONCE, Child, MapRun, Slots
from simulator.cloud.asl_payload import dumps
from simulator.cloud.errors import AwsError, NotSupportedByTwin


def run(frame: Frame, data: Any, processor: dict[str, Any]) -> Steps:
    """Run a child for every item or batch; return their outputs, or where they were written."""
    state, thread, visit = frame.state, frame.thread, frame.visit
    history, now = frame.interpreter.history, frame.interpreter.engine.now
    is_read = "ItemReader" in state
    items = [] if is_read else items_of(frame, data)
    is_redriven = goes_on(frame)
    if not is_redriven:
        # How many a reader will find is not known yet.
        history.add(thread, "MapStateStarted", {"length": len(items)})
        visit.children = {}
        visit.run_arn = _run_arn(frame)
        # A tolerance that is none ends the execution before the map run begins (recorded).
        map_run = _begun(frame, *tolerances_of(frame, data))
    else:
        map_run = frame.interpreter.map_runs[visit.run_arn]
        map_run.again(now())
    started: dict[str, Any] = {"mapRunArn": visit.run_arn}
    if is_redriven:
        started["redriveCount"] = frame.context["Execution"]["RedriveCount"]
    kind = "MapRunRedriven" if is_redriven else "MapRunStarted"
    run_started_id = history.add(thread, kind, started)
    try:
        outputs = yield from _run(frame, data, processor, items, map_run)
    except StateFailure as failure:
        map_run.end("FAILED", now())
        history.add(thread, "MapRunFailed", failure.details())
        raise
    except simpy.Interrupt:
        map_run.end("ABORTED", now())
        raise
    map_run.end("SUCCEEDED", now())
    history.add(thread, "MapRunSucceeded")
    history.add(thread, "MapStateSucceeded", aside=True)
    # AWS links the state's exit to the start of the map run, not to its end.
    thread.last_id = run_started_id
    return outputs


def _begun(frame: Frame, count: int | None, percentage: float | None) -> MapRun:
    """Keep and return the map run that begins, with the failures that it bears."""
    run = frame.interpreter.map_runs[frame.visit.run_arn] = MapRun(
        frame.visit.run_arn,
        frame.context["Execution"]["Id"],
        frame.context["StateMachine"]["Id"],
        frame.interpreter.engine.now(),
        frame.visit.children,
        tolerated_count=count,
        tolerated_percentage=percentage,
    )
    return run


def _run(
    frame: Frame, data: Any, processor: dict[str, Any], items: list[Any], map_run: MapRun
) -> Steps:
    state = frame.state
    if not map_run.redrives:
        map_run.concurrency = concurrency_of(frame, data)
    if "ItemReader" in state:
        found = yield from asl_items.read(frame, data)
        items = items_of(frame, data, found)
    children = _Children(frame, processor, data, items)
    map_run.items = map_run.executions = len(items)
    if "ItemBatcher" in state:
        values = [children.value_of(index) for index in range(len(items))]
        children.batch(asl_items.batches_of(frame, data, values))
        map_run.executions = len(children.items)
    engine = frame.interpreter.engine
    map_run.slots = Slots(engine.env, map_run.concurrency or MOST_AT_ONCE)
    if "ResultWriter" not in state:
        return (yield from children.run(map_run.slots, map_run.tolerated))
    try:
        yield from children.run(map_run.slots, map_run.tolerated)
    except StateFailure as failure:
        # What ended is written although the run has failed.
        if not failure.fatal:
            yield from _written(frame, data, map_run)
        raise
    return (yield from _written(frame, data, map_run))


def _written(frame: Frame, data: Any, map_run: MapRun) -> Steps:
    outputs = yield from _write(frame, data)
    map_run.written = "Resource" in frame.state["ResultWriter"]
    return outputs


class _Children(Iterations):
    """The child executions of one map run."""

    def __init__(
        self, frame: Frame, processor: dict[str, Any], data: Any, items: list[Any]
    ) -> None:
        super().__init__(frame, processor, data, items)
        self._batches: list[dict[str, Any]] | None = None

    def batch(self, batches: list[dict[str, Any]]) -> None:
        """Give each child one of these instead of one item."""
        self._batches = batches
        self.items = batches

    def value_of(self, index: int) -> Any:
        """Return a child's input."""
        return super().value_of(index) if self._batches is None else self._batches[index]

    def weight_of(self, index: int) -> int:
        """Return how many items fail with a child."""
        return 1 if self._batches is None else len(self._batches[index]["Items"])

    def too_many(self, failure: StateFailure) -> StateFailure:
        """Return the failure of the run."""
        if failure.fatal:
            return failure
        return StateFailure(
            "States.ExceedToleratedFailureThreshold",
            "The specified tolerated failure threshold was exceeded",
        )

    def performed(self, index: int, value: Any, extra: dict[str, Any]) -> Steps:
        """Run one child; its events go into a history that nobody reads."""
        interpreter = self.frame.interpreter
        engine = interpreter.engine
        inner = Interpreter(
            engine,
            self.processor,
            interpreter.context,
            History(engine),
            interpreter.tasks,
            map_runs=interpreter.map_runs,
        )
        inner.language = interpreter.language
        fork = self.fork(index)
        fork.last_id = 0
        child = Child(engine.new_id(), value, engine.now(), self.weight_of(index))
        self.frame.visit.children[index] = child
        try:
            child.output = yield from inner.machine(self.processor, value, fork, extra)
            child.status = "SUCCEEDED"
        except StateFailure as failure:
            child.status, child.failure = "FAILED", failure
            raise
        except simpy.Interrupt:
            child.status = "ABORTED"
            raise
        finally:
            child.stopped = engine.now()
        return child.output


def _label(frame: Frame) -> str:
    label: str = frame.state.get("Label", frame.name)
    return label[:40]


def _run_arn(frame: Frame) -> str:
    machine = frame.context["StateMachine"]["Id"].replace(":stateMachine:", ":mapRun:")
    return f"{machine}/{_label(frame)}:{frame.interpreter.engine.new_id()}"


def _write(frame: Frame, data: Any) -> Steps:
    """Export or transform the children's results, as the ResultWriter says."""
    writer, visit = frame.state["ResultWriter"], frame.visit
    config = writer.get("WriterConfig", {})
    exports = "Resource" in writer
    transformation = config.get("Transformation", "NONE" if exports else "COMPACT")
    in_order = [visit.children[index] for index in sorted(visit.children)]
    groups: dict[str, list[Any]] = {"FAILED": [], "PENDING": [], "SUCCEEDED": []}
    for child in in_order:
        group = child.status if child.status in groups else "PENDING"
        groups[group] += _records(frame, child, transformation)
    if not exports:
        return groups["SUCCEEDED"]
    target = asl_items.parameters_of(frame, "ResultWriter", data)
    folder = f"{target.get('Prefix', '')}/{visit.run_arn.rpartition(':')[2]}".lstrip("/")
    lines = config.get("OutputType", "JSON") == "JSONL"
    files: dict[str, list[dict[str, Any]]] = {}
    try:
        for group, records in groups.items():
            files[group] = []
            if records:
                key = f"{folder}/{group}_0.{'jsonl' if lines else 'json'}"
                body = "\n".join(map(dumps, records)) if lines else dumps(records)
                yield from _put(frame, target["Bucket"], key, body)
                files[group] = [{"Key": key, "Size": len(body.encode())}]
        manifest = {
            "DestinationBucket": target["Bucket"],
            "MapRunArn": visit.run_arn,
            "ResultFiles": files,
        }
        yield from _put(frame, target["Bucket"], f"{folder}/manifest.json", json.dumps(manifest))
    except NotSupportedByTwin:
        raise
    except AwsError as error:
        raise StateFailure("States.ResultWriterFailed", error.message) from error
    details = {"Bucket": target["Bucket"], "Key": f"{folder}/manifest.json"}
    return {"MapRunArn": visit.run_arn, "ResultWriterDetails": details}


def _put(frame: Frame, bucket: str, key: str, body: str) -> Steps:
    request = {"Bucket": bucket, "Key": key, "Body": body.encode()}
    return (yield from frame.interpreter.tasks.call("s3", "PutObject", request))


def _records(frame: Frame, child: Child, transformation: str) -> Iterable[Any]:
    """Return what is written of a child: all about it, or its output alone."""
    if transformation != "NONE" and child.status == "SUCCEEDED":
        flat = transformation == "FLATTEN" and isinstance(child.output, list)
        return child.output if flat else [child.output]
    machine = f"{frame.context['StateMachine']['Id']}/{_label(frame)}"
    arn = f"{machine.replace(':stateMachine:', ':execution:')}:{child.name}"
    record: dict[str, Any] = {
        "ExecutionArn": arn,
        "Input": dumps(child.input),
        "InputDetails": {"Included": True},
        "Name": child.name,
        "StartDate": iso(child.started),
        "StateMachineArn": machine,
        "Status": child.status,
    }
    if child.stopped is not None:
        record["StopDate"] = iso(child.stopped)
    if child.status == "SUCCEEDED":
        record |= {"Output": dumps(child.output), "OutputDetails": {"Included": True}}
    if child.failure is not None:
        texts = {"Error": child.failure.error, "Cause": child.failure.cause}
        record |= {name: text for name, text in texts.items() if text is not None}
    return [dict(sorted(record.items()))]
