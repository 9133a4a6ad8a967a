"""Who may do what with databases, tables, columns and rows: Lake Formation's decisions.

`LakePermissions` decides on files alone, so `fleetwin sql` asks the same code when no twin runs.
A table is open while ``IAM_ALLOWED_PRINCIPALS`` has ALL on it: then IAM decides alone. The
account's root may do everything; data lake administrators everything but see data that nobody
granted them. Source: Lake Formation developer guide, "Overview of Lake Formation permissions".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from simulator.cloud.errors import AwsError
from simulator.cloud.glue_guard import IAM_ALLOWED_PRINCIPALS
from simulator.cloud.glue_store import CatalogStore, Table
from simulator.cloud.lake_access import TableAccess
from simulator.cloud.lake_formation_resources import ALL_TABLES, s3_uri
from simulator.cloud.lake_formation_store import CellFilter, Key, PermissionStore
from simulator.cloud.operations import Principal

_Cells = tuple[frozenset[str] | None, str]
"""Columns (None: all) and the condition on the rows (empty: all)."""


def denied(name: str, permission: str = "") -> AwsError:
    """Return Lake Formation's refusal; only what changes something is named."""
    if permission in ("", "DESCRIBE", "SELECT"):
        told = f"Insufficient Lake Formation permission(s) on {name}"
    else:
        words = permission.replace("_", " ").title()
        told = f"Insufficient Lake Formation permission(s): Required {words} on {name}"
    return AwsError("AccessDeniedException", told)


class LakePermissions:
    """The decisions of one account: `simulator.cloud.glue_guard.Guard` and what jobs ask."""

    def __init__(self, store: PermissionStore, catalog: CatalogStore) -> None:
        self.store = store
        self._catalog = catalog
        if store.is_new:
            # A catalog that is older than its permissions is open, as AWS's was.
            for database in catalog.databases.values():
                self._open(("DATABASE", database.name))
                for table in database.tables:
                    self._open(("TABLE", database.name, table))

    def _open(self, key: Key) -> None:
        self.store.add(IAM_ALLOWED_PRINCIPALS, key, {"ALL"}, set())

    # -- what the catalog asks (Guard)

    def require(
        self, principal: Principal, permission: str, database: str, table: str | None = None
    ) -> None:
        """Raise AccessDeniedException without the permission on a database or table."""
        if principal.role_arn is None or self.is_admin(principal):
            return
        if table is None:
            allowed = self._may_database(principal, permission, database)
        else:
            allowed = self._may_table(principal, permission, database, table)
        if not allowed:
            raise denied(table or database, permission)

    def columns_seen(
        self, principal: Principal, database: str, table: str
    ) -> tuple[str, ...] | None:
        """Return the columns that GetTable shows, None for all."""
        if principal.role_arn is None or self.is_admin(principal):
            return None
        try:
            return self.table_access(principal, database, table).columns
        except AwsError:
            # Who may describe it without reading it sees what it looks like.
            return None

    def default_permissions(self) -> tuple[Any, Any]:
        """Return the settings' defaults for new databases and for new tables."""
        settings = self.store.settings
        return (
            settings.get("CreateDatabaseDefaultPermissions", []),
            settings.get("CreateTableDefaultPermissions", []),
        )

    def created(self, principal: Principal, database: str, table: str | None = None) -> None:
        """Give a new database or table its first permissions: the defaults, its creator's."""
        key: Key = ("DATABASE", database) if table is None else ("TABLE", database, table)
        defaults = self.default_permissions()[0]
        if table is not None:
            known = self._catalog.databases[database].input
            defaults = known.get("CreateTableDefaultPermissions", [])
        for one in defaults:
            name = one.get("Principal", {}).get("DataLakePrincipalIdentifier", "")
            self.store.add(name, key, set(one.get("Permissions", [])), set())
        if principal.role_arn is not None:
            self.store.add(principal.role_arn, key, {"ALL"}, {"ALL"})
        self.store.changed()

    def removed(self, database: str, table: str | None = None) -> None:
        """Forget the permissions on what is gone."""
        self.store.forget(database, table)
        self.store.changed()

    def is_registered(self, location: str) -> bool:
        """Tell whether files lie in a registered location."""
        return any(_lies_in(location, s3_uri(arn)) for arn in self.store.locations)

    def lender(self, database: str, table: str) -> tuple[str, str]:
        """Return the role that is registered for a table's files, and where these lie."""
        location = self._catalog.databases[database].tables[table].location
        registered = self.store.locations.items()
        role = next(
            found["RoleArn"] for arn, found in registered if _lies_in(location, s3_uri(arn))
        )
        return role, location

    # -- what readers ask

    def table_access(
        self, principal: Principal, database: str, table: str, permission: str = "SELECT"
    ) -> TableAccess:
        """Return the columns and rows that a principal may use; AccessDeniedException for none.

        Grants add up as far as one set of columns with one condition can say it; where they
        cannot (two filters with different columns) the answer is what all of them allow, never
        more than any of them.
        """
        if principal.role_arn is None or self.is_open(database, table):
            return TableAccess()
        known = self._catalog.databases[database].tables[table]
        cells = list(self._cells(principal, permission, known))
        if not cells:
            raise denied(table, permission)
        return _united(cells, known)

    def is_open(self, database: str, table: str) -> bool:
        """Tell whether IAM decides alone about a table."""
        return any(
            {"ALL", "SELECT"} & self._granted(IAM_ALLOWED_PRINCIPALS, ("TABLE", database, name))
            for name in (table, ALL_TABLES)
        )

    def governed(self, location: str) -> list[tuple[str, str]]:
        """Return (database, table) of what lies at, below or above a location and is not open.

        Only tables in a registered location: the files of others are IAM's.
        """
        wanted = location.rstrip("/") + "/"
        return [
            (database.name, table.name)
            for database in self._catalog.databases.values()
            for table in database.tables.values()
            if table.location
            and (_lies_in(table.location, wanted) or _lies_in(wanted, table.location))
            and self.is_registered(table.location)
            and not self.is_open(database.name, table.name)
        ]

    def is_admin(self, principal: Principal) -> bool:
        """Tell whether a principal administers the data lake."""
        admins = self.store.settings.get("DataLakeAdmins", [])
        return any(one.get("DataLakePrincipalIdentifier") == principal.role_arn for one in admins)

    def may_grant(self, principal: Principal, key: Key, permissions: set[str]) -> bool:
        """Tell whether a principal may pass permissions on a resource on."""
        if principal.role_arn is None or self.is_admin(principal):
            return True
        held: set[str] = set()
        for at in _covering(key):
            grant = self.store.grants.get((principal.role_arn, at))
            held |= grant.grantable if grant is not None else set()
        return "ALL" in held or permissions <= held

    def require_location(self, principal: Principal, location: str) -> None:
        """Raise AccessDeniedException for a table in a registered place that is not granted."""
        if principal.role_arn is None or self.is_admin(principal):
            return
        if not location or not self.is_registered(location):
            return
        for (who, key), grant in self.store.grants.items():
            is_own = who == principal.role_arn and key[0] == "LOCATION" and grant.permissions
            if is_own and _lies_in(location, s3_uri(key[1])):
                return
        raise denied(location, "DATA_LOCATION_ACCESS")

    # -- decisions

    def _granted(self, principal: str, key: Key) -> set[str]:
        grant = self.store.grants.get((principal, key))
        return grant.permissions if grant is not None else set()

    def _may_database(self, principal: Principal, permission: str, database: str) -> bool:
        assert principal.role_arn is not None
        held = self._granted(IAM_ALLOWED_PRINCIPALS, ("DATABASE", database))
        held = held | self._granted(principal.role_arn, ("DATABASE", database))
        held |= self._by_tags(principal.role_arn, "DATABASE", self._tags(database))
        if "ALL" in held or permission in held:
            return True
        if permission != "DESCRIBE":
            return False
        # Whoever has something in a database may know that it is there.
        return bool(held) or any(
            who in (principal.role_arn, IAM_ALLOWED_PRINCIPALS)
            and key[1:2] == (database,)
            and key[0] in ("TABLE", "COLUMNS", "FILTER")
            for who, key in self.store.grants
        )

    def _may_table(self, principal: Principal, permission: str, database: str, table: str) -> bool:
        assert principal.role_arn is not None
        held: set[str] = set()
        for who in (IAM_ALLOWED_PRINCIPALS, principal.role_arn):
            for name in (table, ALL_TABLES):
                held |= self._granted(who, ("TABLE", database, name))
        held |= self._by_tags(principal.role_arn, "TABLE", self._tags(database, table))
        if "ALL" in held or permission in held:
            return True
        if permission not in ("DESCRIBE", "SELECT"):
            return False
        if permission == "DESCRIBE" and held:
            return True
        known = self._catalog.databases.get(database)
        found = known.tables.get(table) if known is not None else None
        return found is not None and any(self._cells(principal, "SELECT", found))

    def _cells(self, principal: Principal, permission: str, table: Table) -> Iterator[_Cells]:
        """Yield what each grant gives of a table."""
        role = principal.role_arn
        names = _columns(table)
        for (who, key), grant in sorted(self.store.grants.items(), key=repr):
            held = grant.permissions
            if who != role or not ({"ALL", permission} & held):
                continue
            if key[0] == "TABLE" and key[1] == table.database and key[2] in (table.name, "*"):
                yield None, ""
            elif key[0] == "COLUMNS" and key[1:3] == (table.database, table.name):
                listed = frozenset(key[4])
                yield (listed & names if key[3] == "IN" else names - listed), ""
            elif key[0] == "FILTER" and key[1:3] == (table.database, table.name):
                if (found := self.store.filters.get(key[1:])) is not None:
                    yield _of_filter(found, names)
            elif key[0] == "POLICY" and key[1] == "TABLE":
                matching = frozenset(
                    name
                    for name in names
                    if _matches(key[2], self._tags(table.database, table.name, name))
                )
                if matching:
                    yield (None if matching == names else matching), ""

    def _tags(self, *place: str) -> Mapping[str, str]:
        """Return the tags of a database, table or column, with what it inherits."""
        tags: dict[str, str] = {}
        for length in range(1, len(place) + 1):
            tags |= self.store.tagged.get(place[:length], {})
        return tags

    def _by_tags(self, role: str, kind: str, tags: Mapping[str, str]) -> set[str]:
        held: set[str] = set()
        for (who, key), grant in self.store.grants.items():
            if who == role and key[:2] == ("POLICY", kind) and _matches(key[2], tags):
                held |= grant.permissions
        return held


def _columns(table: Table) -> frozenset[str]:
    return frozenset(name.lower() for name, _ in (*table.columns, *table.keys))


def _of_filter(found: CellFilter, names: frozenset[str]) -> _Cells:
    if found.columns is not None:
        return frozenset(found.columns) & names, found.rows
    return (names - set(found.excluded) if found.excluded else None), found.rows


def _matches(expression: tuple[tuple[str, tuple[str, ...]], ...], tags: Mapping[str, str]) -> bool:
    """Tell whether tags satisfy an expression: each key has one of the values."""
    return all(tags.get(name) in values for name, values in expression)


def _united(cells: list[_Cells], table: Table) -> TableAccess:
    names = _columns(table)
    order = [name.lower() for name, _ in (*table.columns, *table.keys)]

    def access(columns: frozenset[str], filters: tuple[str, ...]) -> TableAccess:
        is_all = columns == names
        return TableAccess(None if is_all else tuple(n for n in order if n in columns), filters)

    everywhere = [names if columns is None else columns for columns, rows in cells if not rows]
    if everywhere:
        # More columns of some rows cannot be said beside these of all rows.
        return access(frozenset().union(*everywhere), ())
    some = [names if columns is None else columns for columns, _ in cells]
    common = frozenset.intersection(*some)
    if common:
        return access(common, tuple(dict.fromkeys(rows for _, rows in cells)))
    return access(some[0], (cells[0][1],))


def _covering(key: Key) -> Iterator[Key]:
    """Yield a resource and those whose grant options cover it."""
    yield key
    if key[0] in ("TABLE", "COLUMNS", "FILTER"):
        yield ("TABLE", key[1], key[2])
        yield ("TABLE", key[1], ALL_TABLES)


def _lies_in(location: str, folder: str) -> bool:
    return (location.rstrip("/") + "/").startswith(folder.rstrip("/") + "/")
