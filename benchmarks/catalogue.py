"""The benchmarks that `python -m benchmarks` runs, what each takes, what a quick run leaves out.

Times are of two quiet cores. They are what the progress line counts down from, and a benchmark
that takes many times longer is ended.
"""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.detection.datasets import DATA_VARIABLE, data_folder


@dataclass(frozen=True)
class Benchmark:
    """One benchmark: a module whose ``main`` takes ``--quick`` and ``--out`` and writes its rows.

    ``quick_s`` None means that a quick run leaves it out, for the reason in ``left_out``. One that
    is ``alone`` is left out of a full run too, which would be too long: it is run by its name.
    ``data`` names a folder below `FLEETWIN_DATA` without which it cannot run.
    """

    name: str
    area: str
    about: str
    full_s: float
    quick_s: float | None = None
    left_out: str = ""
    module: str = ""
    arguments: tuple[str, ...] = ()
    data: str = ""
    alone: bool = False

    @property
    def command(self) -> tuple[str, ...]:
        """What follows ``python -m``."""
        return (self.module or f"benchmarks.{self.name}", *self.arguments)

    def missing(self) -> str:
        """Say what this machine lacks to run it; "" when nothing."""
        if not self.data:
            return ""
        if (data_folder() / self.data).is_dir():
            return ""
        return f"no recorded set {self.data}; {DATA_VARIABLE} names the folder of the sets"


BENCHMARKS = (
    Benchmark("startup", "start-up", "imports, boot of the stack, twins in tests", 34.0, 12.0),
    Benchmark("latency", "latency", "each hop in real time and on the run's clock", 38.0, 8.0),
    Benchmark("http_services", "throughput", "S3, Kinesis and SQS over HTTP", 72.0, 8.0),
    Benchmark("pipeline", "throughput", "readings through the pipeline, PutRecords", 110.0, 12.0),
    Benchmark(
        "fleet",
        "throughput",
        "machines: samples, messages, histories",
        50.0,
        8.0,
        arguments=("--days",),
    ),
    Benchmark(
        "month",
        "throughput",
        "the scenario month: 30 days of 20 pumps, nights, a drift, a retraining",
        170.0,
        left_out="three minutes; --only month",
        alone=True,
    ),
    Benchmark("memory", "memory", "by machines and by length of a run", 40.0, 10.0),
    Benchmark("model", "the model", "serving, scoring, an epoch of training", 32.0, 12.0),
    Benchmark("endpoint_update", "the model", "an endpoint's model replaced under load", 22.0, 8.0),
    Benchmark("etl", "the features job", "kernel, cold and warm job, large inputs", 100.0, 22.0),
    Benchmark(
        "skab_rule", "detection", "faults found on SKAB's runs", 5.0, 5.0, data="skab/valve1"
    ),
    Benchmark(
        "tuning",
        "the model",
        "a tuning job on one core and on two",
        105.0,
        left_out="two tuning jobs of twenty training processes; --only tuning",
        alone=True,
    ),
    Benchmark(
        "monitoring",
        "detection",
        "drift alarms of streams and of weeks of a fleet",
        40.0,
        left_out="weeks of a fleet",
    ),
    Benchmark(
        "monitoring_month",
        "detection",
        "a month of daily monitoring jobs on the run's clock",
        150.0,
        left_out="thirty processing jobs; --only monitoring_month",
        alone=True,
    ),
    Benchmark(
        "detection",
        "detection",
        "detectors on fleets, and on recorded sets when they are asked for",
        340.0,
        left_out="a thousand machine-days",
        arguments=("--sets", "fleet"),
    ),
)
"""In the order in which they run: what is quick, and what others are judged by, first."""


def named(name: str) -> Benchmark:
    """Return a benchmark; raises KeyError."""
    return {each.name: each for each in BENCHMARKS}[name]
