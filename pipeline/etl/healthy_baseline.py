"""What each feature is on a healthy machine: of the unit itself, else of its kind.

Fitted once by the job over hours that are known to be healthy, stored as JSON, and used by later
runs to write every feature a second time as ``(value - mean) / deviation``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import JobInputError

MIN_ROWS = 30
"""A unit with fewer healthy rows is described by its kind."""

Floats = NDArray[np.float64]


def kind_of(device_id: str) -> str:
    """Return the kind of machine that a device id names: all before its last hyphen."""
    return device_id.rpartition("-")[0] or device_id


@dataclass(frozen=True)
class HealthyBaseline:
    """Means and deviations ``(n_features,)`` of units and of kinds; NaN: nothing is known."""

    names: tuple[str, ...]
    units: dict[str, tuple[Floats, Floats]]
    kinds: dict[str, tuple[Floats, Floats]]

    @classmethod
    def of_moments(
        cls, names: tuple[str, ...], rows: list[tuple[str, Floats, Floats, Floats]]
    ) -> HealthyBaseline:
        """Fit from (device id, count, mean, sum of squared deviations), each ``(n_features,)``.

        The deviation of a kind is that within its units, as in `pipeline.model.baseline`: how far
        units lie apart says nothing about how far one moves.
        """
        units: dict[str, tuple[Floats, Floats]] = {}
        pooled: dict[str, list[tuple[Floats, Floats, Floats]]] = {}
        with np.errstate(invalid="ignore", divide="ignore"):
            for device_id, count, mean, squares in rows:
                pooled.setdefault(kind_of(device_id), []).append((count, mean, squares))
                enough = count >= MIN_ROWS
                units[device_id] = (
                    np.where(enough, mean, np.nan),
                    np.where(enough, np.sqrt(squares / count), np.nan),
                )
            kinds = {}
            for kind, parts in pooled.items():
                counts, means, squares = (np.array(column) for column in zip(*parts, strict=True))
                total = counts.sum(axis=0)
                weighted = np.where(counts > 0, counts * means, 0.0).sum(axis=0)
                within = np.where(counts > 0, squares, 0.0).sum(axis=0)
                kinds[kind] = (
                    np.where(total > 0, weighted / total, np.nan),
                    np.where(total > 0, np.sqrt(within / total), np.nan),
                )
        return cls(names, units, kinds)

    def normalise(self, ids: list[str], device: NDArray[np.int64], features: Floats) -> Floats:
        """Return the features of rows, ``device`` counting ``ids``, in healthy deviations.

        NaN where neither unit nor kind is known, or the feature never moved.
        """
        width = len(self.names)
        nothing = np.full(width, np.nan), np.full(width, np.nan)
        means, deviations = np.empty((len(ids), width)), np.empty((len(ids), width))
        for number, name in enumerate(ids):
            of_kind = self.kinds.get(kind_of(name), nothing)
            for table, own, general in zip(
                (means, deviations), self.units.get(name, nothing), of_kind, strict=True
            ):
                table[number] = np.where(np.isnan(own), general, own)
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            scale = np.where(deviations > 0, deviations, np.nan)
            normal: Floats = (features - means[device]) / scale[device]
        return normal

    def to_json(self) -> str:
        """Return the JSON that `parse` reads."""

        def table(found: dict[str, tuple[Floats, Floats]]) -> dict[str, dict[str, list[object]]]:
            return {
                name: {"mean": _listed(mean), "std": _listed(std)}
                for name, (mean, std) in sorted(found.items())
            }

        body = {
            "schema": 1,
            "features": self.names,
            "units": table(self.units),
            "kinds": table(self.kinds),
        }
        return json.dumps(body, indent=1)

    @classmethod
    def parse(cls, text: str, names: tuple[str, ...]) -> HealthyBaseline:
        """Read a stored baseline for the features ``names``; raises JobInputError."""
        try:
            body = json.loads(text)
            stored = list(body["features"])
            columns = [stored.index(name) for name in names]

            def table(
                found: dict[str, dict[str, list[object]]],
            ) -> dict[str, tuple[Floats, Floats]]:
                return {
                    name: (
                        np.array(entry["mean"], np.float64)[columns],
                        np.array(entry["std"], np.float64)[columns],
                    )
                    for name, entry in found.items()
                }

            return cls(names, table(body["units"]), table(body["kinds"]))
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise JobInputError(f"the baseline cannot be used: {error}; fit it again") from None


def _listed(numbers: Floats) -> list[object]:
    return [None if np.isnan(number) else number for number in numbers.tolist()]
