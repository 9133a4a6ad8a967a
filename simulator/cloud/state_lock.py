"""One twin at a time on a state folder.

A second one would remove or rewrite what the first is working on. `Cloud` holds the lock while it
lives; `run` asks before it empties a folder that an earlier run left. The kernel releases the lock
of a process that was killed. Commands that only read (sql, trace, ...) need none.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from simulator.errors import EnvironmentMissing

FILE = ".fleetwin-lock"


class StateLock:
    """Makes the folder ``state`` and holds it for this process until `release`.

    Raises EnvironmentMissing where another twin has it.
    """

    def __init__(self, state: Path) -> None:
        state.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(state / FILE, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(self._descriptor, 20, 0).decode()
            self.release()
            raise EnvironmentMissing(
                f"another twin (process {owner or 'unknown'}) works in {state}: let it end, or "
                "choose another folder"
            ) from None
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, str(os.getpid()).encode(), 0)

    def release(self) -> None:
        """Let others have the folder; may be called more than once."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def refuse_if_held(state: Path) -> None:
    """Raise EnvironmentMissing where a twin is working in ``state``."""
    if (state / FILE).exists():
        StateLock(state).release()
