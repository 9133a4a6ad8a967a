"""Databases, tables and table versions of the Glue Data Catalog.

Partitions are `glue_partitions`, jobs are `glue`. Called by `dispatch`; IAM is asked about
catalog, database and table. A guard (Lake Formation) is asked what of a table a caller may see;
without one IAM alone decides. The catalog outlives the run: see `glue_store`.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from typing import Any

from simulator.cloud.context import Context
from simulator.cloud.errors import AwsError, NotSupportedByTwin
from simulator.cloud.glue_guard import OPEN_TO_IAM, Guard
from simulator.cloud.glue_store import CatalogStore, Database, Table
from simulator.cloud.operations import Answer, Call, Operation, Params, Principal
from simulator.cloud.pages import page

_PAGE = 100
_REFUSED = (
    "AttributesToGet",
    "FederatedDatabase",
    "FederatedTable",
    "OpenTableFormatInput",
    "PartitionIndexes",
    "QueryAsOfTime",
    "TargetDatabase",
    "TargetTable",
    "TransactionId",
    "UpdateOpenTableFormatInput",
    "ViewDefinition",
    "ViewUpdateAction",
)
"""What would change an answer and is not here; refused by name wherever it stands."""


def not_found(message: str) -> AwsError:
    """Return Glue's error for what is not there."""
    return AwsError("EntityNotFoundException", message)


def invalid(message: str) -> AwsError:
    """Return Glue's error for what makes no sense."""
    return AwsError("InvalidInputException", message)


class Catalog:
    """The Data Catalog of one account. Used on the engine's thread only."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.store = CatalogStore(context.state / "glue" / "catalog.json")
        self.guard: Guard | None = None

    def close(self) -> None:
        """Write what is not in the file yet."""
        self.store.flush()

    def operations(self) -> dict[str, Operation]:
        """Return the operations on databases, tables and versions."""
        return {
            "CreateDatabase": Operation(self._create_database, self.database_arns),
            "GetDatabase": Operation(self._get_database, self.database_arns),
            "GetDatabases": Operation(self._get_databases, self._catalog_arns),
            "UpdateDatabase": Operation(self._update_database, self.database_arns),
            "DeleteDatabase": Operation(self._delete_database, self.database_arns),
            "CreateTable": Operation(self._create_table, self.table_arns),
            "GetTable": Operation(self._get_table, self.table_arns),
            "GetTables": Operation(self._get_tables, self.table_arns),
            "UpdateTable": Operation(self._update_table, self.table_arns),
            "DeleteTable": Operation(self._delete_table, self.table_arns),
            "BatchDeleteTable": Operation(self._delete_tables, self.table_arns),
            "GetTableVersion": Operation(self._get_version, self.table_arns),
            "GetTableVersions": Operation(self._get_versions, self.table_arns),
        }

    # -- what IAM is asked about: the whole path (Glue developer guide, IAM)

    def _catalog_arns(self, params: Params) -> Sequence[str]:
        return (self._context.arn("glue", "catalog"),)

    def database_arns(self, params: Params) -> Sequence[str]:
        """Return catalog and database."""
        name = params.get("DatabaseInput", {}).get("Name") if "Name" not in params else ""
        name = str(name or params.get("Name", "*")).lower()
        return (*self._catalog_arns(params), self._context.arn("glue", f"database/{name}"))

    def table_arns(self, params: Params) -> Sequence[str]:
        """Return catalog, database and table; all tables where none is named."""
        database = str(params.get("DatabaseName", "*")).lower()
        named = (
            params.get("TableInput", {}).get("Name")
            or params.get("TableName")
            or params.get("Name")
            or "*"
        )
        return (
            *self._catalog_arns(params),
            self._context.arn("glue", f"database/{database}"),
            *(
                self._context.arn("glue", f"table/{database}/{str(name).lower()}")
                for name in params.get("TablesToDelete", [named])
            ),
        )

    # -- shared with the partitions

    def database(self, name: str) -> Database:
        """Return a database; raises EntityNotFoundException."""
        found = self.store.databases.get(name.lower())
        if found is None:
            raise not_found(f"Database {name} not found.")
        return found

    def table(self, call: Call, name: str, permission: str = "") -> Table:
        """Return a table that the caller may use so; see `seen` for what of it.

        Who may not know of a table is refused in the same words whether it exists or not (Lake
        Formation developer guide). Raises EntityNotFoundException, AccessDeniedException.
        """
        self.check(call.params)
        database = str(call.params["DatabaseName"]).lower()
        folded = name.lower()
        if self.guard is not None and permission and database in self.store.databases:
            self.guard.require(call.principal, permission, database, folded)
        found = self.database(call.params["DatabaseName"]).tables.get(folded)
        if found is None:
            raise not_found(f"Table {name} not found.")
        return found

    def seen(self, call: Call, table: Table, described: dict[str, Any]) -> dict[str, Any]:
        """Return a description without the columns that the caller may not see."""
        if self.guard is None:
            return described
        columns = self.guard.columns_seen(call.principal, table.database, table.name)
        storage = described.get("StorageDescriptor", {})
        if columns is None or "Columns" not in storage:
            return described
        allowed = {name.lower() for name in columns}
        kept = [one for one in storage["Columns"] if one["Name"].lower() in allowed]
        return {**described, "StorageDescriptor": {**storage, "Columns": kept}}

    def check(self, params: Params) -> None:
        """Refuse by name what is not here, and another account's catalog."""
        catalog = params.get("CatalogId", self._context.account)
        if catalog != self._context.account:
            raise NotSupportedByTwin(f"glue with the catalog {catalog}")
        inner = (params.get("DatabaseInput", {}), params.get("TableInput", {}))
        for name in _REFUSED:
            if any(one.get(name) for one in (params, *inner)):
                raise NotSupportedByTwin(f"glue with {name}")
        if params.get("ResourceShareType", "ALL") != "ALL":
            raise NotSupportedByTwin("glue with ResourceShareType")

    # -- databases

    def _create_database(self, call: Call) -> Answer:
        self.check(call.params)
        given = call.params["DatabaseInput"]
        name = _folded(given["Name"], "Database")
        if name in self.store.databases:
            raise AwsError("AlreadyExistsException", "Database already exists.")
        kept = {**copy.deepcopy(given), "Name": name}
        defaults = self.guard.default_permissions()[1] if self.guard else OPEN_TO_IAM
        kept.setdefault("CreateTableDefaultPermissions", copy.deepcopy(defaults))
        self.store.databases[name] = Database(name, kept, self._context.engine.now())
        if self.guard is not None:
            self.guard.created(call.principal, name)
        self.store.changed()
        return {}

    def _get_database(self, call: Call) -> Answer:
        self.check(call.params)
        name = call.params["Name"].lower()
        if self.guard is not None:
            self.guard.require(call.principal, "DESCRIBE", name)
        return {"Database": self._described_database(self.database(call.params["Name"]))}

    def _get_databases(self, call: Call) -> Answer:
        self.check(call.params)
        listed = [
            self._described_database(self.store.databases[name])
            for name in sorted(self.store.databases)
            if self._may_know(call.principal, name)
        ]
        return _paged("DatabaseList", listed, call.params)

    def _update_database(self, call: Call) -> Answer:
        self.check(call.params)
        database = self.database(call.params["Name"])
        self._require(call, "ALTER", database.name)
        given = call.params["DatabaseInput"]
        if given["Name"].lower() != database.name:
            raise invalid("Database name cannot be changed.")
        defaults = database.input["CreateTableDefaultPermissions"]
        database.input = {
            "CreateTableDefaultPermissions": defaults,
            **copy.deepcopy(given),
            "Name": database.name,
        }
        self.store.changed()
        return {}

    def _delete_database(self, call: Call) -> Answer:
        self.check(call.params)
        database = self.database(call.params["Name"])
        self._require(call, "DROP", database.name)
        del self.store.databases[database.name]
        if self.guard is not None:
            self.guard.removed(database.name)
        self.store.changed()
        return {}

    def _described_database(self, database: Database) -> dict[str, Any]:
        return {
            **copy.deepcopy(database.input),
            "CreateTime": database.created,
            "CatalogId": self._context.account,
        }

    # -- tables

    def _create_table(self, call: Call) -> Answer:
        self.check(call.params)
        given = call.params.get("TableInput")
        if given is None:
            raise invalid("TableInput is required.")
        database = self.database(call.params["DatabaseName"])
        name = _folded(given["Name"], "Table")
        self._require(call, "CREATE_TABLE", database.name)
        if name in database.tables:
            raise AwsError("AlreadyExistsException", "Table already exists.")
        if self.guard is not None:
            location = given.get("StorageDescriptor", {}).get("Location", "")
            self.guard.require_location(call.principal, location)
        now = self._context.engine.now()
        database.tables[name] = Table(
            database.name, name, _table_input(given), now, now, call.principal.arn
        )
        if self.guard is not None:
            self.guard.created(call.principal, database.name, name)
        self.store.changed()
        return {}

    def _get_table(self, call: Call) -> Answer:
        table = self.table(call, call.params["Name"], "DESCRIBE")
        return {"Table": self.seen(call, table, self._described(table))}

    def _get_tables(self, call: Call) -> Answer:
        self.check(call.params)
        database = self.database(call.params["DatabaseName"])
        try:
            wanted = re.compile(call.params.get("Expression") or ".*")
        except re.error as error:
            raise invalid(f"Invalid expression: {error}") from None
        listed = [
            self.seen(call, table, self._described(table))
            for name, table in sorted(database.tables.items())
            if wanted.fullmatch(name) and self._may_know(call.principal, database.name, name)
        ]
        return _paged("TableList", listed, call.params)

    def _update_table(self, call: Call) -> Answer:
        given = call.params.get("TableInput")
        if given is None:
            raise invalid("TableInput is required.")
        table = self.table(call, given["Name"], "ALTER")
        asked = call.params.get("VersionId")
        if asked is not None and asked != str(table.version):
            raise AwsError(
                "ConcurrentModificationException",
                "Update table failed due to concurrent modifications.",
            )
        if not call.params.get("SkipArchive"):
            table.versions[table.version] = (table.input, table.updated)
        table.version += 1
        table.input, table.updated = _table_input(given), self._context.engine.now()
        self.store.changed()
        return {}

    def _delete_table(self, call: Call) -> Answer:
        self._drop(call, call.params["Name"])
        return {}

    def _delete_tables(self, call: Call) -> Answer:
        self.database(call.params["DatabaseName"])
        errors = []
        for name in call.params["TablesToDelete"]:
            try:
                self._drop(call, name)
            except AwsError as error:
                detail = {"ErrorCode": error.code, "ErrorMessage": error.message}
                errors.append({"TableName": name, "ErrorDetail": detail})
        return {"Errors": errors}

    def _drop(self, call: Call, name: str) -> None:
        table = self.table(call, name, "DROP")
        del self.store.databases[table.database].tables[table.name]
        if self.guard is not None:
            self.guard.removed(table.database, table.name)
        self.store.changed()

    def _get_version(self, call: Call) -> Answer:
        table = self.table(call, call.params["TableName"], "DESCRIBE")
        asked = call.params.get("VersionId", str(table.version))
        for version in self._versions(call, table):
            if version["VersionId"] == asked:
                return {"TableVersion": version}
        raise not_found("Version not found.")

    def _get_versions(self, call: Call) -> Answer:
        table = self.table(call, call.params["TableName"], "DESCRIBE")
        return _paged("TableVersions", self._versions(call, table), call.params)

    def _versions(self, call: Call, table: Table) -> list[dict[str, Any]]:
        kept = {**table.versions, table.version: (table.input, table.updated)}
        return [
            {
                "VersionId": str(number),
                "Table": self.seen(call, table, self._described(table, number)),
            }
            for number in sorted(kept, reverse=True)
        ]

    def _described(self, table: Table, number: int | None = None) -> dict[str, Any]:
        version = table.version if number is None else number
        given, updated = table.versions.get(version, (table.input, table.updated))
        registered = self.guard is not None and self.guard.is_registered(table.location)
        return {
            "Retention": 0,
            **copy.deepcopy(given),
            "DatabaseName": table.database,
            "CreateTime": table.created,
            "UpdateTime": updated,
            "CreatedBy": table.created_by,
            "IsRegisteredWithLakeFormation": registered,
            "CatalogId": self._context.account,
            "VersionId": str(version),
            "IsMultiDialectView": False,
        }

    # -- permissions

    def _require(self, call: Call, permission: str, database: str) -> None:
        if self.guard is not None:
            self.guard.require(call.principal, permission, database)

    def _may_know(self, principal: Principal, database: str, table: str | None = None) -> bool:
        if self.guard is None:
            return True
        try:
            self.guard.require(principal, "DESCRIBE", database, table)
        except AwsError:
            return False
        return True


def _folded(name: str, kind: str) -> str:
    """Return a name in lower case, as Glue keeps it; refuse one that would lead elsewhere."""
    if not name.strip() or "/" in name or "\n" in name:
        raise invalid(f"{kind} name {name!r} is not valid.")
    return name.lower()


def _table_input(given: Mapping[str, Any]) -> dict[str, Any]:
    kept = copy.deepcopy(dict(given))
    kept["Name"] = str(given["Name"]).lower()
    names = [key["Name"].lower() for key in kept.get("PartitionKeys", [])]
    names += [one["Name"].lower() for one in kept.get("StorageDescriptor", {}).get("Columns", [])]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise invalid(f"Duplicate column name: {twice[0]}.")
    return kept


def _paged(member: str, items: Sequence[Any], params: Params) -> Answer:
    limit = params.get("MaxResults", _PAGE)
    found, token = page(items, limit, params.get("NextToken"), "InvalidInputException")
    return {member: found, **({"NextToken": token} if token is not None else {})}
