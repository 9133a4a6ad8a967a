"""`python -m benchmarks`: each benchmark a child, none of whose processes is left behind."""

from __future__ import annotations

import argparse
import re
import time
from pathlib import Path

import psutil
import pytest

from benchmarks import __main__ as runner
from benchmarks import catalogue, children, result
from benchmarks.row import Row


def made(name: str) -> catalogue.Benchmark:
    return catalogue.Benchmark(name, "made", "made up", 1.0, 1.0)


def test_a_child_that_takes_too_long_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    program = tmp_path / "long_child.py"
    program.write_text(
        "import signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGINT, lambda *_: sys.exit(1))\n"
        "inner = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'],"
        " start_new_session=True)\n"
        f"open({str(note)!r}, 'w').write(str(inner.pid))\n"
        "time.sleep(600)\n"
    )
    started: list[int] = []

    def tick(_gone_s: float) -> None:
        if note.exists() and note.read_text() and not started:
            started.append(int(note.read_text()))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        children.run_child([str(program)], 60.0, tick, lambda _line: None)
    inner = started[0]
    deadline = time.monotonic() + 10
    while psutil.pid_exists(inner) and psutil.Process(inner).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_what_a_child_prints_is_handed_on_and_its_exit_code_is_kept() -> None:
    lines: list[str] = []
    assert children.run_child(["-m", "platform"], 60.0, lambda _gone_s: None, lines.append) == 0
    assert lines


def test_a_benchmark_that_writes_nothing_or_fails_is_told_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    codes = {"silent": 0, "broken": 1, "slow": None, "good": 0}

    def child(command: list[str], *_: object) -> int | None:
        name = command[1].removeprefix("benchmarks.")
        if name == "good":
            chosen = argparse.Namespace(quick=False, out=tmp_path, strict=False)
            result.finish(name, [Row("missed", 1.0, "s", "peer", 2.0, floor=3.0)], chosen)
        return codes[name]

    monkeypatch.setattr(runner, "run_child", child)
    monkeypatch.setattr(runner, "BENCHMARKS", tuple(made(name) for name in codes))
    assert runner.main(["--out", str(tmp_path)]) == 1
    said = capsys.readouterr().out
    assert "FAILED: it wrote no result" in said
    assert "FAILED: exit code 1" in said
    assert "FAILED: ended after" in said
    assert "0 of 1 figures keep their limits" in said
    assert runner.main(["--out", str(tmp_path), "--only", "good"]) == 0
    assert runner.main(["--out", str(tmp_path), "--only", "good", "--strict"]) == 3


def test_what_a_quick_run_leaves_out_is_said_with_the_reason(
    capsys: pytest.CaptureFixture[str],
) -> None:
    left = [each for each in catalogue.BENCHMARKS if each.quick_s is None]
    planned = runner.plan(None, quick=True)
    said = capsys.readouterr().out
    for each in left:
        assert each not in planned
        assert f"left out: {each.name} ({each.about}): " in said


def test_what_is_run_by_its_name_is_left_out_of_a_full_run_and_not_when_it_is_named() -> None:
    alone = [each for each in catalogue.BENCHMARKS if each.alone]
    assert {each.name for each in alone} == {"month", "monitoring_month", "tuning"}
    for each in alone:
        assert each not in runner.plan(None, quick=False)
        assert runner.plan([each.name], quick=False) == [each]


def test_a_quick_run_does_not_write_among_the_committed_results() -> None:
    assert runner.main(["--quick", "--out", str(result.RESULTS)]) == 2


def test_the_list_and_the_help_name_every_benchmark(capsys: pytest.CaptureFixture[str]) -> None:
    assert runner.main(["--list"]) == 0
    said = capsys.readouterr().out
    assert all(each.name in said for each in catalogue.BENCHMARKS)
    with pytest.raises(SystemExit):
        runner.main(["--help"])
    assert "examples:" in capsys.readouterr().out


def test_the_examples_of_the_help_name_benchmarks_that_there_are() -> None:
    names = re.findall(r"--only (\w+)|benchmarks\.(\w+) --help", runner.EXAMPLES)
    assert {one or other for one, other in names} <= {each.name for each in catalogue.BENCHMARKS}
