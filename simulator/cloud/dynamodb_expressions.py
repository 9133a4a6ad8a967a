"""Evaluation of DynamoDB's parsed expressions against items.

`simulator.cloud.dynamodb` and its siblings make one `Scope` for each request (or each part of
a transaction): the request's placeholders. Items are in boto3's form ``{"pk": {"S": "x"}}``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from simulator.cloud.dynamodb_parser import (
    Expression,
    Node,
    parse_condition,
    parse_projection,
    parse_update,
)
from simulator.cloud.dynamodb_values import Item, Value, added, compare, equal, size_of_content
from simulator.cloud.errors import ValidationError


@dataclass(frozen=True, slots=True)
class Scope:
    """What a request's placeholders stand for."""

    names: Mapping[str, str]
    values: Mapping[str, dict[str, Any]]

    def check(self, *expressions: Expression | None) -> None:
        """Raise for placeholders that are not defined, or defined and not used, as AWS does."""
        only = expressions[0] if len(expressions) == 1 else None
        if only and self.names.keys() == only.names and self.values.keys() == only.values:
            return  # As it nearly always is.
        used_names: set[str] = set()
        used_values: set[str] = set()
        for one in expressions:
            if one is None:
                continue
            for name in one.names - self.names.keys():
                raise ValidationError(
                    f"Invalid {one.kind}: An expression attribute name used in the document path"
                    f" is not defined; attribute name: {name}"
                )
            for value in one.values - self.values.keys():
                raise ValidationError(
                    f"Invalid {one.kind}: An expression attribute value used in expression is not"
                    f" defined; attribute value: {value}"
                )
            used_names |= one.names
            used_values |= one.values
        for what, unused in (
            ("Names", self.names.keys() - used_names),
            ("Values", self.values.keys() - used_values),
        ):
            if unused:
                raise ValidationError(
                    f"Value provided in ExpressionAttribute{what} unused in expressions: keys:"
                    f" {{{', '.join(sorted(unused))}}}"
                )

    def name(self, segment: str) -> str:
        """Return the attribute name behind a path segment."""
        return self.names[segment] if segment[0] == "#" else segment

    def find(self, segments: tuple[Any, ...], item: Item) -> dict[str, Any] | None:
        """Return the attribute value at a document path, None when there is none."""
        found = item.get(self.name(segments[0]))
        for segment in segments[1:]:
            if found is None:
                return None
            if isinstance(segment, int):
                members = found.get("L", ())
                found = members[segment] if segment < len(members) else None
            else:
                found = found.get("M", {}).get(self.name(segment))
        return found

    def operand(self, node: Node, item: Item) -> dict[str, Any] | None:
        """Return the attribute value of an operand node, None for a missing attribute."""
        kind, what = node
        if kind == "value":
            return self.values[what]
        found = self.find(what, item)
        if kind == "path" or found is None:
            return found
        return {"N": str(size_of_content(found))}

    def holds(self, node: Node, item: Item) -> bool:  # noqa: PLR0911 - one return for each kind
        """Evaluate a condition on an item (an empty one where there is none)."""
        kind = node[0]
        if kind == "and":
            return self.holds(node[1], item) and self.holds(node[2], item)
        if kind == "or":
            return self.holds(node[1], item) or self.holds(node[2], item)
        if kind == "not":
            return not self.holds(node[1], item)
        if kind == "compare":
            return compare(node[1], self.operand(node[2], item), self.operand(node[3], item))
        if kind == "between":
            value = self.operand(node[1], item)
            return compare(">=", value, self.operand(node[2], item)) and compare(
                "<=", value, self.operand(node[3], item)
            )
        if kind == "in":
            value = self.operand(node[1], item)
            return any(equal(value, self.operand(choice, item)) for choice in node[2])
        return self._call(node[1], node[2], item)

    def _call(  # noqa: PLR0911 - one return for each function
        self, function: str, arguments: tuple[Node, ...], item: Item
    ) -> bool:
        value = self.operand(arguments[0], item)
        if function == "attribute_exists":
            return value is not None
        if function == "attribute_not_exists":
            return value is None
        other = self.operand(arguments[1], item)
        if value is None or other is None:
            return False
        [(kind, content)] = value.items()
        [(other_kind, other_content)] = other.items()
        if function == "attribute_type":
            return bool(kind == other_content)
        if function == "begins_with":
            return kind == other_kind and kind in ("S", "B") and content.startswith(other_content)
        # contains: a part of a text or of bytes, an element of a set or of a list.
        if kind == other_kind and kind in ("S", "B"):
            return other_content in content
        if kind in ("SS", "NS", "BS"):
            return any(equal({kind[0]: one}, other) for one in content)
        return kind == "L" and any(equal(one, other) for one in content)

    def updated(self, actions: tuple[Node, ...], item: Item) -> dict[str, Value]:
        """Return the item after an update; every operand sees the item as it was before."""
        changed = dict(item)
        for action in actions:
            name = self.name(action[1])
            if action[0] == "remove":
                changed.pop(name, None)
                continue
            term = action[2]
            if action[0] == "add":
                value = self.operand(term, item)
                changed[name] = added("+", item.get(name, {"N": "0"}), value)
            elif term[0] in ("+", "-"):
                left, right = self._term(term[1], item), self._term(term[2], item)
                changed[name] = added(term[0], left, right)
            else:
                value = self._term(term, item)
                if value is None:
                    raise ValidationError(
                        "The provided expression refers to an attribute that does not exist in"
                        " the item"
                    )
                changed[name] = value
        return changed

    def _term(self, node: Node, item: Item) -> Value | None:
        if node[0] != "if_not_exists":
            return self.operand(node, item)
        found = self.find(node[1], item)
        return self.operand(node[2], item) if found is None else found

    def projected(self, names: tuple[str, ...], item: Item) -> dict[str, Value]:
        """Return only the attributes that a projection names."""
        return {name: item[name] for name in self.named(names) if name in item}

    def named(self, names: tuple[str, ...]) -> list[str]:
        """Return the attributes that a projection names."""
        return [self.name(name) for name in names]


def scope_of(params: Mapping[str, Any]) -> Scope:
    """Return the scope of a request or of a part of one."""
    return Scope(
        params.get("ExpressionAttributeNames", {}), params.get("ExpressionAttributeValues", {})
    )


__all__ = [
    "Expression",
    "Node",
    "Scope",
    "parse_condition",
    "parse_projection",
    "parse_update",
    "scope_of",
]
