"""Filter patterns of CloudWatch Logs: which log events are meant, and which values they hold.

`compile_pattern` reads a pattern once. Four kinds: everything (empty), terms (``ERROR -Exit``,
``?a ?b``, ``"a phrase"``, ``%regex%``), JSON (``{ $.level = "ERROR" }``) and columns of
space-delimited events (``[ip, ..., status = 4*, size]``). Used by FilterLogEvents, metric filters
and TestMetricFilter. Source: CloudWatch Logs user guide, "Filter pattern syntax".
Not verified on AWS: that comparisons leave out true, false and null, that a number is compared
with quoted text by its digits, and the texts of refusals.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from simulator.cloud.errors import AwsError
from simulator.cloud.log_columns import columns_of
from simulator.cloud.log_conditions import Reader, Scalar, invalid
from simulator.cloud.log_selectors import selectors_of

_TERM = re.compile(r"\S+")


@dataclass(frozen=True)
class Found:
    """A log event that matches: ``value`` gives a reference's value (``$.a.b``, ``$size``, ``$3``).

    ``extracted`` are the values that TestMetricFilter shows.
    """

    value: Callable[[str], Scalar | None]
    extracted: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Pattern:
    """A compiled pattern. ``kind``: ``all``, ``terms``, ``json`` or ``columns``."""

    kind: str
    find: Callable[[str], Found | None]
    has_regular_expression: bool = False
    declares: Callable[[str], bool] = field(default=lambda reference: False)
    """Tells whether a metric's value or dimension may refer to ``$...``."""

    def matches(self, message: str) -> bool:
        """Tell whether an event is meant."""
        return self.find(message) is not None


def _nothing(reference: str) -> None:
    return None


_BARE_FOUND = Found(_nothing)


def compile_pattern(text: str) -> Pattern:
    """Return a pattern; raises InvalidParameterException for one that is none."""
    stripped = text.strip()
    if not stripped or stripped in ('" "', '""'):
        return Pattern("all", lambda message: _BARE_FOUND)
    reader = Reader(stripped)
    if stripped.startswith("{"):
        pattern = _json(reader)
    elif stripped.startswith("["):
        pattern = _columns(reader)
    else:
        pattern = _terms(reader)
    if not reader.ended():
        raise invalid(f"'{stripped[reader.at :]}' is left over")
    return pattern


def _json(reader: Reader) -> Pattern:
    read, test, declares = selectors_of(reader)

    def find(message: str) -> Found | None:
        document = read(message)
        if document is None or not test(document):
            return None
        return Found(lambda reference: declares(reference)(document))

    return Pattern("json", find, reader.regular_expressions > 0, _compiles(declares))


def _compiles(declares: Callable[[str], object]) -> Callable[[str], bool]:
    def test(reference: str) -> bool:
        try:
            declares(reference)
        except AwsError:
            return False
        return True

    return test


def _columns(reader: Reader) -> Pattern:
    columns = columns_of(reader)

    def find(message: str) -> Found | None:
        row = columns.row(message)
        if row is None:
            return None
        named, positions = row
        by_name: dict[str, str] = {**positions, **named}
        shown = {**{name: positions[name] for name in columns.unnamed(len(positions))}, **named}
        return Found(by_name.get, shown)

    return Pattern("columns", find, reader.regular_expressions > 0, columns.declares)


# -- terms


def _terms(reader: Reader) -> Pattern:
    needed: list[Callable[[str], bool]] = []
    optional: list[Callable[[str], bool]] = []
    excluded: list[Callable[[str], bool]] = []
    while not reader.ended():
        kind = needed
        if reader.text[reader.at] in "?-":
            kind = optional if reader.text[reader.at] == "?" else excluded
            reader.at += 1
        kind.append(_term(reader))
    # Beside other terms, those with a question mark have no effect (user guide).
    either = [] if needed or excluded else optional

    def find(message: str) -> Found | None:
        wanted = (
            all(term(message) for term in needed)
            and not any(term(message) for term in excluded)
            and (not either or any(term(message) for term in either))
        )
        return _BARE_FOUND if wanted else None

    return Pattern("terms", find, reader.regular_expressions > 0)


def _term(reader: Reader) -> Callable[[str], bool]:
    form = reader.regular()
    if form is not None:
        return lambda message: form.search(message) is not None
    text = reader.quoted()
    if text is None:
        found = reader.match(_TERM)
        text = found[0] if found else ""
        if not text or not all(one.isalnum() or one == "_" for one in text):
            raise AwsError("InvalidParameterException", f"Invalid character(s) in term '{text}'")
    return lambda message: text in message
