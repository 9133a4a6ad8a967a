"""Measures the detection rule on SKAB's recorded runs, offline: no AWS, no stream, no state.

The first 400 rows of each run are the healthy history of one machine; the model is trained on
all of them together and then meets the rest of each run causally, with the features, the scoring
and the episodes of the pipeline. Found and false alarm are as in ARCHITECTURE.md.

Run: python -m benchmarks.skab_rule [FOLDER ...] [key=value ...]   (hyperparameters, and
window_s, hop_s of the feature spec). Without the data it says so and ends. Only what is measured
with the chosen settings on one folder is written, to `results/skab_rule.json`.
"""

from __future__ import annotations

import csv
import io
import os
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.detection.datasets import data_folder
from benchmarks.result import finish, parser
from benchmarks.row import Row
from pipeline.detection import episodes
from pipeline.features import grid, telemetry_features
from pipeline.model import fitting, hyperparameters
from pipeline.model.dataset import Dataset
from pipeline.settings import FeatureSpec

DATA_VARIABLE = "FLEETWIN_SKAB"
TRAIN_ROWS = 400
GRACE_MS = 60_000

# Short windows and means only: 400 healthy seconds a machine are too few to know how a deviation
# or a trend of 15 s behaves, or what is one machine's own covariance; the table in
# results/skab_rule.md has what the other choices gave. One false alarm a machine-hour is what a
# bench run of 20 minutes can afford; a fleet that runs for months cannot.
SPEC = {"window_s": "15", "hop_s": "5"}
HYPERPARAMETERS = {
    "statistics": "mean",
    "unit_share": "0",
    "smoothing_rows": "3",
    "enter_rows": "2",
    "exit_rows": "2",
    "false_alarms_per_machine_day": "24",
}


@dataclass(frozen=True)
class Run:
    """One recorded run: times (n,), values (n, sensors), the faults as (onset, end) in ms."""

    name: str
    event_time_ms: NDArray[np.int64]
    values: NDArray[np.float64]
    faults: tuple[tuple[int, int], ...]
    live_ms: int


@dataclass(frozen=True)
class Outcome:
    """What a rule did on one run; `early` says that an episode opened before the onset."""

    name: str
    found: int
    faults: int
    early: bool
    false_alarms: int
    delays_s: tuple[float, ...]


def read_run(path: Path) -> tuple[Run, tuple[str, ...]]:
    """Return a run and its sensors' names from a SKAB file."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter=";"))
    sensors = tuple(name for name in rows[0] if name not in ("datetime", "anomaly", "changepoint"))
    times = [datetime.fromisoformat(row["datetime"]).replace(tzinfo=UTC) for row in rows]
    event_time_ms = np.array([int(moment.timestamp() * 1000) for moment in times])
    values = np.array([[float(row[name]) for name in sensors] for row in rows])
    labels = np.array([float(row["anomaly"]) > 0 for row in rows], dtype=np.int8)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], labels, [0]])))
    faults = tuple(
        (int(event_time_ms[start]), int(event_time_ms[stop - 1]))
        for start, stop in zip(edges[::2], edges[1::2], strict=True)
    )
    live_ms = int(event_time_ms[min(TRAIN_ROWS, len(rows)) - 1])
    return Run(path.stem, event_time_ms, values, faults, live_ms), sensors


def features_of(run: Run, spec: FeatureSpec) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the run's feature rows with enough readings: times (m,), features (m, d)."""
    last_ms = int(run.event_time_ms[-1]) - spec.allowed_lateness_ms
    at_ms = grid(run.event_time_ms, 0, last_ms, spec)
    features, counts = telemetry_features(run.event_time_ms, run.values, at_ms, spec)
    enough = counts >= spec.min_count
    return at_ms[enough], features[enough]


def judge(run: Run, starts_ms: Sequence[int]) -> Outcome:
    """Compare the episodes that started in the live part with the run's faults."""
    delays = []
    for onset, end in run.faults:
        inside = [start for start in starts_ms if onset <= start <= end + GRACE_MS]
        if inside:
            delays.append((inside[0] - onset) / 1000)
    first_onset = run.faults[0][0] if run.faults else int(run.event_time_ms[-1])
    outside = [
        start
        for start in starts_ms
        if not any(onset <= start <= end + GRACE_MS for onset, end in run.faults)
    ]
    early = any(start < first_onset for start in starts_ms)
    return Outcome(run.name, len(delays), len(run.faults), early, len(outside), tuple(delays))


def measure(
    folder: Path, spec_changes: dict[str, str], changes: dict[str, str], only: Sequence[str] = ()
) -> dict[str, list[Outcome]]:
    """Train on the runs' first rows and return the outcomes of both rules, by rule."""
    read = [read_run(path) for path in sorted(folder.glob("*.csv"), key=lambda p: int(p.stem))]
    runs = [run for run, _ in read if not only or run.name in only]
    spec = FeatureSpec(
        sensors=tuple(f"s{number}" for number in range(len(read[0][1]))),
        limits=((-1e9, 1e9),) * len(read[0][1]),
        window_ms=round(1000 * float(spec_changes["window_s"])),
        hop_ms=round(1000 * float(spec_changes["hop_s"])),
        bursts=False,
    )
    chosen = hyperparameters.parse({"feature_spec": spec.to_json(), **changes})
    rows = {run.name: features_of(run, spec) for run in runs}
    # One machine after the other, as the training channel is read.
    ordered = sorted(runs, key=lambda run: run.name)
    healthy = {run.name: rows[run.name][0] <= run.live_ms for run in runs}
    data = Dataset(
        [run.name for run in ordered for _ in range(int(healthy[run.name].sum()))],
        np.concatenate([rows[run.name][0][healthy[run.name]] for run in ordered]),
        np.vstack([rows[run.name][1][healthy[run.name]] for run in ordered]),
    )
    trained = fitting.train(data, chosen).artefact
    rule = episodes.Rule(
        trained.rule.smoothing_rows,
        trained.rule.enter,
        trained.rule.exit,
        trained.rule.enter_rows,
        trained.rule.exit_rows,
        max_gap_ms=spec.window_ms,
    )
    outcomes: dict[str, list[Outcome]] = {"model": [], "no_model": []}
    for run in runs:
        times, features = rows[run.name]
        live = times > run.live_ms
        parts = trained.model.parts([run.name] * int(live.sum()), features[live])
        scores = {
            "model": trained.combination.score(parts),
            "no_model": trained.combination.no_model_score(parts),
        }
        for name, values in scores.items():
            outcomes[name].append(judge(run, _starts(times[live], values, rule)))
    return outcomes


def _starts(
    times: NDArray[np.int64], scores: NDArray[np.float64], rule: episodes.Rule
) -> list[int]:
    state = episodes.EpisodeState()
    starts = []
    for moment, score in zip(times.tolist(), scores.tolist(), strict=True):
        state, step = episodes.advance(state, rule, moment, score)
        if step.opened:
            starts.append(moment)
    return starts


def line(name: str, outcomes: Sequence[Outcome]) -> str:
    """Return one line of the table."""
    delays = [delay for outcome in outcomes for delay in outcome.delays_s]
    median = f"{np.median(delays):.0f}" if delays else "-"
    return (
        f"{name:<9} found {sum(o.found for o in outcomes)}/{sum(o.faults for o in outcomes)}"
        f"  runs with an episode before the onset {sum(o.early for o in outcomes)}"
        f"/{len(outcomes)}  false alarms {sum(o.false_alarms for o in outcomes)}"
        f"  median delay {median} s"
    )


def main(arguments: Sequence[str]) -> int:
    """Print the table for each folder; return the exit code."""
    options = parser("skab_rule", __doc__)
    options.add_argument("words", nargs="*", metavar="FOLDER|key=value")
    chosen = options.parse_args(arguments)
    changes = dict(word.split("=", 1) for word in chosen.words if "=" in word)
    as_chosen = not changes
    spec_changes = {key: changes.pop(key, value) for key, value in SPEC.items()}
    folders = [Path(word) for word in chosen.words if "=" not in word]
    if not folders:
        folders = [Path(os.environ.get(DATA_VARIABLE) or data_folder() / "skab" / "valve1")]
    folders = [folder for folder in folders if any(folder.glob("*.csv"))]
    if not folders:
        print(f"skipped: no SKAB runs; give a folder or set {DATA_VARIABLE}")
        return 0
    for folder in folders:
        began = time.perf_counter()
        with redirect_stdout(io.StringIO()):
            outcomes = measure(folder, spec_changes, {**HYPERPARAMETERS, **changes})
        print(f"{folder.name}: {spec_changes} {changes}")
        for name, results in outcomes.items():
            print("  " + line(name, results))
        missed = [o.name for o in outcomes["model"] if o.found < o.faults]
        early = [o.name for o in outcomes["model"] if o.early]
        print(f"  missed: {missed}, early: {early}, {time.perf_counter() - began:.1f} s")
    if as_chosen and len(folders) == 1:
        return finish("skab_rule", rows_of(outcomes), chosen, details_of(outcomes))
    return 0


def rows_of(outcomes: Mapping[str, Sequence[Outcome]]) -> list[Row]:
    """Return what the outcomes say as rows."""
    model, null = outcomes["model"], outcomes["no_model"]
    faults = sum(o.faults for o in model)
    found, by_null = (sum(o.found for o in each) for each in (model, null))
    early = sum(o.early for o in model)
    return [
        Row(
            f"SKAB, faults found of {faults}",
            float(found),
            "faults",
            "the same rule without a model",
            float(max(1, by_null)),
            floor=13.0 / 16.0 * faults,
        ),
        Row(
            "SKAB, runs with an episode before the onset",
            float(early),
            "runs",
            "all runs",
            float(len(model)),
            ceiling=6.0 / 16.0 * len(model),
        ),
    ]


def details_of(outcomes: Mapping[str, Sequence[Outcome]]) -> dict[str, str]:
    """Return the lines that were printed, by rule."""
    return {name: " ".join(line("", each).split()) for name, each in outcomes.items()}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
