"""Pack what is deployed: ``python -m infra_cdk.build [--wheels] FOLDER``.

Writes the zips and scripts that `sources.json` of the snapshot names, and a manifest with their
SHA-256. The same sources give the same bytes: entries are sorted, have one time and one mode.
Does not build the model image, and does not upload anything. ``--wheels`` adds what the functions
require beside the runtime (needs a package index).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
SOURCES = REPOSITORY / "infra_cdk" / "snapshots" / "sources.json"
REQUIREMENTS = REPOSITORY / "infra_cdk" / "function-requirements.txt"
_NOT_DEPLOYED = ("tests", "__pycache__")
_WITH_WHEELS = "function"
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip can say."""


def build(folder: Path, *, wheels: bool) -> dict[str, dict[str, str]]:
    """Write the assets and ``manifest.json`` to ``folder``; return the manifest.

    Raises CalledProcessError where pip fails.
    """
    folder.mkdir(parents=True, exist_ok=True)
    manifest = {}
    for name, source in sorted(json.loads(SOURCES.read_text(encoding="utf-8")).items()):
        path = REPOSITORY / source["path"]
        if source["packaging"] == "file":
            target = folder / f"{name}{path.suffix}"
            shutil.copyfile(path, target)
        elif source["packaging"] == "zip":
            target = folder / f"{name}.zip"
            with tempfile.TemporaryDirectory() as temporary:
                for part in source["include"]:
                    ignored = shutil.ignore_patterns(*_NOT_DEPLOYED)
                    shutil.copytree(path / part, Path(temporary, part), ignore=ignored)
                if wheels and name == _WITH_WHEELS:
                    _install_wheels(Path(temporary))
                pack(Path(temporary), target)
        else:
            continue
        digest = hashlib.sha256(target.read_bytes()).hexdigest()
        manifest[name] = {"file": target.name, "sha256": digest}
    text = json.dumps(manifest, indent=1) + "\n"
    (folder / "manifest.json").write_text(text, encoding="utf-8")
    return manifest


def pack(folder: Path, target: Path) -> None:
    """Write the files below ``folder`` to the zip ``target``, whatever their times and order."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(each for each in folder.rglob("*") if each.is_file()):
            entry = zipfile.ZipInfo(file.relative_to(folder).as_posix(), _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, file.read_bytes())


def _install_wheels(folder: Path) -> None:
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--no-compile"),
            *("--platform", "manylinux_2_28_x86_64", "--platform", "manylinux2014_x86_64"),
            *("--python-version", "3.11", "--only-binary", ":all:"),
            *("--target", str(folder), "--requirement", str(REQUIREMENTS)),
        ],
        check=True,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m infra_cdk.build")
    parser.add_argument("--wheels", action="store_true")
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    build(given.folder, wheels=given.wheels)
