"""The JSON Schema of a scenario, made of the same types and bounds that the loader goes by.

`fleetwin scenario schema` prints it and `docs/scenario.schema.json` is a copy, so that editors
complete and check scenario files. What no single value shows is left to `fleetwin scenario check`.
"""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from typing import Any, get_args, get_origin, get_type_hints

from simulator.scenario import Scenario
from simulator.scenario_build import CHOICES, RANGES, is_required, join

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema() -> dict[str, Any]:
    """Return the schema of a whole scenario (JSON Schema, draft 2020-12)."""
    return {"$schema": DIALECT, "title": "fleetwin scenario", **_table(Scenario, "")}


def _table(kind: type, path: str) -> dict[str, Any]:
    hints = get_type_hints(kind)
    items = fields(kind)
    body: dict[str, Any] = {
        "type": "object",
        "description": _words(kind),
        "additionalProperties": False,
        "properties": {
            item.name: _value(hints[item.name], join(path, item.name)) for item in items
        },
    }
    required = [item.name for item in items if is_required(item)]
    return {**body, "required": required} if required else body


def _value(hint: Any, path: str) -> dict[str, Any]:
    if isinstance(hint, types.UnionType):
        hint = next(option for option in get_args(hint) if option is not type(None))
    if is_dataclass(hint):
        return _table(hint, path)  # type: ignore[arg-type]
    if get_origin(hint) is tuple:
        return {"type": "array", "items": _value(get_args(hint)[0], path)}
    if get_origin(hint) is Mapping:
        return {"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]}}
    return _number(hint, path) if hint in (int, float) else _word(hint, path)


def _number(hint: type, path: str) -> dict[str, Any]:
    low, high, unit = RANGES[path]
    body: dict[str, Any] = {
        "type": "integer" if hint is int else "number",
        "minimum": low,
        "maximum": high,
    }
    return {**body, "description": f"in {unit}"} if unit else body


def _word(hint: type, path: str) -> dict[str, Any]:
    if hint is bool:
        return {"type": "boolean"}
    if hint is datetime:
        return {"type": "string", "format": "date-time"}
    choices = CHOICES.get(path)
    return {"type": "string", "enum": list(choices)} if choices else {"type": "string"}


def _words(kind: type) -> str:
    """Return a class's docstring as one line without its markup."""
    return re.sub(r"\s+", " ", (inspect.getdoc(kind) or "").replace("``", "").replace("`", ""))
