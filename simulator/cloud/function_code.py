"""The code of a function: a source folder as it lies there, or a zip, unpacked as Lambda does.

Used by `simulator.cloud.functions` when a function is created. Nothing of it is run here.
"""

from __future__ import annotations

import hashlib
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
        size_b = sum(path.stat().st_size for path in asset.rglob("*.py"))
        return Code(key, asset, hashlib.sha256(key.encode()).digest(), size_b)
    packed = asset.read_bytes()
    digest = hashlib.sha256(packed)
    # Functions that share the code share the folder; one of an earlier twin is not taken over.
    folder = into / digest.hexdigest()[:16]
    if not folder.exists():
        shutil.rmtree(into, ignore_errors=True)
        _unpack(asset, folder)
    return Code(key, folder, digest.digest(), len(packed))


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
