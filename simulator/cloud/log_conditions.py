"""Conditions inside filter patterns of CloudWatch Logs: a cursor, ``&& || ()``, comparisons.

Shared by the two kinds of pattern that have conditions: JSON selectors and columns of
space-delimited events (`log_patterns.py`). Grammar: CloudWatch Logs user guide, "Filter pattern
syntax". The words of refusals are ours but for ``Invalid character(s) in term``.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import TypeVar

from simulator.cloud.errors import AwsError

Scalar = str | int | float
"""What a condition looks at: text or a number; never true, false, null, an object or a list."""
Test = Callable[[Scalar], bool]
T = TypeVar("T")

MAX_REGULAR_EXPRESSIONS = 2
"""Of one pattern (user guide)."""

_COMPARE: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "!=": operator.ne,
    "=": operator.eq,
    ">": operator.gt,
    "<": operator.lt,
}
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_BARE = re.compile(r"""[^\s"%()&|{}\[\],=<>!]+""")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_REGULAR = re.compile(r"%((?:[^%\\]|\\.)+)%", re.DOTALL)
_PLAIN_SYMBOLS = frozenset(" :_#=@/;,-")
_OPERATORS = frozenset("^$?{}|*+.")
_ESCAPED_LETTERS = frozenset("dDsSwWtn")


def invalid(why: str) -> AwsError:
    """Return the refusal of a pattern."""
    return AwsError("InvalidParameterException", f"Invalid filter pattern: {why}")


def as_number(text: str) -> float | None:
    """Return the number that a text is as a whole, also in scientific notation."""
    return float(text) if _NUMBER.fullmatch(text) else None


class Reader:
    """A cursor over a pattern; blanks between symbols mean nothing."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.regular_expressions = 0
        self.wildcard_selectors = 0

    def skip(self) -> None:
        """Go past blanks."""
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1

    def ended(self) -> bool:
        """Tell whether nothing but blanks is left."""
        self.skip()
        return self.at == len(self.text)

    def take(self, symbol: str) -> bool:
        """Go past a symbol if it comes next."""
        self.skip()
        found = self.text.startswith(symbol, self.at)
        self.at += len(symbol) if found else 0
        return found

    def need(self, symbol: str) -> None:
        """Go past a symbol; raises InvalidParameterException when another comes."""
        if not self.take(symbol):
            raise invalid(f"'{symbol}' is expected at character {self.at + 1}")

    def match(self, form: re.Pattern[str]) -> re.Match[str] | None:
        """Go past what a form matches next, if it does."""
        self.skip()
        found = form.match(self.text, self.at)
        self.at = found.end() if found else self.at
        return found

    def quoted(self) -> str | None:
        """Return the next string between double quotes, if one comes; a backslash escapes."""
        found = self.match(_QUOTED)
        return re.sub(r"\\(.)", r"\1", found[1]) if found else None

    def regular(self) -> re.Pattern[str] | None:
        """Return the next regular expression between per cent signs, if one comes."""
        found = self.match(_REGULAR)
        if found is None:
            return None
        self.regular_expressions += 1
        if self.regular_expressions > MAX_REGULAR_EXPRESSIONS:
            raise invalid(f"more than {MAX_REGULAR_EXPRESSIONS} regular expressions")
        return regular_expression(found[1])


def regular_expression(text: str) -> re.Pattern[str]:
    """Compile a regular expression of the subset that CloudWatch Logs takes.

    Groups, look-around, back references and most symbols are not in it: those raise
    InvalidParameterException.
    """
    parts: list[str] = []
    at, in_class = 0, False
    while at < len(text):
        one = text[at]
        if one == "\\":
            piece = text[at : at + 4] if text[at + 1 : at + 2] == "x" else text[at : at + 2]
            _check_escape(piece, text)
            parts.append(piece)
            at += len(piece)
            continue
        if in_class and one == "[":
            one = "\\["  # Python warns of a set in a set
        elif one in "[]":
            in_class = one == "["
        elif one == " ":
            pass
        elif not (one.isascii() and one.isalnum()) and one not in _PLAIN_SYMBOLS | _OPERATORS:
            raise invalid(f"'{one}' in the regular expression %{text}%")
        parts.append(one)
        at += 1
    try:
        return re.compile("".join(parts), re.ASCII)
    except re.error as error:
        raise invalid(f"the regular expression %{text}% ({error})") from None


def _check_escape(piece: str, text: str) -> None:
    second = piece[1:2]
    if second == "x":
        good = re.fullmatch(r"\\x[0-9A-Fa-f]{2}", piece) is not None
    elif second.isalnum():
        good = second in _ESCAPED_LETTERS
    else:
        good = len(piece) == 2 and second.isascii()
    if not good:
        raise invalid(f"'{piece}' in the regular expression %{text}%")


def expression(
    reader: Reader, condition: Callable[[Reader], Callable[[T], bool]]
) -> Callable[[T], bool]:
    """Read conditions joined by ``||`` and ``&&`` (binds closer), and parentheses."""
    either = [_all_of(reader, condition)]
    while reader.take("||"):
        either.append(_all_of(reader, condition))
    return either[0] if len(either) == 1 else lambda value: any(one(value) for one in either)


def _all_of(
    reader: Reader, condition: Callable[[Reader], Callable[[T], bool]]
) -> Callable[[T], bool]:
    both = [_primary(reader, condition)]
    while reader.take("&&"):
        both.append(_primary(reader, condition))
    return both[0] if len(both) == 1 else lambda value: all(one(value) for one in both)


def _primary(
    reader: Reader, condition: Callable[[Reader], Callable[[T], bool]]
) -> Callable[[T], bool]:
    if reader.take("("):
        inner = expression(reader, condition)
        reader.need(")")
        return inner
    return condition(reader)


def comparison(reader: Reader) -> Test:
    """Read an operator and what it compares with; return the test of a value."""
    for sign in _COMPARE:
        if reader.take(sign):
            return _compared(reader, sign)
    raise invalid(f"a comparison is expected at character {reader.at + 1}")


def _compared(reader: Reader, sign: str) -> Test:
    is_equality = sign in ("=", "!=")
    wanted_same = sign == "="
    form = reader.regular()
    if form is not None and is_equality:
        return lambda value: (form.search(str(value)) is not None) == wanted_same
    text = reader.quoted()
    if text is None:
        bare = reader.match(_BARE)
        if bare is None or form is not None:
            raise invalid(f"a value is expected at character {reader.at + 1}")
        text = bare[0]
        number = as_number(text)
        if number is not None:
            return _numeric(_COMPARE[sign], number)
    if not is_equality:
        raise invalid(f"{sign} compares with a number, not with '{text}'")
    wildcard = re.compile(".*".join(map(re.escape, text.split("*"))), re.DOTALL)
    return lambda value: (wildcard.fullmatch(str(value)) is not None) == wanted_same


def _numeric(compare: Callable[[float, float], bool], wanted: float) -> Test:
    """Return a comparison of numbers; text that is no number differs from every number."""

    def test(value: Scalar) -> bool:
        found = as_number(value) if isinstance(value, str) else value
        return compare is operator.ne if found is None else compare(found, wanted)

    return test
