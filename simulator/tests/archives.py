"""Built assets that a test has changed: as if they had been built so."""

from __future__ import annotations

import json
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from infra_cdk.archives import pack_tar, pack_zip
from infra_cdk.build import MANIFEST, Manifest, build, sha256_of
from simulator.unpacking import unpack


def change(folder: Path, name: str, edit: Callable[[Path], object]) -> None:
    """Edit the unpacked archive (or the script) of an asset, as if it had been built so."""
    file = folder / Manifest.read(folder).assets[name].file
    if file.suffix == ".py":
        edit(file)
    else:
        unpacked = folder / "unpacked"
        if file.suffix == ".zip":
            zipfile.ZipFile(file).extractall(unpacked)
        else:
            with tarfile.open(file) as archive:
                unpack(archive, unpacked)
        edit(unpacked)
        (pack_zip if file.suffix == ".zip" else pack_tar)(unpacked, file)
        shutil.rmtree(unpacked)
    manifest = json.loads((folder / MANIFEST).read_text("utf-8"))
    manifest["assets"][name]["sha256"] = sha256_of(file)
    (folder / MANIFEST).write_text(json.dumps(manifest), "utf-8")


def build_marked(folder: Path) -> None:
    """Build assets without wheels, each of which says its name where it is imported."""
    build(folder, wheels=False)
    for name, file in (
        ("function", "pipeline/__init__.py"),
        ("pipeline", "pipeline/__init__.py"),
        ("model-image", "__init__.py"),
    ):
        text = f"\nprint('imported from {name}', flush=True)\n"
        change(folder, name, partial(_append, file, text))


def _append(name: str, text: str, folder: Path) -> None:
    (folder / name).write_text((folder / name).read_text("utf-8") + text, "utf-8")
