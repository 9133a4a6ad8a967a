"""Runs a detector over the runs of a set and says what it was worth; the command line calls it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.detection import detectors, metrics
from benchmarks.detection.datasets import Run
from benchmarks.detection.rows import features_of, spec_of

# The leaderboard of SKAB scores windows of so many rows, and a row counts as anomalous when all
# windows that end up to 58 rows after it do: it looks into the future.
LEADERBOARD_ROWS = 60
LEADERBOARD_FACTOR = 4 / 3
LEADERBOARD_QUANTILE = 0.99
DAY_S = 86_400.0


@dataclass(frozen=True)
class Line:
    """One detector on one set with one seed; shares are 0 to 1, delays in rows.

    `designed_episodes` are those that the design allows in the `healthy_rows` of all runs, NaN
    for a detector without one; `row_s` is the time of a row, NaN where the set has no time base.
    """

    set_name: str
    detector: str
    seed: int
    vus_pr: float
    auc_pr: float
    f1: float
    false_alarm_rate: float
    missed_alarm_rate: float
    event_recall: float
    median_delay_rows: float
    p90_delay_rows: float
    false_episodes: int
    leaderboard_f1: float
    healthy_rows: int
    designed_episodes: float
    row_s: float

    @property
    def machine_days(self) -> float:
        """The time of the healthy rows; NaN where the set has no time base."""
        return self.healthy_rows * self.row_s / DAY_S


@dataclass(frozen=True)
class Trace:
    """What the plots need of one run."""

    name: str
    labels: metrics.Mask
    scores: metrics.Floats
    alarms: metrics.Mask
    delays_rows: tuple[int, ...]


def judge(
    set_name: str, runs: Sequence[Run], name: str, seed: int, windows: tuple[int, int] | None = None
) -> tuple[Line, list[Trace]]:
    """Fit and threshold a detector on each run's healthy rows and measure it on the others.

    `windows` are the lengths of both windows in rows, those of `rows` when None.
    """
    total = leaders = metrics.Confusion(0, 0, 0, 0)
    volumes, areas, reports, traces = [], [], [], []
    healthy_rows, designed = 0, 0.0
    for run in runs:
        channels = run.values.shape[1]
        features = features_of(run, spec_of(channels, *(windows or ())))
        found = detectors.DETECTORS[name](features, seed)
        alarms = found.alarms
        total += metrics.Confusion.of(run.labels, alarms)
        leaders += metrics.Confusion.of(run.labels, leaderboard_alarms(found))
        before = run.healthy if run.history else run.values[:0]
        buffer = metrics.period_rows(np.vstack([before, run.values])[:, 0])
        volumes.append(metrics.vus_pr(run.labels, found.scores, buffer))
        areas.append(metrics.average_precision(run.labels, found.scores))
        reports.append(metrics.event_report(run.labels, alarms))
        healthy = int((~run.labels).sum())
        healthy_rows += healthy
        designed += detectors.EPISODES_PER_HISTORY * healthy / features.history_rows
        traces.append(Trace(run.name, run.labels, found.scores, alarms, reports[-1].delays_rows))
    delays = [delay for report in reports for delay in report.delays_rows]
    line = Line(
        set_name,
        name,
        seed,
        _mean(volumes),
        _mean(areas),
        total.f1,
        total.false_alarm_rate,
        total.missed_alarm_rate,
        _share(len(delays), sum(report.events for report in reports)),
        float(np.median(delays)) if delays else float("nan"),
        float(np.quantile(delays, 0.9)) if delays else float("nan"),
        sum(report.false_episodes for report in reports),
        leaders.f1,
        healthy_rows,
        float("nan") if name in detectors.UNDESIGNED else designed,
        float("nan") if runs[0].row_s is None else runs[0].row_s,
    )
    return line, traces


def _mean(values: Sequence[float]) -> float:
    """Return the mean of those that there are; NaN where no run has an event."""
    there = [value for value in values if not np.isnan(value)]
    return float(np.mean(there)) if there else float("nan")


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")


def leaderboard_alarms(found: detectors.Judged) -> metrics.Mask:
    """Return the alarms (m,) by the protocol of SKAB's published table, which looks ahead.

    A window's score is the mean of its rows', its limit the 0.99 quantile of the training windows
    times 4/3, and a row alarms when every window of `LEADERBOARD_ROWS` - 1 that covers it does. The
    limit comes from rows that the model was fitted to, as in the published notebooks.
    """
    size = LEADERBOARD_ROWS
    learnt = np.convolve(found.learnt, np.full(size, 1 / size), "valid")
    if not len(learnt):
        return np.zeros(len(found.scores), np.bool_)
    limit = LEADERBOARD_FACTOR * float(np.quantile(learnt, LEADERBOARD_QUANTILE))
    rows = np.concatenate([found.before, found.scores])
    high = np.convolve(rows, np.full(size, 1 / size), "valid") > limit
    # Window i covers rows i to i + 59; row j alarms when windows j - 59 to j - 1 are all high.
    enough = np.convolve(high, np.ones(size - 1), "valid") > size - 1.5
    alarms = np.zeros(len(rows), np.bool_)
    alarms[size - 1 : size - 1 + len(enough)] = enough
    return alarms[len(found.before) :]


def table(lines: Sequence[Line]) -> str:
    """Return the lines as a Markdown table."""
    head = (
        "| set | detector | seed | VUS-PR | AUC-PR | F1 | FAR | MAR | events | median delay "
        "| p90 | false episodes |\n|---|---|---|---|---|---|---|---|---|---|---|---|"
    )
    body = [
        f"| {x.set_name} | {x.detector} | {x.seed} | {x.vus_pr:.3f} | {x.auc_pr:.3f} "
        f"| {x.f1:.3f} | {x.false_alarm_rate:.3f} | {x.missed_alarm_rate:.3f} "
        f"| {x.event_recall:.2f} | {x.median_delay_rows:.0f} | {x.p90_delay_rows:.0f} "
        f"| {x.false_episodes} |"
        for x in lines
    ]
    return "\n".join([head, *body])
