"""What the machine refuses, in one line: a full disk, a folder without rights, a path that is none.

The command line asks `words_for` of an error that nothing else has handled, has its files written
by `write_file` and its folders made by `make_folder`. What is no trouble of the machine stays a
traceback: a defect of ours.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path

from simulator.errors import EnvironmentMissing

_FULL = {errno.ENOSPC, errno.EDQUOT}
_DENIED = {errno.EACCES, errno.EPERM, errno.EROFS}


def words_for(error: BaseException) -> str | None:
    """Return cause and cure of what is the machine's own trouble, None for anything else."""
    full = _full_disk(error)
    file = getattr(full or error, "filename", None)
    where = f"{file}: " if file else ""
    if full is not None:
        return f"{where}the disk is full; free some space, or choose a folder on another disk"
    if not isinstance(error, OSError):
        return None
    if error.errno in _DENIED:
        return f"{where}{error.strerror}; change its rights, or choose another folder"
    if error.errno in {errno.EMFILE, errno.ENFILE}:
        return "too many open files; allow more: ulimit -n 4096"
    return None


def _full_disk(error: BaseException | None) -> BaseException | None:
    """Return the first error of a full disk among those that led to this one.

    What ends a run then fails too: the index of the buckets, SQLite's, cannot be written either.
    """
    first = None
    while error is not None:
        full = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
        if full or (isinstance(error, OSError) and error.errno in _FULL):
            first = error
        error = error.__cause__ or error.__context__
    return first


def make_folder(folder: Path, option: str = "--out") -> None:
    """Make a folder that an option names; raises EnvironmentMissing where that cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        problem = "" if os.access(folder, os.W_OK | os.X_OK) else os.strerror(errno.EACCES)
    except FileExistsError:
        problem = "a file is there"
    except OSError as error:
        problem = error.strerror or str(error)
    if problem:
        raise EnvironmentMissing(
            f"{option} {folder}: cannot be written ({problem}); choose a folder of yours"
        )


def write_file(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8, making the folder; raises EnvironmentMissing where that fails."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        reason = words_for(error) or f"{path}: cannot be written ({error.strerror})"
        raise EnvironmentMissing(reason) from error
