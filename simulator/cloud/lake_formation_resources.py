"""Lake Formation's resources: from a request's Resource to a key, and back for an answer.

Keys: ``("CATALOG",)``, ``("DATABASE", db)``, ``("TABLE", db, table)`` with ``*`` for all tables,
``("COLUMNS", db, table, "IN" or "EX", columns)``, ``("LOCATION", arn)``,
``("FILTER", db, table, name)``, ``("TAG", key, values)``, ``("POLICY", type, expression)``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from simulator.cloud.errors import AwsError, NotSupportedByTwin
from simulator.cloud.lake_formation_store import Key

ALL_TABLES = "*"
_OF_DATABASE = {"ALL", "ALTER", "CREATE_TABLE", "DESCRIBE", "DROP"}
_OF_TABLE = {"ALL", "ALTER", "DELETE", "DESCRIBE", "DROP", "INSERT", "SELECT"}
VALID: Mapping[str, set[str]] = {
    "CATALOG": {"ALL", "CREATE_DATABASE", "CREATE_LF_TAG", "DESCRIBE"},
    "DATABASE": _OF_DATABASE,
    "TABLE": _OF_TABLE,
    "COLUMNS": {"SELECT"},
    "LOCATION": {"DATA_LOCATION_ACCESS"},
    "FILTER": {"DESCRIBE", "DROP", "SELECT"},
    "TAG": {"ALTER", "ASSOCIATE", "DESCRIBE", "DROP"},
    "POLICY DATABASE": _OF_DATABASE,
    "POLICY TABLE": _OF_TABLE,
}
"""Permissions of each kind (Lake Formation developer guide, permissions reference)."""


def invalid(message: str) -> AwsError:
    """Return Lake Formation's error for what makes no sense."""
    return AwsError("InvalidInputException", message)


def key_of(resource: Mapping[str, Any], account: str) -> Key:
    """Return the key of a request's Resource; raises InvalidInputException."""
    if len(resource) != 1:
        raise invalid("Resource must have exactly one kind of resource.")
    ((kind, given),) = resource.items()
    _check_catalog(given, account)
    make = _KEYS.get(kind)
    if make is None or (kind == "LFTagPolicy" and "Expression" not in given):
        raise NotSupportedByTwin(f"lakeformation with the resource {kind}")
    return make(given)


def _table_key(given: Mapping[str, Any]) -> Key:
    if ("Name" in given) == ("TableWildcard" in given):
        raise invalid("A table has either a name or a wildcard.")
    table = given["Name"].lower() if "Name" in given else ALL_TABLES
    return ("TABLE", given["DatabaseName"].lower(), table)


def _policy_key(given: Mapping[str, Any]) -> Key:
    pairs = ((one["TagKey"].lower(), one["TagValues"]) for one in given["Expression"])
    expression = tuple(sorted((name, tuple(sorted(values))) for name, values in pairs))
    return ("POLICY", given["ResourceType"], expression)


def _columns_key(given: Mapping[str, Any]) -> Key:
    where = ("COLUMNS", given["DatabaseName"].lower(), given["Name"].lower())
    if ("ColumnNames" in given) == ("ColumnWildcard" in given):
        raise invalid("A table with columns has either names or a wildcard.")
    if "ColumnNames" in given:
        return (*where, "IN", tuple(sorted(name.lower() for name in given["ColumnNames"])))
    excluded = given["ColumnWildcard"].get("ExcludedColumnNames", [])
    if not excluded:
        return ("TABLE", *where[1:])
    return (*where, "EX", tuple(sorted(name.lower() for name in excluded)))


_KEYS: Mapping[str, Callable[[Mapping[str, Any]], Key]] = {
    "Catalog": lambda given: ("CATALOG",),
    "Database": lambda given: ("DATABASE", given["Name"].lower()),
    "Table": _table_key,
    "TableWithColumns": _columns_key,
    "DataLocation": lambda given: ("LOCATION", given["ResourceArn"].rstrip("/")),
    "DataCellsFilter": lambda given: (
        "FILTER",
        given["DatabaseName"].lower(),
        given["TableName"].lower(),
        given["Name"],
    ),
    "LFTag": lambda given: ("TAG", given["TagKey"].lower(), tuple(sorted(given["TagValues"]))),
    "LFTagPolicy": _policy_key,
}


def _check_catalog(given: Mapping[str, Any], account: str) -> None:
    for name in ("CatalogId", "TableCatalogId", "Id"):
        if given.get(name, account) != account:
            raise NotSupportedByTwin(f"lakeformation with the catalog {given[name]}")


def shown(key: Key, account: str) -> dict[str, Any]:
    """Return a key as an answer's Resource."""
    kind, *parts = key
    return _SHOWN[kind](parts, {"CatalogId": account})


def _shown_table(parts: Sequence[Any], catalog: dict[str, Any]) -> dict[str, Any]:
    where = {**catalog, "DatabaseName": parts[0]}
    if parts[1] == ALL_TABLES:
        return {"Table": {**where, "Name": "ALL_TABLES", "TableWildcard": {}}}
    return {"Table": {**where, "Name": parts[1]}}


def _shown_columns(parts: Sequence[Any], catalog: dict[str, Any]) -> dict[str, Any]:
    where = {**catalog, "DatabaseName": parts[0], "Name": parts[1]}
    if parts[2] == "IN":
        return {"TableWithColumns": {**where, "ColumnNames": list(parts[3])}}
    excluded = {"ExcludedColumnNames": list(parts[3])}
    return {"TableWithColumns": {**where, "ColumnWildcard": excluded}}


def _shown_filter(parts: Sequence[Any], catalog: dict[str, Any]) -> dict[str, Any]:
    names = dict(zip(("DatabaseName", "TableName", "Name"), parts, strict=True))
    return {"DataCellsFilter": {"TableCatalogId": catalog["CatalogId"], **names}}


def _shown_policy(parts: Sequence[Any], catalog: dict[str, Any]) -> dict[str, Any]:
    expression = [{"TagKey": name, "TagValues": list(values)} for name, values in parts[1]]
    return {"LFTagPolicy": {**catalog, "ResourceType": parts[0], "Expression": expression}}


_SHOWN: Mapping[str, Callable[[Sequence[Any], dict[str, Any]], dict[str, Any]]] = {
    "CATALOG": lambda parts, catalog: {"Catalog": {}},
    "DATABASE": lambda parts, catalog: {"Database": {**catalog, "Name": parts[0]}},
    "TABLE": _shown_table,
    "COLUMNS": _shown_columns,
    "LOCATION": lambda parts, catalog: {"DataLocation": {**catalog, "ResourceArn": parts[0]}},
    "FILTER": _shown_filter,
    "TAG": lambda parts, catalog: {
        "LFTag": {**catalog, "TagKey": parts[0], "TagValues": list(parts[1])}
    },
    "POLICY": _shown_policy,
}


def check_permissions(key: Key, permissions: set[str]) -> None:
    """Raise InvalidInputException for permissions that a resource does not have."""
    kind = f"POLICY {key[1]}" if key[0] == "POLICY" else key[0]
    wrong = sorted(permissions - VALID[kind])
    if wrong:
        raise invalid(f"Permissions modification is invalid: {wrong[0]} on a {kind.lower()}.")


def s3_uri(arn: str) -> str:
    """Return the ``s3://bucket/prefix/`` of a location's ARN."""
    return "s3://" + arn.removeprefix("arn:aws:s3:::").rstrip("/") + "/"


def plain(permission: str) -> str:
    """Return a permission's name: SUPER is what consoles call ALL."""
    return "ALL" if permission == "SUPER" else permission
