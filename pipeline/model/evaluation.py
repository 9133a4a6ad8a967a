"""Measures models on rows that the candidate has not seen, and says whether it may serve.

Pure; `evaluate` reads the files and writes what is found. Scores come from `inference`, as the
endpoint would answer, and episodes from the detector's own rule, so that what is judged is what
will run. The criteria (`judge`) are in docs/promotion.md.

Beside false alarms and labelled events there are *probes*: a model that never alarms has no false
alarm, and labels are rare. Each probe moves the features of one sensor of one machine by
PROBE_DEVIATIONS of their own robust deviations in the second half of its held-out rows, and a
model finds it if an episode is open there.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.detection.episodes import EpisodeState, Rule, advance
from pipeline.errors import DatasetError
from pipeline.features import sensor_of_feature
from pipeline.model import inference
from pipeline.model.artefact import Artefact, EpisodeRule
from pipeline.model.calibration import MS_PER_DAY
from pipeline.model.dataset import Dataset
from pipeline.model.line_formats import nullable
from pipeline.settings import FeatureSpec

Floats = NDArray[np.float64]

FALSE_ALARM_TOLERANCE = 1.5
"""How many times the designed rate of false alarms a candidate may have."""
CONFIDENCE = 0.95
"""Counts of episodes that a rate shows with this probability do not speak against it."""
PROBE_DEVIATIONS = 3.0
"""Beyond what healthy rows do, and not so far that a model with too high a threshold finds all."""
PROBE_TOLERANCE = 0.05
"""By which share of the probes a candidate may find fewer than the current model."""
PROBED_DEVICES = 50
"""At most so many machines are probed, evenly chosen by name."""
ROUNDING = 1e-9
QUANTILES = (0.5, 0.9, 0.99, 1.0)

_CHUNK_ROWS = 4096


@dataclass(frozen=True)
class Event:
    """A labelled time in which a machine was not healthy, [start_ms, end_ms].

    `doubtful_ms`: a longer time in which it may not have been healthy.
    """

    device_id: str
    start_ms: int
    end_ms: int
    doubtful_ms: tuple[int, int] | None = None

    @property
    def not_healthy_ms(self) -> tuple[int, int]:
        """From when to when rows of the machine are no measure of false alarms."""
        first_ms, last_ms = self.doubtful_ms or (self.start_ms, self.end_ms)
        return min(first_ms, self.start_ms), max(last_ms, self.end_ms)


@dataclass(frozen=True)
class Task:
    """What models are measured on: each model's own columns of the same rows.

    `healthy` are the held-out rows outside events, `events` those of which no row was trained on
    with the rows around them. Machines with fewer than `probe_rows` rows are not probed.
    """

    spec: FeatureSpec
    healthy: Dataset
    events: tuple[tuple[Event, Dataset], ...]
    probe_rows: int


@dataclass(frozen=True)
class Metrics:
    """What one model does on a task; rates in episodes a machine-day."""

    model_version: str
    designed_per_machine_day: float
    machine_days: float
    false_alarm_episodes: int
    probes: int
    probes_found: int
    events: int
    events_found: int
    median_delay_s: float | None
    score_quantiles: dict[str, float]
    delays_s: tuple[float | None, ...] = ()
    """Of each event, in order; None for one that was not found."""

    @property
    def false_alarms_per_machine_day(self) -> float:
        """The measured rate."""
        return self.false_alarm_episodes / self.machine_days

    def to_json(self) -> dict[str, Any]:
        """Return the metrics as they are written."""
        return {
            "model_version": self.model_version,
            "designed_false_alarms_per_machine_day": self.designed_per_machine_day,
            "machine_days": self.machine_days,
            "false_alarm_episodes": self.false_alarm_episodes,
            "false_alarms_per_machine_day": self.false_alarms_per_machine_day,
            "probes": self.probes,
            "probes_found": self.probes_found,
            "events": self.events,
            "events_found": self.events_found,
            "event_recall": self.events_found / self.events if self.events else None,
            "median_delay_s": self.median_delay_s,
            "score_quantiles": self.score_quantiles,
        }


def measure(artefact: Artefact, designed_per_machine_day: float, task: Task) -> Metrics:
    """Measure a model; raises DatasetError when no held-out row can be judged."""
    run = _Run(artefact, task.spec)
    smoothed: list[float] = []
    alarms = 0
    for own in _by_device(task.healthy):
        levels, opened = run.episodes(own)
        smoothed += levels
        alarms += len(opened)
    if not smoothed:
        raise DatasetError(
            f"no machine has {artefact.rule.smoothing_rows} held-out rows in a row to judge"
        )
    found = [run.delay_s(event, rows) for event, rows in task.events]
    delays = [delay for delay in found if delay is not None]
    probes = [run.delay_s(event, rows) for event, rows in _probes(task)]
    return Metrics(
        model_version=artefact.version,
        designed_per_machine_day=designed_per_machine_day,
        machine_days=len(task.healthy) * task.spec.hop_ms / MS_PER_DAY,
        false_alarm_episodes=alarms,
        probes=len(probes),
        probes_found=sum(delay is not None for delay in probes),
        events=len(found),
        events_found=len(delays),
        median_delay_s=float(np.median(delays)) if delays else None,
        score_quantiles={f"q{q:g}": float(np.quantile(smoothed, q)) for q in QUANTILES},
        delays_s=tuple(found),
    )


def judge(candidate: Metrics, current: Metrics | None) -> tuple[bool, list[str]]:
    """Return whether the candidate may serve, and a sentence for each criterion."""
    designed = candidate.designed_per_machine_day
    rate = 0.0
    if current is not None:
        # A candidate is not made better by being designed to alarm more often.
        designed = min(designed, current.designed_per_machine_day)
        rate = current.false_alarms_per_machine_day
    allowed = max(designed * FALSE_ALARM_TOLERANCE, rate) * candidate.machine_days
    most = poisson_quantile(allowed, CONFIDENCE)
    verdicts = [
        (
            candidate.false_alarm_episodes <= most,
            f"{candidate.false_alarm_episodes} false-alarm episodes in "
            f"{candidate.machine_days:.2f} held-out machine-days, at most {most} allowed",
        )
    ]
    if current is not None:
        if current.events:
            verdicts.append(
                (
                    candidate.events_found >= current.events_found,
                    f"{candidate.events_found} of {candidate.events} labelled events found, "
                    f"the current model finds {current.events_found}",
                )
            )
        if current.probes:
            # As shares: another feature spec may have other sensors.
            share = candidate.probes_found / candidate.probes if candidate.probes else 0.0
            fewest = current.probes_found / current.probes - PROBE_TOLERANCE
            verdicts.append(
                (
                    share >= fewest - ROUNDING,
                    f"{candidate.probes_found} of {candidate.probes} probes found, "
                    f"the current model finds {current.probes_found} of {current.probes}",
                )
            )
    reasons = [f"{'passed' if passed else 'failed'}: {words}" for passed, words in verdicts]
    return all(passed for passed, _ in verdicts), reasons


def poisson_quantile(mean: float, probability: float) -> int:
    """Return the smallest count that is not exceeded with this probability, below 1.

    The logarithms are summed because exp(-mean) underflows where a mean is large.
    """
    count, total = 0, 0.0
    while True:
        log_term = count * math.log(mean) - mean - math.lgamma(count + 1) if mean > 0.0 else 0.0
        total += math.exp(log_term)
        # Rounding may keep the sum of a long series below a probability next to 1.
        if total >= probability or count > mean + 20.0 * math.sqrt(mean) + 20.0:
            return count
        count += 1


class _Run:
    """One model with its episode rule, as the detector applies it."""

    def __init__(self, artefact: Artefact, spec: FeatureSpec) -> None:
        self._artefact = artefact
        rule = artefact.rule
        self._rule = Rule(
            rule.smoothing_rows,
            rule.enter,
            rule.exit,
            rule.enter_rows,
            rule.exit_rows,
            max_gap_ms=spec.window_ms,
            memory_rows=rule.memory_rows,
        )

    def episodes(self, own: Dataset) -> tuple[list[float], list[tuple[int, int]]]:
        """Return smoothed scores of one machine's rows, and when episodes opened and closed."""
        state, levels = EpisodeState(), []
        opened: list[tuple[int, int]] = []
        last_ms = int(own.event_time_ms[-1]) if len(own) else 0
        scored = zip(own.event_time_ms.tolist(), self._scores(own), strict=True)
        for at_ms, (score, deviations) in scored:
            if score is None:
                continue
            state, step = advance(state, self._rule, at_ms, score, deviations)
            if step.smoothed is not None:
                levels.append(step.smoothed)
            if step.closed and step.episode is not None:
                opened[-1] = (step.episode.started_ms, at_ms)
            elif step.opened and step.episode is not None:
                opened.append((step.episode.started_ms, last_ms))
        return levels, opened

    def delay_s(self, event: Event, own: Dataset) -> float | None:
        """Return how long after its start an event is found, None if it is not."""
        _, opened = self.episodes(own)
        hits = [start for start, end in opened if start <= event.end_ms and end >= event.start_ms]
        return max(0.0, (min(hits) - event.start_ms) / 1000.0) if hits else None

    def _scores(self, own: Dataset) -> Iterator[tuple[float | None, Sequence[float]]]:
        """Yield each row's score and its deviations for the slow mean, if the model has one."""
        for start in range(0, len(own), _CHUNK_ROWS):
            rows = own.at(np.arange(start, min(start + _CHUNK_ROWS, len(own))))
            request = inference.Request(rows.device_ids, rows.features)
            answer = inference.predict_fn(request, self._artefact)
            levels = answer["levels"].tolist() if "levels" in answer else repeat(())
            yield from zip(nullable(answer["scores"]), levels, strict=False)


def _by_device(data: Dataset) -> Iterator[Dataset]:
    """Yield each machine's rows; they are sorted by device."""
    _, first, counts = np.unique(np.array(data.device_ids), return_index=True, return_counts=True)
    for start, count in zip(first.tolist(), counts.tolist(), strict=True):
        yield data.at(np.arange(start, start + count))


def probe_rows(rules: Iterable[EpisodeRule]) -> int:
    """Return how many rows of a machine every rule needs to find a probe in the second half."""
    return 2 * max(rule.smoothing_rows + rule.enter_rows for rule in rules)


def _probes(task: Task) -> Iterator[tuple[Event, Dataset]]:
    """Yield rows with one sensor moved, and when; machines with too few rows are left out."""
    sensors = np.array(sensor_of_feature(task.spec))
    machines = [own for own in _by_device(task.healthy) if len(own) >= task.probe_rows]
    for own in _evenly(machines, PROBED_DEVICES):
        half = len(own) // 2
        deviations = _robust_deviations(own.features[:half])
        event = Event(own.device_ids[0], int(own.event_time_ms[half]), int(own.event_time_ms[-1]))
        for sensor in dict.fromkeys(sensors.tolist()):
            moved = own.features.copy()
            columns = np.flatnonzero(sensors == sensor)
            moved[half:, columns] += PROBE_DEVIATIONS * deviations[columns]
            yield event, replace(own, features=moved)


def _evenly(machines: Sequence[Dataset], most: int) -> list[Dataset]:
    if len(machines) <= most:
        return list(machines)
    return [machines[place] for place in np.linspace(0, len(machines) - 1, most).astype(int)]


def _robust_deviations(features: Floats) -> Floats:
    """Return each column's interquartile range as a normal deviation; 0 where it has no value."""
    deviations = np.zeros(features.shape[1])
    for column in range(features.shape[1]):
        values = features[np.isfinite(features[:, column]), column]
        if len(values):
            low, high = np.quantile(values, [0.25, 0.75])
            deviations[column] = (high - low) / 1.349
    return deviations
