"""Metric math: expressions over time series, as alarms and GetMetricData use them.

`compile_expression` parses once and returns what to evaluate over a `Scope`. A value is a scalar,
a series (a list with one value a period, ``None`` where there is none) or an array of series (a
tuple). A function of AWS that is not here is refused by name. Source: CloudWatch user guide,
"Using math expressions with CloudWatch metrics". Used by `metric_queries`.
"""

from __future__ import annotations

import itertools
import math
import operator
import re
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from simulator.cloud.errors import NotSupportedByTwin, ValidationError

Scalar = float | None
Series = list[Scalar]
Value = Scalar | Series | tuple[Series, ...]


@dataclass(frozen=True)
class Scope:
    """What an expression may name: every query's value by id; ``metrics`` are no expressions."""

    values: Mapping[str, Value]
    metrics: Mapping[str, Series]
    period_s: int
    periods: int


Expression = Callable[[Scope], Value]

_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+)|(?P<text>\"[^\"]*\"|'[^']*')"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*)|(?P<sign>==|!=|<=|>=|&&|\|\||[-+*/^<>(),\[\]]))"
)
_LEVELS: tuple[Mapping[str, Callable[..., Any]], ...] = (
    {"OR": lambda a, b: float(bool(a) or bool(b)), "||": lambda a, b: float(bool(a) or bool(b))},
    {"AND": lambda a, b: float(bool(a) and bool(b)), "&&": lambda a, b: float(bool(a) and bool(b))},
    {
        "==": lambda a, b: float(a == b),
        "!=": lambda a, b: float(a != b),
        "<=": lambda a, b: float(a <= b),
        ">=": lambda a, b: float(a >= b),
        "<": lambda a, b: float(a < b),
        ">": lambda a, b: float(a > b),
    },
    {"+": operator.add, "-": operator.sub},
    {"*": operator.mul, "/": operator.truediv},
)
"""Operators by rising precedence; power binds stronger than any of them."""


def compile_expression(text: str) -> Expression:
    """Return an expression's meaning.

    Raises:
        ValidationError: it is not well formed, or a function is called with the wrong things.
        NotSupportedByTwin: SEARCH, Metrics Insights, and other functions that are not here.
    """
    if re.match(r"\s*SELECT\b", text, re.IGNORECASE):
        raise NotSupportedByTwin("a Metrics Insights query (SELECT)")
    parser = _Parser(_tokens(text), text)
    found = parser.level(0)
    if parser.at < len(parser.tokens):
        raise _invalid(text, f"{parser.tokens[parser.at][1]!r} is not expected")
    return found


def _invalid(text: str, why: str) -> ValidationError:
    return ValidationError(f"Error in expression '{text}': {why}", "ValidationError")


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens, at = [], 0
    stripped = text.rstrip()
    while at < len(stripped):
        found = _TOKEN.match(stripped, at)
        if found is None:
            raise _invalid(text, f"{stripped[at:].strip()[:1]!r} is not understood")
        kind = str(found.lastgroup)
        tokens.append((kind, found[kind]))
        at = found.end()
    return tokens


class _Parser:
    """Recursive descent over the tokens of one expression."""

    def __init__(self, tokens: list[tuple[str, str]], text: str) -> None:
        self.tokens, self.text, self.at = tokens, text, 0

    def _take(self, *wanted: str) -> str | None:
        """Return the next token if it is one of these and not a quoted text."""
        if self.at < len(self.tokens):
            kind, token = self.tokens[self.at]
            if kind != "text" and token in wanted:
                self.at += 1
                return token
        return None

    def _need(self, sign: str) -> None:
        if self._take(sign) is None:
            raise _invalid(self.text, f"{sign!r} is missing")

    def level(self, number: int) -> Expression:
        """Parse operators of one precedence and, inside them, of the higher ones."""
        if number == len(_LEVELS):
            return self._unary()
        left = self.level(number + 1)
        while (sign := self._take(*_LEVELS[number])) is not None:
            left = _binary(_LEVELS[number][sign], left, self.level(number + 1))
        return left

    def _unary(self) -> Expression:
        if self._take("-"):
            inner = self._unary()
            return lambda scope: each(operator.neg, inner(scope))
        base = self._atom()
        return _binary(operator.pow, base, self._unary()) if self._take("^") else base

    def _atom(self) -> Expression:
        if self._take("("):
            found = self.level(0)
            self._need(")")
            return found
        if self._take("["):
            return _array(self._arguments("]"), self.text)
        if self.at == len(self.tokens):
            raise _invalid(self.text, "it ends too early")
        kind, token = self.tokens[self.at]
        self.at += 1
        if kind == "number":
            number = float(token)
            return lambda scope: number
        if kind == "name":
            return self._call(token) if self._take("(") else self._reference(token)
        raise _invalid(self.text, f"{token!r} is not expected")

    def _reference(self, name: str) -> Expression:
        def value(scope: Scope) -> Value:
            if name not in scope.values:
                raise _invalid(self.text, f"there is no metric with the id {name}")
            return scope.values[name]

        return value

    def _arguments(self, end: str) -> list[Expression]:
        if self._take(end):
            return []
        found = [self.level(0)]
        while self._take(","):
            found.append(self.level(0))
        self._need(end)
        return found

    def _call(self, name: str) -> Expression:
        if name == "METRICS":
            return self._metrics()
        if name == "FILL":
            return self._fill()
        if name not in FUNCTIONS:
            raise NotSupportedByTwin(f"the metric math function {name}")
        function, least, most = FUNCTIONS[name]
        arguments = self._arguments(")")
        if not least <= len(arguments) <= most:
            raise _invalid(self.text, f"{name} takes {least} to {most} arguments")
        text = self.text

        def value(scope: Scope) -> Value:
            try:
                return function(scope, *(argument(scope) for argument in arguments))
            except TypeError:
                raise _invalid(text, f"{name} is called with the wrong kind of value") from None

        return value

    def _metrics(self) -> Expression:
        """Parse METRICS() or METRICS("part of an id")."""
        part = ""
        if self.at < len(self.tokens) and self.tokens[self.at][0] == "text":
            part = self.tokens[self.at][1][1:-1]
            self.at += 1
        self._need(")")
        return lambda scope: tuple(v for name, v in scope.metrics.items() if part in name)

    def _fill(self) -> Expression:
        filled = self.level(0)
        self._need(",")
        way = self._take("REPEAT", "LINEAR")
        other = None if way else self.level(0)
        self._need(")")

        def fill(series: Series, instead: Value) -> Series:
            if way is not None:
                return _repeated(series) if way == "REPEAT" else _linear(series)
            among = instead if isinstance(instead, list) else [instead] * len(series)
            pairs = zip(series, among, strict=True)
            return [b if a is None else a for a, b in pairs]  # type: ignore[misc]

        def value(scope: Scope) -> Value:
            found, instead = filled(scope), other(scope) if other else None
            if isinstance(found, tuple):
                return tuple(fill(one, instead) for one in found)
            return fill(_series(found), instead)

        return value


def _binary(operation: Callable[..., Any], left: Expression, right: Expression) -> Expression:
    return lambda scope: each(operation, left(scope), right(scope))


def _array(members: list[Expression], text: str) -> Expression:
    def value(scope: Scope) -> Value:
        found = [member(scope) for member in members]
        if not all(isinstance(one, list) for one in found):
            raise _invalid(text, "an array has time series only")
        return tuple(one for one in found if isinstance(one, list))

    return value


def each(operation: Callable[..., Any], *values: Value) -> Value:
    """Apply an operation period by period; nothing comes of a value that is not there."""
    for value in values:
        if isinstance(value, tuple):
            sizes = {len(one) for one in values if isinstance(one, tuple)}
            if len(sizes) > 1:
                raise ValidationError(
                    "Arrays of unequal length in an expression", "ValidationError"
                )
            rows = [
                each(operation, *(one[at] if isinstance(one, tuple) else one for one in values))
                for at in range(len(value))
            ]
            return tuple(row for row in rows if isinstance(row, list))
    for value in values:
        if isinstance(value, list):
            return [
                _one(operation, [one[at] if isinstance(one, list) else one for one in values])
                for at in range(len(value))
            ]
    return _one(operation, values)


def _one(operation: Callable[..., Any], values: Any) -> Scalar:
    if any(value is None for value in values):
        return None
    try:
        found = operation(*values)
    except (ArithmeticError, ValueError):
        return None
    is_real = isinstance(found, (int, float)) and math.isfinite(found)
    return float(found) if is_real else None


def _series(value: Value) -> Series:
    if not isinstance(value, list):
        raise TypeError
    return value


def _present(series: Series) -> list[float]:
    return [value for value in series if value is not None]


def _over(aggregate: Callable[[list[float]], float]) -> Callable[..., Value]:
    """Return a function: of a series a scalar, of an array the series of each period."""

    def value(scope: Scope, found: Value) -> Value:
        if isinstance(found, tuple):
            columns = [_present([one[at] for one in found]) for at in range(scope.periods)]
            return [aggregate(column) if column else None for column in columns]
        present = _present(_series(found))
        return aggregate(present) if present else None

    return value


def _steps(scope: Scope, found: Value, per_s: bool) -> Value:
    """Return the change since the value before, which need not be of the period before."""
    if isinstance(found, tuple):
        return tuple(_series(_steps(scope, one, per_s)) for one in found)
    steps: Series = []
    last: tuple[int, float] | None = None
    for at, value in enumerate(_series(found)):
        if value is None or last is None:
            steps.append(None)
        else:
            steps.append((value - last[1]) / ((at - last[0]) * scope.period_s if per_s else 1))
        last = last if value is None else (at, value)
    return steps


def _running_sum(scope: Scope, found: Value) -> Value:
    total, sums = 0.0, []
    for value in _series(found):
        total += value or 0.0
        sums.append(None if value is None else total)
    return sums


def _if(scope: Scope, condition: Value, then: Value, otherwise: Value = None) -> Value:
    if any(isinstance(one, tuple) for one in (condition, then, otherwise)):
        raise TypeError
    if not any(isinstance(one, list) for one in (condition, then, otherwise)):
        return None if condition is None else then if condition else otherwise
    chosen: Series = []
    for at in range(scope.periods):
        held, yes, no = (
            one[at] if isinstance(one, list) else one for one in (condition, then, otherwise)
        )
        chosen.append(None if held is None else yes if held else no)  # type: ignore[arg-type]
    return chosen


def _end(place: int) -> Callable[..., Value]:
    def value(scope: Scope, found: Value) -> Value:
        if not isinstance(found, tuple):
            raise TypeError
        return found[place] if found else [None] * scope.periods

    return value


def _repeated(series: Series) -> Series:
    last: Scalar = None
    filled: Series = []
    for value in series:
        last = last if value is None else value
        filled.append(last)
    return filled


def _linear(series: Series) -> Series:
    """Fill between two values; what is before the first or after the last stays missing."""
    known = [(at, value) for at, value in enumerate(series) if value is not None]
    filled = list(series)
    for (first, low), (last, high) in itertools.pairwise(known):
        for at in range(first + 1, last):
            filled[at] = low + (high - low) * (at - first) / (last - first)
    return filled


def _unary(operation: Callable[[float], Any]) -> tuple[Callable[..., Value], int, int]:
    return (lambda scope, found: each(operation, found)), 1, 1


FUNCTIONS: Mapping[str, tuple[Callable[..., Value], int, int]] = {
    "ABS": _unary(abs),
    "CEIL": _unary(math.ceil),
    "FLOOR": _unary(math.floor),
    "LOG": _unary(math.log),
    "LOG10": _unary(math.log10),
    "AVG": (_over(statistics.fmean), 1, 1),
    "MAX": (_over(max), 1, 1),
    "MIN": (_over(min), 1, 1),
    "STDDEV": (_over(statistics.pstdev), 1, 1),
    "SUM": (_over(math.fsum), 1, 1),
    "DATAPOINT_COUNT": (_over(lambda present: float(len(present))), 1, 1),
    "METRIC_COUNT": (lambda scope, found: float(len(found)), 1, 1),
    "FIRST": (_end(0), 1, 1),
    "LAST": (_end(-1), 1, 1),
    "DIFF": (lambda scope, found: _steps(scope, found, per_s=False), 1, 1),
    "RATE": (lambda scope, found: _steps(scope, found, per_s=True), 1, 1),
    "RUNNING_SUM": (_running_sum, 1, 1),
    "PERIOD": (lambda scope, found: float(scope.period_s), 1, 1),
    "TIME_SERIES": (lambda scope, found: [found] * scope.periods, 1, 1),
    "IF": (_if, 2, 3),
}
"""Function -> (meaning, least and most arguments); METRICS and FILL are part of the grammar."""
