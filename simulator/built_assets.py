"""The archives that ``python -m infra_cdk.build`` packed, as a twin runs them.

The command line asks for them where it was told ``--assets built``, and hands them to the target.
They are run only when they are what their manifest says and what the sources say; nothing is built
here.
"""

from __future__ import annotations

import shutil
import tarfile
from dataclasses import dataclass
from pathlib import Path

from infra_cdk.build import BUILT, MANIFEST, Manifest, sha256_of
from infra_cdk.contents import SOURCES, WITH_REQUIREMENTS, BuildError, source_digest
from simulator.cloud.assembly import Archives
from simulator.errors import AssetsError
from simulator.unpacking import unpack

SOURCE = "source"


@dataclass(frozen=True)
class BuiltAssets:
    """A folder of archives that are what their manifest says; made by `checked`."""

    folder: Path
    manifest: Manifest

    def lay_out(self, into: Path) -> Archives:
        """Copy them to ``into`` and return where they lie; the image's sources are unpacked.

        A copy, so that the next build does not change the code of a twin that is up.
        """
        shutil.rmtree(into, ignore_errors=True)
        places: dict[str, Path] = {}
        for name in sorted(SOURCES):
            file = self.folder / self.manifest.assets[name].file
            place = into / name
            place.mkdir(parents=True)
            if SOURCES[name]["packaging"] == "image":
                with tarfile.open(file) as archive:
                    unpack(archive, place)
                places[name] = place.resolve()
            else:
                places[name] = Path(shutil.copy(file, place)).resolve()
        whole = {WITH_REQUIREMENTS} if self.manifest.wheels else set()
        return Archives(places, frozenset(whole))


def built_assets(choice: str) -> BuiltAssets | None:
    """Return what ``--assets`` names, None for ``source``; raises AssetsError."""
    if choice == SOURCE:
        return None
    word, equals, folder = choice.partition("=")
    if word != "built" or (equals and not folder):
        raise AssetsError(f"--assets {choice}: must be source, built or built=FOLDER")
    return checked(Path(folder) if folder else BUILT)


def checked(folder: Path) -> BuiltAssets:
    """Return what was built in ``folder``.

    Raises AssetsError, with the command that builds, where nothing was built, an archive is not
    what the build wrote, or the sources have changed since.
    """
    try:
        manifest = Manifest.read(folder)
    except BuildError as error:
        raise AssetsError(f"{error}: {_cure(folder)}") from None
    if missing := sorted(SOURCES.keys() - manifest.assets.keys()):
        raise AssetsError(f"{folder / MANIFEST} has no {', '.join(missing)}: {_cure(folder)}")
    cure = _cure(folder, wheels=bool(manifest.wheels))
    for name in sorted(SOURCES):
        built = manifest.assets[name]
        if not (folder / built.file).is_file():
            raise AssetsError(f"{folder / built.file} is not there: {cure}")
        if sha256_of(folder / built.file) != built.sha256:
            raise AssetsError(
                f"{folder / built.file} is not what was built (its SHA-256 differs from the one in "
                f"{MANIFEST}): {cure}"
            )
        if source_digest(name) != built.sources:
            raise AssetsError(
                f"{folder / built.file} is stale, its sources have changed since it was built: "
                f"{cure}"
            )
    return BuiltAssets(folder, manifest)


def _cure(folder: Path, *, wheels: bool = False) -> str:
    """Return what builds them (again)."""
    words = ["python -m infra_cdk.build"]
    words += ["--wheels"] if wheels else []
    words += [] if folder == BUILT else [str(folder)]
    return f"build them with `{' '.join(words)}`"
