"""The engine's side of the warm Spark host: start it, give it a job run, hear how it ended.

One host per twin, one run at a time; a kill replaces the host. `simulator.cloud.glue` is the
only user. What a job run means (roles, states, durations) is decided there.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import simpy

from simulator.cloud.engine import Engine
from simulator.cloud.function_workers import Watchdog
from simulator.cloud.java import find_java
from simulator.cloud.java_archive import archive_options
from simulator.cloud.processes import RUNTIME, Process, Processes
from simulator.cloud.spark_s3a import s3a_settings
from simulator.cloud.spark_settings import Mount, run_settings, spark_settings

MARK = "\x1efleetwin "
HUNG_S = 540.0
"""Real seconds for one run; less than what the engine allows a worker without sign of life."""
WORKERS = {"spark.python.daemon.module": "fleetwin_spark_daemon"}
"""Which starts Spark's own without its archives on the path (`runtime/site`)."""


@dataclass(frozen=True, slots=True)
class ScriptRun:
    """What the host needs to know of one run."""

    script: Path
    argv: Sequence[str]
    paths: Sequence[Path]
    environ: Mapping[str, str]
    mounts: Mapping[str, Mount]


@dataclass(frozen=True, slots=True)
class HostAnswer:
    """How a run ended. ``denied`` is the bucket, or bucket/folder, that it was not shown."""

    ok: bool
    error: str = ""
    rows_in: int = 0
    rows_out: int = 0
    denied: str | None = None


@dataclass
class _Pending:
    token: str
    worker: str
    on_line: Callable[[str], None]
    answered: simpy.Event
    lines: list[str] = field(default_factory=list)


class SparkHost:
    """One warm Spark process. Used on the engine's thread only."""

    def __init__(
        self, engine: Engine, processes: Processes, state: Path, s3a_jars: Sequence[Path] = ()
    ) -> None:
        self.turn = simpy.Resource(engine.env, capacity=1)
        """Hold it while a run computes: arguments and working folder are the process's own."""
        self._engine = engine
        self._processes = processes
        self._state = state
        self._s3a = s3a_settings(s3a_jars)
        self._watchdog = Watchdog(engine)
        self._token = engine.new_id()
        self._runs = 0
        self._process: Process | None = None
        self._pending: _Pending | None = None
        self.cold = False
        """One process for each job run, as Glue has it; slower, and nothing is left of the last."""
        self.warm = False
        """Whether the process has said that its first job will not wait: wall time, so that no
        decision of a run may depend on it. For measurements."""

    def prewarm(self) -> None:
        """Start the host in the background, unless it runs.

        Raises EnvironmentMissing when there is no Java.
        """
        if self._process is not None and self._process.running:
            return
        self.warm = False
        started: list[Process] = []
        folder = self._state / "spark"
        (folder / "tmp").mkdir(parents=True, exist_ok=True)
        environment = {
            **self._processes.base_environment(),
            "JAVA_HOME": str(find_java()),
            "PYSPARK_PYTHON": sys.executable,
            "PYSPARK_DRIVER_PYTHON": sys.executable,
            "SPARK_LOCAL_IP": "127.0.0.1",
            "TMPDIR": str(folder / "tmp"),
            "FLEETWIN_HOST_TOKEN": self._token,
            "FLEETWIN_SPARK_CONF": json.dumps(
                {**spark_settings(folder, archive_options()), **WORKERS, **self._s3a}
            ),
        }
        process = self._processes.spawn(
            "spark",
            [sys.executable, str(RUNTIME / "spark_host.py")],
            environment,
            cwd=folder,
            on_line=lambda line: self._on_line(started[0], line),
            on_exit=lambda code: self._on_exit(started[0], code),
            stdin=subprocess.PIPE,
        )
        started.append(process)
        self._process = process

    def run(self, run: ScriptRun, worker: str, on_line: Callable[[str], None]) -> simpy.Event:
        """Run a script; the clock stands until the event succeeds with a `HostAnswer`.

        ``on_line`` gets what the script prints. Hold `turn` before.
        """
        self.prewarm()
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert self._pending is None
        self._runs += 1
        token = f"run-{self._runs}"
        pending = _Pending(token, worker, on_line, self._engine.env.event())
        self._pending = pending
        self._engine.order.stand_aside(worker)
        self._engine.begin_computing(worker)
        self._watchdog.arm(
            id(pending), HUNG_S, lambda: self.kill(f"no answer within {HUNG_S:.0f} s")
        )
        request = {
            "token": token,
            "script": str(run.script),
            "argv": list(run.argv),
            "paths": [str(path) for path in run.paths],
            "environ": dict(run.environ),
            "hadoop": run_settings(run.mounts, run.environ),
        }
        try:
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
        except (BrokenPipeError, ValueError):  # It ended; its pipe may already be closed.
            self.kill("the Spark process ended")
        return pending.answered

    def kill(self, why: str) -> None:
        """End the host and fail the run that it computes; the next run starts a new one."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            # So that it writes nothing more while the caller looks at what it has written.
            process.wait(5.0)
        self._finish(HostAnswer(False, why))

    def _on_line(self, process: Process, line: str) -> None:
        if process is not self._process:
            return
        mark = f"{MARK}{self._token} "
        if line.startswith(mark):
            members: dict[str, Any] = json.loads(line[len(mark) :])
            self.warm = self.warm or "ready" in members
            if self._pending is not None and members.pop("token", None) == self._pending.token:
                if self.cold:
                    self._process = None
                    process.kill()
                    process.wait(5.0)
                self._finish(HostAnswer(**members))
        elif self._pending is not None and line:
            self._pending.on_line(line)

    def _on_exit(self, process: Process, code: int) -> None:
        if process is self._process:
            self._process = None
            last = next((line for line in reversed(process.tail) if line.strip()), "no output")
            self._finish(HostAnswer(False, f"the Spark process ended with code {code}: {last}"))

    def _finish(self, answer: HostAnswer) -> None:
        pending, self._pending = self._pending, None
        if pending is None:
            return
        self._watchdog.disarm(id(pending))
        if self._engine.is_computing(pending.worker):
            self._engine.end_computing(pending.worker)
        else:
            self._watchdog.bury(pending.worker)
        pending.answered.succeed(answer)
