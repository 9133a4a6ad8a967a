"""Hive's column types, as Glue keeps them, in DuckDB's words.

Source: Athena User Guide, "Data types in Amazon Athena".
"""

from __future__ import annotations

import re

from simulator.cloud.errors import NotSupportedByTwin

_PLAIN = {
    "bigint": "BIGINT",
    "binary": "BLOB",
    "boolean": "BOOLEAN",
    "date": "DATE",
    "double": "DOUBLE",
    "float": "FLOAT",
    "int": "INTEGER",
    "integer": "INTEGER",
    "real": "FLOAT",
    "smallint": "SMALLINT",
    "string": "VARCHAR",
    "timestamp": "TIMESTAMP",
    "tinyint": "TINYINT",
}
_DECIMAL = re.compile(r"decimal\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\)")
_CHARACTERS = re.compile(r"(?:var)?char\(\s*\d+\s*\)")
_NESTED = re.compile(r"(array|map|struct)<(.*)>", re.DOTALL)

_WHOLE = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT")
_READS = {
    **{name: _WHOLE[: place + 1] for place, name in enumerate(_WHOLE)},
    "DOUBLE": ("DOUBLE", "FLOAT"),
    "TIMESTAMP": ("TIMESTAMP", "TIMESTAMP_NS", "TIMESTAMP_MS", "TIMESTAMP WITH TIME ZONE"),
}
"""What else than itself a file may hold for a column of a type: nothing is cut off."""


def duckdb_type(hive: str) -> str:
    """Return DuckDB's type for a Hive type; raises NotSupportedByTwin for one that is unknown."""
    text = hive.strip().lower()
    if text in _PLAIN:
        return _PLAIN[text]
    if _CHARACTERS.fullmatch(text):
        return "VARCHAR"
    if matched := _DECIMAL.fullmatch(text):
        return f"DECIMAL({matched[1]},{matched[2] or 0})"
    if matched := _NESTED.fullmatch(text):
        parts = _split(matched[2])
        if matched[1] == "array" and len(parts) == 1:
            return duckdb_type(parts[0]) + "[]"
        if matched[1] == "map" and len(parts) == 2:
            return f"MAP({duckdb_type(parts[0])}, {duckdb_type(parts[1])})"
        if matched[1] == "struct":
            fields = [part.partition(":") for part in parts]
            if all(colon for _, colon, _ in fields):
                listed = (f"{quoted(name.strip())} {duckdb_type(of)}" for name, _, of in fields)
                return f"STRUCT({', '.join(listed)})"
    raise NotSupportedByTwin(f"the column type {hive!r}")


def readable(declared: str, found: str) -> bool:
    """Tell whether a file's type (DuckDB's name) can be read as a table's; nothing is cut off."""
    return found in _READS.get(declared, ()) or found == declared


def quoted(name: str) -> str:
    """Return an identifier of SQL."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Return a string of SQL."""
    return "'" + text.replace("'", "''") + "'"


def _split(text: str) -> list[str]:
    """Split at the commas that stand outside of brackets."""
    parts, depth, start = [], 0, 0
    for place, sign in enumerate(text):
        if sign in "<(":
            depth += 1
        elif sign in ">)":
            depth -= 1
        elif sign == "," and depth == 0:
            parts.append(text[start:place])
            start = place + 1
    return [*parts, text[start:]]
