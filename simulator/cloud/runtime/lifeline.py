"""Ends the twin's processes when the twin is gone, however it went (SIGKILL too).

Started once per twin by `simulator.cloud.processes`, as a plain script. Reads
``+<pid> <mark>`` and ``-<pid> <mark>`` lines on stdin, one session leader each; when stdin ends,
every session that is still listed is killed. The kernel's parent-death signal was the other way:
it follows the *thread* that forked, and grandchildren do not inherit it.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from typing import TextIO

PASSES = 20
"""A process that the kernel does not let go of (a hung disk) is not waited for."""


def kill_session(leader: int, mark: str) -> None:
    """Send SIGKILL to every process of the session that ``leader`` started.

    Where there is a ``/proc``, processes that moved to another group (Spark's Python daemon
    does) or session are found too, the latter by ``mark``, the variable that they inherited;
    elsewhere only the leader's own group.
    """
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)
    # Again when one was found outside: it may have started another meanwhile.
    for _ in range(PASSES):
        if not _kill_listed(leader, mark.encode()):
            break


def _kill_listed(leader: int, mark: bytes) -> bool:
    """Kill what is in the session or has the mark; tell whether one was outside the session."""
    outside = False
    for entry in os.listdir("/proc") if os.path.isdir("/proc/self") else ():
        if entry.isdigit():
            with suppress(ProcessLookupError, FileNotFoundError, PermissionError):
                inside = os.getsid(int(entry)) == leader
                if inside or _has_mark(entry, mark):
                    os.kill(int(entry), signal.SIGKILL)
                    outside = outside or not inside
    return outside


def _has_mark(entry: str, mark: bytes) -> bool:
    with open(f"/proc/{entry}/environ", "rb") as environ:
        return mark in environ.read().split(b"\0")


def watch(lines: TextIO) -> None:
    """Keep the list of leaders until ``lines`` ends, then kill what is still on it."""
    leaders: set[tuple[int, str]] = set()
    for line in lines:
        pid, mark = line[1:].split()
        leader = int(pid), mark
        leaders.add(leader) if line[0] == "+" else leaders.discard(leader)
    for pid_and_mark in leaders:
        kill_session(*pid_and_mark)


if __name__ == "__main__":
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    watch(sys.stdin)
