"""Runs functions: takes the slot, asks a warm process, keeps time, logs and metrics.

Called by `simulator.cloud.functions` for Invoke and in process by event source mappings and
topic rules. It knows nothing of who triggered a function or what happens with its answer.
"""

from __future__ import annotations

import math
import os
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any

import orjson
import simpy

from simulator.cloud import role_logs
from simulator.cloud.context import Context
from simulator.cloud.embedded_metrics import points_in
from simulator.cloud.engine import FUNCTIONS_AT_ONCE
from simulator.cloud.errors import AccessDenied
from simulator.cloud.function_environments import Environments, log_stream_of
from simulator.cloud.function_workers import (
    FunctionWorker,
    Start,
    Watchdog,
    WorkerAnswer,
)
from simulator.cloud.latency import START
from simulator.cloud.processes import PACKAGES

MAX_ANSWER_BYTES = 6_291_556
DIRECT = -1
"""Priority of a direct call: whoever waits for it may hold up others."""


@dataclass(frozen=True, slots=True)
class Durations:
    """What an invocation takes on the run's clock: from its input, never from real time."""

    base_s: float = 0.02
    per_record_s: float = 0.000_05

    def of(self, records: int) -> float:
        """Return seconds for an event with so many records."""
        return self.base_s + self.per_record_s * records


@dataclass
class Function:
    """One function as it is configured now; ``folder`` holds its code."""

    name: str
    arn: str
    role: str
    handler: str
    runtime: str
    folder: Path
    code_sha: str
    code_size: int
    log_group: str
    log_stream: str
    last_modified: str
    timeout_s: int = 3
    memory_mb: int = 128
    environment: dict[str, str] = field(default_factory=dict)
    description: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    architectures: list[str] = field(default_factory=lambda: ["x86_64"])
    self_contained: bool = False
    """Its process sees no packages but those in its own folder."""
    recorded: dict[str, Any] = field(default_factory=dict)
    """Members that a description repeats and that change nothing here."""


@dataclass(frozen=True, slots=True)
class Invocation:
    """The outcome of one invocation: the answer, or the error in Lambda's shape, as JSON."""

    request_id: str
    ok: bool
    payload: bytes
    log: tuple[str, ...] = ()


class Invocations:
    """The warm processes of all functions. ``wall_floor_s``: see `_wall_limit_s`."""

    def __init__(
        self,
        context: Context,
        durations: Durations | None = None,
        wall_floor_s: float = 60.0,
    ) -> None:
        self._context = context
        self._engine = context.engine
        self._durations = durations or Durations()
        self._wall_floor_s = wall_floor_s
        self._environments: dict[str, Environments] = {}
        self._watchdog = Watchdog(context.engine)
        self._latest: simpy.Event | None = None
        self._started = 0

    def prewarm(self, functions: Iterable[Function]) -> simpy.Process:
        """Start all functions' processes at once; the event succeeds when they are ready."""
        return self._engine.process(self._prewarm(list(functions)))

    def _prewarm(self, functions: list[Function]) -> Generator[simpy.Event, Any, None]:
        with self._engine.slot.request(priority=DIRECT) as turn:
            yield turn
            ready = [(f, self._environments_of(f).first()) for f in functions]
            starting = [worker.start(self._how(f, worker)) for f, worker in ready]
            yield self._engine.env.all_of(starting)

    def load_failures(self) -> dict[str, str]:
        """Return by function's name why running processes could not load their handlers."""
        return {w.name: w.load_failure for w in self._all() if w.load_failure is not None}

    def forget(self, function: Function) -> None:
        """End a function's processes: it was deleted, or its configuration changed."""
        environments = self._environments.pop(function.name, None)
        if environments is not None:
            environments.end()

    def invoke(
        self,
        function: Function,
        event: bytes,
        *,
        records: int = 0,
        priority: int = DIRECT,
        caller: str | None = None,
    ) -> simpy.Process:
        """Invoke a function; the process succeeds with an `Invocation`, whatever happens.

        ``caller`` is the worker that waits for it, if any: one that has the slot shares it.
        """
        return self._engine.process(self._invoke(function, event, records, priority, caller))

    def _invoke(
        self,
        function: Function,
        event: bytes,
        records: int,
        priority: int,
        caller: str | None,
    ) -> Generator[simpy.Event, Any, Invocation]:
        latency, handed_s = self._context.latency, self._engine.env.now
        delay_s = latency.draw(START)
        if delay_s > 0.0:
            yield self._engine.env.timeout(delay_s)
        latency.note(START, handed_s)
        started_s = self._engine.env.now
        request_id = self._engine.new_id()
        if caller is not None and any(w.busy and w.worker == caller for w in self._all()):
            where, answer = yield from self._in_turn(function, request_id, event, nested=True)
        else:
            with self._engine.slot.request(priority=priority) as turn:
                yield turn
                started_s = self._engine.env.now
                where, answer = yield from self._in_turn(function, request_id, event)
        if answer.exit != "timeout":
            yield self._engine.env.timeout(self._durations.of(records))
        outcome = _outcome(function, request_id, answer)
        last = self._note(function, where, outcome, self._engine.env.now - started_s)
        return replace(outcome, log=(_first(request_id), *answer.lines, *last))

    def _in_turn(
        self, function: Function, request_id: str, event: bytes, *, nested: bool = False
    ) -> Generator[simpy.Event, Any, tuple[str, WorkerAnswer]]:
        """Compute, and end after what began before: which process is quicker decides nothing.

        One that another waits for (``nested``) ends at once: the other was before it. Returns the
        name of the environment, too.
        """
        env, environments = self._engine.env, self._environments_of(function)
        self._started += not nested  # Which has the place of the one that waits for it.
        number = self._started
        # One that another waits for begins when all who compute have stopped: all ends count.
        ended = number if nested else number - FUNCTIONS_AT_ONCE
        worker = environments.take(env.now, ended)
        before, over = self._latest, self._engine.env.event()
        if nested:
            before = None
        else:
            self._latest = over
        try:
            answer = yield from self._compute(function, worker, request_id, event)
            if before is not None and not before.processed:
                yield before
            self._log(function, worker.name, answer.lines)
        finally:
            environments.give_back(worker, env.now, number)
            over.succeed()
        return worker.name, answer

    def _compute(
        self, function: Function, worker: FunctionWorker, request_id: str, event: bytes
    ) -> Generator[simpy.Event, Any, WorkerAnswer]:
        """Have the process answer; on the run's clock it has the function's time-out."""
        self._log(function, worker.name, [_first(request_id)])
        head = {
            "request_id": request_id,
            "arn": function.arn,
            "timeout_s": function.timeout_s,
        }
        limit_s = max(float(function.timeout_s), self._wall_floor_s)
        answered = worker.invoke(self._how(function, worker), head, event, limit_s)
        time_out = self._engine.env.timeout(function.timeout_s)
        yield answered | time_out
        self._engine.cancel(time_out)
        if not answered.triggered:
            worker.end("timeout")
        answer: WorkerAnswer = yield answered
        return answer

    def _environments_of(self, function: Function) -> Environments:
        def make(name: str) -> FunctionWorker:
            return FunctionWorker(
                name,
                self._engine,
                self._context.processes,
                self._watchdog,
                lambda lines: self._log(function, name, lines),
            )

        found = self._environments.get(function.name)
        if found is None:
            found = self._environments[function.name] = Environments(function.name, make)
        return found

    def _all(self) -> Iterator[FunctionWorker]:
        return chain.from_iterable(self._environments.values())

    def _how(self, function: Function, its: FunctionWorker) -> Start:
        stream = log_stream_of(function.log_stream, function.name, its.name)

        def environment(worker: str) -> Mapping[str, str]:
            base = self._context.child_environment(function.role, function.name, worker)
            return {
                **base,
                **function.environment,
                "AWS_LAMBDA_FUNCTION_NAME": function.name,
                "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
                "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_mb),
                "AWS_LAMBDA_LOG_GROUP_NAME": function.log_group,
                "AWS_LAMBDA_LOG_STREAM_NAME": stream,
                "AWS_EXECUTION_ENV": f"AWS_Lambda_{function.runtime}",
                "LAMBDA_TASK_ROOT": str(function.folder),
                "_HANDLER": function.handler,
                "PYTHONPATH": os.pathsep.join([base["PYTHONPATH"], str(function.folder)]),
                **({PACKAGES: "none"} if function.self_contained else {}),
            }

        return Start(function.handler, function.folder, environment)

    def _log(self, function: Function, worker: str, lines: list[str]) -> None:
        """Keep an environment's lines in the function's log group, and the metrics in them."""
        if not lines:
            return
        if not self._write(function, worker, lines):
            return
        for p in points_in(lines):
            self._context.cloudwatch.record(
                p.namespace, p.name, p.dimensions, p.value, p.unit, at_s=p.at_epoch_s
            )

    def _write(self, function: Function, worker: str, lines: list[str]) -> bool:
        """Write lines as the function's role; return False where it may not."""
        stream = log_stream_of(function.log_stream, function.name, worker)
        try:
            principal = self._context.iam.principal_for_role(function.role, function.name)
        except AccessDenied:
            return False
        return role_logs.append(self._context, principal, function.log_group, stream, lines)

    def _note(
        self, function: Function, worker: str, outcome: Invocation, took_s: float
    ) -> list[str]:
        """Write Lambda's own metrics and last log lines of one invocation; return the lines."""
        took_ms = took_s * 1000.0
        report = (
            f"REPORT RequestId: {outcome.request_id}\tDuration: {took_ms:.2f} ms\t"
            f"Billed Duration: {math.ceil(took_ms)} ms\tMemory Size: {function.memory_mb} MB"
        )
        lines = [f"END RequestId: {outcome.request_id}", report]
        self._write(function, worker, lines)
        record, dimensions = (
            self._context.cloudwatch.record,
            {"FunctionName": function.name},
        )
        record("AWS/Lambda", "Invocations", dimensions, 1, "Count")
        record("AWS/Lambda", "Errors", dimensions, 0 if outcome.ok else 1, "Count")
        record("AWS/Lambda", "Duration", dimensions, took_ms, "Milliseconds")
        return lines


def _first(request_id: str) -> str:
    return f"START RequestId: {request_id} Version: $LATEST"


def _outcome(function: Function, request_id: str, answer: WorkerAnswer) -> Invocation:
    """Turn what the process said, or that it ended, into Lambda's words."""
    if answer.exit == "timeout":
        text = (
            f"RequestId: {request_id} Error: Task timed out after {function.timeout_s:.2f} seconds"
        )
        kind = "Sandbox.Timedout"
    elif answer.exit is not None:
        text = f"RequestId: {request_id} Error: Runtime exited with error: {answer.exit}"
        kind = "Runtime.ExitError"
    elif len(answer.body) > MAX_ANSWER_BYTES:
        text = (
            "Response payload size exceeded maximum allowed payload size "
            f"({MAX_ANSWER_BYTES} bytes)."
        )
        kind = "Function.ResponseSizeTooLarge"
    else:
        return Invocation(request_id, answer.ok, answer.body)
    return Invocation(request_id, False, orjson.dumps({"errorType": kind, "errorMessage": text}))
