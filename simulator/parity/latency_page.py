"""The L4 part of `fleetwin parity diff --html`: the table, and each hop's distribution functions.

A picture has the share of samples that took at most so long, here and there, up to the larger
side's 99th percentile. Colours are those of the page.
"""

from __future__ import annotations

from simulator.html_page import table
from simulator.parity.latency_diff import DIFFERENT, SHARES, HopDifference, Latencies
from simulator.parity.latency_words import HEAD, cells, explained, latency_verdict
from simulator.report_svg import escaped

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 900, 190, 60, 14, 10, 26
TICKS = 4
_LAST = 99
"""Index of the 99th percentile in a curve."""


def latency_section(found: Latencies, here: str, there: str) -> str:
    """Return the section; ``here`` and ``there`` are the colours of the two sides."""
    body = [f"<h2>Latency</h2><p>{escaped(latency_verdict(found))}</p>"]
    if found.hops:
        # The verdict stands beside the name: a table this wide is scrolled.
        head = [HEAD[0], "verdict", *(text or "there" for text in HEAD[1:-1])]
        rows = [_row(each, found.tolerance) for each in found.hops]
        body += [table(head, rows), f"<p>{escaped(explained(found))}</p>"]
    for where, names in (("here", found.only_here), ("there", found.only_there)):
        if names:
            body.append(f"<p>Only {where}: {escaped(', '.join(names))}.</p>")
    body += [_figure(each, found.tolerance, here, there) for each in found.hops]
    return "".join(body)


def _row(each: HopDifference, tolerance: float) -> list[str]:
    hop, *numbers, verdict = map(escaped, cells(each, tolerance))
    mark = f'<span class="missed">{verdict}</span>' if verdict == DIFFERENT else verdict
    return [hop, mark, *numbers]


def _figure(each: HopDifference, tolerance: float, here: str, there: str) -> str:
    """Return both distribution functions of a hop; nothing for one that took no time at all."""
    last_s = max(curve[_LAST] for curve in each.curves_s)
    if last_s <= 0.0:
        return ""
    caption = f"{each.hop}: {each.verdict(tolerance)}"
    if each.distance is not None:
        caption += f", {each.distance.seconds * 1e3:,.1f} ms apart"
    floor = HEIGHT - BOTTOM
    parts = []
    for share in (0.0, 0.5, 1.0):
        y = _y(share)
        parts.append(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" '
            f'stroke="var(--line)"/><text x="{LEFT - 6}" y="{y + 4:.1f}" font-size="10" '
            f'fill="var(--soft)" text-anchor="end">{share:.0%}</text>'
        )
    for number in range(TICKS + 1):
        at_s = last_s * number / TICKS
        anchor = "end" if number == TICKS else "middle"
        parts.append(
            f'<text x="{_x(at_s, last_s):.1f}" y="{floor + 16}" font-size="10" '
            f'fill="var(--soft)" text-anchor="{anchor}">{at_s * 1e3:,.4g} ms</text>'
        )
    for curve, colour, width in zip(each.curves_s, (here, there), ("1.2", "2.4"), strict=True):
        parts.insert(0, _curve(curve, last_s, colour, width))
    return (
        f"<figure><figcaption>{escaped(caption)}</figcaption>"
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escaped(caption)}">'
        f"{''.join(parts)}</svg></figure>"
    )


def _curve(curve: tuple[float, ...], last_s: float, colour: str, width: str) -> str:
    points = [(0.0, 0.0), (curve[0], 0.0)]
    points += [
        (at_s, share) for at_s, share in zip(curve, SHARES.tolist(), strict=True) if at_s <= last_s
    ]
    points.append((last_s, points[-1][1]))
    path = " ".join(f"{_x(at_s, last_s):.1f},{_y(share):.1f}" for at_s, share in points)
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width}"/>'


def _x(at_s: float, last_s: float) -> float:
    return LEFT + min(1.0, at_s / last_s) * (WIDTH - LEFT - RIGHT)


def _y(share: float) -> float:
    return TOP + (1.0 - share) * (HEIGHT - TOP - BOTTOM)
