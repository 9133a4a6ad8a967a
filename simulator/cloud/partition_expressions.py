"""The filter of GetPartitions: a WHERE clause over a table's partition keys, typed by the keys.

`compile_expression` turns the text into a predicate over a partition's values. Used by
`glue_partitions`; it knows nothing of catalogs. Grammar and types: Glue API reference,
GetPartitions, Expression. NULL is three-valued, as in SQL.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from simulator.cloud.errors import AwsError

Predicate = Callable[[Sequence[str]], bool]
_Truth = bool | None
_Row = Mapping[str, Any]
_Condition = Callable[[_Row], _Truth]

NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"
"""How a partition's NULL is written in its values and in its folder's name."""

_TOKEN = re.compile(
    r"\s*(?:(?P<string>'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\")"
    r"|(?P<number>[+-]?(?:\d+(?:\.\d*)?|\.\d+))"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*|`[^`]+`)"
    r"|(?P<sign><>|!=|<=|>=|=|<|>|\(|\)|,))"
)
_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "<>": operator.ne,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
_INTEGERS = ("int", "integer", "bigint", "long", "tinyint", "smallint")
_KEYWORDS = {"AND", "OR", "NOT", "IN", "BETWEEN", "LIKE", "IS", "NULL", "DATE", "TIMESTAMP"}


def _decimal(text: str) -> Decimal:
    value = Decimal(text)
    if not value.is_finite():
        raise ValueError(text)
    return value


def _date(text: str) -> date:
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text) is None:
        raise ValueError(text)
    return date.fromisoformat(text)


def _timestamp(text: str) -> datetime:
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}([ T]\d{2}:\d{2}:\d{2}(\.\d{1,9})?)?", text) is None:
        raise ValueError(text)
    return datetime.fromisoformat(text[:26]).replace(tzinfo=UTC)


def _reader(kind: str) -> Callable[[str], Any]:
    """Return what reads the text of a value of a Hive type."""
    base = kind.lower().partition("(")[0].strip()
    if base in ("string", "char", "varchar"):
        return str
    if base in _INTEGERS:
        return lambda text: int(text, 10)
    readers = {"decimal": _decimal, "date": _date, "timestamp": _timestamp}
    if base not in readers:
        raise _invalid(f"Unsupported type {kind} of a partition key in an expression")
    return readers[base]


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str


def compile_expression(expression: str, keys: Sequence[tuple[str, str]]) -> Predicate:
    """Return the predicate over partition values, in the order of the (name, type) keys.

    A stored value that does not fit its key's type is NULL. Raises InvalidInputException for
    what is no expression over the keys.
    """
    names = [name.lower() for name, _ in keys]
    kinds = {name.lower(): kind for name, kind in keys}
    parser = _Parser(expression, kinds)
    condition = parser.parsed()
    used = {name: _reader(kinds[name]) for name in parser.used}

    def matches(values: Sequence[str]) -> bool:
        stored = dict(zip(names, values, strict=False))
        row = {name: _read_or_null(read, stored.get(name)) for name, read in used.items()}
        return condition(row) is True

    return matches


def _read_or_null(read: Callable[[str], Any], text: str | None) -> Any:
    if text is None or text == NULL_PARTITION:
        return None
    try:
        return read(text)
    except (ValueError, InvalidOperation):
        return None


def _tokens(expression: str) -> list[_Token]:
    found, position = [], 0
    while expression[position:].strip():
        matched = _TOKEN.match(expression, position)
        if matched is None:
            raise _invalid(f"Unsupported expression '{expression}'")
        kind = str(matched.lastgroup)
        text = matched[kind]
        if kind == "string":
            text = text[1:-1].replace(text[0] * 2, text[0])
        elif kind == "name" and text.upper() in _KEYWORDS:
            kind, text = "keyword", text.upper()
        elif kind == "name":
            text = text.strip("`").lower()
        found.append(_Token(kind, text))
        position = matched.end()
    return found


class _Parser:
    """Recursive descent over the tokens; each method leaves the position behind what it read."""

    def __init__(self, expression: str, kinds: Mapping[str, str]) -> None:
        self._expression = expression
        self._tokens = [*_tokens(expression), _Token("end", "")]
        self._kinds = kinds
        self._position = 0
        self.used: set[str] = set()

    def parsed(self) -> _Condition:
        """Return the whole expression's condition."""
        condition = self._either()
        if self._next.kind != "end":
            raise self._unsupported()
        return condition

    @property
    def _next(self) -> _Token:
        return self._tokens[self._position]

    def _take(self) -> _Token:
        token = self._next
        self._position += 1
        return token

    def _taken(self, *texts: str) -> bool:
        """Read the next tokens if they are these signs or keywords."""
        ahead = self._tokens[self._position : self._position + len(texts)]
        same = [t.text for t in ahead if t.kind in ("sign", "keyword")] == list(texts)
        self._position += len(texts) if same else 0
        return same

    def _need(self, text: str) -> None:
        if not self._taken(text):
            raise self._unsupported()

    def _unsupported(self) -> AwsError:
        return _invalid(f"Unsupported expression '{self._expression}'")

    def _either(self) -> _Condition:
        parts = [self._both()]
        while self._taken("OR"):
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else lambda row: _any(part(row) for part in parts)

    def _both(self) -> _Condition:
        parts = [self._negated()]
        while self._taken("AND"):
            parts.append(self._negated())
        return parts[0] if len(parts) == 1 else lambda row: _all(part(row) for part in parts)

    def _negated(self) -> _Condition:
        if self._taken("NOT"):
            return _not(self._negated())
        if self._taken("("):
            inner = self._either()
            self._need(")")
            return inner
        return self._comparison()

    def _comparison(self) -> _Condition:
        if self._next.kind != "name":
            literal = self._literal_text()
            sign = self._sign()
            name = self._column()
            return self._compared(name, _MIRRORED.get(sign, sign), literal)
        name = self._column()
        if self._taken("IS", "NOT", "NULL"):
            return lambda row: row[name] is not None
        if self._taken("IS", "NULL"):
            return lambda row: row[name] is None
        opposite = self._taken("NOT")
        if self._taken("IN"):
            condition = self._listed(name)
        elif self._taken("BETWEEN"):
            low = self._compared(name, ">=", self._literal_text())
            self._need("AND")
            high = self._compared(name, "<=", self._literal_text())
            condition = _between(low, high)
        elif self._taken("LIKE"):
            condition = self._like(name)
        elif opposite:
            raise self._unsupported()
        else:
            return self._compared(name, self._sign(), self._literal_text())
        return _not(condition) if opposite else condition

    def _sign(self) -> str:
        token = self._take()
        if token.kind != "sign" or token.text not in _COMPARE:
            raise self._unsupported()
        return token.text

    def _column(self) -> str:
        token = self._take()
        if token.kind != "name":
            raise self._unsupported()
        if token.text not in self._kinds:
            raise _invalid(f"Unknown partition key '{token.text}' in '{self._expression}'")
        self.used.add(token.text)
        return token.text

    def _literal_text(self) -> str:
        self._taken("DATE") or self._taken("TIMESTAMP")
        token = self._take()
        if token.kind not in ("string", "number"):
            raise self._unsupported()
        return token.text

    def _value(self, name: str, text: str) -> Any:
        kind = self._kinds[name]
        try:
            return _reader(kind)(text)
        except (ValueError, InvalidOperation):
            raise _invalid(f"'{text}' is not a value of the partition key {name} {kind}") from None

    def _compared(self, name: str, sign: str, text: str) -> _Condition:
        value, compare = self._value(name, text), _COMPARE[sign]
        return lambda row: None if row[name] is None else compare(row[name], value)

    def _listed(self, name: str) -> _Condition:
        self._need("(")
        values = {self._value(name, self._literal_text())}
        while self._taken(","):
            values.add(self._value(name, self._literal_text()))
        self._need(")")
        return lambda row: None if row[name] is None else row[name] in values

    def _like(self, name: str) -> _Condition:
        if _reader(self._kinds[name]) is not str:
            raise _invalid(f"LIKE needs a string, {name} is {self._kinds[name]}")
        text = self._literal_text()
        wild = {"%": ".*", "_": "."}
        pattern = re.compile("".join(wild.get(c) or re.escape(c) for c in text), re.DOTALL)
        return lambda row: None if row[name] is None else bool(pattern.fullmatch(row[name]))


def _between(low: _Condition, high: _Condition) -> _Condition:
    return lambda row: _all((low(row), high(row)))


def _not(condition: _Condition) -> _Condition:
    def negated(row: _Row) -> _Truth:
        truth = condition(row)
        return None if truth is None else not truth

    return negated


def _all(truths: Any) -> _Truth:
    return _decided(truths, by=False)


def _any(truths: Any) -> _Truth:
    return _decided(truths, by=True)


def _decided(truths: Iterable[_Truth], *, by: bool) -> _Truth:
    """Return what one truth decides alone; without it the unknown, or else the other."""
    unknown = False
    for truth in truths:
        if truth is by:
            return by
        unknown = unknown or truth is None
    return None if unknown else not by


def _invalid(message: str) -> AwsError:
    return AwsError("InvalidInputException", message)
