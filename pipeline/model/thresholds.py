"""From scores of unseen healthy rows to the thresholds of a model: of rows, and of slow means.

Training calls it; the statistics are in `calibration`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DatasetError
from pipeline.model import calibration
from pipeline.model.dataset import Dataset
from pipeline.model.hyperparameters import Hyperparameters
from pipeline.model.levels import slow_scores
from pipeline.model.scoring import Combination, Parts, smooth

Floats = NDArray[np.float64]

# Both distances are divided by what one healthy row in a hundred passes, so that neither of them
# decides the geometric mean by its unit alone.
REFERENCE_QUANTILE = 0.99


@dataclass(frozen=True)
class Series:
    """A level by machine over its time, and its independent peaks by machine."""

    levels: tuple[Floats, ...]
    peaks: tuple[Floats, ...]

    @property
    def all_peaks(self) -> Floats:
        """The peaks of all machines; raises DatasetError without one."""
        found = np.concatenate(self.peaks)
        if not len(found):
            raise DatasetError("no machine has enough rows in a row to calibrate a threshold")
        return found


@dataclass(frozen=True)
class Levels:
    """What the episode rule looks at in the rows of `data`, machine by machine."""

    data: Dataset
    chosen: Hyperparameters

    @property
    def machines(self) -> list[NDArray[np.intp]]:
        """The positions of each machine's rows, by name."""
        devices = np.array(self.data.device_ids)
        return [np.flatnonzero(devices == device) for device in sorted(set(self.data.device_ids))]

    @property
    def days(self) -> float:
        """The machine-days of the rows."""
        return len(self.data) * self.chosen.spec.hop_ms / calibration.MS_PER_DAY

    def of_rows(self, scores: Floats) -> Series:
        """Return smoothed scores (n,); each unit's time is taken as one."""
        return self._series(
            [smooth(scores[mine], self.chosen.smoothing_rows) for mine in self.machines], 0
        )

    def of_slow_means(self, vectors: Floats, ordinary: NDArray[np.bool_]) -> Series:
        """Return the lengths of slow means of level vectors (n, k), of the rows that count."""
        memory = self.chosen.memory_rows
        return self._series(
            [slow_scores(vectors[mine], ordinary[mine], memory) for mine in self.machines],
            # What is remembered of one episode is forgotten after two memories.
            2 * memory,
        )

    def _series(self, levels: list[Floats], further_apart: int) -> Series:
        chosen = self.chosen
        apart = chosen.smoothing_rows + chosen.exit_rows + further_apart
        apart += -(-chosen.spec.reach_ms // chosen.spec.hop_ms)
        peaks = [calibration.episode_peaks(one, chosen.enter_rows, apart) for one in levels]
        return Series(tuple(levels), tuple(peaks))


def uncalibrated(held: Parts, chosen: Hyperparameters) -> Combination:
    """Return how parts become scores, with a threshold of 1; raises DatasetError."""
    return Combination(
        input_reference=_reference(held.of_input),
        residual_reference=_reference(held.of_residual),
        residual_weight=chosen.residual_weight,
    )


def calibrated(
    data: Dataset, held: Parts, chosen: Hyperparameters, levels: Floats | None = None
) -> tuple[Combination, dict[str, float]]:
    """Return the combination whose thresholds give the designed rate of episodes, and metrics.

    `held` are the parts of the rows of `data`, `levels` (n, k) their level vectors, each of a
    model that has not seen the row. With a slow mean, half of the designed rate is its own.
    Raises DatasetError where that is too little.
    """
    combination = uncalibrated(held, chosen)
    found = Levels(data, chosen)
    rate = chosen.false_alarms_per_machine_day
    slowly = levels is not None and levels.shape[1] > 0

    def threshold(series: Series, rate: float) -> float:
        return calibration.threshold_for_rate(series.all_peaks, found.days, rate)

    scores = combination.score(held)
    fast = threshold(found.of_rows(scores), rate / 2 if slowly else rate)
    plain = threshold(found.of_rows(combination.no_model_score(held)), rate)
    metrics = {
        "machine_days": found.days,
        "designed_false_alarms_per_machine_day": rate,
        "threshold": fast,
        "no_model_threshold": plain,
    }
    slow = 0.0
    if levels is not None and slowly:
        means = found.of_slow_means(levels, scores <= fast)
        slow = metrics["slow_threshold"] = threshold(means, rate / 2)
    made = replace(combination, threshold=fast, no_model_threshold=plain, slow_threshold=slow)
    return made, metrics


def _reference(distances: Floats) -> float:
    value = float(np.quantile(distances, REFERENCE_QUANTILE))
    if not value > 0.0:
        raise DatasetError("the features do not vary: nothing can be learnt from them")
    return value
