"""What the machine refuses, in one line: a full disk, a folder without rights, a path that is none.

The command line asks `words_for` of an OSError that nothing else has handled, and has its files
written by `write_file`. What is no trouble of the machine stays a traceback: a defect of ours.
"""

from __future__ import annotations

import errno
from pathlib import Path

from simulator.errors import EnvironmentMissing

_FULL = {errno.ENOSPC, errno.EDQUOT}
_DENIED = {errno.EACCES, errno.EPERM, errno.EROFS}


def words_for(error: OSError) -> str | None:
    """Return cause and cure of what is the machine's own trouble, None for anything else."""
    where = f"{error.filename}: " if error.filename else ""
    if error.errno in _FULL:
        return f"{where}the disk is full; free some space, or choose a folder on another disk"
    if error.errno in _DENIED:
        return f"{where}{error.strerror}; change its rights, or choose another folder"
    if error.errno in {errno.EMFILE, errno.ENFILE}:
        return "too many open files; allow more: ulimit -n 4096"
    return None


def write_file(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8, making the folder; raises EnvironmentMissing where that fails."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        reason = words_for(error) or f"{path}: cannot be written ({error.strerror})"
        raise EnvironmentMissing(reason) from error
