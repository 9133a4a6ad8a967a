"""The hyperparameters that a tuning job searches: their ranges, scales and values as texts.

Used by `tuning_search`; a number's place in its range is between 0 and 1, whatever its scale.
Source: SageMaker developer guide, "Define Hyperparameter Ranges"; API reference, ParameterRanges.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from simulator.cloud.operations import Params

MOST_RANGES = 30
"""Ranges of all kinds together (API reference, ParameterRanges)."""
AUTO_LOGARITHMIC = 100.0
"""``Auto`` is logarithmic from this ratio of the largest to the smallest value on. AWS does not
say how it chooses."""
NEXT_TO_ONE = 1.0 - 2.0**-53

Values: TypeAlias = Mapping[str, str]
"""One combination, as the training job gets it."""


@dataclass(frozen=True)
class Categories:
    """A hyperparameter that is one of some texts."""

    name: str
    values: tuple[str, ...]

    @property
    def count(self) -> float:
        """Return how many values there are."""
        return len(self.values)

    def texts(self) -> Sequence[str]:
        """Return every value."""
        return self.values

    def value(self, place: float) -> str:
        """Return the text at a place of [0, 1)."""
        return self.values[int(min(place, NEXT_TO_ONE) * len(self.values))]

    def has(self, text: str) -> bool:
        """Tell whether a text is one of the values."""
        return text in self.values


@dataclass(frozen=True)
class Numbers:
    """A hyperparameter that is a number between two others, both included."""

    name: str
    low: float
    high: float
    scale: str
    whole: bool

    @property
    def count(self) -> float:
        """Return how many values there are."""
        if self.low == self.high:
            return 1
        return self.high - self.low + 1 if self.whole else math.inf

    def texts(self) -> Sequence[str]:
        """Return every value of a range that can be counted."""
        if not self.whole:
            return [repr(self.low)]
        return [str(number) for number in range(int(self.low), int(self.high) + 1)]

    def value(self, place: float) -> str:
        """Return the number at a place of [0, 1], as a text that reads back as the same."""
        # Each whole number has the part of the range that reaches to the next one.
        low, high = self._ends()
        at = self._unscaled(low + min(place, NEXT_TO_ONE) * (high - low))
        at = min(max(at, self.low), self.high)
        return str(math.floor(at)) if self.whole else repr(at)

    def place(self, text: str) -> float:
        """Return where a value lies in the range."""
        low, high = self._ends()
        if low == high:
            return 0.0
        at = self._scaled(float(text) + (0.5 if self.whole else 0.0))
        return min(max((at - low) / (high - low), 0.0), 1.0)

    def has(self, text: str) -> bool:
        """Tell whether a value lies in the range."""
        return self.low <= float(text) <= self.high

    def _ends(self) -> tuple[float, float]:
        return self._scaled(self.low), self._scaled(self.high + (1 if self.whole else 0))

    def _scaled(self, number: float) -> float:
        if self.scale == "Logarithmic":
            return math.log(number)
        return -math.log1p(-number) if self.scale == "ReverseLogarithmic" else number

    def _unscaled(self, at: float) -> float:
        if self.scale == "Logarithmic":
            return math.exp(at)
        return -math.expm1(-at) if self.scale == "ReverseLogarithmic" else at


Range: TypeAlias = Categories | Numbers


def ranges(asked: Params) -> tuple[Range, ...]:
    """Return the ranges that ParameterRanges names; raises ValueError."""
    found: list[Range] = [
        *(_numbers(each, whole=True) for each in asked.get("IntegerParameterRanges", [])),
        *(_numbers(each, whole=False) for each in asked.get("ContinuousParameterRanges", [])),
        *(
            Categories(each["Name"], tuple(dict.fromkeys(each["Values"])))
            for each in asked.get("CategoricalParameterRanges", [])
        ),
    ]
    names = [each.name for each in found]
    if not found or len(found) > MOST_RANGES:
        raise ValueError(f"between 1 and {MOST_RANGES} hyperparameter ranges are needed")
    if len(set(names)) < len(names):
        raise ValueError("a hyperparameter has more than one range")
    return tuple(found)


def combinations(found: Sequence[Range]) -> float:
    """Return how many combinations there are; infinite with a continuous range."""
    return math.prod(each.count for each in found)


def _numbers(asked: Params, *, whole: bool) -> Numbers:
    name, scale = asked["Name"], asked.get("ScalingType", "Auto")
    try:
        low, high = ((int if whole else float)(asked[end]) for end in ("MinValue", "MaxValue"))
    except ValueError as error:
        raise ValueError(f"the range of {name} is not of numbers: {error}") from error
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        raise ValueError(f"the range of {name} has a MinValue above its MaxValue")
    if scale == "Auto":
        scale = "Logarithmic" if low > 0 and high / low >= AUTO_LOGARITHMIC else "Linear"
    if scale == "Logarithmic" and low <= 0:
        raise ValueError(f"Logarithmic scaling of {name} needs values above 0")
    if scale == "ReverseLogarithmic" and (whole or low < 0 or high >= 1):
        raise ValueError(
            f"ReverseLogarithmic scaling of {name} needs a continuous range within 0 <= x < 1"
        )
    return Numbers(name, low, high, scale, whole)
