"""SQL on the tables of the Data Catalog: Athena's part, computed by DuckDB.

Each table that a statement names becomes a view of the files of the partitions that the
statement needs, cut down to the columns and rows that the caller may see (Lake Formation, or
IAM where a table is open to it). DuckDB itself may open nothing else. Errors carry Athena's
names. Differences from Athena: DuckDB's dialect where `TRINO` does not bridge it, and no
statement that writes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from simulator.cloud.errors import AwsError, NotSupportedByTwin
from simulator.cloud.glue_store import CatalogStore, Database, Table
from simulator.cloud.lake_access import TableAccess
from simulator.cloud.lake_scan import Part, Scan
from simulator.cloud.lake_statement import (
    Asked,
    Node,
    deserialized,
    parse,
    prunable,
    serialized,
    syntax_error,
)
from simulator.cloud.lake_types import duckdb_type, literal, quoted
from simulator.cloud.lake_views import create_view, seen

MayRead = Callable[[Table], TableAccess]
"""What the caller may see of a table; raises AwsError when nothing."""

TRINO = (
    "approx_distinct(x) AS approx_count_distinct(x)",
    "approx_percentile(x, p) AS approx_quantile(x, p)",
    "arbitrary(x) AS any_value(x)",
    "array_join(x, s) AS array_to_string(x, s)",
    "date_format(t, f) AS strftime(t, f)",
    "date_parse(s, f) AS strptime(s, f)",
    "from_iso8601_timestamp(s) AS CAST(s AS TIMESTAMP)",
    "from_unixtime(s) AS make_timestamp(CAST(round(s * 1000000) AS BIGINT))",
    "json_extract_scalar(j, p) AS json_extract_string(j, p)",
    "regexp_like(s, p) AS regexp_matches(s, p)",
    "sequence(a, b) AS generate_series(a, b)",
    "to_unixtime(t) AS epoch(t)",
)
"""Functions that Athena has and DuckDB calls otherwise."""


@dataclass(frozen=True)
class Touched:
    """What one table costs a statement."""

    name: str
    partitions: int
    of_partitions: int
    files: int
    size_bytes: int
    columns: tuple[str, ...] | None
    row_filters: tuple[str, ...]


@dataclass(frozen=True)
class Result:
    """Columns by name and DuckDB's type, the rows, and what was read for them."""

    columns: tuple[tuple[str, str], ...]
    rows: list[tuple[Any, ...]]
    touched: tuple[Touched, ...] = ()


class LakeQuery:
    """Runs statements for one caller. Not for several threads at once."""

    def __init__(
        self, store: CatalogStore, state: Path, may_read: MayRead, database: str = ""
    ) -> None:
        self._store = store
        self._scan = Scan(state)
        self._state = state
        self._may_read = may_read
        self._database = database.lower() or _only(store)

    def run(self, sql: str) -> Result:
        """Run one statement.

        Raises AwsError: InvalidRequestException for what Athena refuses at once, and Athena's
        reason for a failed query at the beginning of the message (TABLE_NOT_FOUND,
        COLUMN_NOT_FOUND, HIVE_BAD_DATA).
        """
        text = sql.strip().rstrip(";").strip()
        if told := self._told(text):
            return told
        with self._connected() as connection:
            touched = self._prepared(connection, text)
            try:
                answer = connection.execute(text)
                columns = tuple((one[0], str(one[1])) for one in answer.description or ())
                return Result(columns, answer.fetchall(), touched)
            except duckdb.Error as error:
                raise _failed(error, self._state) from None

    def explain(self, sql: str) -> tuple[Touched, ...]:
        """Return what a query would read, without reading it."""
        with self._connected() as connection:
            return self._prepared(connection, sql.strip().rstrip(";"), is_run=False)

    def _connected(self) -> duckdb.DuckDBPyConnection:
        connection = duckdb.connect(
            config={
                "allow_community_extensions": "false",
                "autoinstall_known_extensions": "false",
                "autoload_known_extensions": "false",
                "python_enable_replacements": "false",
                "python_scan_all_frames": "false",
            }
        )
        # A bar among the rows of a slow statement would spoil what a pipe reads.
        connection.execute("SET enable_progress_bar = false")
        return connection

    # -- tables

    def _prepared(
        self, connection: duckdb.DuckDBPyConnection, sql: str, *, is_run: bool = True
    ) -> tuple[Touched, ...]:
        """Make a view of each table that a query names, then close everything else."""
        statement = parse(connection, sql)
        mentions: dict[tuple[str, str], list[Asked]] = {}
        for asked in statement.tables:
            where = (asked.database or self._database, asked.table)
            mentions.setdefault(where, []).append(asked)
        touched = []
        for (database, name), asked_of in mentions.items():
            table = self._table(database, name)
            access = self._may_read(table)
            parts = self._scan.parts(table)
            wanted = self._pruned(connection, table, parts, asked_of)
            files = [(part, file) for part in wanted for file in self._scan.files(part)]
            touched.append(
                Touched(
                    f"{database}.{name}",
                    len(wanted),
                    len(parts),
                    len(files),
                    sum(file.size_bytes for _, file in files),
                    access.columns,
                    access.row_filters,
                )
            )
            if is_run:
                try:
                    create_view(connection, table, access, files)
                except duckdb.Error as error:
                    raise _failed(error, self._state) from None
        for macro in TRINO:
            connection.execute(f"CREATE MACRO {macro}")
        if self._database in self._store.databases:
            connection.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(self._database)}")
            connection.execute(f"SET schema = {literal(self._database)}")
        allowed = str(self._state / "s3") + "/"
        connection.execute("SET allowed_directories = ?", [[allowed]])
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        return tuple(touched)

    def _table(self, database: str, name: str) -> Table:
        known = self._store.databases.get(database)
        if known is None:
            raise AwsError(
                "InvalidRequestException",
                f"SCHEMA_NOT_FOUND: Schema '{database or 'default'}' does not exist; there "
                f"{_listed('is', 'are', sorted(self._store.databases))}",
            )
        table = known.tables.get(name)
        if table is None:
            raise AwsError(
                "InvalidRequestException",
                f"TABLE_NOT_FOUND: Table 'awsdatacatalog.{database}.{name}' does not exist; "
                f"there {_listed('is', 'are', sorted(known.tables))}",
            )
        if table.input.get("TableType") == "VIRTUAL_VIEW":
            raise NotSupportedByTwin(f"the view {database}.{name}")
        return table

    def _pruned(
        self,
        connection: duckdb.DuckDBPyConnection,
        table: Table,
        parts: list[Part],
        mentions: Sequence[Asked],
    ) -> list[Part]:
        """Return the partitions that any mention needs, by having DuckDB judge their values."""
        keys = frozenset(name.lower() for name, _ in table.keys)
        chosen = [prunable(asked, keys) for asked in mentions]
        if not keys or not parts or not all(chosen):
            return parts
        columns = ", ".join(f"{quoted(name)} {duckdb_type(of)}" for name, of in table.keys)
        kept: set[int] = set()
        for asked, conditions in zip(mentions, chosen, strict=True):
            connection.execute(f"CREATE OR REPLACE TEMP TABLE it (_number BIGINT, {columns})")
            marks = ", ".join("?" for _ in range(len(keys) + 1))
            connection.executemany(
                f"INSERT INTO it VALUES ({marks})",
                [[number, *part.values] for number, part in enumerate(parts)],
            )
            try:
                kept |= _judged(connection, asked, conditions)
            except duckdb.Error as error:
                raise _failed(error, self._state) from None
        connection.execute("DROP TABLE IF EXISTS it")
        return [part for number, part in enumerate(parts) if number in kept]

    # -- statements about the catalog

    def _told(self, text: str) -> Result | None:
        """Answer SHOW and DESCRIBE; None for anything else."""
        words = re.sub(r"[`\"]", "", text)
        if re.fullmatch(r"show\s+(databases|schemas)", words, re.IGNORECASE):
            return _column("database_name", sorted(self._store.databases))
        if matched := re.fullmatch(
            r"show\s+tables(?:\s+in\s+(\w+))?(?:\s+'([^']*)')?", words, re.IGNORECASE
        ):
            return self._tables(matched[1] or self._database, matched[2])
        if matched := re.fullmatch(
            r"(show\s+partitions|show\s+columns\s+(?:in|from)|describe|desc)\s+(?:(\w+)\.)?(\w+)",
            words,
            re.IGNORECASE,
        ):
            table = self._table((matched[2] or self._database).lower(), matched[3].lower())
            access = self._may_read(table)
            if matched[1].lower().endswith("partitions"):
                names = [name for name, _ in table.keys]
                if not names:
                    raise syntax_error(f"Table {table.name} is not a partitioned table")
                return _column(
                    "partition",
                    [
                        "/".join(f"{n}={v}" for n, v in zip(names, part.values, strict=True))
                        for part in self._scan.parts(table)
                    ],
                )
            columns = seen(table, access)
            if matched[1].lower().startswith("show"):
                return _column("field", [name for name, _ in columns])
            keys = {name for name, _ in table.keys}
            rows = [(name, of, "partition key" if name in keys else "") for name, of in columns]
            heads = (("col_name", "VARCHAR"), ("data_type", "VARCHAR"), ("comment", "VARCHAR"))
            return Result(heads, list(rows))
        return None

    def _tables(self, database: str, pattern: str | None) -> Result:
        known: Database | None = self._store.databases.get(database.lower())
        if known is None:
            raise AwsError(
                "InvalidRequestException", f"SCHEMA_NOT_FOUND: Schema '{database}' does not exist"
            )
        names = []
        for name, table in sorted(known.tables.items()):
            if pattern and not re.fullmatch(pattern.replace("*", ".*"), name):
                continue
            try:
                self._may_read(table)
            except AwsError:
                continue
            names.append(name)
        return _column("tab_name", names)


def _only(store: CatalogStore) -> str:
    return next(iter(store.databases)) if len(store.databases) == 1 else "default"


def _column(name: str, values: Sequence[str]) -> Result:
    return Result(((name, "VARCHAR"),), [(value,) for value in values])


def _listed(one: str, many: str, names: Sequence[str]) -> str:
    return f"{one if len(names) == 1 else many} {', '.join(names) or 'none'}"


def _judged(
    connection: duckdb.DuckDBPyConnection, asked: Asked, conditions: Sequence[Node]
) -> set[int]:
    asking = f"SELECT _number FROM it AS {quoted(asked.alias)} WHERE true"
    node = serialized(connection, asking)["statements"][0]["node"]
    node["where_clause"] = {
        "class": "CONJUNCTION",
        "type": "CONJUNCTION_AND",
        "alias": "",
        "children": [node["where_clause"], *conditions],
    }
    found = connection.execute(deserialized(connection, node)).fetchall()
    return {number for (number,) in found}


def _failed(error: duckdb.Error, state: Path) -> AwsError:
    """Return Athena's error for one of DuckDB's; paths of files become URIs."""
    text = str(error).replace(str(state / "s3") + "/", "s3://")
    first = text.splitlines()[0] if text else type(error).__name__
    if isinstance(error, duckdb.BinderException):
        if matched := re.search(r'column "([^"]+)" not found', text):
            reason = (
                f"COLUMN_NOT_FOUND: Column '{matched[1]}' cannot be resolved or requester is not "
                "authorized to access requested resources"
            )
        else:
            reason = f"TYPE_MISMATCH: {first}"
    elif isinstance(error, duckdb.CatalogException):
        reason = f"FUNCTION_NOT_FOUND: {first}"
    elif isinstance(error, duckdb.ParserException):
        reason = f"SYNTAX_ERROR: {first}"
    elif isinstance(error, (duckdb.InvalidInputException, duckdb.IOException)):
        reason = f"HIVE_BAD_DATA: {first}"
    elif isinstance(error, duckdb.ConversionException):
        is_file = "s3://" in text
        reason = f"{'HIVE_BAD_DATA' if is_file else 'INVALID_CAST_ARGUMENT'}: {first}"
    else:
        reason = f"GENERIC_INTERNAL_ERROR: {first}"
    return AwsError("InvalidRequestException", reason)
