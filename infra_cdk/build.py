"""Pack what is deployed: ``python -m infra_cdk.build [--wheels] [FOLDER]``.

Writes the archives and scripts that the snapshot names, and a manifest with their SHA-256 and that
of their sources, by which the twin (``fleetwin run --assets built``) sees that they are still what
the sources say. The same sources give the same bytes. Uploads nothing; the model image's archive
is the context of ``docker build``, which this does not run.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from infra_cdk import contents
from infra_cdk.archives import check_function_size, files_below, pack_tar, pack_zip
from infra_cdk.contents import REPOSITORY, SOURCES, WITH_REQUIREMENTS, BuildError

BUILT = REPOSITORY / "build" / "assets"
MANIFEST = "manifest.json"
FORMAT = 1
"""Of the manifest; another number is another form."""
SNAPSHOTS = REPOSITORY / "infra_cdk" / "snapshots"
ENDINGS = {"zip": ".zip", "image": ".tar.gz"}


@dataclass(frozen=True)
class Built:
    """One asset as it was built. ``sources`` is the digest of what it was made from."""

    file: str
    sha256: str
    sources: str
    bytes: int
    unpacked_bytes: int
    files: int


@dataclass(frozen=True)
class Manifest:
    """What a build wrote: the assets by name, and the wheels in the functions' archive."""

    assets: Mapping[str, Built]
    wheels: Sequence[str]
    notes: Sequence[str] = ()
    """What whoever deploys has to know; not kept in the file."""

    def to_json(self) -> dict[str, Any]:
        """Return what `MANIFEST` holds."""
        assets = {name: asdict(built) for name, built in self.assets.items()}
        return {"format": FORMAT, "wheels": list(self.wheels), "assets": assets}

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """Read what `build` wrote; raises BuildError where it did not, or in another form."""
        try:
            values = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
            if values["format"] != FORMAT:
                raise BuildError(f"{folder / MANIFEST}: has another form than this version writes")
            assets = {name: Built(**built) for name, built in values["assets"].items()}
            return cls(assets, tuple(values["wheels"]))
        except FileNotFoundError:
            raise BuildError(f"{folder}: no assets were built there") from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BuildError(f"{folder / MANIFEST}: is damaged ({error})") from None


def build(folder: Path, *, wheels: bool) -> Manifest:
    """Write the assets and their manifest to ``folder``.

    Raises BuildError; the folder then has no manifest, so nothing takes it for built.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST).unlink(missing_ok=True)
    assets: dict[str, Built] = {}
    fetched: list[str] = []
    notes: list[str] = []
    for name in sorted(SOURCES):
        with tempfile.TemporaryDirectory() as temporary:
            inside = Path(temporary)
            contents.write_contents(name, inside)
            is_function = name == WITH_REQUIREMENTS
            if is_function and wheels:
                fetched = contents.add_wheels(inside)
            assets[name] = built = _written(name, inside, folder)
            if is_function:
                notes.append(check_function_size(built.file, built.unpacked_bytes, built.bytes))
                if wheels:
                    notes.append(imported_alone(name, inside))
    if not wheels:
        notes.append(
            "no wheels: on the twin the functions use the packages that are installed there; for "
            "a deployment build again with --wheels"
        )
    manifest = Manifest(assets, fetched, tuple(filter(None, notes)))
    text = json.dumps(manifest.to_json(), indent=1) + "\n"
    (folder / MANIFEST).write_text(text, encoding="utf-8")
    return manifest


def _written(name: str, inside: Path, folder: Path) -> Built:
    """Pack what is in ``inside`` as the asset's packaging says; a script stays a script."""
    packaging = str(SOURCES[name]["packaging"])
    files = [file for _, file in files_below(inside)]
    if packaging == "file":
        target = folder / f"{name}{files[0].suffix}"
        shutil.copyfile(files[0], target)
    else:
        target = folder / f"{name}{ENDINGS[packaging]}"
        (pack_zip if packaging == "zip" else pack_tar)(inside, target)
    return Built(
        target.name,
        sha256_of(target),
        contents.source_digest(name),
        target.stat().st_size,
        sum(file.stat().st_size for file in files),
        len(files),
    )


def sha256_of(file: Path) -> str:
    """Return the SHA-256 (hex) of a file's bytes."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


_IMPORT = """
import importlib, sys
folder, module, name = sys.argv[1:]
sys.path.insert(0, folder)
assert callable(getattr(importlib.import_module(module), name)), name
"""


def imported_alone(name: str, inside: Path) -> str:
    """Import every handler of an asset with nothing but its files on the path; say what was done.

    Raises BuildError where one cannot be imported. Wheels for another machine than this one are
    not looked at, which is said.
    """
    here = (sys.platform, platform.machine(), platform.python_version().rpartition(".")[0])
    needed = ("linux", contents.MACHINE, contents.PYTHON)
    if here != needed:
        return (
            f"{name}: its handlers were not imported, they need {' '.join(needed)} and this is "
            f"{' '.join(here)}"
        )
    handlers = dict(handlers_of(name))
    for handler, variables in handlers.items():
        module, _, function = handler.rpartition(".")
        # -I -S: no site-packages, no working folder; and no variable of whoever builds.
        command = [sys.executable, "-I", "-S", "-B", "-c", _IMPORT, str(inside), module, function]
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, env=variables, cwd=inside
        )
        if done.returncode != 0:
            said = done.stderr.strip().splitlines()
            raise BuildError(
                f"{name}: {handler} cannot be imported from the archive alone "
                f"({said[-1] if said else f'code {done.returncode}'}): add what it needs to "
                f"{contents.REQUIREMENTS.name}"
            )
    return f"{name}: imported from it alone (python -I -S): {', '.join(handlers)}"


def handlers_of(name: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield handler and variables of the snapshot's functions whose code is the asset ``name``.

    What only a deployment knows, such as a bucket's name, is any text.
    """
    for file in sorted(SNAPSHOTS.glob("*.template.json")):
        template = json.loads(file.read_text(encoding="utf-8"))
        for resource in template["Resources"].values():
            properties = resource.get("Properties", {})
            is_function = resource["Type"] == "AWS::Lambda::Function"
            if is_function and properties["Code"].get("S3Key") == f"{name}.zip":
                given = properties.get("Environment", {}).get("Variables", {})
                variables = {key: _text(value, template) for key, value in given.items()}
                yield properties["Handler"], {"AWS_DEFAULT_REGION": "eu-west-1", **variables}


def _text(value: Any, template: Mapping[str, Any]) -> str:
    if isinstance(value, str):
        return value
    parameter = template.get("Parameters", {}).get(value.get("Ref"), {})
    return str(parameter.get("Default", json.dumps(value)))


def table(manifest: Manifest) -> str:
    """Return what was built as a table with sizes, and what there is to know of it."""
    rows: list[Sequence[str]] = [("asset", "file", "packed", "unpacked", "files")]
    for name, built in sorted(manifest.assets.items()):
        sizes = (f"{value:,}" for value in (built.bytes, built.unpacked_bytes, built.files))
        rows.append((name, built.file, *sizes))
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    lines = [
        "  ".join(
            cell.ljust(width) if column < 2 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    wheels = [f"  {wheel}" for wheel in manifest.wheels]
    if wheels:
        lines += ["", f"wheels in {WITH_REQUIREMENTS}:", *wheels]
    return "\n".join([*lines, "", *manifest.notes])


_EPILOG = """
Without --wheels nothing is fetched. With it the functions' archive holds what
infra_cdk/function-requirements.txt names, each wheel checked by its hash: this needs a package
index and pip. Its size is held against Lambda's limits, and each handler is imported with nothing
but the archive on its path.

  python -m infra_cdk.build --wheels       to build/assets
  fleetwin run tiny --assets built         run exactly these archives on the twin
"""


def main(words: Sequence[str] | None = None) -> int:
    """Build and print the table; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m infra_cdk.build",
        description="Pack what is deployed: functions, the jobs' package and scripts, the model "
        "image's sources. The same sources give the same bytes.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--wheels", action="store_true", help="put the wheels into the functions' archive"
    )
    parser.add_argument(
        "folder", type=Path, nargs="?", default=BUILT, help="where to; default: build/assets"
    )
    given = parser.parse_args(words)
    try:
        manifest = build(given.folder, wheels=given.wheels)
    except BuildError as error:
        print(f"build: {error}", file=sys.stderr)
        return 1
    print(table(manifest))
    return 0


if __name__ == "__main__":
    sys.exit(main())
