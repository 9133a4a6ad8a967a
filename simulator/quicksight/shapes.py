"""What the pictures of a dashboard share: colours, scales, labels of numbers and times."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from simulator.quicksight.fields import NumberFormat
from simulator.report_svg import escaped

COLOURS = (
    *("#2f6fb3", "#e0812f", "#2a9d78", "#8d5fb5", "#cf4a4a", "#23a0ad"),
    *("#b8952b", "#6f7d8c", "#d4719f", "#5c8a3a", "#8a5a3c", "#4756a6"),
)
PLAIN = NumberFormat()
INK, SOFT, LINE = "#1d2733", "#66758a", "#e3e8ee"


@dataclass(frozen=True)
class Scale:
    """Values on a line of pixels, with round marks."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """Return the pixel of a value, kept on the line."""
        share = (value - self.low) / (self.high - self.low or 1.0)
        return self.start + min(1.0, max(0.0, share)) * (self.end - self.start)

    def marks(self) -> list[float]:
        """Return about five round values from one end to the other."""
        step = _step(self.high - self.low)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [number * step for number in range(first, last + 1)]


def scale(values: Sequence[float], start: float, end: float, *, from_zero: bool) -> Scale:
    """Return a scale whose ends are round and hold all values; ``from_zero`` holds 0 too."""
    low = min([*values, *([0.0] if from_zero else [])], default=0.0)
    high = max([*values, *([0.0] if from_zero else [])], default=1.0)
    if low == high:
        high = low + 1.0
    step = _step(high - low)
    return Scale(
        math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step, start, end
    )


def _step(span: float) -> float:
    power = 10.0 ** math.floor(math.log10(span / 4))
    return next(times * power for times in (1.0, 2.0, 2.5, 5.0, 10.0) if times * power >= span / 5)


def marked(along: Scale, written: NumberFormat) -> list[tuple[float, str]]:
    """Return the marks of a scale that can be written exactly, with what is written."""
    found = []
    for mark in along.marks():
        value = round(mark, 10)
        shown = round(value * written.factor, 12 if written.decimals is None else written.decimals)
        if abs(shown - value * written.factor) < 1e-9:
            found.append((along.at(value), number(value, written)))
    return found


def number(value: Any, written: NumberFormat = PLAIN) -> str:
    """Return a value as it is written; a dash for nothing."""
    if value is None:
        return "–"
    if isinstance(value, datetime):
        return moment(value, "MINUTE", is_long=True)
    if isinstance(value, str):
        return value
    value = value * written.factor
    if written.decimals is not None:
        text = f"{value:,.{written.decimals}f}"
    elif float(value).is_integer() or abs(value) >= 1_000:
        text = f"{value:,.0f}"
    else:
        text = f"{value:,.3g}"
    return f"{written.prefix}{text}{written.suffix}"


def moment(at: datetime, granularity: str, *, is_long: bool = False) -> str:
    """Return a time as precise as its granularity; ``is_long`` with the day where it has one."""
    day = f"{at.day} {at:%b}"
    if granularity in ("HOUR", "MINUTE", "SECOND", "MILLISECOND"):
        clock = f"{at:%H:%M:%S}" if granularity.endswith("SECOND") else f"{at:%H:%M}"
        return f"{day} {clock}" if is_long else clock
    if granularity in ("MONTH", "QUARTER", "YEAR"):
        return f"{at:%Y}" if granularity == "YEAR" else f"{at:%b %Y}"
    return day


def named(value: Any, granularity: str = "") -> str:
    """Return what a category is called."""
    if isinstance(value, datetime):
        return moment(value, granularity or "DAY", is_long=True)
    return "(none)" if value is None else number(value)


def text(
    x: float, y: float, words: str, *, anchor: str = "start", colour: str = SOFT, size: int = 11
) -> str:
    """Return a line of text."""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{colour}" '
        f'text-anchor="{anchor}">{escaped(words)}</text>'
    )


def short(words: str, most: int) -> str:
    """Return a label that fits."""
    return words if len(words) <= most else words[: most - 1] + "…"


def rule(x1: float, y1: float, x2: float, y2: float, *, colour: str = LINE, dash: str = "") -> str:
    """Return a straight line."""
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"{dashed}/>'
    )


def box(
    x: float, y: float, width: float, height: float, colour: str, said: str, *, round_by: float = 0
) -> str:
    """Return a rectangle that says what it is under the pointer."""
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(0.0, width):.1f}" '
        f'height="{max(0.0, height):.1f}" rx="{round_by:g}" fill="{colour}">'
        f"<title>{escaped(said)}</title></rect>"
    )


def levels(up: Scale, written: NumberFormat, left: float, right: float) -> str:
    """Return the lines across a chart at the marks of its standing scale, each with its value."""
    return "".join(
        rule(left, y, right, y) + text(left - 6, y + 4, words, anchor="end")
        for y, words in marked(up, written)
    )


def legend(x: float, top: float, names: Sequence[str], bottom: float) -> str:
    """Return the names of series, one below the other; what does not fit is counted."""
    y, most = top + 10, int(bottom - top) // 16
    shown = names if len(names) <= most else names[: max(0, most - 1)]
    parts = [
        f'<rect x="{x:.1f}" y="{y + 16 * place - 8:.1f}" width="9" height="9" rx="2" '
        f'fill="{COLOURS[place % len(COLOURS)]}"/>'
        + text(x + 14, y + 16 * place, short(name, 16), colour=INK)
        for place, name in enumerate(shown)
    ]
    if len(shown) < len(names):
        parts.append(text(x + 14, y + 16 * len(shown), f"and {len(names) - len(shown)} more"))
    return "".join(parts)


def mixed(low: str, high: str, share: float) -> str:
    """Return a colour between two, each ``#rrggbb``."""
    parts = [
        round(int(low[at : at + 2], 16) * (1 - share) + int(high[at : at + 2], 16) * share)
        for at in (1, 3, 5)
    ]
    return "#" + "".join(f"{part:02x}" for part in parts)
