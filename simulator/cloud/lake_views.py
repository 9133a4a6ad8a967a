"""A table of the catalog as a view of its files, cut down to what a caller may see.

Used by `lake_query`. Formats: Parquet, and lines of JSON. A column that no file has is null; one
whose type in a file does not fit is refused with Athena's HIVE_BAD_DATA.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import duckdb

from simulator.cloud.errors import AwsError, NotSupportedByTwin
from simulator.cloud.glue_store import Table
from simulator.cloud.lake_access import TableAccess
from simulator.cloud.lake_scan import DataFile, Part
from simulator.cloud.lake_statement import condition
from simulator.cloud.lake_types import duckdb_type, literal, quoted, readable

_LINES = ("openx.data.jsonserde.JsonSerDe", "hcatalog.data.JsonSerDe", "serde2.JsonSerDe")


def seen(table: Table, access: TableAccess) -> list[tuple[str, str]]:
    """Return the columns and keys that may be seen, with Hive's types."""
    columns = [(name.lower(), of) for name, of in (*table.columns, *table.keys)]
    if access.columns is None:
        return columns
    allowed = {name.lower() for name in access.columns}
    return [(name, of) for name, of in columns if name in allowed]


def create_view(
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    access: TableAccess,
    files: Sequence[tuple[Part, DataFile]],
) -> None:
    """Make ``"database"."table"``: the rows of files with their partition's values."""
    shown = ", ".join(quoted(name) for name, _ in seen(table, access))
    if not shown:
        raise AwsError(
            "AccessDeniedException", f"Insufficient Lake Formation permission(s) on {table.name}"
        )
    rows = _rows(connection, table, files)
    where = ""
    if access.row_filters:
        filters = [_checked(connection, text) for text in access.row_filters]
        where = " WHERE " + " OR ".join(f"({one})" for one in filters)
    connection.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(table.database)}")
    name = f"{quoted(table.database)}.{quoted(table.name)}"
    connection.execute(f"CREATE VIEW {name} AS SELECT {shown} FROM ({rows}){where}")


def _checked(connection: duckdb.DuckDBPyConnection, text: str) -> str:
    condition(connection, text)
    return f"{text}\n"


def _rows(
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    files: Sequence[tuple[Part, DataFile]],
) -> str:
    """Return SQL of all rows and columns of a table."""
    columns = [(name.lower(), duckdb_type(of)) for name, of in table.columns]
    keys = [(name.lower(), duckdb_type(of)) for name, of in table.keys]
    if not files:
        empty = ", ".join(f"CAST(NULL AS {of}) AS {quoted(name)}" for name, of in columns + keys)
        return f"SELECT {empty} WHERE false"
    paths = "[" + ", ".join(literal(str(file.path)) for _, file in files) + "]"
    source, selected = _source(connection, table, columns, paths, files)
    if not keys:
        return f"SELECT {', '.join(selected)} FROM {source}"
    values = f"_parts_{table.database}_{table.name}"
    typed = ", ".join(f"{quoted(name)} {of}" for name, of in keys)
    connection.execute(f"CREATE TABLE {quoted(values)} (_file VARCHAR, {typed})")
    marks = ", ".join("?" for _ in range(len(keys) + 1))
    connection.executemany(
        f"INSERT INTO {quoted(values)} VALUES ({marks})",
        [[str(file.path), *part.values] for part, file in files],
    )
    of_part = ", ".join(f"_part.{quoted(name)}" for name, _ in keys)
    return (
        f"SELECT {', '.join(selected)}, {of_part} FROM {source} AS _data "
        f"JOIN memory.main.{quoted(values)} AS _part ON _data.filename = _part._file"
    )


def _source(
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    columns: Sequence[tuple[str, str]],
    paths: str,
    files: Sequence[tuple[Part, DataFile]],
) -> tuple[str, list[str]]:
    """Return the table function that reads a table's files, and its columns as typed."""
    serde = str(
        table.input.get("StorageDescriptor", {}).get("SerdeInfo", {}).get("SerializationLibrary")
    )
    if serde.endswith("ParquetHiveSerDe"):
        source = f"read_parquet({paths}, union_by_name=true, filename=true)"
        return source, _parquet_columns(connection, source, columns, files)
    if serde.endswith(_LINES):
        typed = ", ".join(f"{literal(name)}: {literal(of)}" for name, of in columns)
        ignored = table.input["StorageDescriptor"]["SerdeInfo"].get("Parameters", {})
        is_lenient = str(ignored.get("ignore.malformed.json", "")).lower() == "true"
        source = (
            f"read_json({paths}, format='newline_delimited', columns={{{typed}}}, filename=true, "
            f"maximum_object_size=67108864, ignore_errors={str(is_lenient).lower()})"
        )
        return source, [quoted(name) for name, _ in columns]
    raise NotSupportedByTwin(f"the table format {serde} of {table.name}")


def _parquet_columns(
    connection: duckdb.DuckDBPyConnection,
    source: str,
    columns: Sequence[tuple[str, str]],
    files: Sequence[tuple[Part, DataFile]],
) -> list[str]:
    """Return each column by name; null where no file has it, refused where types differ."""
    there = _types(connection, source)
    selected = []
    for name, of in columns:
        found = there.get(name)
        if found is None:
            selected.append(f"CAST(NULL AS {of}) AS {quoted(name)}")
        elif readable(of, found):
            selected.append(f"CAST({quoted(name)} AS {of}) AS {quoted(name)}")
        else:
            raise _misfit(connection, name, of, files)
    return selected


def _types(connection: duckdb.DuckDBPyConnection, source: str) -> Mapping[str, str]:
    described = connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()
    return {str(row[0]).lower(): str(row[1]) for row in described}


def _misfit(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    of: str,
    files: Sequence[tuple[Part, DataFile]],
) -> AwsError:
    """Return Athena's error about the first file whose column has another type."""
    for _, file in files:
        found = _types(connection, f"read_parquet({literal(str(file.path))})").get(name, of)
        if not readable(of, found):
            return AwsError(
                "InvalidRequestException",
                f"HIVE_BAD_DATA: Field {name}'s type {found} in parquet file {file.uri} is "
                f"incompatible with type {of.lower()} defined in table schema",
            )
    return AwsError(
        "InvalidRequestException", f"HIVE_BAD_DATA: the files disagree about the type of {name}"
    )
