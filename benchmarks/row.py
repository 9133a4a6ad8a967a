"""One figure of a benchmark, beside a peer or a limit that was measured in the same run.

Machines differ and are shared, so a figure alone says little: each row names what it is compared
with, and has a floor or a ceiling that it must keep. Every benchmark makes rows; `result` stores
them, `page` draws them. Nothing is measured here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MISSED = "MISSED"


@dataclass(frozen=True)
class Row:
    """A value and its peer's (``against_value``, same unit); the ratio is value over peer.

    Exactly one of ``floor`` and ``ceiling``, in the row's unit, or of the ratio when ``limits``
    is "ratio". Raises ValueError for neither, both, or a peer that is not above zero.
    """

    name: str
    value: float
    unit: str
    against: str
    against_value: float
    floor: float | None = None
    ceiling: float | None = None
    limits: str = "value"

    def __post_init__(self) -> None:
        if (self.floor is None) == (self.ceiling is None):
            raise ValueError(f"{self.name}: give a floor or a ceiling")
        if self.limits not in ("value", "ratio"):
            raise ValueError(f"{self.name}: limits the value or the ratio, not {self.limits}")
        if not self.against_value > 0.0:
            raise ValueError(f"{self.name}: {self.against} is {self.against_value}")

    @property
    def ratio(self) -> float:
        """The value over what it is compared with."""
        return self.value / self.against_value

    @property
    def limit(self) -> float:
        """The floor or the ceiling."""
        found = self.floor if self.floor is not None else self.ceiling
        assert found is not None
        return found

    @property
    def limit_ratio(self) -> float:
        """The floor or the ceiling as a ratio, whichever of the two it limits."""
        return self.limit if self.limits == "ratio" else self.limit / self.against_value

    @property
    def met(self) -> bool:
        """Tell whether the limit is kept."""
        found = self.ratio if self.limits == "ratio" else self.value
        return found >= self.limit if self.floor is not None else found <= self.limit

    @property
    def limit_text(self) -> str:
        """The limit in words: at least or at most, and of what."""
        sign = "≥" if self.floor is not None else "≤"
        what = "x" if self.limits == "ratio" else self.unit
        return f"{sign} {number(self.limit)} {what}".strip()

    def to_json(self) -> dict[str, Any]:
        """Return plain values, rounded to what a measurement is worth."""
        limit = {"floor": self.floor} if self.floor is not None else {"ceiling": self.ceiling}
        return {
            "name": self.name,
            "value": rounded(self.value),
            "unit": self.unit,
            "against": self.against,
            "against_value": rounded(self.against_value),
            "ratio": rounded(self.ratio),
            **{key: rounded(value) for key, value in limit.items() if value is not None},
            "limits": self.limits,
            "met": self.met,
        }

    @staticmethod
    def from_json(stored: Mapping[str, Any]) -> Row:
        """Return the row that `to_json` gave."""
        return Row(**{key: value for key, value in stored.items() if key not in ("ratio", "met")})


def rounded(value: float) -> float:
    """Return a value with five significant digits."""
    return float(f"{value:.5g}")


def number(value: float) -> str:
    """Return a value as people read it: three digits, or whole thousands with commas."""
    if abs(value) >= 1_000:
        return f"{value:,.0f}"
    text = f"{value:.3g}"
    return text if "e" not in text else f"{value:.6f}".rstrip("0").rstrip(".")


def table(rows: Sequence[Row]) -> str:
    """Return the rows in columns; one that misses its limit is marked at its end."""
    lines = [("figure", "value", "unit", "ratio", "against", "", "limit", "")]
    lines += [
        (
            row.name,
            number(row.value),
            row.unit,
            f"{number(row.ratio)} x",
            row.against,
            number(row.against_value),
            row.limit_text,
            "met" if row.met else MISSED,
        )
        for row in rows
    ]
    widths = [max(len(line[column]) for line in lines) for column in range(8)]
    right = {1, 3, 5}
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )
