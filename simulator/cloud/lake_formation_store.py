"""What Lake Formation remembers: settings, locations, tags, filters and grants, in one file.

Like the catalog it outlives a twin: ``<state>/lakeformation/permissions.json``. Resources are
keys, as `lake_formation_resources` makes them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from simulator.cloud.glue_guard import OPEN_TO_IAM
from simulator.cloud.glue_store import write_json

FORMAT = 1
Key = tuple[Any, ...]
"""A resource: its kind and what names it; every part is a string or a tuple of them."""


@dataclass
class Grant:
    """What one principal may do with one resource, and what of it may be passed on."""

    permissions: set[str] = field(default_factory=set)
    grantable: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class CellFilter:
    """Columns and rows of a table that are granted together.

    ``columns`` None: all but ``excluded``. ``rows`` empty: all rows.
    """

    database: str
    table: str
    name: str
    columns: tuple[str, ...] | None
    excluded: tuple[str, ...]
    rows: str
    version: str


class PermissionStore:
    """The permissions of one account, written as a whole whenever one changes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.settings: dict[str, Any] = {
            "DataLakeAdmins": [],
            "CreateDatabaseDefaultPermissions": OPEN_TO_IAM,
            "CreateTableDefaultPermissions": OPEN_TO_IAM,
        }
        self.locations: dict[str, dict[str, Any]] = {}
        self.tags: dict[str, list[str]] = {}
        self.tagged: dict[Key, dict[str, str]] = {}
        self.filters: dict[tuple[str, str, str], CellFilter] = {}
        self.grants: dict[tuple[str, Key], Grant] = {}
        self.is_new = not path.exists()
        if not self.is_new:
            self._read()

    def changed(self) -> None:
        """Write everything: a reader sees the permissions before or after, never between."""
        write_json(
            self.path,
            {
                "format": FORMAT,
                "settings": self.settings,
                "locations": self.locations,
                "tags": self.tags,
                "tagged": [[list(key), tags] for key, tags in self.tagged.items()],
                "filters": [vars(one) for one in self.filters.values()],
                "grants": [
                    [principal, _listed(key), sorted(one.permissions), sorted(one.grantable)]
                    for (principal, key), one in self.grants.items()
                ],
            },
        )

    def _read(self) -> None:
        found = json.loads(self.path.read_text("utf-8"))
        if found.get("format") != FORMAT:
            raise ValueError(f"{self.path}: format {found.get('format')}, not {FORMAT}")
        self.settings = found["settings"]
        self.locations = found["locations"]
        self.tags = found["tags"]
        self.tagged = {_key(key): tags for key, tags in found["tagged"]}
        for one in found["filters"]:
            columns = None if one["columns"] is None else tuple(one["columns"])
            made = CellFilter(**{**one, "columns": columns, "excluded": tuple(one["excluded"])})
            self.filters[made.database, made.table, made.name] = made
        for principal, key, permissions, grantable in found["grants"]:
            self.grants[principal, _key(key)] = Grant(set(permissions), set(grantable))

    def add(self, principal: str, key: Key, permissions: set[str], grantable: set[str]) -> None:
        """Add permissions to what a principal has on a resource."""
        grant = self.grants.setdefault((principal, key), Grant())
        grant.permissions |= permissions | grantable
        grant.grantable |= grantable

    def remove(self, principal: str, key: Key, permissions: set[str], grantable: set[str]) -> None:
        """Take permissions away; without a permission there is nothing to pass on."""
        grant = self.grants[principal, key]
        grant.permissions -= permissions
        grant.grantable -= permissions | grantable
        if not grant.permissions:
            del self.grants[principal, key]

    def forget(self, database: str, table: str | None) -> None:
        """Drop whatever is about a database or table that is gone."""

        def is_gone(key: Key) -> bool:
            if len(key) < 2 or key[0] not in ("DATABASE", "TABLE", "COLUMNS", "FILTER"):
                return False
            return bool(key[1] == database and (table is None or key[2:3] == (table,)))

        self.grants = {at: one for at, one in self.grants.items() if not is_gone(at[1])}
        self.tagged = {
            key: tags
            for key, tags in self.tagged.items()
            if not (key[0] == database and (table is None or key[1:2] == (table,)))
        }
        self.filters = {
            name: one
            for name, one in self.filters.items()
            if not (name[0] == database and table in (None, name[1]))
        }


def _listed(value: Any) -> Any:
    return [_listed(one) for one in value] if isinstance(value, tuple) else value


def _key(value: Any) -> Any:
    return tuple(_key(one) for one in value) if isinstance(value, list) else value
