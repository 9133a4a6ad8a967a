"""The code of a function: a source folder as it lies there, or a zip, unpacked as Lambda does.

Used by `simulator.cloud.functions` when a function is created. Nothing of it is run here.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path

from simulator.cloud.errors import AwsError

MAX_UNZIPPED_BYTES = 262_144_000
"""250 MB for all files of a function (Lambda quotas, "Deployment package")."""


@dataclass(frozen=True)
class Code:
    """Code that a process can start in. A folder was never packed: its size is its Python's."""

    key: str
    folder: Path
    sha256: bytes
    size_b: int


def code_of(key: str, asset: Path, into: Path) -> Code:
    """Return the code of an asset; a zip is unpacked to ``into``, once for a twin.

    Raises AwsError: InvalidParameterValueException for what is no zip, or is too large (the codes
    are AWS's, the texts are from memory).
    """
    if asset.is_dir():
        return Code(key, asset, hashlib.sha256(key.encode()).digest(), _python_bytes(asset))
    packed = asset.read_bytes()
    digest = hashlib.sha256(packed)
    # Functions that share the code share the folder; one of an earlier twin is not taken over.
    folder = into / digest.hexdigest()[:16]
    if not folder.exists():
        shutil.rmtree(into, ignore_errors=True)
        _unpack(asset, folder)
    return Code(key, folder, digest.digest(), len(packed))


def _python_bytes(folder: Path) -> int:
    """Return the size of a folder's Python.

    What is hidden is nobody's code: a checkout has its environments there, with more files than
    all else.
    """
    size_b = 0
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        size_b += sum(Path(place, name).lstat().st_size for name in names if name.endswith(".py"))
    return size_b


def _unpack(asset: Path, folder: Path) -> None:
    try:
        with zipfile.ZipFile(asset) as archive:
            size_b = sum(entry.file_size for entry in archive.infolist())
            if size_b > MAX_UNZIPPED_BYTES:
                raise AwsError(
                    "InvalidParameterValueException",
                    f"Unzipped size must be smaller than {MAX_UNZIPPED_BYTES} bytes",
                )
            archive.extractall(folder)
    except zipfile.BadZipFile:
        raise AwsError(
            "InvalidParameterValueException",
            "Could not unzip uploaded file. Please check your file, then try to upload again.",
        ) from None
