"""The rules that a fleet is judged by: the pipeline's, that without its autoencoder, trivial ones.

`fleet` runs them over a plant. All are calibrated on the plant's history at the same designed rate,
as the training job does, and open episodes by the same hysteresis. Trivial are: the score without a
model, random scores, an alarm that is always on, and the number of a row, which is beyond
that of every row of the history from the first live row on.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from benchmarks.detection.fleet_data import FleetRows, MachineRows, joined
from benchmarks.detection.fleet_scenarios import spec
from pipeline.detection import episodes
from pipeline.model import calibration, fitting
from pipeline.model.artefact import Artefact
from pipeline.model.dataset import Dataset
from pipeline.model.hyperparameters import Hyperparameters
from pipeline.model.levels import slow_scores
from pipeline.model.scoring import Floats, smooth
from pipeline.model.thresholds import Levels

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Episode:
    """One episode: opened and closed at these times in epoch milliseconds."""

    opened_ms: int
    closed_ms: int


@dataclass(frozen=True)
class Judged:
    """A machine's live rows: times (n,), smoothed scores (n,) in thresholds, episodes.

    A score is NaN where the smoothing is not full.
    """

    times_ms: NDArray[np.int64]
    levels: Floats
    episodes: tuple[Episode, ...]

    @property
    def in_episode(self) -> Mask:
        """Which rows are in an episode, the one that closes it included, (n,)."""
        inside = np.zeros(len(self.times_ms), np.bool_)
        for each in self.episodes:
            inside |= (self.times_ms >= each.opened_ms) & (self.times_ms <= each.closed_ms)
        return inside


Judge = Callable[[MachineRows], Judged]
Scored = Callable[[MachineRows], tuple[Floats, Floats]]
"""Scores (n,) of all rows of a machine and deviations of its levels (n, k), in thresholds."""

NO_MODEL, RANDOM, ALWAYS, INDEX = "no_model", "random", "always_alarm", "row_index"
RULES = ("pipeline", "input_only", NO_MODEL, RANDOM, ALWAYS, INDEX)
"""`input_only` is the pipeline's score without the autoencoder's residual."""


def judges(rows: FleetRows, names: Sequence[str] = RULES) -> dict[str, Judge]:
    """Train and calibrate each rule on the history of a plant."""
    chosen = defaults()
    found: dict[str, Judge] = {}
    if "pipeline" in names:
        model = trained(rows, chosen)
        found["pipeline"] = _judge(_by_model(model), chosen, rows.live_start_ms)
        if NO_MODEL in names:
            found[NO_MODEL] = _judge(_without_model(model), chosen, rows.live_start_ms)
    if "input_only" in names:
        # The residual has no weight, so that one epoch of the network is as good as all.
        alone = trained(rows, replace(chosen, residual_weight=0.0, epochs=1))
        found["input_only"] = _judge(_by_model(alone), chosen, rows.live_start_ms)
    trivial: Mapping[str, Callable[[MachineRows], Floats]] = {
        RANDOM: _random_scores,
        ALWAYS: lambda machine: np.full(len(machine.event_time_ms), 2.0),
        INDEX: lambda machine: _row_numbers(machine, rows.live_start_ms),
    }
    for name, score in trivial.items():
        if name in names:
            level = _random_threshold(rows, chosen) if name == RANDOM else 1.0
            found[name] = _judge(_plain(score, level), chosen, rows.live_start_ms)
    return found


def defaults() -> Hyperparameters:
    """Return the pipeline's own settings for the stack's features."""
    return Hyperparameters(feature_spec=spec().to_json())


def trained(rows: FleetRows, chosen: Hyperparameters) -> Artefact:
    """Train on a plant's history, as the training job does, but silently."""
    learnt = Dataset(*joined(rows.machines, 0, rows.live_start_ms))
    with redirect_stdout(io.StringIO()):
        return fitting.train(learnt, chosen).artefact


def judged(
    rule: episodes.Rule, times_ms: NDArray[np.int64], scores: Floats, deviations: Floats
) -> Judged:
    """Return what `episodes.advance` says of (n,) rows one after the other, all at once.

    `deviations` (n, k) are those of the levels, k 0 without a slow mean. The rule smooths over
    more than one row and has its exit below its entry.
    """
    levels = np.full(len(scores), np.nan)
    ordinary = scores <= rule.enter
    cuts = np.flatnonzero(np.diff(times_ms) > rule.max_gap_ms) + 1
    for part in np.split(np.arange(len(scores)), cuts):
        levels[part] = smooth(scores[part], rule.smoothing_rows)
        if rule.memory_rows and deviations.shape[1]:
            slow = slow_scores(deviations[part], ordinary[part], rule.memory_rows)
            # NaN, where the smoothing is not full, stays.
            levels[part] = np.maximum(levels[part], slow)
    opening = _held(levels > rule.enter, rule.enter_rows)
    closing = _held(levels < rule.exit, rule.exit_rows)
    found, row = [], 0
    while (at := int(np.searchsorted(opening, row))) < len(opening):
        opened = int(opening[at])
        until = int(np.searchsorted(closing, opened))
        row = int(closing[until]) if until < len(closing) else len(scores) - 1
        found.append(Episode(int(times_ms[opened]), int(times_ms[row])))
        row += 1
    return Judged(times_ms, levels, tuple(found))


def _held(mask: Mask, rows: int) -> NDArray[np.intp]:
    """Return the rows up to which a mask (n,) has held for so many rows."""
    counted = np.convolve(mask.astype(np.int64), np.ones(rows, np.int64))[: len(mask)]
    return np.flatnonzero(counted == rows)


def _judge(score: Scored, chosen: Hyperparameters, live_start_ms: int) -> Judge:
    def judge(machine: MachineRows) -> Judged:
        scores, deviations = score(machine)
        live = machine.event_time_ms >= live_start_ms
        rule = episodes.Rule(
            chosen.smoothing_rows,
            1.0,
            chosen.exit_level,
            chosen.enter_rows,
            chosen.exit_rows,
            chosen.spec.reach_ms + chosen.spec.hop_ms,
            memory_rows=chosen.memory_rows if deviations.shape[1] else 0,
        )
        return judged(rule, machine.event_time_ms[live], scores[live], deviations[live])

    return judge


def _by_model(made: Artefact) -> Scored:
    def score(machine: MachineRows) -> tuple[Floats, Floats]:
        names = [machine.device_id] * len(machine.event_time_ms)
        scores = made.combination.score(made.model.parts(names, machine.features))
        if not made.rule.memory_rows:
            return scores, np.empty((len(scores), 0))
        vectors = made.model.level_vectors(names, machine.features)
        return scores, vectors / made.combination.slow_threshold

    return score


def _without_model(made: Artefact) -> Scored:
    def score(machine: MachineRows) -> Floats:
        names = [machine.device_id] * len(machine.event_time_ms)
        return made.combination.no_model_score(made.model.parts(names, machine.features))

    return _plain(score, 1.0)


def _plain(score: Callable[[MachineRows], Floats], threshold: float) -> Scored:
    return lambda machine: (
        score(machine) / threshold,
        np.empty((len(machine.event_time_ms), 0)),
    )


def _random_scores(machine: MachineRows) -> Floats:
    seed = zlib.crc32(machine.device_id.encode())
    return np.random.default_rng(seed).random(len(machine.event_time_ms))


def _random_threshold(rows: FleetRows, chosen: Hyperparameters) -> float:
    """Return the threshold of random scores by the history, as a model's is found."""
    scores = [
        _random_scores(machine)[machine.event_time_ms < rows.live_start_ms]
        for machine in rows.machines
    ]
    seen = Levels(Dataset(*joined(rows.machines, 0, rows.live_start_ms)), chosen)
    peaks = seen.of_rows(np.concatenate(scores)).all_peaks
    rate = chosen.false_alarms_per_machine_day
    return calibration.threshold_for_rate(peaks, seen.days, rate)


def _row_numbers(machine: MachineRows, live_start_ms: int) -> Floats:
    """Return each row's number in units of the last one before the live part."""
    before = max(1, int((machine.event_time_ms < live_start_ms).sum()))
    found: Floats = np.arange(1.0, len(machine.event_time_ms) + 1.0) / before
    return found
