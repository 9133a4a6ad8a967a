"""Filter patterns of space-delimited log events: ``[ip, ..., status = 4*, size > 1000]``.

Text in double quotes or in brackets is one field. Without an ellipsis the last column takes the
rest of the line, so a pattern whose last column has a condition asks the whole rest. Called by
`log_patterns.compile_pattern`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from simulator.cloud.log_conditions import Reader, Test, comparison, expression, invalid

_FIELD = re.compile(r'"([^"]*)"|\[([^\]]*)\]|(\S+)')
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_\-]*")


@dataclass(frozen=True)
class Column:
    """One entry of a pattern: its name (may be empty), and the test of its value."""

    name: str
    test: Test | None = None


@dataclass(frozen=True)
class Columns:
    """The entries before an ellipsis and those after it; ``after`` is None without one."""

    before: tuple[Column, ...]
    after: tuple[Column, ...] | None

    def row(self, message: str) -> tuple[dict[str, str], dict[str, str]] | None:
        """Return the values by name and by position (``$1``), or None when it does not match."""
        fields = list(_FIELD.finditer(message))
        placed = self._placed(len(fields))
        if placed is None:
            return None
        values = [next(part for part in found.groups() if part is not None) for found in fields]
        if self.after is None and self.before and len(fields) > len(self.before):
            last = len(self.before) - 1
            values = [*values[:last], message[fields[last].start() :].rstrip()]
        named: dict[str, str] = {}
        for position, column in placed:
            if column.test is not None and not column.test(values[position]):
                return None
            if column.name:
                named[f"${column.name}"] = values[position]
        return named, {f"${number}": value for number, value in enumerate(values, 1)}

    def unnamed(self, count: int) -> Iterator[str]:
        """Yield the positions (``$3``) of a row of ``count`` fields that have no name."""
        placed = {position for position, column in self._placed(count) or () if column.name}
        for position in range(count):
            if position not in placed:
                yield f"${position + 1}"

    def declares(self, reference: str) -> bool:
        """Tell whether ``$name`` is a column or ``$3`` a position."""
        names = {column.name for column in (*self.before, *(self.after or ())) if column.name}
        return reference.startswith("$") and (reference[1:] in names or reference[1:].isdecimal())

    def _placed(self, count: int) -> list[tuple[int, Column]] | None:
        """Return each column's position in an event of ``count`` fields; None when too few."""
        after = self.after or ()
        if count < len(self.before) + len(after):
            return None
        first = count - len(after)
        return [*enumerate(self.before), *enumerate(after, first)]


def columns_of(reader: Reader) -> Columns:
    """Read a pattern in brackets; raises InvalidParameterException."""
    reader.need("[")
    parts: list[list[Column]] = [[]]
    if reader.take("]"):
        # No column at all: every event, with its fields by position.
        return Columns((), ())
    while True:
        if reader.take("..."):
            parts.append([])
        else:
            parts[-1].append(_column(reader))
        if not reader.take(","):
            break
    reader.need("]")
    if len(parts) > 2:
        raise invalid("more than one ellipsis")
    names = [column.name for part in parts for column in part if column.name]
    if len(set(names)) < len(names):
        raise invalid("two fields have the same name")
    return Columns(tuple(parts[0]), tuple(parts[1]) if len(parts) == 2 else None)


def _column(reader: Reader) -> Column:
    found = reader.match(_NAME)
    if found is None:
        if not reader.text.startswith(("(", ",", "]"), reader.at):
            raise invalid(f"a field's name is expected at character {reader.at + 1}")
        if reader.text.startswith("(", reader.at):
            return _conditional(reader, reader.at)
        return Column("")
    reader.skip()
    if reader.text.startswith((",", "]"), reader.at):
        return Column(found[0])
    return _conditional(reader, found.start())


def _conditional(reader: Reader, start: int) -> Column:
    """Read the conditions of one column, which all name it."""
    reader.at = start
    names: set[str] = set()

    def condition(inner: Reader) -> Test:
        found = inner.match(_NAME)
        if found is None:
            raise invalid(f"a field's name is expected at character {inner.at + 1}")
        names.add(found[0])
        return comparison(inner)

    test = expression(reader, condition)
    if len(names) != 1:
        raise invalid(f"the conditions of a field name several: {', '.join(sorted(names))}")
    return Column(names.pop(), test)
