"""Every alarm has a page that says what to do, and the dashboard shows what the alarms watch."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from infra_cdk.config import STAGES
from infra_cdk.tests.snapshot import resources, text_of

RUNBOOKS = Path(__file__).parents[2] / "docs" / "runbooks"
PREFIX = "fleetwin-dev-"
DESCRIPTIONS = {
    (stage, body["AlarmName"].removeprefix(f"fleetwin-{stage}-")): body["AlarmDescription"]
    for stage in STAGES
    for kind in ("AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm")
    for body in resources(kind, stage).values()
}
LOGS = "AWS::Logs::LogGroup"
PARTS = ("## Look first", "## What to do", "## It is over when")


@pytest.mark.parametrize(("stage", "name"), sorted(DESCRIPTIONS))
def test_an_alarms_description_names_its_page(stage: str, name: str) -> None:
    assert DESCRIPTIONS[stage, name].endswith(f". What to do: docs/runbooks/{name}.md")
    page = (RUNBOOKS / f"{name}.md").read_text("utf-8")
    assert f"Alarm `{name}`." in page
    assert [part for part in PARTS if part not in page] == []


@pytest.mark.parametrize("stage", STAGES)
def test_no_page_is_about_an_alarm_that_is_not_there(stage: str) -> None:
    pages = {path.stem for path in RUNBOOKS.glob("*.md")} - {"episode"}
    assert pages == {name for of, name in DESCRIPTIONS if of == stage}


@pytest.mark.parametrize("stage", STAGES)
def test_the_composite_alarm_is_on_when_any_part_of_the_way_is(stage: str) -> None:
    (composite,) = resources("AWS::CloudWatch::CompositeAlarm", stage).values()
    alarms = resources("AWS::CloudWatch::Alarm", stage)
    rule = text_of(composite["AlarmRule"])
    meant = {alarms[one.split(".")[0]]["AlarmName"] for one in re.findall(r"<([^<>]+)>", rule)}
    names = ["stream-throttled", "raw-writer-errors", "raw-writer-behind"]
    names += ["detector-errors", "detector-behind", "features-lag"]
    assert meant == {f"fleetwin-{stage}-{name}" for name in names}
    assert rule.count(" OR ") == len(names) - 1
    assert "AlarmActions" not in composite


def test_the_dashboard_shows_every_metric_that_an_alarm_on_readings_watches() -> None:
    (dashboard,) = resources("AWS::CloudWatch::Dashboard").values()
    assert dashboard["DashboardName"] == "fleetwin-dev-pipeline"
    body = text_of(dashboard["DashboardBody"])
    for name in ("IteratorAge", "DeadLettered", "Late", "FeatureLag", "ModelLatency"):
        assert f'"{name}"' in body
    for name in ("IncomingRecords", "ArrivalDelay", "EpisodesOpened", "AlertsSent"):
        assert f'"{name}"' in body


def test_time_outs_are_counted_from_the_log_of_every_function() -> None:
    groups = {logical_id: body["LogGroupName"] for logical_id, body in resources(LOGS).items()}
    counted = {
        groups[body["LogGroupName"]["Ref"]]: body["FilterPattern"]
        for body in resources("AWS::Logs::MetricFilter").values()
    }
    functions = {f"/aws/lambda/{PREFIX}{name}" for name in ("detector", "raw-writer")}
    assert counted == dict.fromkeys(functions, '"Task timed out after"')
