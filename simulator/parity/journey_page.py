"""`fleetwin parity diff --html`: two runs on one page, a picture for each machine.

No scripts, nothing is loaded. Colours and style are those of a run's report.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from simulator.html_page import document, table, tiles
from simulator.parity.journey import Difference, Found
from simulator.parity.journey_words import moment, verdict
from simulator.parity.latency_page import latency_section
from simulator.report_svg import GAP, LEFT, RIGHT, ROW, WIDTH, Axes, escaped, points_of, ticks

HERE, THERE, APART = "var(--score)", "#d07a2d", "var(--false)"


def page(diff: Difference, more: str = "") -> str:
    """Return the page, with ``more`` at its end; machines that differ come first."""
    devices = sorted({*diff.here.scores, *diff.there.scores})
    apart = sorted(devices, key=lambda device: (-_largest(diff, device), device))
    body = [
        f"<h1>{escaped(diff.here.scenario)}: two runs compared</h1>",
        f'<p class="lead">seed {diff.here.seed}; here: {escaped(diff.here.name)} '
        f"({escaped(diff.here.target)}); there: {escaped(diff.there.name)} "
        f"({escaped(diff.there.target)})</p>",
        f'<p class="{"found" if diff.same else "missed"}"><b>{escaped(verdict(diff))}</b></p>',
        _tiles(diff),
        _detections(diff),
        _first(diff),
        "<h2>Machines</h2>",
        f'<p class="legend"><span><i class="key" style="background:{HERE}"></i>score here</span>'
        f'<span><i class="key" style="background:{THERE}"></i>score there</span>'
        f'<span><i class="key" style="background:{APART}"></i>their difference</span>'
        "<span>dashed: threshold; bars below: detections here and there</span></p>",
        *(_figure(diff, device) for device in apart),
        _billable(diff),
        latency_section(diff.latency, HERE, THERE) if diff.here.traces or diff.there.traces else "",
        more,
    ]
    return document(f"fleetwin parity: {diff.here.scenario}", "".join(body))


def _billable(diff: Difference) -> str:
    """Return the table of what AWS charges for; nothing where neither side knows it."""
    if not diff.billable:
        return ""
    rows = [[escaped(name), *(f"{n:,.6g}" for n in both)] for name, both in diff.billable.items()]
    head = ["charged by AWS, whose units do not count here", "here", "there"]
    return f"<h2>Billable units</h2>{table(head, rows)}"


def _tiles(diff: Difference) -> str:
    return tiles(
        [
            (str(len(diff.pairs) - len(diff.moved)), "detections the same"),
            (str(len(diff.moved)), "moved"),
            (str(len(diff.only_here)), "only here"),
            (str(len(diff.only_there)), "only there"),
            (f"{diff.rows:,}", f"rows compared, largest difference {diff.largest:.3g}"),
        ]
    )


def _detections(diff: Difference) -> str:
    rows = [
        [
            "same" if pair.within(diff.tolerance) else '<span class="missed">moved</span>',
            escaped(pair.here.device_id),
            moment(pair.here.started_ms),
            f"{pair.start_shift_s:+.0f} s",
            "open on one side" if pair.end_shift_s is None else f"{pair.end_shift_s:+.0f} s",
            f"{pair.here.score:.4f}",
            f"{pair.score_difference:+.2g}",
        ]
        for pair in diff.pairs
    ]
    for where, alone in (("only here", diff.only_here), ("only there", diff.only_there)):
        for each in alone:
            name = f'<span class="missed">{where}</span>'
            started = moment(each.started_ms)
            rows.append(
                [name, escaped(each.device_id), started, "-", "-", f"{each.score:.4f}", "-"]
            )
    head = ("", "machine", "from", "start", "end", "score here", "there")
    books = [
        [escaped(name.replace("_", " ")), f"{ours:,}", f"{theirs:,}"]
        for name, (ours, theirs) in diff.books.items()
    ]
    return (
        "<h2>Detections</h2>"
        + (table(head, rows) if rows else "<p>None on either side.</p>")
        + (("<h2>Books</h2>" + table(("", "here", "there"), books)) if books else "")
    )


def _first(diff: Difference) -> str:
    if diff.first is None:
        return "<p>No row diverges.</p>"
    values = ["no score" if v is None else f"{v:.9g}" for v in (diff.first.here, diff.first.there)]
    return (
        f"<p>First divergence: {escaped(diff.first.device_id)} at "
        f"{moment(diff.first.event_time_ms)}: {values[0]} here, {values[1]} there.</p>"
    )


def _largest(diff: Difference, device: str) -> float:
    ours, theirs = diff.here.scores.get(device, {}), diff.there.scores.get(device, {})
    if set(ours) != set(theirs):
        return float("inf")
    return max((abs(ours[at] - theirs[at]) for at in ours), default=0.0)


def _figure(diff: Difference, device: str) -> str:
    ours, theirs = diff.here.scores.get(device, {}), diff.there.scores.get(device, {})
    every = sorted({*ours, *theirs})
    if not every:
        return ""
    axes = Axes(every[0], every[-1])
    high = min(6.0, max(2.0, *ours.values(), *theirs.values()))
    both = {at: abs(ours[at] - theirs[at]) for at in ours if at in theirs}
    widest = max(both.values(), default=0.0)
    top, height = GAP, 2 * ROW
    threshold = top + height - height / high
    below = top + height + GAP
    bottom = below + ROW + GAP + 16
    parts = [
        _label("anomaly score", f"threshold 1, shown to {high:.2g}", top),
        f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{threshold:.1f}" y2="{threshold:.1f}" '
        'stroke="var(--false)" stroke-dasharray="4 3" stroke-width="1"/>',
        _line(axes, theirs, top, height, high, THERE, "2.4"),
        _line(axes, ours, top, height, high, HERE, "1"),
        _label("difference", f"at most {widest:.2g}", below),
        _line(axes, both, below, ROW, widest or 1.0, APART, "1"),
        _bars(axes, diff.here.detections, device, bottom - 14, HERE),
        _bars(axes, diff.there.detections, device, bottom - 7, THERE),
        ticks(axes, bottom),
    ]
    caption = f"{device}: largest difference {widest:.3g}"
    if set(ours) != set(theirs):
        caption += f", {len(set(ours) ^ set(theirs))} rows on one side only"
    return (
        f"<figure><figcaption>{escaped(caption)}</figcaption>"
        f'<svg viewBox="0 0 {WIDTH} {bottom + 16}" role="img" aria-label="{escaped(caption)}">'
        f"{''.join(parts)}</svg></figure>"
    )


def _label(title: str, detail: str, top: int) -> str:
    return (
        f'<text x="8" y="{top + 16}" font-size="12">{title}</text>'
        f'<text x="8" y="{top + 31}" font-size="10" fill="var(--soft)">{detail}</text>'
    )


def _line(
    axes: Axes,
    rows: Mapping[int, float],
    top: int,
    height: int,
    high: float,
    colour: str,
    width: str,
) -> str:
    times = np.array(sorted(rows), dtype=np.int64)
    values = np.array([rows[at] for at in times.tolist()], dtype=np.float64)
    points = points_of(axes, times, values, top, height, 0.0, high) if len(times) else ""
    return f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="{width}"/>'


def _bars(axes: Axes, found: tuple[Found, ...], device: str, top: int, colour: str) -> str:
    parts = []
    for each in found:
        if each.device_id == device:
            start = axes.x(each.started_ms)
            end = axes.x(axes.end_ms if each.ended_ms is None else each.ended_ms)
            parts.append(
                f'<rect x="{start:.1f}" y="{top}" width="{max(2.0, end - start):.1f}" height="5" '
                f'fill="{colour}"><title>from {moment(each.started_ms)}</title></rect>'
            )
    return "".join(parts)
