"""Child processes: their output and end reach the engine, and none outlives the twin."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import ClassVar

import psutil
import pytest

from simulator.cloud.engine import Engine
from simulator.cloud.processes import Processes


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    monkeypatch.setattr("simulator.cloud.engine.STALL_S", 20.0)
    return Engine(datetime(2026, 1, 5, tzinfo=UTC))


@pytest.fixture
def processes(engine: Engine, tmp_path: Path) -> Iterator[Processes]:
    made = Processes(engine, tmp_path)
    yield made
    made.close()


def _python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def _run(engine: Engine, processes: Processes, code: str) -> tuple[list[str], int]:
    lines: list[str] = []
    done = engine.env.event()
    engine.begin_computing("child")

    def on_exit(code: int) -> None:
        engine.end_computing("child")
        done.succeed(code)

    processes.spawn(
        "child", _python(code), processes.base_environment(), None, lines.append, on_exit
    )
    return lines, engine.run(done)


def _gone(pid: int, within_s: float = 5.0) -> bool:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.02)
    return False


def test_lines_of_both_streams_arrive_before_the_exit_code(
    engine: Engine, processes: Processes
) -> None:
    code = (
        "import sys\nfor i in range(5000): print(i, flush=False)\n"
        "sys.stdout.flush(); sys.stderr.write('last, no newline'); sys.exit(3)"
    )
    lines, exit_code = _run(engine, processes, code)
    assert lines == [*map(str, range(5000)), "last, no newline"]
    assert exit_code == 3
    assert engine.env.now == 0.0


def test_a_line_without_end_is_cut_instead_of_filling_memory(
    engine: Engine, processes: Processes
) -> None:
    lines, _ = _run(engine, processes, "print('x' * 3_000_000)")
    assert len(lines) > 1
    assert sum(map(len, lines)) == 3_000_000


def test_a_grandchild_that_keeps_the_pipe_open_does_not_keep_the_child_running(
    engine: Engine, processes: Processes
) -> None:
    code = (
        "import subprocess, sys\n"
        "print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']).pid)"
    )
    lines, exit_code = _run(engine, processes, code)
    assert exit_code == 0
    assert _gone(int(lines[0]))


def test_terminate_kills_what_ignores_sigterm_after_the_grace_period(
    engine: Engine, processes: Processes
) -> None:
    done = engine.env.event()
    engine.begin_computing("stubborn")

    def on_exit(code: int) -> None:
        engine.end_computing("stubborn")
        done.succeed(code)

    child = processes.spawn(
        "stubborn",
        _python(
            "import signal, time; signal.signal(15, signal.SIG_IGN); print('on', flush=True)\n"
            "time.sleep(60)"
        ),
        processes.base_environment(),
        on_line=lambda line: child.terminate(0.2),
        on_exit=on_exit,
    )
    assert engine.run(done) == -9
    assert not child.running
    assert child.returncode == -9


def test_close_ends_every_process_and_no_callback_follows(engine: Engine, tmp_path: Path) -> None:
    processes = Processes(engine, tmp_path)
    exits: list[int] = []
    code = "import time; time.sleep(60)"
    children = [
        processes.spawn(str(n), _python(code), processes.base_environment(), on_exit=exits.append)
        for n in range(3)
    ]
    processes.close()
    assert all(_gone(child.pid) for child in children)
    engine.run(1.0)
    assert exits == []
    with pytest.raises(OSError, match="going down"):
        processes.spawn("late", _python(code), {})


def test_no_process_outlives_a_twin_that_was_killed(tmp_path: Path) -> None:
    twin = f"""
import sys, time
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar
from simulator.cloud.engine import Engine
from simulator.cloud.processes import Processes
engine = Engine(datetime(2026, 1, 5, tzinfo=UTC))
processes = Processes(engine, Path({str(tmp_path)!r}))
code = '''import os, subprocess, sys, time
inner = "import os, time; os.setpgid(0, 0); time.sleep(60)"
child = subprocess.Popen([sys.executable, "-c", inner])
print(os.getpid(), child.pid, flush=True)
time.sleep(60)'''
processes.spawn("child", [sys.executable, "-c", code], processes.base_environment(),
                on_line=lambda line: print(line, flush=True))
engine.begin_computing("child")
engine.run(1.0)
"""
    parent = subprocess.Popen(
        [sys.executable, "-c", twin], stdout=subprocess.PIPE, text=True, env={**os.environ}
    )
    assert parent.stdout is not None
    pids = [int(pid) for pid in parent.stdout.readline().split()]
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert len(pids) == 2
    assert all(_gone(pid) for pid in pids)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="found by /proc")
def test_a_daemon_that_left_its_session_ends_with_the_child(
    processes: Processes, engine: Engine
) -> None:
    code = """
import os, signal
if os.fork() == 0:
    os.setsid()
    if daemon := os.fork():
        print(daemon, flush=True)
        os._exit(0)
    os.closerange(0, 3)
    signal.pause()
os.wait()
"""
    lines, code_of_exit = _run(engine, processes, code)
    assert code_of_exit == 0
    assert _gone(int(lines[0]))


def test_the_base_environment_carries_no_credentials_and_fixed_seeds(
    processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "real")
    monkeypatch.setenv("AWS_PROFILE", "real")
    environment = processes.base_environment()
    assert not [name for name in environment if name.startswith("AWS")]
    assert environment["PYTHONHASHSEED"] == "0"
    assert environment["TZ"] == "UTC"


class _SleepRoute(BaseHTTPRequestHandler):
    asked: ClassVar[list[str]] = []

    def do_POST(self) -> None:
        self.asked.append(self.path)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Stay quiet."""


def test_sleep_in_a_child_is_asked_of_the_gateway(processes: Processes) -> None:
    server = HTTPServer(("127.0.0.1", 0), _SleepRoute)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    environment = {
        **processes.base_environment(),
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}",
        "FLEETWIN_WORKER": "job/a b",
    }
    code = "import time; t = time.monotonic(); time.sleep(3600); print(time.monotonic() - t < 5)"
    answer = subprocess.run(
        _python(code), env=environment, capture_output=True, text=True, check=True
    )
    server.shutdown()
    server.server_close()
    assert answer.stdout.strip() == "True", answer.stderr
    assert _SleepRoute.asked == ["/_fleetwin/sleep?worker=job%2Fa+b&seconds=3600"]


def test_sleep_is_left_alone_without_the_variables(processes: Processes) -> None:
    code = (
        "import sys, time, json; print(json.dumps([time.sleep.__module__, 'http' in sys.modules]))"
    )
    answer = subprocess.run(
        _python(code), env=processes.base_environment(), capture_output=True, text=True, check=True
    )
    assert json.loads(answer.stdout) == ["time", False]
