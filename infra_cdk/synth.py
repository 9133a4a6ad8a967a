"""Write the snapshot: ``python -m infra_cdk.synth [FOLDER]``, by default infra_cdk/snapshots."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from infra_cdk.app import synthesize
from infra_cdk.constructs.assets import REPOSITORY, SOURCES
from infra_cdk.normalise import normalised

SNAPSHOTS = REPOSITORY / "infra_cdk" / "snapshots"


def write_snapshot(folder: Path) -> None:
    """Synthesize and replace what is in ``folder``; raises what `synthesize` raises."""
    with tempfile.TemporaryDirectory() as temporary:
        assembly = Path(temporary, "assembly")
        synthesize(assembly)
        files = normalised(assembly, SOURCES)
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write_snapshot(Path(sys.argv[1]) if len(sys.argv) > 1 else SNAPSHOTS)
