"""What the Data Catalog keeps: databases, tables with their versions, partitions; as one file.

`glue_catalog` and `glue_partitions` change it, `simulator.lake_sql` reads the file that a run
left behind. The parameters are kept as botocore has them; names are folded to lower case, as
Glue does. It checks nothing and knows no permissions.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

FORMAT = 1
"""Of the file; a file of another format is refused."""
TIMES = frozenset({"CreateTime", "UpdateTime", "LastAccessTime", "LastAnalyzedTime"}) | {
    "CreationTime"
}


@dataclass
class Partition:
    """One registered partition: its PartitionInput and when it came."""

    values: tuple[str, ...]
    input: dict[str, Any]
    created: datetime


@dataclass
class Table:
    """One table: the description in force, the archived ones by version, its partitions."""

    database: str
    name: str
    input: dict[str, Any]
    created: datetime
    updated: datetime
    created_by: str
    version: int = 0
    versions: dict[int, tuple[dict[str, Any], datetime]] = field(default_factory=dict)
    partitions: dict[tuple[str, ...], Partition] = field(default_factory=dict)

    @property
    def keys(self) -> list[tuple[str, str]]:
        """Name and type of each partition key."""
        return [(k["Name"], k.get("Type", "string")) for k in self.input.get("PartitionKeys", [])]

    @property
    def columns(self) -> list[tuple[str, str]]:
        """Name and type of each column, without the partition keys."""
        storage = self.input.get("StorageDescriptor", {})
        return [(c["Name"], c.get("Type", "string")) for c in storage.get("Columns", [])]

    @property
    def location(self) -> str:
        """Where its files are, empty for a table without."""
        return str(self.input.get("StorageDescriptor", {}).get("Location", ""))

    @property
    def parameters(self) -> Mapping[str, str]:
        """Its TBLPROPERTIES."""
        found: Mapping[str, str] = self.input.get("Parameters", {})
        return found


@dataclass
class Database:
    """One database and its tables."""

    name: str
    input: dict[str, Any]
    created: datetime
    tables: dict[str, Table] = field(default_factory=dict)


class CatalogStore:
    """The catalog in memory and in its file, which is replaced whole or not at all.

    Writing everything for each of many partitions would be quadratic, so a change is written at
    once only when as many have come together as a hundredth of what there is; `flush` writes the
    rest.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.databases: dict[str, Database] = {}
        self._unsaved = 0
        if path.exists():
            self.databases = _read(path)

    def changed(self, count: int = 1) -> None:
        """Say that something has changed; writes it, or remembers to."""
        self._unsaved += count
        partitions = sum(
            len(table.partitions)
            for database in self.databases.values()
            for table in database.tables.values()
        )
        if self._unsaved * 100 >= partitions:
            self.flush()

    def flush(self) -> None:
        """Write what is not in the file yet."""
        if self._unsaved:
            write_json(self.path, _dumped(self.databases))
            self._unsaved = 0


def write_json(path: Path, value: Any) -> None:
    """Replace a JSON file in one step, so that a reader sees the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    # A catalog of a month has megabytes; times are written as `isoformat` writes them.
    options = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    beside.write_bytes(orjson.dumps(value, default=_plain, option=options))
    beside.replace(path)


def _plain(value: Any) -> list[Any]:
    if isinstance(value, tuple):  # One with names: orjson writes ordinary ones by itself.
        return list(value)
    raise TypeError(f"{type(value).__name__} in the catalog")


def _dumped(databases: Mapping[str, Database]) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "databases": [
            {
                "name": database.name,
                "input": database.input,
                "created": database.created,
                "tables": [_dumped_table(table) for table in database.tables.values()],
            }
            for database in databases.values()
        ],
    }


def _dumped_table(table: Table) -> dict[str, Any]:
    return {
        "name": table.name,
        "created": table.created,
        "updated": table.updated,
        "created_by": table.created_by,
        "version": table.version,
        "input": table.input,
        "versions": [[number, *kept] for number, kept in table.versions.items()],
        "partitions": [
            {"values": one.values, "created": one.created, "input": one.input}
            for one in table.partitions.values()
        ],
    }


def _read(path: Path) -> dict[str, Database]:
    found = json.loads(path.read_text("utf-8"))
    if found.get("format") != FORMAT:
        raise ValueError(f"{path}: format {found.get('format')}, not {FORMAT}")
    databases = {}
    for item in found["databases"]:
        database = Database(
            item["name"], _with_times(item["input"]), datetime.fromisoformat(item["created"])
        )
        for table in item["tables"]:
            database.tables[table["name"]] = _read_table(database.name, table)
        databases[database.name] = database
    return databases


def _read_table(database: str, item: Mapping[str, Any]) -> Table:
    table = Table(
        database,
        item["name"],
        _with_times(item["input"]),
        datetime.fromisoformat(item["created"]),
        datetime.fromisoformat(item["updated"]),
        item["created_by"],
        item["version"],
        {
            int(number): (_with_times(kept), datetime.fromisoformat(updated))
            for number, kept, updated in item["versions"]
        },
    )
    for one in item["partitions"]:
        values = tuple(one["values"])
        created = datetime.fromisoformat(one["created"])
        table.partitions[values] = Partition(values, _with_times(one["input"]), created)
    return table


def _with_times(value: dict[str, Any]) -> dict[str, Any]:
    return {
        name: datetime.fromisoformat(one) if name in TIMES and isinstance(one, str) else one
        for name, one in value.items()
    }
