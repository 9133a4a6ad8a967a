"""Columns of values, and what statistics.json says of them (Model Monitor's schema, version 0).

Used on Parquet features for a baseline and on captured requests for a monitoring run. Schema:
SageMaker developer guide, "Schema for Statistics (statistics.json file)".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.monitoring.sketch import KllSketch

Floats = NDArray[np.float64]
N_BUCKETS = 10


@dataclass(frozen=True)
class Column:
    """One column: its numbers (finite), texts, and how many values are missing.

    `integral` of the numbers came as whole numbers; NaN and infinities count as missing.
    """

    name: str
    numbers: Floats
    integral: int
    texts: tuple[str, ...]
    missing: int

    @property
    def present(self) -> int:
        """The number of values that are there."""
        return len(self.numbers) + len(self.texts)

    @property
    def inferred_type(self) -> str:
        """The type that most values have; Unknown without any."""
        if not self.present:
            return "Unknown"
        if len(self.texts) > len(self.numbers):
            return "String"
        return "Integral" if self.integral == len(self.numbers) else "Fractional"

    def share_of_type(self, wanted: str) -> float:
        """Return the share of present values of a type; a whole number is Fractional too."""
        if not self.present or wanted == "Unknown":
            return 1.0
        count = {
            "String": len(self.texts),
            "Integral": self.integral,
            "Fractional": len(self.numbers),
        }[wanted]
        return count / self.present

    @property
    def completeness(self) -> float:
        """The share of values that are there; 1 for a column without rows."""
        rows = self.present + self.missing
        return self.present / rows if rows else 1.0


def column_of_numbers(name: str, values: NDArray[Any]) -> Column:
    """Return the column of an array (n,) of integers or floats."""
    numbers = values.astype(np.float64)
    finite = np.isfinite(numbers)
    integral = int(finite.sum()) if np.issubdtype(values.dtype, np.integer) else 0
    return Column(name, numbers[finite], integral, (), int((~finite).sum()))


def column_of_values(name: str, values: Sequence[object]) -> Column:
    """Return the column of values of JSON: numbers, texts and null; others count as texts."""
    numbers: list[float] = []
    texts: list[str] = []
    integral = missing = 0
    for value in values:
        if value is None or (isinstance(value, float) and not np.isfinite(value)):
            missing += 1
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            # A whole number beyond the floats is as wild as an infinity.
            if abs(value) > 1e308:
                missing += 1
                continue
            numbers.append(float(value))
            integral += isinstance(value, int)
        else:
            texts.append(value if isinstance(value, str) else str(value))
    return Column(name, np.array(numbers, np.float64), integral, tuple(texts), missing)


def statistics(columns: Sequence[Column], item_count: int) -> dict[str, Any]:
    """Return the contents of statistics.json."""
    return {
        "version": 0,
        "dataset": {"item_count": item_count},
        "features": [_feature(column) for column in columns],
    }


def _feature(column: Column) -> dict[str, Any]:
    kind = column.inferred_type
    feature: dict[str, Any] = {"name": column.name, "inferred_type": kind}
    counts = {"num_present": column.present, "num_missing": column.missing}
    if kind == "String":
        buckets = Counter(column.texts)
        feature["string_statistics"] = {
            "common": counts,
            "distinct_count": len(buckets),
            "distribution": {
                "categorical": {
                    "buckets": [
                        {"value": value, "count": count} for value, count in sorted(buckets.items())
                    ]
                }
            },
        }
    elif kind != "Unknown":
        feature["numerical_statistics"] = {"common": counts, **_moments(column.numbers)}
    return feature


def _moments(numbers: Floats) -> dict[str, Any]:
    low, high = float(numbers.min()), float(numbers.max())
    # A column that never moves has all its values in the first bucket.
    edges = np.linspace(low, high, N_BUCKETS + 1)
    places = np.clip(np.searchsorted(edges, numbers, "right") - 1, 0, N_BUCKETS - 1)
    counts = np.bincount(places if high > low else places * 0, minlength=N_BUCKETS)
    sketch = KllSketch.of(numbers)
    return {
        "mean": float(numbers.mean()),
        "sum": float(numbers.sum()),
        "std_dev": float(numbers.std()),
        "min": low,
        "max": high,
        "distribution": {
            "kll": {
                "buckets": [
                    {
                        "lower_bound": float(edges[place]),
                        "upper_bound": float(edges[place + 1]),
                        "count": float(counts[place]),
                    }
                    for place in range(N_BUCKETS)
                ],
                "sketch": {
                    "parameters": {"c": sketch.shrink, "k": sketch.size},
                    "data": [level.tolist() for level in sketch.levels],
                },
            }
        },
    }


def stored_sketch(feature: Mapping[str, Any]) -> KllSketch | None:
    """Return the sketch of a feature of statistics.json, None where it has none."""
    if "numerical_statistics" not in feature:
        return None
    sketch = feature["numerical_statistics"]["distribution"]["kll"]["sketch"]
    return KllSketch.from_levels(
        sketch["data"], sketch["parameters"]["k"], sketch["parameters"]["c"]
    )


def stored_categories(feature: Mapping[str, Any]) -> dict[str, int]:
    """Return the counts of the categories of a feature of statistics.json."""
    if "string_statistics" not in feature:
        return {}
    buckets = feature["string_statistics"]["distribution"]["categorical"]["buckets"]
    return {bucket["value"]: bucket["count"] for bucket in buckets}
