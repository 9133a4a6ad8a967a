"""`fleetwin workflow run|list|show`: on a state folder, and on a twin that is up."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner, Result

from simulator.cli_commands import app
from simulator.errors import EnvironmentMissing, SimulatorError
from simulator.targets import Embedded
from simulator.workflow_sources import WorkflowNotFound, chosen

START = datetime(2026, 1, 5, tzinfo=UTC)
NO_MANIFEST = json.dumps({"detail": {"bucket": {"name": "nowhere"}, "object": {"key": "gone"}}})


def command(*words: str) -> Result:
    return CliRunner().invoke(app, ["workflow", *words], catch_exceptions=False)


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a twin's folder in which the features workflow has failed twice."""
    folder = tmp_path_factory.mktemp("twin")
    for _ in range(2):
        result = command("run", "features", "--input", NO_MANIFEST, "--state", str(folder))
        assert result.exit_code == 1, result.output
        assert "ReadManifest" in result.stdout
        assert "S3.S3Exception" in result.stdout
        assert "caught, to RecordFailure" in result.stdout
    return folder


def listed(state: Path, *words: str) -> list[dict[str, Any]]:
    runs: list[dict[str, Any]] = json.loads(
        command("list", "--json", "--state", str(state), *words).stdout
    )
    return runs


def test_executions_of_ended_twins_are_listed(state: Path) -> None:
    runs = listed(state)
    assert [run["status"] for run in runs] == ["FAILED", "FAILED"]
    assert listed(state, "--status", "failed", "--workflow", "features") == runs
    assert listed(state, "--status", "SUCCEEDED") == []
    lines = command("list", "--state", str(state)).stdout.splitlines()
    assert lines[0].split()[:2] == ["started", "(UTC)"]
    assert [line.split()[2] for line in lines[1:]] == ["fleetwin-dev-features"] * 2
    assert command("list", "--state", str(state), "--workflow", "x").stdout == "no executions\n"


def test_a_status_that_no_execution_can_have_is_refused_with_those_it_can(state: Path) -> None:
    with pytest.raises(SimulatorError, match=r"--status FAILING: choose one of RUNNING, .*FAILED"):
        command("list", "--state", str(state), "--status", "FAILING")


def test_our_stack_is_not_booted_on_what_another_app_has_left(tmp_path: Path) -> None:
    (tmp_path / "twin").mkdir()
    (tmp_path / "app-report.json").write_text("{}", "utf-8")
    with pytest.raises(EnvironmentMissing, match=r"of an app of your own.*--target embedded"):
        command("run", "features", "--state", str(tmp_path / "twin"))
    assert list((tmp_path / "twin").iterdir()) == []


def test_an_execution_is_shown_by_its_name_its_beginning_or_its_workflow(
    state: Path, tmp_path: Path
) -> None:
    first, last = (run["name"] for run in listed(state))
    assert command("show", first, "--state", str(state)).stdout.startswith(first)
    assert command("show", first[:-1], "--state", str(state)).stdout.startswith(first)
    for name in ("features", "fleetwin-dev-features", last):
        assert command("show", name, "--state", str(state)).stdout.startswith(last)
    svg = tmp_path / "pictures" / "run.svg"
    words = ["show", first, "--state", str(state), "--json", "--svg", str(svg)]
    plain = json.loads(command(*words).stdout)
    assert [each["name"] for each in plain["states"]] == [
        "WhatFor",
        "ReadManifest",
        "RecordFailure",
        "NotifyFailure",
        "Failed",
    ]
    assert plain["states"][1]["status"] == "caught"
    assert ElementTree.parse(svg).getroot().tag.endswith("svg")


def test_what_cannot_be_found_says_what_there_is(state: Path, tmp_path: Path) -> None:
    first = listed(state)[0]["name"]
    with pytest.raises(WorkflowNotFound, match=f"no execution x9: choose one of .*{first}"):
        command("show", "x9", "--state", str(state))
    with pytest.raises(WorkflowNotFound, match="there are no executions: start one"):
        command("show", "x", "--state", str(tmp_path))
    (tmp_path / "workflows").mkdir()
    (tmp_path / "workflows" / "executions.json").write_text('{"format": 0}', "utf-8")
    with pytest.raises(SimulatorError, match="another version wrote it"):
        command("list", "--state", str(tmp_path))
    with pytest.raises(EnvironmentMissing, match=r"run `fleetwin run` first"):
        command("list", "--state", str(tmp_path / "none"))
    with pytest.raises(WorkflowNotFound, match=r"no workflow x: .*fleetwin-dev-training"):
        command("run", "x", "--state", str(state))
    with pytest.raises(SimulatorError, match="--input is no JSON"):
        command("run", "features", "--input", "{", "--state", str(state))
    with pytest.raises(SimulatorError, match="No such file"):
        command("run", "features", "--input", f"@{tmp_path}/none", "--state", str(state))
    with pytest.raises(EnvironmentMissing, match="AWS_ENDPOINT_URL is not set"):
        CliRunner().invoke(
            app,
            ["workflow", "list", "--target", "embedded"],
            env={"AWS_ENDPOINT_URL": ""},
            catch_exceptions=False,
        )


def test_a_name_that_two_workflows_end_in_is_ambiguous() -> None:
    arns = {"dev-training": "a", "prod-training": "b", "training": "c"}
    assert chosen("training", arns) == "c"
    del arns["training"]
    with pytest.raises(WorkflowNotFound, match="2 workflows end in training: choose one of dev"):
        chosen("training", arns)


def test_a_twin_that_is_up_runs_lists_and_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = Embedded(START, tmp_path / "state", speed=None, seed=1)
    try:
        target.boot({}, prewarmed=False)
        for name, value in target.environment().items():
            monkeypatch.setenv(name, value)

        def asked(*words: str) -> Result:
            results: list[Result] = []
            ask = [*words, "--target", "embedded"]
            thread = threading.Thread(target=lambda: results.append(command(*ask)))
            thread.start()
            while thread.is_alive():
                target.run_until(target.clock.now + 0.05)
                thread.join(0.005)
            return results[0]

        ran = asked("run", "features", "--input", NO_MANIFEST)
        assert ran.exit_code == 1
        assert "S3.S3Exception" in ran.stdout
        (run,) = json.loads(asked("list", "--json").stdout)
        assert asked("show", run["name"]).stdout == ran.stdout
    finally:
        target.close()
    assert listed(tmp_path / "state")[0]["name"] == run["name"]
