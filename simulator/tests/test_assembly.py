"""A CDK app that is not ours boots from what `cdk synth` wrote, with its own code."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from simulator.cli_commands import app
from simulator.errors import ScenarioError, TemplateError
from simulator.fleet.delivery import Message
from simulator.targets import ROOT, SNAPSHOT, Embedded
from simulator.tests.test_described import PARAMETERS

EXAMPLE = ROOT / "examples" / "cold-store" / "synthesized"
START = datetime(2026, 1, 5, tzinfo=UTC)


def changed(folder: Path, change: Any) -> Path:
    """Return a copy of the example whose template was changed."""
    copy = folder / "synthesized"
    shutil.copytree(EXAMPLE, copy)
    path = copy / "ColdStore.template.json"
    template = json.loads(path.read_text("utf-8"))
    change(template["Resources"])
    path.write_text(json.dumps(template), "utf-8")
    return copy


def add_what_is_missing(resources: dict[str, Any]) -> None:
    resources["Pool"] = {"Type": "AWS::Cognito::UserPool", "Properties": {}}
    resources["Web"] = {"Type": "AWS::CloudFront::Distribution", "Properties": {}}
    (stream,) = (body for body in resources.values() if body["Type"] == "AWS::Kinesis::Stream")
    stream["Properties"]["Colour"] = "blue"


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    state = tmp_path_factory.mktemp("twin")
    target = Embedded(START, state, speed=None, seed=1, assembly=EXAMPLE)
    try:
        target.boot({}, prewarmed=False)
        yield target
    finally:
        target.close()


def test_a_foreign_app_runs_its_own_function_from_its_own_asset(twin: Embedded) -> None:
    rooms = {"north": -18.0, "south": -9.5, "west": -3.0}
    for _ in range(2):
        messages = [
            Message(f"store/{room}/temperature", json.dumps({"celsius": value}).encode(), room, 0.0)
            for room, value in rooms.items()
        ]
        twin.publish(messages)
    twin.drain()
    table = twin.cloud.deployment
    assert table is not None
    (rooms_table,) = table.find("AWS::DynamoDB::Table")
    items = twin.call("dynamodb", "Scan", TableName=rooms_table.physical_id)["Items"]
    assert {item["room"]["S"]: item["warm"]["N"] for item in items} == {"south": "2", "west": "2"}
    (inbox,) = table.find("AWS::SQS::Queue")
    told = []
    while found := twin.call(
        "sqs", "ReceiveMessage", QueueUrl=inbox.physical_id, MaxNumberOfMessages=10
    ).get("Messages"):
        for message in found:
            told.append(message["Body"])
            handle = message["ReceiptHandle"]
            twin.call("sqs", "DeleteMessage", QueueUrl=inbox.physical_id, ReceiptHandle=handle)
    assert sorted(told) == ["south is warm"] * 2 + ["west is warm"] * 2


def test_the_survey_says_of_every_type_what_the_twin_makes_of_it() -> None:
    result = CliRunner().invoke(app, ["assembly", str(EXAMPLE)], catch_exceptions=False)
    lines = [line.split() for line in result.stdout.splitlines()]
    verdicts = {words[0]: words[2] for words in lines if words[0].startswith("AWS::")}
    template = json.loads((EXAMPLE / "ColdStore.template.json").read_text("utf-8"))
    assert verdicts.keys() == {body["Type"] for body in template["Resources"].values()}
    assert verdicts["AWS::Lambda::Function"] == "runs"
    assert verdicts["AWS::SQS::Queue"] == "runs"
    assert result.exit_code == 0


def test_all_that_is_missing_is_listed_before_anything_is_created(tmp_path: Path) -> None:
    folder = changed(tmp_path, add_what_is_missing)
    result = CliRunner().invoke(app, ["assembly", str(folder)], standalone_mode=False)
    assert "AWS::Cognito::UserPool" in result.stdout
    assert "Colour: property is not mapped by the twin" in result.stdout
    assert "3 refused" in result.stdout
    target = Embedded(START, tmp_path / "state", speed=None, seed=1, assembly=folder)
    try:
        with pytest.raises(TemplateError) as caught:
            target.boot({})
        assert target.call("kinesis", "ListStreams")["StreamNames"] == []
    finally:
        target.close()
    first, *rest = str(caught.value).splitlines()
    assert first == "3 things that cannot be created on the twin:"
    assert len(rest) == 3
    for name in ("Pool", "Web", "Colour"):
        assert sum(name in line for line in rest) == 1


def test_an_asset_that_is_listed_and_not_there_is_named(tmp_path: Path) -> None:
    folder = changed(tmp_path, lambda resources: None)
    (asset,) = folder.glob("asset.*")
    shutil.rmtree(asset)
    with pytest.raises(TemplateError, match=f"{asset.name}: ColdStore.assets.json names it; syn"):
        CliRunner().invoke(app, ["assembly", str(folder)], catch_exceptions=False)


def test_every_property_has_a_verdict_and_what_is_only_recorded_a_reason(tmp_path: Path) -> None:
    folder = changed(tmp_path, add_what_is_missing)
    words = ["assembly", str(folder), "--properties"]
    printed = CliRunner().invoke(app, words, standalone_mode=False).stdout.splitlines()
    verdicts: dict[tuple[str, str], str] = {}
    kind = ""
    for line in printed:
        if line.startswith("AWS::"):
            kind = line.split()[0]
        elif line.startswith("    ") and "Properties." not in line:
            name, _, verdict = line.strip().partition(": ")
            verdicts[kind, name] = verdict
    assert verdicts["AWS::Kinesis::Stream", "Colour"] == "refused"
    assert verdicts["AWS::Kinesis::Stream", "ShardCount"] == "enforced"
    template = json.loads((folder / "ColdStore.template.json").read_text("utf-8"))
    for body in template["Resources"].values():
        for name in body.get("Properties", {}):
            verdict, _, why = verdicts[body["Type"], name].partition(", ")
            assert verdict in ("enforced", "honoured", "recorded only", "refused")
            assert bool(why) == (verdict == "recorded only")


def test_our_own_stack_has_nothing_that_is_refused() -> None:
    result = CliRunner().invoke(app, ["assembly"], catch_exceptions=False)
    assert result.exit_code == 0
    totals = [line for line in result.stdout.splitlines() if line.endswith(" refused")]
    assert [line.rpartition(", ")[2] for line in totals] == ["0 refused"] * 2


def test_what_a_condition_leaves_out_is_named_until_its_parameters_are_given() -> None:
    words = ["assembly"]
    resources = json.loads((SNAPSHOT / "FleetwinDev.template.json").read_text("utf-8"))["Resources"]
    conditional = {name for name, body in resources.items() if "Condition" in body}
    said = CliRunner().invoke(app, words, catch_exceptions=False).stdout
    lines = [line for line in said.splitlines() if line.startswith("not looked at")]
    named = {name for line in lines for name in line.partition(": ")[2].split(", ")}
    assert named == conditional
    for name, value in PARAMETERS.items():
        words += ["--parameters", f"{name}={value}"]
    result = CliRunner().invoke(app, words, catch_exceptions=False)
    assert result.exit_code == 0
    assert "not looked at" not in result.stdout
    assert "AWS::QuickSight::Dashboard" in result.stdout
    assert "AWS::QuickSight::Dashboard" not in said
    with pytest.raises(ScenarioError, match="must be NAME=VALUE"):
        CliRunner().invoke(app, ["assembly", "--parameters", "x"], catch_exceptions=False)


def test_a_run_on_a_foreign_app_is_refused_in_a_line_that_names_what_boots_it(
    tmp_path: Path,
) -> None:
    words = ["run", "tiny", "--assembly", str(EXAMPLE), "--out", str(tmp_path / "out")]
    with pytest.raises(ScenarioError, match=r"fleetwin up --assembly .*cold-store") as caught:
        CliRunner().invoke(app, words, catch_exceptions=False)
    assert "no stage of our stack" in str(caught.value)
    assert "\n" not in str(caught.value)
