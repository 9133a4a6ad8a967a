"""One run of `tiny` from the pump to the alert, and its report held to account."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from html.parser import HTMLParser
from typing import Any

import orjson
import pytest

from simulator.plan.plan import PRICES_FILE
from simulator.scenario import Scenario
from simulator.tests.conftest import FinishedRun

NAMES = {
    "": {
        *("seed", "target", "wall_s", "virtual_s", "readings", "faults", "no_model"),
        *("detection_delay_s", "false_alarms", "machine_days", "detections", "truth", "stages"),
        "environment",
    },
    "readings": {
        *("published", "lost_in_network", "discarded_by_broker", "delivered", "stored", "late"),
        "dead_lettered",
    },
    "faults": {"total", "found"},
    "no_model": {"found", "false_alarm_episodes"},
    "detection_delay_s": {"median", "p90"},
    "false_alarms": {"episodes"},
}
"""Names that tools rely on; a report may have more."""

VOID = {"meta", "br", "hr", "img", "link", "input"}


class Page(HTMLParser):
    """Checks that elements nest, and notes what is in the page."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.count: Counter[str] = Counter()
        self.captions: list[str] = []
        self.addresses: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element; what it loads, too."""
        self.count[tag] += 1
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element that ends where it begins."""
        self.count[tag] += 1

    def handle_endtag(self, tag: str) -> None:
        """Close the innermost element, which must be this one."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Keep the words under the pictures."""
        if "figcaption" in self.open:
            self.captions.append(data)


def numbers(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (path, leaf) of everything in a JSON value."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from numbers(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for position, inner in enumerate(value):
            yield from numbers(inner, f"{path}[{position}]")
    else:
        yield path, value


def without_wall_clock(value: Any) -> Any:
    """Return a report without the fields that may depend on the wall clock."""
    if isinstance(value, dict):
        return {
            name: without_wall_clock(inner)
            for name, inner in value.items()
            if not name.endswith("wall_s") and name != "environment"
        }
    return [without_wall_clock(inner) for inner in value] if isinstance(value, list) else value


def milliseconds(text: str) -> float:
    """Return an ISO time as epoch milliseconds."""
    return datetime.fromisoformat(text).timestamp() * 1000


def test_the_report_has_every_name_that_tools_rely_on(tiny_run: FinishedRun) -> None:
    report = tiny_run.report
    for path, names in NAMES.items():
        assert names <= (report[path] if path else report).keys(), path
    assert report["stages"], "a run has stages"
    for stage in report["stages"]:
        assert {"name", "wall_s", "virtual_s"} <= stage.keys()
    assert (report["seed"], report["target"]) == (1, "embedded")


def test_a_run_writes_what_aws_would_charge_for_by_the_names_of_the_price_file(
    tiny_run: FinishedRun,
) -> None:
    units = json.loads((tiny_run.out / "billable.json").read_text("utf-8"))
    priced = json.loads(PRICES_FILE.read_text("utf-8"))["prices"]
    # Of these the twin counts nothing, or requests in place of units.
    left_out = {"IoT rules", "IoT connection minutes", "S3 GB-months", "CloudWatch log GB"}
    left_out |= {"DynamoDB write units", "DynamoDB read units", "KMS key months", "KMS requests"}
    assert set(priced) - set(units) == left_out
    assert min(units.values()) > 0.0
    readings = tiny_run.report["readings"]
    assert units["IoT messages"] >= readings["delivered"] >= readings["stored"]
    assert units["Kinesis PUT payload units"] >= readings["delivered"]
    assert units["Glue DPU-hours"] < units["SageMaker instance hours"] < 3.0


def test_every_number_in_the_report_is_finite_and_not_negative(tiny_run: FinishedRun) -> None:
    for path, value in numbers(tiny_run.report):
        if isinstance(value, int | float):
            assert math.isfinite(value), path
            assert value >= 0, path


def test_the_stages_of_the_pipeline_follow_each_other_and_fill_the_clock(
    tiny_run: FinishedRun,
) -> None:
    report = tiny_run.report
    names = [stage["name"] for stage in report["stages"]]
    main = [name for name in names if not name.startswith("workflow: ")]
    assert main == ["boot", "history", "workflow", "live", "report"]
    assert {"workflow: RunFeatures", "workflow: Train"} <= set(names)
    spent = {stage["name"]: stage["virtual_s"] for stage in report["stages"]}
    assert sum(spent[name] for name in main) == pytest.approx(report["virtual_s"], abs=0.01)
    scenario = Scenario.load("tiny")
    assert spent["history"] >= scenario.history_s
    assert report["virtual_s"] >= scenario.history_s + scenario.live_s


def test_the_readings_add_up(tiny_run: FinishedRun) -> None:
    books = tiny_run.report["readings"]
    lost = books["lost_in_network"] + books["discarded_by_broker"]
    assert books["published"] == lost + books["delivered"]
    assert books["delivered"] == books["stored"] + books["late"] + books["dead_lettered"]
    scenario = Scenario.load("tiny")
    seconds = scenario.history_s + scenario.live_s
    readings = scenario.fleet.machines * scenario.fleet.rate_hz * seconds
    assert books["published"] >= readings
    assert books["lost_in_network"] > 0, "the network of this scenario loses some"
    assert books["duplicates_dropped"] > 0, "and repeats some"


def test_the_raw_zone_holds_each_message_exactly_once(tiny_run: FinishedRun) -> None:
    books = tiny_run.report["readings"]
    seen: Counter[tuple[str, str, int]] = Counter()
    late = 0
    for kind in ("telemetry", "bursts"):
        for line in tiny_run.lake("raw", kind):
            row = orjson.loads(line)
            seen[kind, row["device_id"], row["seq"]] += 1
            late += row["late"]
    assert max(seen.values()) == 1
    assert len(seen) == books["stored"] + books["late"]
    assert late == books["late"]
    assert len(list(tiny_run.lake("raw", "dead-letter"))) == books["dead_lettered"]
    # Sequence numbers count from 0 without a gap, so what is missing is what the network lost.
    newest: dict[tuple[str, str], int] = {}
    for kind, device, seq in seen:
        newest[kind, device] = max(seq, newest.get((kind, device), 0))
    missing = sum(last + 1 for last in newest.values()) - len(seen)
    assert missing <= books["lost_in_network"]


def test_every_detection_is_joined_with_the_truth(tiny_run: FinishedRun) -> None:
    report = tiny_run.report
    outcomes = Counter(each["outcome"] for each in report["detections"])
    assert set(outcomes) <= {"found", "repeat", "false_alarm"}
    assert outcomes["false_alarm"] == report["false_alarms"]["episodes"]
    found = [each for each in report["truth"] if each["found"]]
    assert report["faults"] == {"total": len(report["truth"]), "found": len(found)}
    assert len(found) >= outcomes["found"] >= 1, "an episode finds at least one fault"
    for fault in found:
        onset = milliseconds(fault["onset"])
        starts = [
            milliseconds(each["started"])
            for each in report["detections"]
            if each["device_id"] == fault["device_id"]
        ]
        assert onset + fault["delay_s"] * 1000 in starts
    for fault in report["truth"]:
        assert fault["found"] == (fault["delay_s"] is not None)
    assert report["no_model"]["found"] == sum(each["found_by_no_model"] for each in report["truth"])


def test_the_truth_is_what_the_scenario_injected(tiny_run: FinishedRun) -> None:
    injected = {(plan.device, plan.kind, plan.severity) for plan in Scenario.load("tiny").faults}
    truth = tiny_run.report["truth"]
    assert {(each["device_id"], each["kind"], each["severity"]) for each in truth} == injected


def test_every_fault_of_the_scenario_that_a_new_user_runs_is_found(tiny_run: FinishedRun) -> None:
    assert all(fault["found"] for fault in tiny_run.report["truth"])
    assert "NOT FOUND" not in tiny_run.printed


def test_one_alert_is_sent_for_each_episode_of_the_model(tiny_run: FinishedRun) -> None:
    report = tiny_run.report
    assert report["alerts"] == len(report["detections"]) > 0
    ids = [each["detection_id"] for each in report["detections"]]
    assert len(set(ids)) == len(ids)


def test_the_contributions_of_a_detection_are_shares(tiny_run: FinishedRun) -> None:
    for each in tiny_run.report["detections"]:
        assert sum(each["contributions"].values()) == pytest.approx(1.0, abs=1e-4)


def test_no_score_is_written_before_a_model_is_active(tiny_run: FinishedRun) -> None:
    activated = milliseconds(tiny_run.report["model"]["activated"])
    hop_and_lateness_ms = 60_000
    times = [orjson.loads(line)["event_time_ms"] for line in tiny_run.lake("processed", "scores")]
    assert times
    assert min(times) >= activated - hop_and_lateness_ms


def test_the_page_is_well_formed_alone_and_shows_every_machine(tiny_run: FinishedRun) -> None:
    page = Page(tiny_run.page)
    assert page.open == []
    assert page.count["html"] == page.count["head"] == page.count["body"] == 1
    machines = Scenario.load("tiny").fleet.machines
    assert page.count["figure"] == page.count["svg"] == machines
    said = " ".join(page.captions)
    assert all(f"pump-{number:03d}" in said for number in range(1, machines + 1))
    # One file that opens anywhere: nothing is loaded from elsewhere.
    assert not [address for address in page.addresses if "//" in address]


def test_the_summary_says_what_the_report_says(tiny_run: FinishedRun) -> None:
    report, said = tiny_run.report, tiny_run.printed
    assert f"{report['readings']['published']:,} published" in said
    assert f"{report['faults']['found']} of {report['faults']['total']} found" in said
    assert "report.html" in said
    assert "report.json" in said
    stages = [line for line in tiny_run.progress.splitlines() if line.startswith("  ")]
    assert [line.split()[0] for line in stages] == ["boot", "history", "workflow", "live", "report"]


def test_the_same_seed_gives_the_same_report(
    tiny_runs: tuple[FinishedRun, FinishedRun],
) -> None:
    first, second = (without_wall_clock(run.report) for run in tiny_runs)
    other = dict(numbers(second))
    differing = {
        path: (value, other.get(path)) for path, value in numbers(first) if other.get(path) != value
    }
    assert differing == {}
    assert first == second


def test_the_same_seed_gives_the_same_lake(
    tiny_runs: tuple[FinishedRun, FinishedRun],
) -> None:
    for zone, prefix in (("raw", "telemetry"), ("raw", "bursts"), ("processed", "scores")):
        first, second = (list(run.lake(zone, prefix)) for run in tiny_runs)
        assert first == second, prefix
