"""Ends the twin's processes when the twin is gone, however it went (SIGKILL too).

Started once per twin by `simulator.cloud.processes`, as a plain script. Reads
``+<pid>`` and ``-<pid>`` lines on stdin, one session leader each; when stdin ends, every
session that is still listed is killed. The kernel's parent-death signal was the other way:
it follows the *thread* that forked, and grandchildren do not inherit it.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from typing import TextIO


def kill_session(leader: int) -> None:
    """Send SIGKILL to every process of the session that ``leader`` started.

    Where there is a ``/proc``, processes that moved to another group of the session
    (Spark's Python daemon does) are found too; elsewhere only the leader's own group.
    """
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)
    for entry in os.listdir("/proc") if os.path.isdir("/proc/self") else ():
        if entry.isdigit():
            with suppress(ProcessLookupError, PermissionError):
                if os.getsid(int(entry)) == leader:
                    os.kill(int(entry), signal.SIGKILL)


def watch(lines: TextIO) -> None:
    """Keep the list of leaders until ``lines`` ends, then kill what is still on it."""
    leaders: set[int] = set()
    for line in lines:
        pid = int(line[1:])
        leaders.add(pid) if line[0] == "+" else leaders.discard(pid)
    for leader in leaders:
        kill_session(leader)


if __name__ == "__main__":
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    watch(sys.stdin)
