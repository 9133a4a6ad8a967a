"""Runs a benchmark as a child process and leaves none of its processes behind, however it ends."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil

GRACE_S = 15.0
TICK_S = 1.0


def run_child(
    command: Sequence[str],
    most_s: float,
    tick: Callable[[float], None],
    said: Callable[[str], None],
) -> int | None:
    """Run ``python command``; return its exit code, None when it took longer than ``most_s``.

    ``said`` gets each line that it prints, ``tick`` the seconds gone, about once a second. When
    this process is interrupted the child is too, and what is left of it afterwards is killed.
    """
    process = subprocess.Popen(
        [sys.executable, *command],
        cwd=Path(__file__).parents[1],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # Its own group: a Ctrl-C reaches it once, by us, and not its workers at the same time.
        start_new_session=True,
    )
    assert process.stdout is not None
    output = process.stdout

    def read() -> None:
        for line in output:
            said(line.rstrip("\n"))

    reader = threading.Thread(target=read)
    reader.start()
    began = time.monotonic()
    try:
        while True:
            try:
                return process.wait(TICK_S)
            except subprocess.TimeoutExpired:
                gone_s = time.monotonic() - began
                tick(gone_s)
                if gone_s > most_s:
                    return None
    finally:
        end(process)
        reader.join(GRACE_S)
        if not reader.is_alive():
            output.close()


def end(process: subprocess.Popen[str]) -> None:
    """Interrupt a child that still runs, and kill what it leaves of its descendants."""
    descendants: list[psutil.Process] = []
    if process.poll() is None:
        try:
            descendants = psutil.Process(process.pid).children(recursive=True)
        except psutil.Error:
            descendants = []
        process.send_signal(signal.SIGINT)
        try:
            process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    for each in descendants:
        # A process object knows when its number belongs to another one by now.
        try:
            each.kill()
        except psutil.Error:
            continue
