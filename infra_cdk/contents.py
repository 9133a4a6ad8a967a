"""What each deployed asset contains, and how the functions' wheels are fetched.

The one place for both: the CDK constructs bundle with it (`constructs.assets`), `build` packs with
it, and the twin asks it whether archives are older than their sources. Needs no CDK and nothing
that is not in Python itself; packs nothing.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

REPOSITORY = Path(__file__).resolve().parents[1]
REQUIREMENTS = REPOSITORY / "infra_cdk" / "function-requirements.txt"
PYTHON = "3.11"
"""Of the functions' runtime."""
MACHINE = "x86_64"
"""The functions' architecture."""
PLATFORMS = tuple(f"manylinux{tag}_{MACHINE}" for tag in ("_2_26", "_2_17", "2014"))
"""Wheels that Lambda's python3.11 can load: it runs on Amazon Linux 2, which has glibc 2.26."""

# The folder that holds the package. Not ".", which exists in every folder where the reader of
# the snapshot may look for it.
_ABOVE_PACKAGE = "pipeline/.."
_PACKAGE = "pipeline"

SOURCES: dict[str, dict[str, object]] = {
    "function": {"packaging": "zip", "path": _ABOVE_PACKAGE, "include": [_PACKAGE]},
    "pipeline": {"packaging": "zip", "path": _ABOVE_PACKAGE, "include": [_PACKAGE]},
    "features-job": {"packaging": "file", "path": "pipeline/etl/features_job.py"},
    "compaction-job": {"packaging": "file", "path": "pipeline/etl/compaction_job.py"},
    "scores-job": {"packaging": "file", "path": "pipeline/etl/scores_job.py"},
    "model-image": {
        "packaging": "image",
        "path": _ABOVE_PACKAGE,
        "include": [_PACKAGE],
        "dockerfile": "pipeline/model/Dockerfile",
    },
}
"""The assets by name, as ``sources.json`` of the snapshot has them."""
WITH_REQUIREMENTS = "function"
"""The asset that also holds `REQUIREMENTS`, and its wheels when they are fetched."""
NOT_DEPLOYED = ("tests", "__pycache__")


class BuildError(Exception):
    """An asset that cannot be built; the message is one line with cause and cure."""


def contents(name: str) -> Iterator[tuple[str, Path]]:
    """Yield (path in the asset, file of the repository) in order, without wheels.

    An image's are those of its build context, which is the package itself.
    """
    source = SOURCES[name]
    if source["packaging"] == "file":
        file = REPOSITORY / str(source["path"])
        yield file.name, file
        return
    package = REPOSITORY / _PACKAGE
    base = package if source["packaging"] == "image" else REPOSITORY
    for file in sorted(package.rglob("*")):
        inside = file.relative_to(base)
        if file.is_file() and not set(inside.parts) & set(NOT_DEPLOYED):
            yield inside.as_posix(), file
    if name == WITH_REQUIREMENTS:
        yield REQUIREMENTS.name, REQUIREMENTS


def source_digest(name: str) -> str:
    """Return the SHA-256 (hex) of an asset's sources: their paths in it and their bytes."""
    digest = hashlib.sha256()
    for inside, file in contents(name):
        content = hashlib.sha256(file.read_bytes()).hexdigest()
        digest.update(f"{content} {inside}\n".encode())
    return digest.hexdigest()


def write_contents(name: str, folder: Path) -> None:
    """Copy an asset's sources to ``folder``, as they lie in it."""
    for inside, file in contents(name):
        target = folder / inside
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)


def add_wheels(folder: Path) -> list[str]:
    """Fetch what `REQUIREMENTS` names from the package index and unpack it to ``folder``.

    Returns the wheels' file names in order. Programs are left out: their first line would name
    this machine's Python. Raises BuildError where pip is missing or finds no such wheel.
    """
    with tempfile.TemporaryDirectory() as temporary:
        _download(Path(temporary))
        wheels = sorted(Path(temporary).glob("*.whl"))
        for wheel in wheels:
            _unpack(wheel, folder)
        return [wheel.name for wheel in wheels]


def _download(folder: Path) -> None:
    command = [
        *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"),
        *("--no-deps", "--require-hashes", "--only-binary", ":all:"),
        *(word for platform in PLATFORMS for word in ("--platform", platform)),
        *("--implementation", "cp", "--python-version", PYTHON),
        *("--dest", str(folder), "--requirement", str(REQUIREMENTS)),
    ]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        raise BuildError(
            f"the wheels of {REQUIREMENTS.name} cannot be fetched ({said[-1] if said else 'pip'}): "
            "a package index and a Python with pip are needed; without --wheels neither is"
        )


def _unpack(wheel: Path, folder: Path) -> None:
    """Lay a wheel's files where its installation would (Binary distribution format, "data")."""
    with zipfile.ZipFile(wheel) as archive:
        for entry in archive.infolist():
            parts = PurePosixPath(entry.filename).parts
            if entry.is_dir():
                continue
            if parts[0].endswith(".data"):
                if parts[1] not in ("purelib", "platlib"):
                    continue
                parts = parts[2:]
            if ".." in parts or entry.filename.startswith("/"):
                raise BuildError(f"{wheel.name} holds the path {entry.filename}: do not use it")
            target = folder.joinpath(*parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(archive.read(entry))
