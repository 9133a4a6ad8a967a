"""`fleetwin import`: a folder of history into the raw zone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from simulator.errors import ScenarioError, SimulatorError
from simulator.progress import Progress

if TYPE_CHECKING:
    from pipeline.etl.import_job import Imported
    from pipeline.etl.import_mapping import ImportMapping

_SHOWN = 20


def import_history(
    folder: Annotated[
        Path | None, typer.Argument(help="The folder with the files (CSV, text or Parquet).")
    ] = None,
    mapping: Annotated[
        Path | None, typer.Option(help="What its columns mean: a TOML file, see --example.")
    ] = None,
    name: Annotated[str, typer.Option(help="Name of the import; default: the folder's.")] = "",
    state: Annotated[
        Path, typer.Option(help="The twin's folder: `twin` in the --out of a run, or a new one.")
    ] = Path("out/twin"),
    exclude: Annotated[
        list[str] | None, typer.Option(help="DataSync pattern to leave out: /old, *.tmp.")
    ] = None,
    bytes_per_second: Annotated[
        int, typer.Option(help="Bandwidth limit of the transfer, on the run's clock.")
    ] = -1,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only read the files here and tell what they hold.")
    ] = False,
    example: Annotated[bool, typer.Option("--example", help="Print a mapping file.")] = False,
) -> None:
    """Bring a folder of history into the raw zone: DataSync moves it, the import job maps it.

    Again, only files that are new or have changed are done. A file that cannot be read is
    reported and left out as a whole; the rest goes on.

    Example: fleetwin import history/ --mapping mapping.toml, then: fleetwin sql "show tables"
    """
    from pipeline.errors import JobInputError
    from pipeline.etl.import_mapping import EXAMPLE, parse_mapping

    if example:
        typer.echo(EXAMPLE, nl=False)
        return
    if folder is None or mapping is None:
        raise ScenarioError("give a folder and --mapping FILE; --example prints a mapping file")
    if not folder.is_dir():
        raise ScenarioError(f"{folder} is no folder")
    chosen = name or re.sub(r"[^A-Za-z0-9_-]+", "-", folder.resolve().name).strip("-")
    if not re.fullmatch(r"[A-Za-z0-9_-]+", chosen):
        raise ScenarioError(f"--name {chosen!r}: letters, digits, - and _ only")
    try:
        text = mapping.read_text("utf-8")
        parsed = parse_mapping(text)
        if dry_run:
            _try(folder, parsed)
            return
        _bring(folder, chosen, text, state, exclude or (), bytes_per_second)
    except OSError as error:
        raise ScenarioError(f"{error.filename}: {error.strerror}") from error
    except JobInputError as error:
        raise ScenarioError(f"{mapping}: {error}") from error


def _bring(
    folder: Path, name: str, text: str, state: Path, exclude: Sequence[str], bytes_per_s: int
) -> None:
    from simulator.history_import import HistoryImport

    progress = Progress.to_stderr()
    with HistoryImport(state, datetime.now(UTC)) as twin:
        progress.stage("transfer")
        moved = twin.transfer(
            folder, name, progress.note, excludes=exclude, bytes_per_s=bytes_per_s
        )
        progress.finish()
        typer.echo(
            f"DataSync: {moved.status}, {moved.moved:,} files moved "
            f"({moved.bytes_written / 1e6:,.1f} MB), {moved.skipped:,} unchanged, "
            f"{moved.failed:,} failed" + (f": {moved.error}" if moved.error else "")
        )
        progress.stage("import")
        done = twin.ingest(name, text, progress.note)
        progress.finish()
    _tell(done)
    if done.refused_files or moved.status != "SUCCESS":
        raise SimulatorError("not everything could be imported; the reasons are above")


def _tell(done: Imported) -> None:
    typer.echo(
        f"imported: {done.rows:,} readings of {len(done.devices):,} devices in "
        f"{len(done.hours):,} hours, from {done.files:,} files; {done.unchanged:,} files "
        f"unchanged, {done.refused_rows:,} rows refused"
    )
    for path, reason in list(done.refused_files.items())[:_SHOWN]:
        typer.echo(f"refused: {path}: {reason}")
    if len(done.refused_files) > _SHOWN:
        typer.echo(f"... and {len(done.refused_files) - _SHOWN:,} more files")


def _try(folder: Path, mapping: ImportMapping) -> None:
    """Tell what each file would bring, without a twin."""
    from pipeline.etl.import_table import FileRefused, read_file

    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        path = file.relative_to(folder).as_posix()
        if not mapping.wants(path):
            continue
        try:
            found = read_file(path, file.read_bytes(), mapping)
        except FileRefused as refusal:
            typer.echo(f"{path}: refused: {refusal}")
            continue
        first = next(iter(found.lines.values()))[0].decode()
        typer.echo(f"{path}: {found.rows:,} readings, {found.refused:,} rows refused; {first}")
        for row, reason in found.reasons[:3]:
            typer.echo(f"  row {row}: {reason}")
