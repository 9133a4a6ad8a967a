"""What a SQL statement asks of the lake, read from DuckDB's own syntax tree.

One query is let through (SELECT, WITH, VALUES, set operations); every table is named, and with
it the conditions that choose among its partitions. Functions that reach past the catalog are
refused by name. Used by `lake_query`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import duckdb

from simulator.cloud.errors import AwsError

Node = dict[str, Any]
_TABLE_FUNCTIONS = frozenset({"unnest", "generate_series", "range"})
"""Table functions that read nothing."""
_FORBIDDEN = frozenset({"getenv", "getvariable", "current_setting", "query", "query_table"})
_VOLATILE = frozenset({"random", "rand", "uuid", "gen_random_uuid", "setseed", "nextval"})


@dataclass
class Asked:
    """One mention of a table. ``conditions`` must all hold for a row of it to count."""

    database: str
    table: str
    alias: str
    alone: bool
    conditions: list[Node] = field(default_factory=list)


@dataclass
class Statement:
    """A query that was let through."""

    sql: str
    tables: list[Asked]


def syntax_error(message: str) -> AwsError:
    """Return Athena's error for what cannot be read."""
    return AwsError("InvalidRequestException", f"SYNTAX_ERROR: {message}")


def parse(connection: duckdb.DuckDBPyConnection, sql: str) -> Statement:
    """Return what a query asks for; raises InvalidRequestException for anything but one query."""
    tree = serialized(connection, sql)
    if len(tree["statements"]) != 1:
        raise syntax_error("Only one sql statement is allowed")
    tables: list[Asked] = []
    _visit(tree["statements"][0]["node"], frozenset(), tables)
    return Statement(sql, tables)


def serialized(connection: duckdb.DuckDBPyConnection, sql: str) -> Node:
    """Return the syntax tree of queries; raises InvalidRequestException."""
    row = connection.execute("SELECT json_serialize_sql(?)", [sql]).fetchone()
    assert row is not None
    tree: Node = json.loads(row[0])
    if tree["error"]:
        if tree["error_type"] == "not implemented":
            raise AwsError(
                "InvalidRequestException",
                "NOT_SUPPORTED: only queries are run here (SELECT, WITH, SHOW, DESCRIBE): "
                "tables are made by the stack and filled by jobs",
            )
        at = f"line 1:{int(tree['position']) + 1}: " if tree.get("position") else ""
        raise syntax_error(f"{at}{tree['error_message']}")
    return tree


def deserialized(connection: duckdb.DuckDBPyConnection, node: Node) -> str:
    """Return the SQL of a syntax tree."""
    tree = {"error": False, "statements": [{"node": node, "named_param_map": []}]}
    row = connection.execute("SELECT json_deserialize_sql(?)", [json.dumps(tree)]).fetchone()
    assert row is not None
    return str(row[0])


def condition(connection: duckdb.DuckDBPyConnection, text: str) -> Node:
    """Return a row filter's syntax tree; one that asks more than its row is refused."""
    tree = serialized(connection, f"SELECT 1 FROM it WHERE ({text}\n)")
    node = tree["statements"][0]["node"]
    told = f"the row filter {text!r} is not a condition on a row"
    if len(tree["statements"]) != 1 or node["type"] != "SELECT_NODE" or node["modifiers"]:
        raise syntax_error(told)
    if any(node[name] for name in ("group_expressions", "having", "qualify", "sample")):
        raise syntax_error(told)
    found: Node = node["where_clause"]
    if any("SUBQUERY" in one.get("class", "") for one in _nodes(found)):
        raise syntax_error(told)
    _check_functions(found)
    return found


def prunable(asked: Asked, keys: frozenset[str]) -> list[Node]:
    """Return the conditions on nothing but a table's partition keys."""
    return [one for one in asked.conditions if _only_keys(one, asked, keys)]


def _only_keys(node: Node, asked: Asked, keys: frozenset[str]) -> bool:
    has_key = False
    for one in _nodes(node):
        kind = one.get("class")
        if kind in ("SUBQUERY", "WINDOW", "LAMBDA", "PARAMETER", "STAR", "POSITIONAL_REFERENCE"):
            return False
        if kind == "FUNCTION" and one["function_name"].lower() in _VOLATILE:
            return False
        if kind == "COLUMN_REF":
            *owner, name = (part.lower() for part in one["column_names"])
            if name not in keys or not (asked.alone if not owner else owner[-1] == asked.alias):
                return False
            has_key = True
    return has_key


def _nodes(value: Any) -> Iterator[Node]:
    """Yield every object of a syntax tree."""
    if isinstance(value, Mapping):
        yield dict(value)
        for one in value.values():
            yield from _nodes(one)
    elif isinstance(value, list):
        for one in value:
            yield from _nodes(one)


def _check_functions(node: Node) -> None:
    for one in _nodes(node):
        if one.get("class") == "FUNCTION":
            name = str(one["function_name"]).lower()
            if name in _FORBIDDEN or name.startswith(("read_", "duckdb_", "pragma_", "pg_")):
                raise AwsError("InvalidRequestException", f"FUNCTION_NOT_FOUND: {name}")


def _visit(node: Any, known: frozenset[str], tables: list[Asked]) -> None:
    """Collect the tables below a node; ``known`` are the names that WITH has given."""
    if isinstance(node, list):
        for one in node:
            _visit(one, known, tables)
        return
    if not isinstance(node, dict):
        return
    if "cte_map" in node:
        for entry in node["cte_map"]["map"]:
            named = known | {entry["key"].lower()}
            query = entry["value"]
            # Only a recursive query means itself by its name.
            is_recursive = query.get("query_node", {}).get("type") == "RECURSIVE_CTE_NODE"
            _visit(query, named if is_recursive else known, tables)
            known = named
        node = {name: value for name, value in node.items() if name != "cte_map"}
    if node.get("type") == "SELECT_NODE" and "from_table" in node:
        _visit_select(node, known, tables)
        return
    if node.get("type") == "TABLE_FUNCTION":
        name = str(node["function"]["function_name"]).lower()
        if name not in _TABLE_FUNCTIONS:
            raise AwsError("InvalidRequestException", f"FUNCTION_NOT_FOUND: {name}")
    elif node.get("type") == "BASE_TABLE":
        _add(node, known, tables, alone=False)
        return
    elif node.get("type") in ("SHOW_REF", "PIVOT", "COPY", "DELIM_GET"):
        raise AwsError("InvalidRequestException", f"NOT_SUPPORTED: {node['type']}")
    elif node.get("class") == "FUNCTION":
        _check_functions({"class": "FUNCTION", "function_name": node["function_name"]})
    for value in node.values():
        _visit(value, known, tables)


def _visit_select(node: Node, known: frozenset[str], tables: list[Asked]) -> None:
    source = node["from_table"]
    direct = _inner_tables(source)
    before = len(tables)
    for one in direct:
        _add(one, known, tables, alone=source.get("type") == "BASE_TABLE")
    for asked in tables[before:]:
        asked.conditions += _conjuncts(node.get("where_clause"))
    if not direct:
        _visit(source, known, tables)
    elif source.get("type") == "JOIN":
        _visit_join(source, known, tables)
    _visit([value for name, value in node.items() if name != "from_table"], known, tables)


def _inner_tables(source: Node) -> list[Node]:
    """Return the tables that a WHERE filters before any join can add rows without a partner."""
    if source.get("type") == "BASE_TABLE":
        return [source]
    if source.get("type") == "JOIN" and source["join_type"] == "INNER":
        return _inner_tables(source["left"]) + _inner_tables(source["right"])
    return []


def _visit_join(source: Node, known: frozenset[str], tables: list[Asked]) -> None:
    """Visit what a join holds besides the tables that `_inner_tables` has found."""
    for side in ("left", "right"):
        one = source[side]
        if one.get("type") == "JOIN" and one["join_type"] == "INNER":
            _visit_join(one, known, tables)
        elif one.get("type") != "BASE_TABLE":
            _visit(one, known, tables)
    _visit(source.get("condition"), known, tables)


def _conjuncts(clause: Node | None) -> list[Node]:
    if clause is None:
        return []
    if clause["type"] == "CONJUNCTION_AND":
        return [one for child in clause["children"] for one in _conjuncts(child)]
    return [clause]


def _add(node: Node, known: frozenset[str], tables: list[Asked], *, alone: bool) -> None:
    name, database = node["table_name"].lower(), node["schema_name"].lower()
    if not database and name in known:
        return
    catalog = node["catalog_name"].lower()
    if catalog not in ("", "awsdatacatalog"):
        raise AwsError(
            "InvalidRequestException", f"CATALOG_NOT_FOUND: Catalog '{catalog}' not found"
        )
    tables.append(Asked(database, name, (node["alias"] or name).lower(), alone))
