"""What is drawn: lengths, colours and words, the page as a whole, and what is refused."""

from __future__ import annotations

import random
import re
import xml.etree.ElementTree as ET
from datetime import datetime, timedelta
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.cloud.validation import service_model
from simulator.quicksight import bars, heat_map, lines, numbers, pie
from simulator.quicksight.drawn import CHARTS, FILTERS, NotDrawn, check
from simulator.quicksight.page import PICTURES, WORDS, page_of
from simulator.quicksight.shapes import scale
from simulator.quicksight.source import Report

START = datetime.fromisoformat("2026-01-05")
ROWS = [
    {"machine": machine, "at": START + timedelta(hours=hour), "value": value + hour}
    for machine, value in (("pump <1>", 1.0), ("pump 2", 3.0))
    for hour in (0, 1)
]
SCALE = [{"Color": "#000000", "DataValue": 0}, {"Color": "#FFFFFF", "DataValue": 4}]


def field(kind: str, name: str, **more: Any) -> dict[str, Any]:
    column = {"DataSetIdentifier": "d", "ColumnName": name}
    return {kind: {"FieldId": name, "Column": column, **more}}


MACHINE = field("CategoricalDimensionField", "machine")
HOUR = field("DateDimensionField", "at", DateGranularity="HOUR")


def value(how: str = "SUM") -> dict[str, Any]:
    return field(
        "NumericalMeasureField", "value", AggregationFunction={"SimpleNumericalAggregation": how}
    )


def wells(kind: str, **named: Any) -> dict[str, Any]:
    return {"FieldWells": {f"{kind}AggregatedFieldWells": named}}


BARS = {
    **wells("BarChart", Category=[MACHINE], Values=[value()]),
    "DataLabels": {"Visibility": "VISIBLE"},
}
LINES = wells("LineChart", Category=[HOUR], Values=[value("MAX")], Colors=[MACHINE])
HEAT = {
    **wells("HeatMap", Rows=[MACHINE], Columns=[HOUR], Values=[value("MAX")]),
    "ColorScale": {"Colors": SCALE, "ColorFillType": "GRADIENT"},
}
PIE = wells("PieChart", Category=[MACHINE], Values=[value()])
TABLE = {
    **wells("Table", GroupBy=[MACHINE, HOUR], Values=[value()]),
    "SortConfiguration": {
        "RowSort": [{"FieldSort": {"FieldId": "value", "Direction": "DESC"}}],
        "PaginationConfiguration": {"PageSize": 3, "PageNumber": 1},
    },
}
KPI = {"FieldWells": {"Values": [value()], "TargetValues": [], "TrendGroups": [HOUR]}}
VISUALS = {
    "BarChartVisual": BARS,
    "LineChartVisual": LINES,
    "HeatMapVisual": HEAT,
    "PieChartVisual": PIE,
    "TableVisual": TABLE,
    "KPIVisual": KPI,
}


def elements(drawn: str, tag: str) -> list[ET.Element]:
    return list(ET.fromstring(f"<svg>{drawn}</svg>").iter(tag))


def said(drawn: str) -> list[str]:
    return ["".join(one.itertext()) for one in elements(drawn, "title")]


def boxes(drawn: str, side: str) -> dict[str, float]:
    found = [one for one in elements(drawn, "rect") if one.find("title") is not None]
    return {"".join(one.itertext()): float(one.attrib[side]) for one in found}


@given(st.lists(st.integers(1, 500), min_size=1, max_size=8))
def test_bars_are_as_long_as_their_values(values: list[int]) -> None:
    rows = [{"machine": f"m{number}", "value": each} for number, each in enumerate(values)]
    for orientation, side in (("HORIZONTAL", "width"), ("VERTICAL", "height")):
        drawn = bars.draw({**BARS, "Orientation": orientation}, rows, 400, 300)
        found = list(boxes(drawn, side).values())
        assert found == sorted(found, reverse=True)
        for length, each in zip(found, sorted(values, reverse=True), strict=True):
            assert length == pytest.approx(found[0] * each / max(values), abs=0.2)


def test_bars_on_top_of_each_other_end_where_the_sum_is() -> None:
    chart = {
        **wells("BarChart", Category=[HOUR], Values=[value()], Colors=[MACHINE]),
        "BarsArrangement": "STACKED",
    }
    heights = boxes(bars.draw(chart, ROWS, 400, 300), "height")
    first, second = heights["5 Jan 00:00, pump 2: 3"], heights["5 Jan 00:00, pump <1>: 1"]
    assert first == pytest.approx(3 * second, abs=0.3)
    shares = bars.draw({**chart, "BarsArrangement": "STACKED_PERCENT"}, ROWS, 400, 300)
    assert "5 Jan 00:00, pump 2: 75%" in said(shares)


def test_a_line_has_a_point_for_each_time_and_says_its_latest_value() -> None:
    drawn = lines.draw(LINES, ROWS, 600, 300)
    found = elements(drawn, "polyline")
    assert sorted("".join(one.itertext()) for one in found) == ["pump 2: 4", "pump <1>: 2"]
    assert [len(one.attrib["points"].split()) for one in found] == [2, 2]


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 10_000), st.integers(lines.POINTS + 1, 2_000))
def test_a_long_line_keeps_its_highest_and_lowest_value(seed: int, count: int) -> None:
    draws = random.Random(seed)
    values = [draws.gauss(0.0, 1.0) for _ in range(count)]
    rows = [
        {"machine": "m", "at": START + timedelta(hours=hour), "value": each}
        for hour, each in enumerate(values)
    ]
    (line,) = elements(lines.draw(LINES, rows, 600, 300), "polyline")
    heights = [float(pair.split(",")[1]) for pair in line.attrib["points"].split()]
    assert len(heights) <= lines.POINTS
    up = scale(values, 300 - lines.BOTTOM, lines.TOP, from_zero=False)
    # Pixels go down.
    assert min(heights) == pytest.approx(up.at(max(values)), abs=0.06)
    assert max(heights) == pytest.approx(up.at(min(values)), abs=0.06)


def test_a_heat_map_is_the_golden_piece() -> None:
    drawn = heat_map.draw({**HEAT, "Legend": {"Visibility": "HIDDEN"}}, ROWS, 300, 126)
    cells = [one for one in elements(drawn, "rect") if one.find("title") is not None]
    assert [("".join(one.itertext()), one.attrib["fill"]) for one in cells] == [
        ("pump 2, 5 Jan 00:00: 3", "#bfbfbf"),
        ("pump 2, 5 Jan 01:00: 4", "#FFFFFF"),
        ("pump <1>, 5 Jan 00:00: 1", "#404040"),
        ("pump <1>, 5 Jan 01:00: 2", "#808080"),
    ]
    assert ET.tostring(cells[0]).decode() == (
        '<rect x="78.0" y="4.0" width="79.0" height="49.0" rx="0" fill="#bfbfbf">'
        "<title>pump 2, 5 Jan 00:00: 3</title></rect>"
    )


def test_a_pie_has_the_shares_and_the_sum() -> None:
    drawn = pie.draw(PIE, ROWS, 300, 200)
    assert said(drawn) == ["pump 2: 7, 70%", "pump <1>: 3, 30%"]
    assert "10" in ["".join(one.itertext()) for one in elements(drawn, "text")]


def test_a_number_with_a_trend_is_that_of_the_latest_period() -> None:
    drawn = numbers.kpi(KPI, ROWS, 300, 60)
    assert re.findall(r'<p class="\w+">([^<]*)', drawn) == ["6", "+50.0% from the hour before"]
    plain = {"FieldWells": {"Values": [value()], "TargetValues": [value("MAX")]}}
    drawn = numbers.kpi(plain, ROWS, 300, 60)
    assert re.findall(r'<p class="\w+">([^<]*)', drawn) == ["10", "+150.0% from the target"]


def test_a_table_is_sorted_and_cut_into_pages() -> None:
    drawn = numbers.table(TABLE, ROWS, 400, 200)
    assert re.findall(r"<td[^>]*>([^<]*)", drawn)[:3] == ["pump 2", "5 Jan 01:00", "4"]
    assert drawn.count("<tr>") == 1 + 3
    assert "1 to 3 of 4" in drawn


def report(**visuals: Any) -> Report:
    sheet = {
        "SheetId": "s",
        "Visuals": [
            {kind: {"VisualId": f"v{place}", "ChartConfiguration": chart}}
            for place, (kind, chart) in enumerate(visuals.items())
        ],
    }
    declared = [{"Identifier": "d", "DataSetArn": "arn"}]
    definition = {"DataSetIdentifierDeclarations": declared, "Sheets": [sheet]}
    return Report("A <dashboard>", definition, {"d": ROWS}, START + timedelta(hours=2), START)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self.open and self.open[-1] == tag:
            self.open.pop()


def test_the_page_has_every_visual_is_well_formed_and_needs_nothing_else() -> None:
    page = page_of(report(**VISUALS))
    assert page.count('<section class="card"') == len(VISUALS)
    assert not re.search(r"<script|src=|https?://|@import|url\(", page)
    reader = _Reader()
    reader.feed(page.replace("<!doctype html>", ""))
    # SVG's own elements close themselves; everything else is closed.
    assert set(reader.open) <= {"rect", "line", "polyline", "polygon", "path", "circle"}
    assert "pump <1>" not in page
    for kind, chart in VISUALS.items():
        empty = Report("Empty", report(**{kind: chart}).definition, {"d": []}, START)
        assert "no data" in page_of(empty) or kind == "KPIVisual"


def test_every_visual_that_is_not_drawn_is_refused_by_its_name() -> None:
    model: Any = service_model("quicksight")
    kinds = set(model.shape_for("Visual").members)
    assert set(CHARTS) == {*PICTURES, *WORDS} == set(VISUALS)
    assert set(CHARTS) < kinds
    for kind in sorted(kinds - set(CHARTS)):
        with pytest.raises(NotDrawn, match=rf"Sheets.Visuals.{kind} \(v0\)"):
            page_of(report(**{kind: {"FieldWells": {}}}))


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"Sheets": [{"SheetId": "s", "TextBoxes": [{"Content": "x"}]}]}, "Sheets.TextBoxes"),
        ({"CalculatedFields": [{"Name": "x"}]}, "CalculatedFields"),
        ({"ParameterDeclarations": [{"StringParameterDeclaration": {}}]}, "ParameterDeclarations"),
        ({"FilterGroups": [{"Filters": [{"NestedFilter": {}, "x": 1}]}]}, "FilterGroups.Filters.x"),
    ],
)
def test_what_else_is_not_drawn_is_refused_by_its_path(change: dict[str, Any], path: str) -> None:
    with pytest.raises(NotDrawn, match=re.escape(path)):
        check({"DataSetIdentifierDeclarations": [], "Sheets": [], **change})


def test_a_table_that_is_sorted_by_no_field_of_its_own_is_refused() -> None:
    sort = {"ColumnSort": {"SortBy": {"ColumnName": "x"}, "Direction": "DESC"}}
    table = {"ChartConfiguration": {"SortConfiguration": {"RowSort": [sort]}}}
    sheet = {"Visuals": [{"TableVisual": {"VisualId": "v", **table}}]}
    with pytest.raises(NotDrawn, match=re.escape("RowSort.ColumnSort")):
        check({"DataSetIdentifierDeclarations": [], "Sheets": [sheet]})


def test_what_is_drawn_are_names_of_the_api() -> None:
    model: Any = service_model("quicksight")

    def known(tree: Any, shape: Any) -> None:
        while shape.type_name == "list":
            shape = shape.member
        for name, inner in tree.items():
            assert name in shape.members, (shape.name, name)
            known(inner, shape.members[name])

    for kind, tree in CHARTS.items():
        chart = model.shape_for("Visual").members[kind].members["ChartConfiguration"]
        known(tree, chart)
    for kind, tree in FILTERS.items():
        known(tree, model.shape_for("Filter").members[kind])


def test_a_visual_keeps_to_the_frame_of_its_picture() -> None:
    for kind, draw in PICTURES.items():
        drawn = draw(VISUALS[kind], ROWS, 420, 260)
        for one in elements(drawn, "rect"):
            assert 0 <= float(one.attrib["x"]) <= 420
            assert float(one.attrib["y"]) + float(one.attrib["height"]) <= 260
        for one in elements(drawn, "text"):
            assert 0 <= float(one.attrib["y"]) <= 260
