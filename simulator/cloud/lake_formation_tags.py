"""LF-tags on databases, tables and columns, and data cells filters.

Part of `lake_formation`. A table has the tags of its database, a column those of its table,
unless it has its own value for the key. Source: Lake Formation developer guide, "Lake Formation
tag-based access control" and "Data filters".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from simulator.cloud.context import Context
from simulator.cloud.errors import AwsError, NotSupportedByTwin
from simulator.cloud.glue_store import CatalogStore, Table
from simulator.cloud.lake_formation_access import LakePermissions, denied
from simulator.cloud.lake_formation_resources import invalid, key_of
from simulator.cloud.lake_formation_store import CellFilter, Key, PermissionStore
from simulator.cloud.operations import Answer, Call, Operation, Params, any_resource
from simulator.cloud.pages import page

MOST_VALUES = 1_000
"""Values of a tag (Lake Formation quotas)."""


def _not_found(what: str) -> AwsError:
    return AwsError("EntityNotFoundException", f"{what} not found.")


class Tags:
    """The operations on tags and filters."""

    def __init__(
        self,
        context: Context,
        store: PermissionStore,
        catalog: CatalogStore,
        permissions: LakePermissions,
    ) -> None:
        self._context = context
        self._store = store
        self._catalog = catalog
        self._permissions = permissions

    def operations(self) -> dict[str, Operation]:
        """Return the operations, keyed by botocore's name."""
        table: dict[str, Any] = {
            "CreateLFTag": self._create,
            "GetLFTag": self._get,
            "UpdateLFTag": self._update,
            "DeleteLFTag": self._delete,
            "ListLFTags": self._list,
            "AddLFTagsToResource": self._assign,
            "RemoveLFTagsFromResource": self._unassign,
            "GetResourceLFTags": self._assigned,
            "CreateDataCellsFilter": self._create_filter,
            "GetDataCellsFilter": self._get_filter,
            "UpdateDataCellsFilter": self._update_filter,
            "DeleteDataCellsFilter": self._delete_filter,
            "ListDataCellsFilter": self._list_filters,
        }
        return {name: Operation(execute, any_resource) for name, execute in table.items()}

    # -- what there is

    def require_place(self, database: str, table: str | None = None) -> Table | None:
        """Return a table (None for a database); raises EntityNotFoundException."""
        known = self._catalog.databases.get(database)
        if known is None:
            raise _not_found(f"Database {database}")
        if table is None:
            return None
        found = known.tables.get(table)
        if found is None:
            raise _not_found(f"Table {table}")
        return found

    def require_columns(self, database: str, table: str, columns: Sequence[str]) -> None:
        """Raise InvalidInputException for columns that a table does not have."""
        found = self.require_place(database, table)
        assert found is not None
        names = {name.lower() for name, _ in (*found.columns, *found.keys)}
        for name in columns:
            if name not in names:
                raise invalid(f"Column {name} does not exist in {table}.")

    def require_values(self, name: str, values: Sequence[str]) -> None:
        """Raise EntityNotFoundException for a tag or value that was not created."""
        known = self._store.tags.get(name)
        if known is None:
            raise _not_found(f"LF-tag {name}")
        for value in values:
            if value not in known:
                raise _not_found(f"LF-tag value {name}={value}")

    def _require_admin(self, call: Call, permission: str, name: str) -> None:
        principal = call.principal
        if principal.role_arn is None or self._permissions.is_admin(principal):
            return
        for (who, key), grant in self._store.grants.items():
            is_own = who == principal.role_arn and permission in grant.permissions
            if is_own and (key == ("CATALOG",) or key[:2] == ("TAG", name)):
                return
        raise denied(name, permission)

    # -- tags

    def _create(self, call: Call) -> Answer:
        name, values = call.params["TagKey"].lower(), list(call.params["TagValues"])
        self._require_admin(call, "CREATE_LF_TAG", name)
        if name in self._store.tags:
            raise invalid(f"Tag key already exists: {name}")
        self._store.tags[name] = sorted({value.lower() for value in values})
        self._store.changed()
        return {}

    def _tag(self, params: Params) -> str:
        name = str(params["TagKey"]).lower()
        if name not in self._store.tags:
            raise _not_found(f"LF-tag {name}")
        return name

    def _get(self, call: Call) -> Answer:
        name = self._tag(call.params)
        return self._shown(name)

    def _shown(self, name: str) -> Answer:
        return {
            "CatalogId": self._context.account,
            "TagKey": name,
            "TagValues": list(self._store.tags[name]),
        }

    def _update(self, call: Call) -> Answer:
        name = self._tag(call.params)
        self._require_admin(call, "ALTER", name)
        removed = {value.lower() for value in call.params.get("TagValuesToDelete", [])}
        added = {value.lower() for value in call.params.get("TagValuesToAdd", [])}
        self.require_values(name, sorted(removed))
        left = (set(self._store.tags[name]) - removed) | added
        if not left or len(left) > MOST_VALUES:
            raise invalid(f"LF-tag {name} would have {len(left)} values.")
        self._store.tags[name] = sorted(left)
        self._store.tagged = {
            place: {k: value for k, value in tags.items() if k != name or value in left}
            for place, tags in self._store.tagged.items()
        }
        self._store.changed()
        return {}

    def _delete(self, call: Call) -> Answer:
        """Delete a tag, its assignments, and the policies that name it: they grant nothing."""
        name = self._tag(call.params)
        self._require_admin(call, "DROP", name)
        del self._store.tags[name]
        for tags in self._store.tagged.values():
            tags.pop(name, None)
        self._store.grants = {
            at: grant
            for at, grant in self._store.grants.items()
            if at[1][:2] != ("TAG", name)
            and not (at[1][0] == "POLICY" and any(key == name for key, _ in at[1][2]))
        }
        self._store.changed()
        return {}

    def _list(self, call: Call) -> Answer:
        if call.params.get("ResourceShareType", "ALL") != "ALL":
            raise NotSupportedByTwin("lakeformation:ListLFTags with ResourceShareType")
        return _paged("LFTags", [self._shown(name) for name in sorted(self._store.tags)], call)

    # -- assignments

    def _places(self, resource: Mapping[str, Any]) -> list[tuple[str, ...]]:
        """Return the database, table or columns of a request's Resource."""
        key: Key = key_of(resource, self._context.account)
        if key[0] == "DATABASE":
            self.require_place(key[1])
            return [(key[1],)]
        if key[0] == "TABLE" and key[2] != "*":
            self.require_place(key[1], key[2])
            return [(key[1], key[2])]
        if key[0] == "COLUMNS" and key[3] == "IN":
            self.require_columns(key[1], key[2], key[4])
            return [(key[1], key[2], name) for name in key[4]]
        raise invalid("LF-tags are assigned to a database, a table or named columns.")

    def _change(self, call: Call, *, is_added: bool) -> Answer:
        failures = []
        places = self._places(call.params["Resource"])
        for pair in call.params["LFTags"]:
            name = pair["TagKey"].lower()
            try:
                self._require_admin(call, "ASSOCIATE", name)
                (value,) = (one.lower() for one in pair["TagValues"][:1])
                self.require_values(name, [value])
            except AwsError as error:
                told = {"ErrorCode": error.code, "ErrorMessage": error.message}
                failures.append({"LFTag": pair, "Error": told})
                continue
            for place in places:
                tags = self._store.tagged.setdefault(place, {})
                if is_added:
                    tags[name] = value
                elif tags.get(name) == value:
                    del tags[name]
        self._store.changed()
        return {"Failures": failures}

    def _assign(self, call: Call) -> Answer:
        return self._change(call, is_added=True)

    def _unassign(self, call: Call) -> Answer:
        return self._change(call, is_added=False)

    def _assigned(self, call: Call) -> Answer:
        """Return the tags of a resource; with inherited ones unless only its own are asked for."""
        place = self._places(call.params["Resource"])[0]
        own = bool(call.params.get("ShowAssignedLFTags", False))
        answer: Answer = {}
        if len(place) == 1 or not own:
            answer["LFTagOnDatabase"] = self._pairs(place[:1])
        if len(place) >= 2:
            table = self._pairs(place[:2])
            inherited = [] if own else self._inherited(place[:1], table)
            answer["LFTagsOnTable"] = table + inherited
            answer["LFTagsOnColumns"] = [
                {"Name": other[2], "LFTags": self._pairs(other)}
                for other, tags in sorted(self._store.tagged.items())
                if len(other) == 3 and other[:2] == place[:2] and tags
            ]
        return answer

    def _pairs(self, place: tuple[str, ...]) -> list[dict[str, Any]]:
        return [
            {"CatalogId": self._context.account, "TagKey": name, "TagValues": [value]}
            for name, value in sorted(self._store.tagged.get(place, {}).items())
        ]

    def _inherited(
        self, place: tuple[str, ...], own: Sequence[Mapping[str, Any]]
    ) -> list[dict[str, Any]]:
        names = {pair["TagKey"] for pair in own}
        return [pair for pair in self._pairs(place) if pair["TagKey"] not in names]

    # -- filters

    def _filter_of(self, data: Mapping[str, Any]) -> CellFilter:
        if data.get("TableCatalogId", self._context.account) != self._context.account:
            raise NotSupportedByTwin(f"lakeformation with the catalog {data['TableCatalogId']}")
        database, table = data["DatabaseName"].lower(), data["TableName"].lower()
        rows = data.get("RowFilter", {})
        if ("FilterExpression" in rows) == ("AllRowsWildcard" in rows):
            raise invalid("RowFilter must have either FilterExpression or AllRowsWildcard.")
        if ("ColumnNames" in data) == ("ColumnWildcard" in data):
            raise invalid("A filter has either ColumnNames or ColumnWildcard.")
        columns = data.get("ColumnNames")
        excluded = data.get("ColumnWildcard", {}).get("ExcludedColumnNames", [])
        self.require_columns(database, table, [name.lower() for name in columns or excluded])
        return CellFilter(
            database,
            table,
            data["Name"],
            tuple(name.lower() for name in columns) if columns is not None else None,
            tuple(name.lower() for name in excluded),
            rows.get("FilterExpression", "").strip(),
            self._context.engine.new_id(),
        )

    def _require_owner(self, call: Call, database: str, table: str) -> None:
        """Raise AccessDeniedException unless the caller may grant SELECT on the table."""
        key: Key = ("TABLE", database, table)
        if not self._permissions.may_grant(call.principal, key, {"SELECT"}):
            raise denied(table)

    def _create_filter(self, call: Call) -> Answer:
        made = self._filter_of(call.params["TableData"])
        self._require_owner(call, made.database, made.table)
        name = (made.database, made.table, made.name)
        if name in self._store.filters:
            raise AwsError("AlreadyExistsException", f"Data cells filter {made.name} exists.")
        self._store.filters[name] = made
        self._store.changed()
        return {}

    def _named(self, params: Params) -> CellFilter:
        for name in ("TableCatalogId", "DatabaseName", "TableName", "Name"):
            if name not in params:
                raise invalid(f"{name} is required.")
        at = (params["DatabaseName"].lower(), params["TableName"].lower(), params["Name"])
        found = self._store.filters.get(at)
        if found is None:
            raise _not_found(f"Data cells filter {params['Name']}")
        return found

    def _get_filter(self, call: Call) -> Answer:
        return {"DataCellsFilter": self._shown_filter(self._named(call.params))}

    def _update_filter(self, call: Call) -> Answer:
        data = call.params["TableData"]
        old = self._named({"TableCatalogId": self._context.account, **data})
        self._require_owner(call, old.database, old.table)
        if data.get("VersionId", old.version) != old.version:
            raise AwsError("ConcurrentModificationException", "The filter has changed.")
        made = self._filter_of(data)
        self._store.filters[made.database, made.table, made.name] = made
        self._store.changed()
        return {}

    def _delete_filter(self, call: Call) -> Answer:
        found = self._named(call.params)
        self._require_owner(call, found.database, found.table)
        name = (found.database, found.table, found.name)
        del self._store.filters[name]
        self._store.grants = {
            at: grant for at, grant in self._store.grants.items() if at[1] != ("FILTER", *name)
        }
        self._store.changed()
        return {}

    def _list_filters(self, call: Call) -> Answer:
        table = call.params.get("Table")
        where = None
        if table is not None:
            where = (table["DatabaseName"].lower(), table.get("Name", "").lower())
        found = [
            self._shown_filter(one)
            for name, one in sorted(self._store.filters.items())
            if where is None or name[:2] == where
        ]
        return _paged("DataCellsFilters", found, call)

    def _shown_filter(self, found: CellFilter) -> Answer:
        answer: Answer = {
            "TableCatalogId": self._context.account,
            "DatabaseName": found.database,
            "TableName": found.table,
            "Name": found.name,
            "VersionId": found.version,
            "RowFilter": {"FilterExpression": found.rows}
            if found.rows
            else {"AllRowsWildcard": {}},
        }
        if found.columns is not None:
            answer["ColumnNames"] = list(found.columns)
        else:
            answer["ColumnWildcard"] = {"ExcludedColumnNames": list(found.excluded)}
        return answer


def _paged(member: str, items: Sequence[Any], call: Call) -> Answer:
    params = call.params
    found, token = page(
        items, params.get("MaxResults", 1_000), params.get("NextToken"), "InvalidInputException"
    )
    return {member: found, **({"NextToken": token} if token is not None else {})}
