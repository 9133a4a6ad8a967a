"""Where a reading's processor time goes: by process, and by step of the engine and the functions.

Called by `benchmarks.pipeline` for a run of its own, because timing steps takes time itself.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psutil

from benchmarks.self_time import SelfTime
from simulator.cloud import function_workers, gateway, protocols, validation
from simulator.cloud.batches import Batches
from simulator.cloud.dispatch import Dispatch
from simulator.cloud.iot import Iot
from simulator.cloud.logs import Logs
from simulator.cloud.metrics import Metrics
from simulator.cloud.quotas import Quotas
from simulator.cloud.shard_reader import ShardReader

MARKS = {
    "raw_writer": "raw writer",
    "detector": "detector",
    "pipeline.model.container": "model server",
}
OTHER = "other processes"
WORKER = Path(__file__).with_name("timed_worker.py")
START_WORKER = """import os, runpy
os.environ["BENCH_TIMES"] = {times!r}
runpy.run_path({worker!r}, run_name="__main__")
"""
Seconds = dict[str, float]


def processor_s() -> Seconds:
    """Return the processor seconds so far of this process and its children, by what they are."""
    me = psutil.Process()
    found: Seconds = {}
    for thread in me.threads():
        name = "engine" if thread.id == me.pid else "gateway's threads"
        found[name] = found.get(name, 0.0) + thread.user_time + thread.system_time
    for child in me.children(recursive=True):
        try:
            words, used = " ".join(child.cmdline()), child.cpu_times()
        except psutil.NoSuchProcess:  # It has ended meanwhile.
            continue
        name = next((n for mark, n in MARKS.items() if mark in words), OTHER)
        found[name] = found.get(name, 0.0) + used.user + used.system
    return found


class Stopwatch:
    """Times the steps of every twin that is made from now on, in this process for good."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._engine = SelfTime()
        wrap = self._engine.wrap
        wrap(Iot, "publish_batch", "broker's limits and topic rule")
        wrap(Dispatch, "__call__", _operation)
        wrap(Dispatch, "_authorise", "permissions")
        wrap(validation, "validate_request", "validation against botocore's model")
        wrap(Quotas, "admit", "request quotas")
        wrap(ShardReader, "_records", "records encoded for events")
        wrap(Batches, "event", "event put together")
        wrap(function_workers, "write_frame", "event into the function's pipe")
        wrap(Metrics, "record", "metrics")
        wrap(Logs, "append", "logs")
        wrap(protocols, "parse_request", "HTTP requests parsed")
        wrap(protocols, "serialize_answer", "HTTP answers written")
        wrap(gateway._Handler, "_read_head", "HTTP heads read")
        # Variables of this process do not reach the functions': a script of theirs says where.
        start = folder / "worker.py"
        text = START_WORKER.format(times=str(folder / "times"), worker=str(WORKER))
        start.write_text(text, encoding="utf-8")
        function_workers.SCRIPT = start

    def taken_s(self) -> dict[str, Seconds]:
        """Return the seconds of each step so far, by process."""
        found = {"engine and gateway": dict(self._engine.taken_s)}
        for path in sorted(self._folder.glob("times.*")):
            name = next(n for n in ("raw-writer", "detector") if n in path.name)
            steps = found.setdefault(name.replace("-", " "), {})
            for step, taken_s in json.loads(path.read_text(encoding="utf-8")).items():
                steps[step] = steps.get(step, 0.0) + taken_s
        return found


def _operation(*args: Any, **_: Any) -> str:
    return f"{args[2]}:{args[3]}"


def per_reading_us(before: Seconds, after: Seconds, readings: int) -> Seconds:
    """Return microseconds a reading of what was taken in between, the largest first."""
    found = {name: (s - before.get(name, 0.0)) / readings * 1e6 for name, s in after.items()}
    kept = sorted(found.items(), key=lambda item: -item[1])
    return {name: round(us, 2) for name, us in kept if us >= 0.05}
