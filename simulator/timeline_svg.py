"""The timeline of a scenario as an SVG file, for documents and for looking closer."""

from __future__ import annotations

import html

from simulator.timeline import DOWN, OFFLINE, WEAR, Row, Span, Timeline, clock

WIDTH, LEFT, RIGHT, TOP, ROW = 960, 130, 16, 64, 22
INK, SOFT, LINE, QUIET = "#1d2733", "#5b6b7b", "#d9e0e7", "#f3f5f8"
COLOURS = (
    "#b4541a", "#3a6ea5", "#0a7d4f", "#8a4fa3", "#b58a00", "#c22f2f", "#2a8c94", "#6b6f1d",
    "#a8457a", "#4b5fc4", "#7a5230", "#557a46",
)  # fmt: skip
_SPECIAL = {OFFLINE: "#5b6b7b", DOWN: "#1d2733", WEAR: "#e0a56e"}


def svg_of(timeline: Timeline, title: str) -> str:
    """Return the picture as a self-contained SVG document."""
    marks = list(timeline.legend)
    rows_bottom = TOP + ROW * max(1, len(timeline.rows))
    height = rows_bottom + 34 + 18 * ((len(marks) + 3) // 4)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'font-family="system-ui, sans-serif" aria-label="{_text(title)}">',
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
        f'<text x="16" y="24" font-size="15" font-weight="600" fill="{INK}">{_text(title)}</text>',
        _axis(timeline, rows_bottom),
    ]
    parts += [_row(timeline, row, TOP + ROW * i) for i, row in enumerate(timeline.rows)]
    parts += [_moment(timeline, at_s, rows_bottom, "storm") for at_s in timeline.storms_s]
    parts += [
        _moment(timeline, at_s, rows_bottom, f"all drift: {what}", "#2f6fc2")
        for at_s, what in timeline.drifts
    ]
    parts.append(_legend(timeline, rows_bottom + 30))
    return "\n".join([*parts, "</svg>"]) + "\n"


def _x(timeline: Timeline, at_s: float) -> float:
    return LEFT + at_s / timeline.total_s * (WIDTH - LEFT - RIGHT)


def _axis(timeline: Timeline, bottom: int) -> str:
    live = _x(timeline, timeline.live_start_s)
    live_s = timeline.total_s - timeline.live_start_s
    parts = [
        f'<rect x="{LEFT}" y="{TOP - 18}" width="{live - LEFT:.1f}" height="{bottom - TOP + 18}" '
        f'fill="{QUIET}"/>',
        f'<text x="{LEFT + 4}" y="{TOP - 24}" font-size="11" fill="{SOFT}">history '
        f"{clock(timeline.live_start_s)}</text>",
        f'<text x="{live + 4:.1f}" y="{TOP - 24}" font-size="11" fill="{SOFT}">live '
        f"{clock(live_s)}</text>",
    ]
    for i in range(5):
        at_s = timeline.live_start_s + live_s * i / 4
        x = _x(timeline, at_s)
        parts.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 18}" y2="{bottom}" stroke="{LINE}"/>'
            f'<text x="{x:.1f}" y="{bottom + 13}" font-size="10" fill="{SOFT}" '
            f'text-anchor="{"end" if i == 4 else "middle"}">{clock(live_s * i / 4)}</text>'
        )
    return "".join(parts)


def _row(timeline: Timeline, row: Row, top: int) -> str:
    parts = [
        f'<text x="16" y="{top + 14}" font-size="12" fill="{INK}">{_text(row.device)}</text>',
        f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{top + ROW - 1}" y2="{top + ROW - 1}" '
        f'stroke="{LINE}"/>',
    ]
    parts += [_span(timeline, span, top) for span in row.spans]
    return "".join(parts)


def _span(timeline: Timeline, span: Span, top: int) -> str:
    x = _x(timeline, span.start_s)
    width = max(2.0, _x(timeline, span.end_s) - x)
    inset = 6 if span.mark == DOWN else 3
    words = f"{span.what.replace('_', ' ')}, severity {span.severity:g}"
    return (
        f'<rect x="{x:.1f}" y="{top + inset}" width="{width:.1f}" height="{ROW - 2 * inset - 1}" '
        f'rx="2" fill="{_colour(timeline, span.mark)}" opacity="{0.45 + 0.5 * span.severity:.2f}">'
        f"<title>{_text(words)}</title></rect>"
    )


def _moment(
    timeline: Timeline, at_s: float, bottom: int, words: str, colour: str = "#c22f2f"
) -> str:
    """Draw what concerns all machines at once."""
    x = _x(timeline, at_s)
    return (
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 18}" y2="{bottom}" '
        f'stroke="{colour}" stroke-width="1.5" stroke-dasharray="3 3">'
        f"<title>{_text(words)}</title></line>"
    )


def _legend(timeline: Timeline, top: int) -> str:
    parts = []
    for i, (mark, words) in enumerate(timeline.legend.items()):
        x, y = 16 + 236 * (i % 4), top + 18 * (i // 4)
        parts.append(
            f'<rect x="{x}" y="{y}" width="12" height="10" rx="2" '
            f'fill="{_colour(timeline, mark)}"/><text x="{x + 18}" y="{y + 9}" font-size="11" '
            f'fill="{SOFT}">{_text(words)}</text>'
        )
    return "".join(parts)


def _colour(timeline: Timeline, mark: str) -> str:
    if mark in _SPECIAL:
        return _SPECIAL[mark]
    return COLOURS[list(timeline.legend).index(mark) % len(COLOURS)]


def _text(words: str) -> str:
    return html.escape(words)
