"""Write a stage's templates without hashes: ``python -m infra_cdk.synth [--stage STAGE] [FOLDER]``.

By default the stage dev to infra_cdk/snapshots, which is committed, and its diagram to
docs/images; another stage to build/snapshots-STAGE, which is only looked at.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

from infra_cdk.app import synthesize
from infra_cdk.config import DEV, STAGES, StageConfig
from infra_cdk.contents import REPOSITORY, SOURCES
from infra_cdk.diagram import write_diagram
from infra_cdk.normalise import normalised

SNAPSHOTS = REPOSITORY / "infra_cdk" / "snapshots"


def write_snapshot(folder: Path, config: StageConfig = DEV) -> None:
    """Synthesize and replace what is in ``folder``; raises what `synthesize` raises."""
    with tempfile.TemporaryDirectory() as temporary:
        assembly = Path(temporary, "assembly")
        synthesize(assembly, config)
        files = normalised(assembly, SOURCES)
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")


def _main() -> None:
    parser = argparse.ArgumentParser(prog="python -m infra_cdk.synth")
    parser.add_argument("--stage", choices=sorted(STAGES), default=DEV.stage)
    parser.add_argument("folder", type=Path, nargs="?")
    given = parser.parse_args()
    usual = (
        SNAPSHOTS if given.stage == DEV.stage else REPOSITORY / "build" / f"snapshots-{given.stage}"
    )
    folder = given.folder or usual
    write_snapshot(folder, STAGES[given.stage])
    if folder == SNAPSHOTS:
        write_diagram()
    print(folder)


if __name__ == "__main__":
    _main()
