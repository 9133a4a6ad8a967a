"""An execution of a workflow as an SVG file: a row a state, bars for its attempts.

`fleetwin workflow show NAME --svg FILE` writes it. Colours and sizes are `timeline_svg`'s.
"""

from __future__ import annotations

import html
from collections.abc import Iterator
from datetime import datetime

from simulator.timeline_svg import INK, LEFT, LINE, QUIET, RIGHT, SOFT, WIDTH
from simulator.workflow_lines import Line, lines_of
from simulator.workflow_runs import StateRun, WorkflowRun
from simulator.workflow_text import lasting, named, outcome, shortened, told

ROW, TOP, INDENT, NAMES = 22, 84, 12, LEFT + 90
COLOURS = {
    "succeeded": "#0a7d4f",
    "caught": "#b58a00",
    "failed": "#c22f2f",
    "aborted": "#5b6b7b",
    "timed out": "#c22f2f",
    "running": "#3a6ea5",
}
_STAYS = "#cdd6de"
_FAILED_ATTEMPT = "#e0a56e"


def svg_of(run: WorkflowRun) -> str:
    """Return the picture as a self-contained SVG document."""
    lines = list(lines_of(run.states))
    bottom = TOP + ROW * max(1, len(lines))
    title = f"{run.machine}: {run.name}"
    about = f"{outcome(run)}, started {run.started:%Y-%m-%d %H:%M:%S} UTC"
    if run.error is not None or run.cause is not None:
        about += f"; {named(run.error, run.cause)}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {bottom + 52}" role="img" '
        f'font-family="system-ui, sans-serif" aria-label="{html.escape(title)}">',
        f'<rect width="{WIDTH}" height="{bottom + 52}" fill="#fff"/>',
        _words(16, 24, title, INK, 15, ' font-weight="600"'),
        _words(16, 44, about[:150], SOFT, 11),
        *_axis(run, bottom),
    ]
    for number, line in enumerate(lines):
        parts += _row(run, line, TOP + ROW * number)
    return "\n".join([*parts, *_legend(bottom + 36), "</svg>"]) + "\n"


def _x(run: WorkflowRun, at: datetime) -> float:
    total_s = max(1e-9, (run.ended - run.started).total_seconds())
    share = (at - run.started).total_seconds() / total_s
    return NAMES + min(1.0, max(0.0, share)) * (WIDTH - NAMES - RIGHT)


def _axis(run: WorkflowRun, bottom: int) -> Iterator[str]:
    total_s = (run.ended - run.started).total_seconds()
    for i in range(5):
        x = NAMES + (WIDTH - NAMES - RIGHT) * i / 4
        anchor = ("start", "middle", "middle", "middle", "end")[i]
        yield (
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 6}" y2="{bottom}" stroke="{LINE}"/>'
            f'<text x="{x:.1f}" y="{TOP - 12}" font-size="10" fill="{SOFT}" '
            f'text-anchor="{anchor}">{lasting(total_s * i / 4)}</text>'
        )


def _row(run: WorkflowRun, line: Line, top: int) -> Iterator[str]:
    colour = INK if line.visits else SOFT
    # About thirty letters of the first row's size fit before the bars.
    label = shortened(line.label, max(8, 30 - 2 * line.depth))
    yield _words(16 + INDENT * line.depth, top + 15, label, colour, 12)
    yield (
        f'<line x1="16" x2="{WIDTH - RIGHT}" y1="{top + ROW}" y2="{top + ROW}" stroke="{QUIET}"/>'
    )
    for state in line.visits:
        yield from _bars(run, state, top)


def _bars(run: WorkflowRun, state: StateRun, top: int) -> Iterator[str]:
    left = state.left or run.ended
    took = lasting((left - state.entered).total_seconds())
    words = "\n".join([f"{state.name} ({state.kind}): {state.status}, {took}", *told(state)])
    own = COLOURS[state.status]
    ground = _STAYS if state.attempts else own
    yield _bar(run, state.entered, left, top + 7, 8, ground, words)
    for attempt in state.attempts:
        failed = attempt.error is not None and attempt is not state.attempts[-1]
        colour = _FAILED_ATTEMPT if failed else own
        yield _bar(run, attempt.start, attempt.end or left, top + 4, 14, colour, words)


def _bar(
    run: WorkflowRun, first: datetime, last: datetime, top: int, height: int, fill: str, words: str
) -> str:
    x = _x(run, first)
    width = max(2.0, _x(run, last) - x)
    return (
        f'<rect x="{min(x, WIDTH - RIGHT - 2):.1f}" y="{top}" width="{width:.1f}" '
        f'height="{height}" rx="2" fill="{fill}"><title>{html.escape(words)}</title></rect>'
    )


def _legend(top: int) -> Iterator[str]:
    shown = {
        **{status: COLOURS[status] for status in ("succeeded", "caught", "failed", "aborted")},
        "an attempt failed": _FAILED_ATTEMPT,
        "waits to try again": _STAYS,
    }
    for number, (words, colour) in enumerate(shown.items()):
        x = 16 + 150 * number
        yield f'<rect x="{x}" y="{top - 9}" width="12" height="10" rx="2" fill="{colour}"/>'
        yield _words(x + 18, top, words, SOFT, 11)


def _words(x: float, y: float, text: str, fill: str, size: int, more: str = "") -> str:
    shown = html.escape(text)
    return f'<text x="{x}" y="{y}" font-size="{size}" fill="{fill}"{more}>{shown}</text>'
