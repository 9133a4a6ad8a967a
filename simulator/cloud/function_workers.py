"""The engine's side of a function's warm process: start, send, hear the answer, end.

Used by `simulator.cloud.functions` on the engine's thread. A reader thread per process turns
frames into posts; a watchdog thread ends processes that hang in real time. While a request is
with the process the clock stands (`begin_computing`), unless the process waits in a call.
"""

from __future__ import annotations

import fcntl
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

import simpy

from simulator.cloud.engine import Engine
from simulator.cloud.processes import Process, Processes
from simulator.cloud.runtime.function_worker import Head, read_frame, write_frame

SCRIPT = Path(__file__).parent / "runtime" / "function_worker.py"
WATCH_EVERY_S = 0.1
PIPE_B = 1 << 20
"""The largest pipe that Linux gives to an ordinary user."""


@dataclass(frozen=True, slots=True)
class WorkerAnswer:
    """How one request ended: ``exit`` is set when the process ended instead of answering."""

    ok: bool
    body: bytes
    lines: list[str]
    exit: str | None = None


@dataclass(frozen=True, slots=True)
class Start:
    """How to start the process; ``environment`` gets the worker's name on the clock."""

    handler: str
    folder: Path
    environment: Callable[[str], Mapping[str, str]]


def _widen(pipe: int) -> None:
    """Let a pipe hold an ordinary event whole, so that the engine need not wait for its reader."""
    if sys.platform == "linux":
        with suppress(OSError):  # More than this user may have; it works as it is, too.
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_B)


class Watchdog:
    """Looks after what only real time can find: a process that hangs, a dead one's waits."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._deadlines: dict[int, tuple[float, Callable[[], None]]] = {}
        self._dead: set[str] = set()
        self._thread: threading.Thread | None = None

    def arm(self, key: int, limit_s: float, expired: Callable[[], None]) -> None:
        """Have ``expired`` called on the engine's thread in ``limit_s`` real seconds."""
        self._deadlines[key] = (time.monotonic() + limit_s, expired)
        if self._thread is None:
            self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
            self._thread.start()

    def disarm(self, key: int) -> None:
        """Forget a deadline."""
        self._deadlines.pop(key, None)

    def bury(self, worker: str) -> None:
        """Never let the clock stand again for a worker that was ended while it waited.

        What it waited for still comes, and the engine would then count it as computing.
        """
        self._dead.add(worker)

    def _watch(self) -> None:
        while True:
            time.sleep(WATCH_EVERY_S)
            now = time.monotonic()
            due = any(limit <= now for limit, _ in tuple(self._deadlines.values()))
            if due or self._dead:
                self._engine.post(self._look)

    def _look(self) -> None:
        now = time.monotonic()
        for key, (limit, expired) in tuple(self._deadlines.items()):
            if limit <= now:
                del self._deadlines[key]
                expired()
        for worker in self._dead:
            while self._engine.is_computing(worker):
                self._engine.end_computing(worker)


class FunctionWorker:
    """One function's process, started when first needed and again after it ended."""

    def __init__(
        self,
        name: str,
        engine: Engine,
        processes: Processes,
        watchdog: Watchdog,
        on_stray_lines: Callable[[list[str]], None],
    ) -> None:
        self.name = name
        self.busy = False
        self.load_failure: str | None = None
        """Why the running process could not load its handler, as it told when it was ready."""
        self._engine = engine
        self._processes = processes
        self._watchdog = watchdog
        self._on_stray_lines = on_stray_lines
        self._incarnation = 0
        self._process: Process | None = None
        self._requests: IO[bytes] | None = None
        self._ready = False
        self._waiting: tuple[Head, bytes] | None = None
        self._answer: simpy.Event | None = None

    @property
    def worker(self) -> str:
        """The running process's name on the clock; another one after each restart."""
        suffix = f"#{self._incarnation}" if self._incarnation > 1 else ""
        return f"lambda:{self.name}{suffix}"

    def start(self, how: Start) -> simpy.Event:
        """Start the process if there is none; the event succeeds when it is ready."""
        return self._begin(how, None, limit_s=None)

    def invoke(self, how: Start, head: Head, body: bytes, limit_s: float) -> simpy.Event:
        """Send a request; the event succeeds with a `WorkerAnswer`, never fails.

        After ``limit_s`` real seconds the process is killed, and the answer says "timeout".
        """
        return self._begin(how, (head, body), limit_s)

    def end(self, why: str = "stopped") -> None:
        """Kill the process; a request that is with it is answered with ``exit=why``."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill_group()
        self._finish(WorkerAnswer(False, b"", [], exit=why))

    def _begin(
        self, how: Start, request: tuple[Head, bytes] | None, limit_s: float | None
    ) -> simpy.Event:
        assert not self.busy, f"{self.name} is busy"
        answer = self._engine.env.event()
        if self._process is None:
            self._incarnation += 1
            self._engine.order.enter(self.worker)
            self.busy, self._answer, self._waiting = True, answer, request
            self._engine.begin_computing(self.worker)
            try:
                self._spawn(how)
            except OSError as error:
                self._finish(WorkerAnswer(False, b"", [], exit=f"cannot start: {error}"))
                return answer
        elif request is None:
            return answer.succeed(WorkerAnswer(True, b"", []))
        else:
            self._engine.order.enter(self.worker)
            self.busy, self._answer = True, answer
            self._engine.begin_computing(self.worker)
            self._send(*request)
        if limit_s is not None and self.busy:
            self._watchdog.arm(id(self), limit_s, lambda: self.end("timeout"))
        return answer

    def _spawn(self, how: Start) -> None:
        request_read, request_write = os.pipe()
        _widen(request_write)
        answer_read, answer_write = os.pipe()
        try:
            pipes = [str(request_read), str(answer_write)]
            process = self._processes.spawn(
                self.worker,
                [sys.executable, "-P", str(SCRIPT), *pipes, how.handler],
                how.environment(self.worker),
                cwd=how.folder,
                on_line=lambda line: self._on_stray_lines([line]),
                pass_fds=(request_read, answer_write),
            )
        except OSError:
            os.close(request_write)
            os.close(answer_read)
            raise
        finally:
            os.close(request_read)
            os.close(answer_write)
        self._process, self._ready = process, False
        self._requests = os.fdopen(request_write, "wb")
        answers = os.fdopen(answer_read, "rb")
        threading.Thread(
            target=self._listen,
            args=(process, self._requests, answers),
            name=f"answers of {self.name}",
            daemon=True,
        ).start()

    def _listen(self, process: Process, requests: IO[bytes], answers: IO[bytes]) -> None:
        """Carry frames to the engine's thread until the process is gone (its own thread)."""
        lines: list[str] = []
        with answers:
            try:
                while (frame := read_frame(answers)) is not None:
                    head, body = frame
                    if "lines" in head:
                        lines.extend(head["lines"])
                        continue
                    self._engine.post(partial(self._heard, process, head, body, lines))
                    lines = []
            except ValueError as error:
                # Something else has the pipe, such as a child that the handler forked.
                lines.append(f"what came from the process of {self.name} is no answer: {error}")
                process.kill_group()
        process.wait(5.0)
        with suppress(OSError):
            requests.close()
        self._engine.post(partial(self._gone, process, lines))

    def _heard(self, process: Process, head: Head, body: bytes, lines: list[str]) -> None:
        if process is not self._process:
            return
        if "ready" not in head:
            self._finish(WorkerAnswer(head["ok"], body, lines))
            return
        self._ready, self.load_failure = True, head.get("failure")
        if lines:
            self._on_stray_lines(lines)
        if self._waiting is None:
            self._finish(WorkerAnswer(True, b"", []))
        else:
            waiting, self._waiting = self._waiting, None
            self._send(*waiting)

    def _gone(self, process: Process, lines: list[str]) -> None:
        """Take note that a process ended; one that we ended ourselves was noted before."""
        if process is not self._process:
            if lines:
                self._on_stray_lines(lines)
            return
        self._process = None
        code = process.returncode
        why = f"signal: {-code}" if code is not None and code < 0 else f"exit status {code}"
        self._finish(WorkerAnswer(False, b"", lines, exit=why))

    def _send(self, head: Head, body: bytes) -> None:
        """Write a request; only to a process that is ready, which reads it whole at once.

        Otherwise a long request could fill the pipe and stop the engine while the process
        imports its code, and that import may itself call the engine.
        """
        assert self._requests is not None
        with suppress(BrokenPipeError):  # `_gone` is on its way then.
            write_frame(self._requests, head, body)

    def _finish(self, answer: WorkerAnswer) -> None:
        self._watchdog.disarm(id(self))
        if not self.busy:
            return
        self._engine.order.leave(self.worker)
        if self._engine.is_computing(self.worker):
            self._engine.end_computing(self.worker)
        elif answer.exit is not None:
            self._watchdog.bury(self.worker)
        self.busy, self._waiting = False, None
        event, self._answer = self._answer, None
        assert event is not None
        event.succeed(answer)
