"""The page of a QuickSight dashboard: every visual in its place of the grid, without a script.

`fleetwin dashboard --quicksight` writes it. Nothing is fetched by it, and nothing can be clicked:
what a pointer rests on says its value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from simulator.html_page import document
from simulator.quicksight import bars, drawn, heat_map, lines, numbers, pie
from simulator.quicksight.fields import Row
from simulator.quicksight.filters import filtered
from simulator.quicksight.reading import data_set_of
from simulator.quicksight.source import Report
from simulator.report_svg import escaped

Draw = Callable[[Mapping[str, Any], Sequence[Row], int, int], str]
PICTURES: Mapping[str, Draw] = {
    "LineChartVisual": lines.draw,
    "BarChartVisual": bars.draw,
    "HeatMapVisual": heat_map.draw,
    "PieChartVisual": pie.draw,
}
WORDS: Mapping[str, Draw] = {"KPIVisual": numbers.kpi, "TableVisual": numbers.table}
WIDTH, GRID, ROW, GAP = 1440, 36, 28, 12
"""Pixels of the page and of a row; columns of QuickSight's grid."""
PADDING, HEAD, SECOND = 16, 26, 18
"""Inside a card: round it, for its title, for its subtitle."""
SPAN = (18, 12)
"""Columns and rows of a visual that no layout places."""

STYLE = f"""
:root{{color-scheme:light;--ink:#1d2733;--soft:#66758a;--line:#e3e8ee}}*{{box-sizing:border-box}}
body{{font:14px/1.4 system-ui,sans-serif;color:var(--ink);background:#eef1f5;margin:0;padding:24px}}
main{{max-width:{WIDTH}px;margin:auto}}h1{{font-size:22px;margin:0}}
.lead{{color:var(--soft);margin:2px 0 16px}}h2{{font-size:16px;margin:20px 0 10px}}
.grid{{display:grid;grid-template-columns:repeat({GRID},minmax(0,1fr));
grid-auto-rows:{ROW}px;gap:{GAP}px 0}}
.card{{background:#fff;border-radius:10px;margin:0 {GAP // 2}px;padding:{PADDING - 4}px {PADDING}px;
box-shadow:0 1px 2px #1d273314,0 1px 6px #1d27330d;overflow:hidden;position:relative}}
.card h3{{font-size:13.5px;line-height:{HEAD - 6}px;margin:0 0 6px;font-weight:600}}
.card .sub{{color:var(--soft);font-size:12px;line-height:{SECOND}px;margin:-6px 0 0}}
.card svg{{display:block;width:100%;height:auto;font-family:inherit}}
.none{{color:var(--soft);text-align:center;padding-top:20px;margin:0}}
.kpi{{font-size:30px;font-weight:600;line-height:38px;margin:0;letter-spacing:-.01em}}
.than{{color:var(--soft);font-size:12px;margin:0}}
.card svg.spark{{position:absolute;left:0;bottom:0;height:34px}}
table{{border-collapse:collapse;width:100%;font-size:13px;font-variant-numeric:tabular-nums}}
th,td{{text-align:left;padding:4px 8px 4px 0;border-bottom:1px solid var(--line)}}
th{{color:var(--soft);font-weight:600;font-size:12px}}.n{{text-align:right}}
.pages{{color:var(--soft);font-size:12px;margin:6px 0 0}}
"""


def page_of(report: Report) -> str:
    """Return the page; raises NotDrawn for a definition that has more than is drawn here."""
    drawn.check(report.definition)
    sheets = [sheet for sheet in report.definition["Sheets"] if sheet.get("Visuals")]
    body = "".join(
        _above(sheet, is_one=len(sheets) == 1)
        + f'<div class="grid">{"".join(_cards(report, sheet))}</div>'
        for sheet in sheets
    )
    return document(
        report.name,
        f'<main><h1>{escaped(report.name)}</h1><p class="lead">{_span(report)}</p>{body}</main>',
        STYLE,
    )


def _above(sheet: Mapping[str, Any], *, is_one: bool) -> str:
    """Return a sheet's title and description; the name, where there are several."""
    title = sheet.get("Title", "" if is_one else sheet.get("Name", sheet["SheetId"]))
    head = f"<h2>{escaped(title)}</h2>" if title else ""
    words = sheet.get("Description", "")
    return head + (f'<p class="lead">{escaped(words)}</p>' if words else "")


def _span(report: Report) -> str:
    def said(at: datetime) -> str:
        return f"{at:%Y-%m-%d %H:%M}"

    if report.first is None:
        return f"nothing in its data sets up to {said(report.now)}, UTC on the run's clock"
    return f"{said(report.first)} to {said(report.now)}, UTC on the run's clock"


def _cards(report: Report, sheet: Mapping[str, Any]) -> Iterator[str]:
    places = {
        element["ElementId"]: element
        for layout in sheet.get("Layouts", [])
        for element in layout["Configuration"]["GridLayout"]["Elements"]
    }
    for visual in sheet["Visuals"]:
        ((kind, body),) = visual.items()
        place = places.get(body["VisualId"], {})
        wide, high = place.get("ColumnSpan", SPAN[0]), place.get("RowSpan", SPAN[1])
        columns, rows = f"span {wide}", f"span {high}"
        if "ColumnIndex" in place:
            columns = f"{place['ColumnIndex'] + 1}/{columns}"
        if "RowIndex" in place:
            rows = f"{place['RowIndex'] + 1}/{rows}"
        inner = _visual(report, sheet["SheetId"], kind, body, _size(wide, high, body))
        yield (
            f'<section class="card" id="{escaped(body["VisualId"])}" '
            f'style="grid-column:{columns};grid-row:{rows}">{_heads(body)}{inner}</section>'
        )


def _visual(
    report: Report, sheet: str, kind: str, body: Mapping[str, Any], size: tuple[int, int]
) -> str:
    chart = body["ChartConfiguration"]
    data_set = data_set_of(chart["FieldWells"])
    rows = filtered(
        report.definition,
        sheet,
        body["VisualId"],
        data_set,
        report.rows.get(data_set, ()),
        report.now,
    )
    if not rows and kind != "KPIVisual":
        return '<p class="none">no data</p>'
    if kind in WORDS:
        return WORDS[kind](chart, rows, *size)
    width, height = size
    title = _text(body, "Title") or body["VisualId"]
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escaped(title)}">'
        f"{PICTURES[kind](chart, rows, width, height)}</svg>"
    )


def _size(wide: int, high: int, body: Mapping[str, Any]) -> tuple[int, int]:
    """Return the pixels that a card has for its picture."""
    width = round(wide * WIDTH / GRID) - GAP - 2 * PADDING
    height = high * ROW + (high - 1) * GAP - 2 * (PADDING - 4)
    height -= HEAD if _text(body, "Title") else 0
    return width, height - (SECOND if _text(body, "Subtitle") else 0)


def _heads(body: Mapping[str, Any]) -> str:
    title, second = _text(body, "Title"), _text(body, "Subtitle")
    return (f"<h3>{escaped(title)}</h3>" if title else "") + (
        f'<p class="sub">{escaped(second)}</p>' if second else ""
    )


def _text(body: Mapping[str, Any], name: str) -> str:
    given = body.get(name, {})
    if given.get("Visibility", "VISIBLE") != "VISIBLE":
        return ""
    return str(given.get("FormatText", {}).get("PlainText", ""))
