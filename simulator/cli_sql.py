"""`fleetwin sql`: SQL on the lake that a twin has left, or is filling."""

from __future__ import annotations

import csv
import io
import json
import sys
import time
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from simulator.errors import EnvironmentMissing, SimulatorError

if TYPE_CHECKING:
    from simulator.cloud.lake_query import Result, Touched


class Format(StrEnum):
    """How rows are printed."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


_WIDEST = 40
_SHOWN = 1_000


def sql(
    statement: Annotated[
        str, typer.Argument(help="SELECT, WITH, SHOW TABLES, SHOW PARTITIONS t, DESCRIBE t.")
    ],
    state: Annotated[
        Path, typer.Option(help="The twin's folder: `twin` in the --out of a run, or --state.")
    ] = Path("out/twin"),
    database: Annotated[
        str, typer.Option(help="Database of names without one; default: the only one.")
    ] = "",
    role: Annotated[
        str, typer.Option(help="Ask as this IAM role (name or ARN); default: the account's root.")
    ] = "",
    format: Annotated[Format, typer.Option(help="How rows are printed.")] = Format.TABLE,
    explain: Annotated[
        bool, typer.Option("--explain", help="Only tell what would be read: partitions, files.")
    ] = False,
) -> None:
    """Query the tables of the Glue Data Catalog, as Athena would, with DuckDB.

    Only the partitions that the WHERE clause needs are read. With --role, only what Lake
    Formation (or IAM, for tables open to it) lets that role see.

    Example: fleetwin sql "select device_id, count(*) n from features where hour = '02' group by 1"
    """
    try:
        from simulator.lake import lake_of
    except ModuleNotFoundError as error:
        raise EnvironmentMissing(
            f"{error.name} is missing: install it with pip install 'fleetwin[embedded]'"
        ) from error
    if not (state / "glue" / "catalog.json").exists():
        raise EnvironmentMissing(
            f"there is no catalog in {state}: run `fleetwin run` first, or give --state FOLDER"
        )
    query = lake_of(state, database, role)
    began_s = time.monotonic()
    if explain:
        for touched in query.explain(statement):
            typer.echo(_told(touched))
        return
    result = query.run(statement)
    try:
        typer.echo(_printed(result, format), nl=False)
    except UnicodeEncodeError as error:
        raise SimulatorError(
            f"the terminal cannot print this ({error}): use --format json"
        ) from error
    if format is Format.TABLE:
        _sum_up(result, time.monotonic() - began_s)


def _sum_up(result: Result, took_s: float) -> None:
    read = "".join(f"; {_told(touched)}" for touched in result.touched)
    rows = f"{len(result.rows):,} row{'' if len(result.rows) == 1 else 's'}"
    print(f"{rows} in {took_s:.1f} s{read}", file=sys.stderr)


def _told(touched: Touched) -> str:
    text = (
        f"{touched.name}: {touched.partitions:,} of {touched.of_partitions:,} partitions, "
        f"{touched.files:,} files, {touched.size_bytes / 1e6:,.1f} MB"
    )
    if not touched.of_partitions:
        text += " (there are none yet)"
    if touched.columns is not None:
        text += f", columns {', '.join(touched.columns)}"
    if touched.row_filters:
        text += f", rows with {' or '.join(touched.row_filters)}"
    return text


def _printed(result: Result, format: Format) -> str:
    names = [name for name, _ in result.columns]
    if format is Format.JSON:
        return "".join(
            json.dumps(dict(zip(names, map(_plain, row), strict=True))) + "\n"
            for row in result.rows
        )
    if format is Format.CSV:
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(names)
        writer.writerows([_cell(value) for value in row] for row in result.rows)
        return out.getvalue()
    return _aligned(names, result.columns, result.rows)


def _aligned(
    names: Sequence[str], columns: Sequence[tuple[str, str]], rows: Sequence[tuple[Any, ...]]
) -> str:
    shown = [[_short(_cell(value)) for value in row] for row in rows[:_SHOWN]]
    widths = [max(map(len, column)) for column in zip(names, *shown, strict=True)]
    numeric = [_is_number(of) for _, of in columns]

    def line(cells: Iterable[str]) -> str:
        padded = (
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(cells, widths, numeric, strict=True)
        )
        return "  ".join(padded).rstrip() + "\n"

    text = line(names) + line("-" * width for width in widths) + "".join(map(line, shown))
    if len(rows) > _SHOWN:
        text += f"... {len(rows) - _SHOWN:,} more rows: use LIMIT, or --format csv\n"
    return text


def _is_number(of: str) -> bool:
    return (
        of.startswith(("DECIMAL", "DOUBLE", "FLOAT", "HUGEINT"))
        or of.endswith("INT")
        or (of == "INTEGER")
    )


def _short(text: str) -> str:
    text = text.replace("\n", " ")
    return text if len(text) <= _WIDEST else text[: _WIDEST - 1] + "…"


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (dict, list)):
        return json.dumps(_plain(value))
    return str(_plain(value))


def _plain(value: Any) -> Any:
    """Return a value as JSON has it."""
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return value
