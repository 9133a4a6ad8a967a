"""The pictures of docs/benchmarks.md, drawn as SVG text from stored results; `page` calls it.

A picture carries its own ground and colours for light and for dark surroundings, so that it can
be read in both. Nothing in it depends on when or where it is drawn, and no fact on colour alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from benchmarks.row import MISSED, Row, number

WIDTH = 860
LINE = 24
TOP = 34
STYLE = """
.ground{fill:#ffffff}.ink{fill:#1d2733}.soft{fill:#5b6b7b}.grid{stroke:#d9e0e7}
.met{fill:#2a7f62}.missed{fill:#b4341a}.peer{stroke:#5b6b7b}.limit{stroke:#1d2733}
.line{stroke:#2a7f62}.dot{fill:#2a7f62}
@media (prefers-color-scheme:dark){
.ground{fill:#151b23}.ink{fill:#e6edf3}.soft{fill:#9aa7b4}.grid{stroke:#333d48}
.met{fill:#4fb08d}.missed{fill:#f0775a}.peer{stroke:#9aa7b4}.limit{stroke:#e6edf3}
.line{stroke:#4fb08d}.dot{fill:#4fb08d}}
"""


@dataclass(frozen=True)
class Axis:
    """Maps values to pixels between ``left`` and ``right``; by powers of ten or evenly."""

    low: float
    high: float
    left: float
    right: float
    log: bool = True

    def at(self, value: float) -> float:
        """Return the pixel of a value, kept inside."""
        low, high = self._of(self.low), self._of(self.high)
        share = (self._of(max(value, self.low)) - low) / (high - low)
        return self.left + min(1.0, max(0.0, share)) * (self.right - self.left)

    def _of(self, value: float) -> float:
        return math.log10(value) if self.log else value

    @property
    def marks(self) -> list[float]:
        """Values that read well: powers of ten, or about five even steps."""
        if self.log:
            first, last = round(math.log10(self.low)), round(math.log10(self.high))
            step = max(1, math.ceil((last - first) / 6))
            return [10.0**power for power in range(first, last + 1, step)]
        raw = (self.high - self.low) / 5
        size = 10.0 ** math.floor(math.log10(raw))
        even = next(size * each for each in (1.0, 2.0, 5.0, 10.0) if size * each >= raw)
        return [even * n for n in range(math.ceil(self.low / even), int(self.high / even) + 1)]


def decades(values: Sequence[float]) -> tuple[float, float]:
    """Return the powers of ten around values; what is not above zero is left out."""
    found = [value for value in values if value > 0.0] or [1.0]
    low = 10.0 ** math.floor(math.log10(min(found)) + 1e-9)
    high = 10.0 ** math.ceil(math.log10(max(found)) - 1e-9)
    return low, high if high > low else low * 10.0


def ratios(title: str, rows: Sequence[Row]) -> str:
    """Return bars of ratios to the peer (log scale), with each row's limit and its verdict."""
    left, right = 360, 690
    values = [each for row in rows for each in (row.ratio, row.limit_ratio, 1.0)]
    axis = Axis(*decades(values), left, right)
    bottom = TOP + LINE * len(rows)
    parts = [_grid(axis, bottom, lambda value: f"{number(value)}x")]
    peer = axis.at(1.0)
    parts.append(f'<path class="peer" d="M{peer:.1f} {TOP - 6}V{bottom}"/>')
    for index, row in enumerate(rows):
        y = TOP + LINE * index
        begin, end = sorted((peer, axis.at(row.ratio)))
        kind = "met" if row.met else "missed"
        limit = axis.at(row.limit_ratio)
        sign = "≥" if row.floor is not None else "≤"
        verdict = "" if row.met else f" {MISSED}"
        parts += [
            _text(left - 8, y + 11, shortened(row.name, 56), "ink", "end", 11),
            _text(left - 8, y + 21, shortened(row.against, 64), "soft", "end", 8.5),
            f'<rect class="{kind}" x="{begin:.1f}" y="{y + 4}" '
            f'width="{max(1.5, end - begin):.1f}" height="13"><title>{escape(row.name)}: '
            f"{number(row.ratio)} times {escape(row.against)}</title></rect>",
            f'<path class="limit" stroke-width="2.5" d="M{limit:.1f} {y + 1}V{y + 20}"/>',
            _text(
                right + 12,
                y + 14,
                f"{number(row.ratio)}x, {sign} {number(row.limit_ratio)}x{verdict}",
                "ink" if row.met else "missed",
                "start",
                11,
            ),
        ]
    what = f"{title}: times the peer (thin line: 1), thick mark: the floor (≥) or ceiling (≤)"
    return _svg(what, bottom + 24, parts)


def scaling(jobs: Sequence[Mapping[str, Any]]) -> str:
    """Return seconds and memory of the features job over its readings, beside linear growth."""
    most = max(job["rows"] for job in jobs) / 1e6
    highest = max(job["cold_s"] for job in jobs)
    height, left, right, bottom = 300, 70, 640, 260
    x = Axis(0.0, most * 1.05, left, right, log=False)
    y = Axis(0.0, highest * 1.15, bottom, TOP, log=False)
    parts = [_grid(x, bottom, lambda value: f"{number(value)} M")]
    parts += [_rule(y, value, left, right, f"{number(value)} s") for value in y.marks]
    first = jobs[0]["rows"] / 1e6, jobs[0]["cold_s"]
    end = min(most, first[0] * y.high / first[1])
    parts.append(
        f'<path class="peer" fill="none" stroke-dasharray="5 4" d="M{x.at(0):.1f} {y.at(0):.1f}'
        f'L{x.at(end):.1f} {y.at(first[1] / first[0] * end):.1f}"/>'
    )
    points = [(x.at(job["rows"] / 1e6), y.at(job["cold_s"])) for job in jobs]
    path = "L".join(f"{a:.1f} {b:.1f}" for a, b in points)
    parts.append(f'<path class="line" fill="none" stroke-width="2" d="M{path}"/>')
    for job, (a, b) in zip(jobs, points, strict=True):
        label = f"{job['rows'] / 1e6:g} M: {number(job['cold_s'])} s, {number(job['peak_mb'])} MB"
        parts += [
            f'<circle class="dot" cx="{a:.1f}" cy="{b:.1f}" r="4"/>',
            _text(min(a + 8, right + 20), min(b + 14, bottom - 3), label, "ink", "start", 10),
        ]
    what = "features job, cold process: seconds by readings (dashed: as the smallest, linearly)"
    return _svg(what, height, parts)


def memory(sizes: Sequence[Mapping[str, Any]]) -> str:
    """Return peak memory by machines and seconds, beside what was published."""
    left, right = 200, 640
    axis = Axis(
        *decades([each[k] for each in sizes for k in ("peak_mb", "encoded_mb")]), left, right
    )
    rows = []
    for each in sizes:
        title = f"{each['machines']:,} machines, {each['seconds']} s"
        rows.append((title, each["peak_mb"], "all processes", "met"))
        rows.append(("", each["own_mb"], "the twin's own", "met"))
        rows.append(("", each["encoded_mb"], "messages as JSON", "soft"))
    bottom = TOP + 18 * len(rows)
    parts = [_grid(axis, bottom, lambda value: f"{number(value)} MB")]
    for index, (title, value, what, kind) in enumerate(rows):
        y = TOP + 18 * index
        width = max(1.5, axis.at(value) - left)
        parts += [
            _text(left - 8, y + 13, title, "ink", "end", 11),
            f'<rect class="{kind}" x="{left}" y="{y + 3}" width="{width:.1f}" height="11"/>',
            _text(right + 12, y + 13, f"{number(value)} MB {what}", "ink", "start", 11),
        ]
    return _svg("peak memory (log scale)", bottom + 24, parts)


def hops(found: Mapping[str, Mapping[str, float]]) -> str:
    """Return median to 99th percentile of each hop of a run on its clock."""
    shown = {hop: each for hop, each in found.items() if each["p99"] > 0.0}
    left, right = 250, 640
    lows = [max(1e-4, each["p50"]) for each in shown.values()]
    axis = Axis(*decades([*lows, *(each["p99"] for each in shown.values())]), left, right)
    bottom = TOP + LINE * len(shown)
    parts = [_grid(axis, bottom, lambda value: f"{number(value)} s")]
    for index, (hop, each) in enumerate(sorted(shown.items(), key=lambda item: item[1]["p50"])):
        y = TOP + LINE * index
        begin, end = axis.at(max(1e-4, each["p50"])), axis.at(each["p99"])
        words = f"p50 {number(each['p50'])} s, p99 {number(each['p99'])} s, {each['samples']}"
        parts += [
            _text(left - 8, y + 15, hop, "ink", "end", 11),
            f'<rect class="met" x="{begin:.1f}" y="{y + 6}" '
            f'width="{max(2.0, end - begin):.1f}" height="11"/>',
            _text(right + 12, y + 15, words, "ink", "start", 10),
        ]
    what = "hops of a run with --latency aws on its clock: median to 99th percentile, samples"
    return _svg(what, bottom + 24, parts)


def shortened(text: str, most: int) -> str:
    """Return a text cut to what fits beside a bar."""
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def _grid(axis: Axis, bottom: float, label: Any) -> str:
    return "".join(
        f'<path class="grid" d="M{axis.at(value):.1f} {TOP - 6}V{bottom}"/>'
        + _text(axis.at(value), bottom + 14, label(value), "soft", "middle", 9)
        for value in axis.marks
    )


def _rule(axis: Axis, value: float, left: float, right: float, label: str) -> str:
    y = axis.at(value)
    return f'<path class="grid" d="M{left} {y:.1f}H{right}"/>' + _text(
        left - 6, y + 3, label, "soft", "end", 9
    )


def _text(x: float, y: float, words: str, kind: str, anchor: str, size: float) -> str:
    return (
        f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" font-size="{size:g}" '
        f'text-anchor="{anchor}">{escape(words)}</text>'
    )


def _svg(title: str, height: float, parts: Sequence[str]) -> str:
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" role="img" '
        f'aria-label="{escape(title)}" font-family="sans-serif">\n<style>{STYLE}</style>\n'
        f'<rect class="ground" width="{WIDTH}" height="{height:.0f}"/>\n'
        f"{_text(10, 16, title, 'soft', 'start', 11)}\n{body}\n</svg>\n"
    )
