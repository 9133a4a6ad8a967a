"""`report.html`: what stands on it, in light and in dark, and what a picture of it needs."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from xml.etree import ElementTree

import numpy as np
import pytest

from benchmarks.picture import picture
from simulator.html_page import LONG, table
from simulator.report import Episode, Fault, Readings, RunReport, Stage
from simulator.report_html import render
from simulator.report_style import INK, LINE, SOFT, STYLE
from simulator.report_svg import Trace

START = datetime(2026, 1, 5, tzinfo=UTC)
START_MS = round(START.timestamp() * 1000)
HOUR_MS = 3_600_000
ALERT = {
    "alert_id": "d4f4d7c4b40f93816ddfaf7f5aeb30a5",
    "device_id": "pump-1",
    "since_ms": START_MS + HOUR_MS,
    "started_ms": START_MS + HOUR_MS + 10_000,
    "what_to_do": "Inspect <pump-1> at its next safe stop.",
}


def report(hours: float) -> RunReport:
    onset = START_MS + HOUR_MS
    return RunReport(
        scenario="mine",
        seed=1,
        target="embedded",
        virtual_s=hours * 3600,
        wall_s=1.0,
        readings=Readings(10, 0, 0, 10, 10, 0, 0, 0),
        faults=[Fault("pump-1", "cavitation", onset, onset + HOUR_MS, 0.5)],
        episodes=[Episode("pump-1", "model", onset, None, 1.5, {"current_a": 1.0}, "id", onset)],
        machine_days=1.0,
        stages=[Stage("boot", 1.0, 0.0, "x" * (LONG + 1))],
        started=START,
        messages=[ALERT],
    )


def page(hours: float) -> str:
    times = START_MS + np.arange(0, round(hours * HOUR_MS), HOUR_MS // 4, dtype=np.int64)
    values = np.sin(np.arange(len(times)))
    trace = Trace("pump-1", {"current_a": (times, values)}, (times, abs(values)), (times, values))
    return render(report(hours), [trace], START_MS + HOUR_MS // 2)


def test_every_colour_of_the_page_is_defined_for_light_and_for_dark() -> None:
    light, dark = STYLE.split("@media (prefers-color-scheme:dark)")
    dark = dark[: dark.index("}}")]
    used = set(re.findall(r"var\((--[a-z]+)", page(3) + STYLE))
    assert used
    for colours in (light, dark):
        assert used <= set(re.findall(r"(--[a-z]+):#[0-9a-f]{6}", colours))
    # What is drawn has no colour that would stay light on a dark page.
    assert re.findall(r'(?:fill|stroke)="(#[0-9a-f]+)"', page(3)) == []


@pytest.mark.parametrize("colour", [INK, SOFT, LINE])
def test_a_picture_that_stands_alone_falls_back_on_the_light_colour(colour: str) -> None:
    found = re.fullmatch(r"var\((--[a-z]+),(#[0-9a-f]{6})\)", colour)
    assert found
    assert f"{found[1]}:{found[2]}" in STYLE.split("@media")[0].replace("\n", "")


def test_a_machines_picture_taken_out_of_the_page_has_the_light_colours_in_it() -> None:
    svg = picture(page(3), "pump-1")
    ElementTree.fromstring(svg)
    assert "var(" not in svg
    assert "#f6c9a0" in svg


@pytest.mark.parametrize(("hours", "onset"), [(3, "01:00:00"), (72, "01-05 01:00:00")])
def test_times_have_the_day_where_a_run_is_longer_than_one(hours: float, onset: str) -> None:
    assert f"<td>{onset}</td>" in page(hours)


def test_the_marks_of_an_axis_say_time_day_and_time_or_day() -> None:
    marks = {
        hours: re.findall(r'text-anchor="\w+">([^<]+)<', page(hours)) for hours in (3, 40, 720)
    }
    assert marks[3][:2] == ["00:00", "00:30"]
    assert marks[40][0] == "01-05 00:00"
    assert marks[720][0] == "01-08"


def test_the_page_says_when_the_run_began_and_what_a_person_was_told() -> None:
    said = page(3)
    assert "from 2026-01-05 00:00 UTC" in said
    assert "Inspect &lt;pump-1&gt; at its next safe stop." in said
    assert "fleetwin trace d4f4d7c4" in said
    assert "<h2>Alerts</h2>" not in render(replace(report(3), messages=[]), [], START_MS)


def test_the_page_says_what_became_of_candidates_and_whether_they_find_labelled_faults() -> None:
    event = {"device_id": "pump-1", "start_ms": START_MS, "end_ms": START_MS + HOUR_MS}
    event |= {"current_delay_s": 30.0, "candidate_delay_s": None}
    events = [event, {**event, "candidate_delay_s": 60.0}]
    reasons = ["passed: <few>", "failed: 1 of 2 labelled events found"]
    each = {"candidate": "m-2", "promote": False, "reasons": reasons, "events": events}
    said = render(replace(report(3), model={"evaluations": [each]}), [], START_MS)
    assert "rejected" in said
    assert "1 of 2<" in said
    assert "passed: &lt;few&gt;<br>failed: 1 of 2 labelled" in said
    assert "<h2>Candidates</h2>" not in page(3)


def test_a_long_cell_may_wrap_and_a_wide_table_scrolls() -> None:
    drawn = table(("a", "b"), [["x" * (LONG + 1), "short"]])
    assert drawn.startswith('<div class="wide"><table>')
    assert '<td class="long">xxx' in drawn
    assert "<td>short</td>" in drawn
