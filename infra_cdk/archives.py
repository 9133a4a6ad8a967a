"""Archives that are the same bytes for the same files, and the sizes that Lambda takes.

Used by `build`. Entries are sorted and have one time, one owner and one mode; how well they are
compressed is up to this Python's zlib, so the same bytes need the same zlib. What goes into an
archive is decided in `contents`.
"""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from infra_cdk.contents import BuildError

MAX_UNZIPPED_BYTES = 262_144_000
"""250 MB: all files of a function, layers included (Lambda quotas, "Deployment package")."""
MAX_DIRECT_BYTES = 52_428_800
"""50 MB: a zip that is handed to Lambda itself; a larger one goes by S3 (the same page)."""
MODE = 0o644
"""Lambda's user has to be able to read them."""
_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip can say."""
_TAR_EPOCH_S = 315_532_800
"""The same time in seconds."""


def files_below(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield (path inside, file) of every file, in order of the former."""
    files = (each for each in folder.rglob("*") if each.is_file())
    yield from sorted((file.relative_to(folder).as_posix(), file) for file in files)


def pack_zip(folder: Path, target: Path) -> None:
    """Write the files below ``folder`` to the zip ``target``, whatever their times and order."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for inside, file in files_below(folder):
            entry = zipfile.ZipInfo(inside, _ZIP_EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3
            entry.external_attr = (0o100000 | MODE) << 16
            archive.writestr(entry, file.read_bytes())


def pack_tar(folder: Path, target: Path) -> None:
    """Write the files below ``folder`` to ``target``, a tar compressed by gzip."""
    with (
        target.open("wb") as raw,
        # Without a name and a time in its head.
        gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for inside, file in files_below(folder):
            content = file.read_bytes()
            entry = tarfile.TarInfo(inside)
            entry.size, entry.mode, entry.mtime = len(content), MODE, _TAR_EPOCH_S
            archive.addfile(entry, io.BytesIO(content))


def check_function_size(name: str, unzipped_bytes: int, zipped_bytes: int) -> str:
    """Return what a function's archive has to know of its size, "" when nothing.

    Raises BuildError for one that Lambda would refuse.
    """
    if unzipped_bytes > MAX_UNZIPPED_BYTES:
        raise BuildError(
            f"{name}: {unzipped_bytes:,} bytes unzipped are more than the "
            f"{MAX_UNZIPPED_BYTES:,} (250 MB) that Lambda takes: require less in "
            "function-requirements.txt, or deploy the function as an image"
        )
    if zipped_bytes > MAX_DIRECT_BYTES:
        return (
            f"{name}: {zipped_bytes:,} bytes are more than the {MAX_DIRECT_BYTES:,} (50 MB) that "
            "Lambda takes directly: deploy it by S3, as the templates do"
        )
    return ""
