"""The part of AWS IoT's rule SQL that is in use: SELECT, FROM, WHERE, and ``${...}`` texts.

Understood: ``*``, fields and nested paths, literals, aliases, comparisons, AND, OR, NOT,
parentheses, ``topic(n)``, ``timestamp()``, ``newuuid()``, ``clientid()``. Anything else is
refused when the rule is made, functions by name. What a path does not find is *Undefined*:
it leaves its field out, and makes a WHERE false. Source: AWS IoT guide, "AWS IoT SQL reference".
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, NoReturn

import orjson

from simulator.cloud.errors import AwsError, NotSupportedByTwin

TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+(?:\.\d+)?)|(?P<text>'(?:[^']|'')*')|(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<sign><=|>=|<>|[-=<>(),.*]))"
)
KEYWORDS = {"select", "from", "where", "as", "and", "or", "not", "true", "false", "null", "value"}


class Undefined:
    """What an expression has when a path leads nowhere or a type does not fit."""


UNDEFINED = Undefined()


class Publication(NamedTuple):
    """One message as expressions see it; ``document`` is UNDEFINED when it is not JSON."""

    topic: str
    payload: bytes
    client_id: str
    at_ms: int
    new_id: Callable[[], str]
    document: Any = UNDEFINED


Expression = Callable[[Publication], Any]


@dataclass(frozen=True, slots=True)
class Statement:
    """A parsed rule: topic filter, columns (name, expression; ``*`` has no name), condition."""

    topic_filter: str
    columns: tuple[tuple[str | None, Expression | None], ...]
    where: Expression | None

    passes_through: bool = field(init=False)
    """The payload goes on untouched, so that it need not be read."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "passes_through", self.columns == ((None, None),))

    @property
    def reads_payload(self) -> bool:
        """Tell whether the payload must be parsed as JSON."""
        return self.where is not None or not self.passes_through

    def apply(self, message: Publication) -> bytes | None:
        """Return what actions get; None when WHERE is not true.

        Raises ValueError when ``*`` is to be merged with fields of a payload that is no object.
        """
        if self.where is not None and self.where(message) is not True:
            return None
        if self.passes_through:
            return message.payload
        answer: dict[str, Any] = {}
        for name, expression in self.columns:
            if expression is None:
                if not isinstance(message.document, dict):
                    raise ValueError("the payload is not a JSON object")
                answer |= message.document
            else:
                value = expression(message)
                if value is not UNDEFINED:
                    assert name is not None
                    answer[name] = value
        return orjson.dumps(answer)


def parse(sql: str) -> Statement:
    """Parse a rule.

    Raises:
        AwsError: SqlParseException.
        NotSupportedByTwin: a function that has no behaviour here.
    """
    return _Parser(sql).statement()


class Template:
    """A text of an action with ``${expression}`` in it."""

    def __init__(self, text: str) -> None:
        parts = re.split(r"\$\{(.*?)\}", text)
        self._parts: list[str | Expression] = []
        self.depends_on_topic_only = True
        self.reads_payload = False
        for i, part in enumerate(parts):
            if i % 2 == 0:
                self._parts.append(part)
                continue
            parser = _Parser(part)
            self._parts.append(parser.only_expression())
            self.depends_on_topic_only &= parser.depends_on <= {"topic"}
            self.reads_payload |= "payload" in parser.depends_on

    def fill(self, message: Publication) -> str:
        """Return the text for one message; what is Undefined is written so, as on AWS."""
        return "".join(p if isinstance(p, str) else _text(p(message)) for p in self._parts)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "undefined" if value is UNDEFINED else orjson.dumps(value).decode()


def matches(topic_filter: str, topic: str) -> bool:
    """Tell whether an MQTT topic filter takes a topic; wildcards do not take ``$`` topics."""
    levels, wanted = topic.split("/"), topic_filter.split("/")
    if topic.startswith("$") and wanted[0] in ("#", "+"):
        return False
    for i, want in enumerate(wanted):
        if want == "#":
            return True
        if i >= len(levels) or want not in ("+", levels[i]):
            return False
    return len(levels) == len(wanted)


class _Parser:
    """Recursive descent over the tokens of one text; remembers what expressions depend on."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens: list[tuple[str, str]] = []
        self._at = 0
        self.depends_on: set[str] = set()
        position, end = 0, len(text.rstrip())
        while position < end:
            found = TOKEN.match(text, position)
            if found is None:
                self._fail(f"unexpected {text[position:].strip()[:1]!r}")
            assert found.lastgroup is not None
            self._tokens.append((found.lastgroup, found.group(found.lastgroup)))
            position = found.end()

    def statement(self) -> Statement:
        self._need("select")
        if self._is("value"):
            raise NotSupportedByTwin("IoT SQL SELECT VALUE")
        columns = [self._column()]
        while self._take(","):
            columns.append(self._column())
        self._need("from")
        kind, topic_filter = self._next()
        if kind != "text":
            self._fail("FROM needs a topic filter in quotes")
        where = self._either() if self._take("where") else None
        self._end()
        return Statement(topic_filter[1:-1], tuple(columns), where)

    def only_expression(self) -> Expression:
        expression = self._either()
        self._end()
        return expression

    # -- tokens

    def _fail(self, why: str) -> NoReturn:
        raise AwsError("SqlParseException", f"{why} in {self._text!r}")

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._at] if self._at < len(self._tokens) else ("end", "the end")

    def _next(self) -> tuple[str, str]:
        token = self._peek()
        self._at += 1
        return token

    def _is(self, word: str) -> bool:
        kind, text = self._peek()
        return kind in ("name", "sign") and text.lower() == word

    def _take(self, word: str) -> bool:
        if self._is(word):
            self._at += 1
            return True
        return False

    def _need(self, word: str) -> None:
        if not self._take(word):
            self._fail(f"expected {word.upper()} before {self._peek()[1]}")

    def _end(self) -> None:
        if self._peek()[0] != "end":
            self._fail(f"unexpected {self._peek()[1]}")

    # -- grammar

    def _column(self) -> tuple[str | None, Expression | None]:
        if self._take("*"):
            return None, None
        start = self._at
        expression = self._either()
        if self._take("as"):
            kind, name = self._next()
            if kind != "name":
                self._fail("AS needs a name")
            return name, expression
        names = [text for kind, text in self._tokens[start : self._at] if kind == "name"]
        if not names:
            self._fail("a literal needs a name (AS)")
        return names[0] if self._tokens[self._at - 1][1] == ")" else names[-1], expression

    def _either(self) -> Expression:
        expression = self._both()
        while self._take("or"):
            expression = _or(expression, self._both())
        return expression

    def _both(self) -> Expression:
        expression = self._negated()
        while self._take("and"):
            expression = _and(expression, self._negated())
        return expression

    def _negated(self) -> Expression:
        if self._take("not"):
            inner = self._negated()
            return lambda m: not v if isinstance(v := inner(m), bool) else UNDEFINED
        return self._comparison()

    def _comparison(self) -> Expression:
        left = self._operand()
        kind, sign = self._peek()
        if kind != "sign" or sign not in COMPARISONS:
            return left
        self._at += 1
        return _compare(COMPARISONS[sign], left, self._operand())

    def _operand(self) -> Expression:
        kind, text = self._next()
        if kind == "sign" and text == "(":
            inner = self._either()
            self._need(")")
            return inner
        if kind == "sign" and text == "-":
            kind, text = self._next()
            if kind != "number":
                self._fail("expected a number after -")
            text = f"-{text}"
        if kind == "number":
            return _constant(orjson.loads(text))
        if kind == "text":
            return _constant(text[1:-1].replace("''", "'"))
        if kind != "name":
            self._fail(f"unexpected {text}")
        if text.lower() in CONSTANTS:
            return _constant(CONSTANTS[text.lower()])
        if self._take("("):
            return self._function(text.lower())
        if text.lower() in KEYWORDS:
            self._fail(f"unexpected {text}")
        path = [text]
        while self._take("."):
            kind, text = self._next()
            if kind != "name":
                self._fail("expected a name after .")
            path.append(text)
        self.depends_on.add("payload")
        return _path(tuple(path))

    def _function(self, name: str) -> Expression:
        arguments: list[tuple[str, str]] = []
        while not self._take(")"):
            kind, text = self._next()
            if kind == "end":
                self._fail("expected )")
            arguments.append((kind, text))
        if name == "topic" and len(arguments) <= 1:
            self.depends_on.add("topic")
            if not arguments:
                return lambda m: m.topic
            if arguments[0][0] != "number":
                self._fail("topic() takes a whole number")
            return _topic(int(arguments[0][1]))
        if arguments or name not in FUNCTIONS:
            raise NotSupportedByTwin(f"IoT SQL function {name}()")
        self.depends_on.add(name)
        return FUNCTIONS[name]


CONSTANTS = {"true": True, "false": False, "null": None}
FUNCTIONS: dict[str, Expression] = {
    "timestamp": lambda m: m.at_ms,
    "newuuid": lambda m: m.new_id(),
    "clientid": lambda m: m.client_id or "N/A",
}
COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda a, b: bool(a == b),
    "<>": lambda a, b: bool(a != b),
    "<": lambda a, b: bool(a < b),
    "<=": lambda a, b: bool(a <= b),
    ">": lambda a, b: bool(a > b),
    ">=": lambda a, b: bool(a >= b),
}


def _constant(value: Any) -> Expression:
    return lambda _: value


def _topic(number: int) -> Expression:
    def segment(message: Publication) -> Any:
        levels = message.topic.split("/")
        return levels[number - 1] if 1 <= number <= len(levels) else UNDEFINED

    return segment


def _path(names: tuple[str, ...]) -> Expression:
    def value(message: Publication) -> Any:
        found = message.document
        for name in names:
            if not isinstance(found, dict) or name not in found:
                return UNDEFINED
            found = found[name]
        return found

    return value


def _and(left: Expression, right: Expression) -> Expression:
    return lambda m: left(m) is True and right(m) is True


def _or(left: Expression, right: Expression) -> Expression:
    return lambda m: left(m) is True or right(m) is True


def _compare(test: Callable[[Any, Any], bool], left: Expression, right: Expression) -> Expression:
    def compared(message: Publication) -> Any:
        a, b = left(message), right(message)
        if a is UNDEFINED or b is UNDEFINED:
            return UNDEFINED
        try:
            return test(a, b)
        except TypeError:
            return UNDEFINED

    return compared
