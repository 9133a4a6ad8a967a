"""The frame of our pages, and the two parts that they share: tables and tiles of figures.

For the report, the dashboards and the pages of `parity diff`. No page has a script, none loads
anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from simulator.report_style import STYLE
from simulator.report_svg import escaped

LONG = 64
"""Characters from which a cell of a table may break its line."""


def document(title: str, body: str, style: str = STYLE) -> str:
    """Return a whole page; ``body`` is HTML, ``title`` is text."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f"<title>{escaped(title)}</title>"
        f'<meta name="viewport" content="width=device-width"><style>{style}</style></head>'
        f"<body>{body}</body></html>\n"
    )


def tiles(figures: Iterable[tuple[str, str]]) -> str:
    """Return a row of figures, each with the words below it."""
    cells = "".join(
        f'<div class="tile"><b>{escaped(figure)}</b><span>{escaped(words)}</span></div>'
        for figure, words in figures
    )
    return f'<div class="tiles">{cells}</div>'


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table of HTML cells; a long cell wraps, and where all is too wide it scrolls."""
    top = "".join(f"<th>{escaped(name)}</th>" for name in head)
    lines = "".join("<tr>" + "".join(map(_cell, row)) + "</tr>" for row in rows)
    return f'<div class="wide"><table><tr>{top}</tr>{lines}</table></div>'


def _cell(text: str) -> str:
    return f'<td class="long">{text}</td>' if len(text) > LONG else f"<td>{text}</td>"
