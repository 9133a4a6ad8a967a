"""Per-machine baselines: what each feature is on this machine when it is healthy.

Two machines of one kind differ in level (mounting, sensors, impeller) more than in spread. So the
location is each machine's own, and the scale is shared by all: on short healthy histories a
machine's own scale is the least certain number, and one that is too small by luck alarms for ever
(measured on SKAB valve1 with means of 15 s and the distance of the input alone: runs with an
episode before the fault fell from 6 with own scales to 1 with the shared one, faults found rose
from 13 to 16 of 16).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Values beyond this many robust deviations are pulled in before the scale is taken, so that a
# start-up transient in the healthy history does not blunt the machine's whole life.
OUTLIER_DEVIATIONS = 4.0

# An overflowed feature is as unusual as can be, but must not turn scores into infinities.
LARGEST = 1e6

# Below this share of the location's size a deviation is rounding, not movement.
ROUNDING = 1e-9


@dataclass(frozen=True)
class Baselines:
    """Location of each known unit (n_units, d), shared scale (d,), and a fallback for others.

    A feature that never moved in training takes the middle scale of those that did (`_scales`).
    A scale of 0 marks one that never had a value: it is left out of every score.
    """

    units: tuple[str, ...]
    location: Floats
    scale: Floats
    unknown_location: Floats
    unknown_scale: Floats

    @cached_property
    def _row_of(self) -> dict[str, int]:
        return {unit: row for row, unit in enumerate(self.units)}

    @cached_property
    def locations_and_factors(self) -> tuple[Floats, Floats]:
        """Return locations and reciprocal scales with a last row for unknown units."""
        locations = np.vstack([self.location, self.unknown_location])
        scales = np.vstack([np.tile(self.scale, (len(self.units), 1)), self.unknown_scale])
        return locations, np.divide(1.0, scales, out=np.zeros_like(scales), where=scales > 0.0)

    def positions(self, units: Sequence[str]) -> NDArray[np.int64]:
        """Return the position of each unit, -1 for an unknown one."""
        return np.fromiter(map(self._row_of.get, units, repeat(-1)), np.int64, len(units))

    def normalise(self, units: Sequence[str], features: Floats) -> Floats:
        """Return (features - location) / scale as (n, d); NaN and unmoving features become 0."""
        z = np.empty((len(units), len(self.scale)))
        self.normalise_at(self.positions(units), features, z)
        return z

    def normalise_at(
        self, rows: NDArray[np.int64], features: Floats, z: Floats
    ) -> tuple[Floats, float]:
        """Write the same for units at known `positions` (n,) into `z` (n, d).

        Returns the squared lengths of its rows (n,) and the largest of these: where that is
        small, no value is missing and none is too large, and nobody has to look at each.
        """
        locations, factors = self.locations_and_factors
        with np.errstate(over="ignore", invalid="ignore"):  # Infinities and infinity times 0.
            # -1, an unknown unit, wraps around to the last row.
            np.subtract(features, locations.take(rows, axis=0, mode="wrap"), out=z)
            z *= factors.take(rows, axis=0, mode="wrap")
            lengths = np.vecdot(z, z)
        longest = float(np.maximum.reduce(lengths, initial=0.0))
        if not longest <= LARGEST:  # Nor is NaN.
            z[np.isnan(z)] = 0.0
            np.minimum(z, LARGEST, out=z)
            np.maximum(z, -LARGEST, out=z)
            lengths = np.vecdot(z, z)
            longest = float(np.maximum.reduce(lengths, initial=0.0))
        return lengths, longest


def fit_baselines(units: list[str], features: Floats) -> Baselines:
    """Estimate baselines from healthy (n, d) rows, each of the unit at the same position.

    A feature that a unit never had (all NaN) takes the mean location of the other units.
    """
    names = tuple(sorted(set(units)))
    position = {name: index for index, name in enumerate(names)}
    of_row = np.array([position[unit] for unit in units])
    location = np.full((len(names), features.shape[1]), np.nan)
    deviations = np.full_like(features, np.nan)
    for index in range(len(names)):
        mine = of_row == index
        location[index] = _nan_median(features[mine])
        deviations[mine] = features[mine] - location[index]
    known = np.isfinite(location)
    count = np.maximum(known.sum(axis=0), 1)
    centre = np.where(known, location, 0.0).sum(axis=0) / count
    location = np.where(known, location, centre)
    scale = _scales(deviations, centre)
    between = np.where(known, location - centre, 0.0)
    spread = np.sqrt((between * between).sum(axis=0) / count)
    unknown_scale = np.where(scale > 0.0, np.sqrt(scale * scale + spread * spread), 0.0)
    return Baselines(names, location, scale, centre, unknown_scale)


def _scales(deviations: Floats, centre: Floats) -> Floats:
    """Return the scale of each column (d,) from deviations (n, d) and the columns' centres (d,).

    A channel that stood still as long as the machine was healthy and moves now is the clearest
    sign there is; left out of the score, it cannot be seen. How far it may move nobody knows, so
    it is taken to move like the others (measured on the 14 MSL series of TSB-AD, where 43 of 55
    channels stand still in training: mean VUS-PR 0.45 instead of 0.25).
    """
    scale = _robust_deviation(deviations)
    moved = scale > ROUNDING * np.abs(centre)
    had_values = np.isfinite(deviations).any(axis=0)
    typical = float(np.median(scale[moved])) if moved.any() else 0.0
    found: Floats = np.where(moved, scale, np.where(had_values, typical, 0.0))
    return found


def _nan_median(rows: Floats) -> Floats:
    """Return the median of each column over its finite values, NaN where there is none."""
    medians = np.full(rows.shape[1], np.nan)
    for column in range(rows.shape[1]):
        values = rows[np.isfinite(rows[:, column]), column]
        if len(values):
            medians[column] = np.median(values)
    return medians


def _robust_deviation(deviations: Floats) -> Floats:
    """Return the root mean square of each column after pulling in its outliers; 0 if empty."""
    scale = np.zeros(deviations.shape[1])
    for column in range(deviations.shape[1]):
        values = deviations[np.isfinite(deviations[:, column]), column]
        if not len(values):
            continue
        # 1.349: the interquartile range of a standard normal distribution.
        low, high = np.quantile(values, [0.25, 0.75])
        limit = OUTLIER_DEVIATIONS * (high - low) / 1.349
        if limit > 0.0:
            values = np.clip(values, -limit, limit)
        scale[column] = np.sqrt(np.mean(values * values))
    return scale
