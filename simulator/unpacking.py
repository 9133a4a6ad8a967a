"""Unpacking what a job or a build has packed, on every Python 3.11.

The filter "data" of `tarfile` keeps an archive from writing outside its folder. Pythons before
3.11.4 have none; there an archive with anything but plain files and folders is refused. The
pipeline, which imports nothing of ours, has its own.
"""

from __future__ import annotations

import tarfile
from pathlib import Path


def unpack(packed: tarfile.TarFile, folder: Path) -> None:
    """Unpack an archive into a folder; raises TarError for a member that leads outside."""
    if hasattr(tarfile, "data_filter"):
        packed.extractall(folder, filter="data")
        return
    inside = folder.resolve()
    for member in packed.getmembers():
        plain = member.isreg() or member.isdir()
        if not plain or not (inside / member.name).resolve().is_relative_to(inside):
            raise tarfile.ExtractError(f"{member.name!r} would not be a file of the folder")
    packed.extractall(folder)
