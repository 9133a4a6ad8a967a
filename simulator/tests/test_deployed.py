"""The target `aws`, rehearsed on a twin that another process keeps up; and when it refuses."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator import deployed
from simulator.deployed import AwsUnreachable, Connections, DeploymentDiffers
from simulator.errors import EnvironmentMissing
from simulator.fleet.delivery import Message
from simulator.run import Options, run
from simulator.scenario import Scenario

WINDOW_S = 10.0
"""How long a batch of readings waits for more: the template's default."""

SCENARIO = """
description = "two pumps, one of which cavitates"
seed = 3
start = 2026-01-05T00:00:00Z
history_s = 1200
live_s = 600

[fleet]
sensors = ["temperature_c", "velocity_mm_s_rms", "pressure_bar", "current_a"]
machines = 2
burst_period_s = 0

[network]
loss = 0.002
duplicate = 0.01
straggle = 0.0

[[faults]]
device = "pump-002"
kind = "cavitation"
onset_s = 120
duration_s = 420
severity = 1.0
"""


@pytest.fixture(scope="module")
def scenario(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scenario") / "two.toml"
    path.write_text(SCENARIO)
    return path


@pytest.fixture(scope="module")
def stack(scenario: Path) -> Iterator[dict[str, str]]:
    """Keep a twin up in a process of its own; yield the variables by which boto3 finds it."""
    command = [sys.executable, "-c", "from simulator.cli import main; main()"]
    twin = subprocess.Popen(
        [*command, "up", "--scenario", str(scenario), "--speed", "120"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert twin.stdout is not None
        exported: dict[str, str] = {}
        for line in twin.stdout:
            if line.startswith("export "):
                name, _, value = line.removeprefix("export ").strip().partition("=")
                exported[name] = value.strip("'")
            if "AWS_DEFAULT_REGION" in exported:
                break
        assert exported["AWS_ENDPOINT_URL"].startswith("http://127.0.0.1:")
        yield exported
    finally:
        twin.send_signal(signal.SIGINT)
        twin.communicate(timeout=60)


def _options(scenario: Path, out: Path) -> Options:
    return Options(Scenario.load(str(scenario)), out, target="aws", asked_for_aws=True)


@pytest.mark.slow
def test_a_run_reaches_a_stack_by_boto3_alone_and_is_scored_there(
    stack: dict[str, str], scenario: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in stack.items():
        monkeypatch.setenv(name, value)
    # Two windows are added to it, which pass here 120 times as fast as it takes them to.
    monkeypatch.setattr(deployed, "QUIET_S", 10.0 - 2.0 * WINDOW_S)
    monkeypatch.setattr(deployed, "POLL_S", 0.5)
    others = tmp_path / "others.toml"
    others.write_text(SCENARIO + "\n[pipeline.features]\nhop_s = 20\n")
    with pytest.raises(DeploymentDiffers, match="cdk deploy FleetwinDev --parameters"):
        run(_options(others, tmp_path / "others"))
    report = run(_options(scenario, tmp_path / "out"))
    # The report has checked that everything published was stored, late or a dead letter.
    assert (report.target, report.workflow["status"]) == ("aws", "SUCCEEDED")
    assert report.readings.dead_lettered == 0
    assert "workflow: Train" in report.workflow["states"]
    scores: dict[str, list[float]] = defaultdict(list)
    for line in (tmp_path / "out" / "scores.jsonl").read_bytes().splitlines():
        row = json.loads(line)
        scores[row["device_id"]].append(row["score"])
    # Too short a history for a threshold that would be crossed; which pump it is can be seen.
    assert max(scores["pump-002"]) > 2.0 * max(scores["pump-001"])
    with pytest.raises(DeploymentDiffers, match="already has readings"):
        run(_options(scenario, tmp_path / "again"))


def test_nobody_reaches_aws_without_having_said_so(
    scenario: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = _options(scenario, tmp_path)
    options.asked_for_aws = False
    with pytest.raises(EnvironmentMissing, match="add --yes"):
        run(options)
    options.asked_for_aws = True
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(EnvironmentMissing, match="no region"):
        run(options)
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(EnvironmentMissing, match="no credentials"):
        run(options)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from(["a", "b", "c", "pump-001"]), max_size=200))
def test_messages_of_a_machine_leave_in_their_order(machines: list[str]) -> None:
    sent: dict[str, list[bytes]] = defaultdict(list)
    connections = Connections(lambda m: sent[m.client_id].append(m.payload), 1e6)
    messages = [Message("t", b"%d" % n, name, 0.0) for n, name in enumerate(machines)]
    try:
        connections.put(messages[:100])
        connections.put(messages[100:])
        connections.flush()
    finally:
        connections.close()
    for name in set(machines):
        assert sent[name] == [m.payload for m in messages if m.client_id == name]


def test_what_cannot_be_published_ends_the_run_with_its_reason() -> None:
    def refuse(message: Message) -> None:
        raise ValueError("no such topic")

    connections = Connections(refuse, 1e6)
    try:
        connections.put([Message("t", b"", "a", 0.0)])
        with pytest.raises(AwsUnreachable, match="no such topic"):
            connections.flush()
    finally:
        connections.close()
