"""Write stages' templates without hashes: ``python -m infra_cdk.synth [--stage STAGE] [FOLDER]``.

By default every stage to where it is committed: dev, from which the twin boots, to
infra_cdk/snapshots, with its diagram in docs/images, another to infra_cdk/snapshots-STAGE.
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


def place_of(config: StageConfig) -> Path:
    """Return the folder of a stage's committed templates."""
    return SNAPSHOTS if config == DEV else SNAPSHOTS.with_name(f"snapshots-{config.stage}")


def _main() -> None:
    parser = argparse.ArgumentParser(prog="python -m infra_cdk.synth")
    parser.add_argument("--stage", choices=sorted(STAGES))
    parser.add_argument("folder", type=Path, nargs="?")
    given = parser.parse_args()
    named = given.stage or (DEV.stage if given.folder else None)
    for config in STAGES.values() if named is None else (STAGES[named],):
        folder = given.folder or place_of(config)
        write_snapshot(folder, config)
        if folder == SNAPSHOTS:
            write_diagram()
        print(folder)


if __name__ == "__main__":
    _main()
