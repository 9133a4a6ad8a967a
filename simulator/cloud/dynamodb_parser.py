"""The parser of DynamoDB's expressions: conditions, filters, projections and updates.

Text becomes small tuples, once: a function sends the same text with each batch, so parsed
expressions are cached. `simulator.cloud.dynamodb_expressions` evaluates them. Grammar: Amazon
DynamoDB developer guide, "Condition and filter expressions" and "Update expressions"; the
parts that are not here are refused by name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from simulator.cloud.errors import NotSupportedByTwin, ValidationError

Node = tuple[Any, ...]
"""("and"|"or", left, right), ("not", node), ("compare", op, left, right),
("between", operand, low, high), ("in", operand, choices), ("call", function, arguments);
operands are ("path", segments), ("value", ":name") and ("size", segments)."""

_TOKEN = re.compile(
    r"\s*(?:(?P<word>[#:]?[A-Za-z0-9_]+(?:-[A-Za-z0-9_]+)*)|(?P<sign><>|<=|>=|[=<>(),.\[\]+-]))"
)
_FUNCTIONS = {
    "attribute_exists": 1,
    "attribute_not_exists": 1,
    "attribute_type": 2,
    "begins_with": 2,
    "contains": 2,
}
_COMPARISONS = ("=", "<>", "<", "<=", ">", ">=")


@dataclass(frozen=True, slots=True)
class Expression:
    """One parsed text, and the placeholders that it uses."""

    kind: str
    node: Any
    names: frozenset[str]
    values: frozenset[str]


@lru_cache(maxsize=1)
def _reserved_words() -> frozenset[str]:
    """Return DynamoDB's reserved words, from the list that moto ships (573 words)."""
    spec = find_spec("moto")
    if spec is None or spec.origin is None:  # pragma: no cover - moto comes with the twin
        return frozenset()
    words = Path(spec.origin).parent / "dynamodb" / "parsing" / "reserved_keywords.txt"
    return frozenset(words.read_text().upper().split())


class _Parser:
    """Recursive descent over one expression's tokens."""

    def __init__(self, kind: str, text: str) -> None:
        self.kind = kind
        self.text = text
        self.tokens = self._tokenise()
        self.at = 0
        self.names: set[str] = set()
        self.values: set[str] = set()

    def _tokenise(self) -> list[str]:
        tokens, at = [], 0
        while self.text[at:].strip():
            found = _TOKEN.match(self.text, at)
            if found is None:
                raise self.error(self.text[at:].strip()[0])
            tokens.append(found.group("word") or found.group("sign"))
            at = found.end()
        if not tokens:
            raise ValidationError(f"Invalid {self.kind}: The expression can not be empty;")
        # Two ends, so that looking one token ahead never runs out.
        return [*tokens, "", ""]

    def error(self, token: str) -> ValidationError:
        near = "<EOF>" if token == "" else token
        return ValidationError(
            f'Invalid {self.kind}: Syntax error; token: "{near}", near: "{self.text[:60]}"'
        )

    def peek(self) -> str:
        return self.tokens[self.at]

    def keyword(self) -> str:
        return self.peek().upper()

    def take(self, expected: str | None = None) -> str:
        token = self.peek()
        if expected is not None and token.upper() != expected:
            raise self.error(token)
        self.at += 1
        return token

    def accept(self, wanted: str) -> bool:
        if self.keyword() == wanted:
            self.at += 1
            return True
        return False

    def finished(self, node: Any) -> Expression:
        if self.peek():
            raise self.error(self.peek())
        return Expression(self.kind, node, frozenset(self.names), frozenset(self.values))

    # -- conditions

    def condition(self) -> Node:
        node = self.conjunction()
        while self.accept("OR"):
            node = ("or", node, self.conjunction())
        return node

    def conjunction(self) -> Node:
        node = self.negation()
        while self.accept("AND"):
            node = ("and", node, self.negation())
        return node

    def negation(self) -> Node:
        if self.accept("NOT"):
            return ("not", self.negation())
        if self.accept("("):
            node = self.condition()
            self.take(")")
            return node
        return self.predicate()

    def predicate(self) -> Node:
        function = self.peek()
        if self.tokens[self.at + 1] == "(" and function != "size":
            return self.function()
        left = self.operand()
        if self.accept("BETWEEN"):
            low = self.operand()
            self.take("AND")
            return ("between", left, low, self.operand())
        if self.accept("IN"):
            self.take("(")
            choices = [self.operand()]
            while self.accept(","):
                choices.append(self.operand())
            self.take(")")
            return ("in", left, tuple(choices))
        sign = self.take()
        if sign not in _COMPARISONS:
            raise self.error(sign)
        return ("compare", sign, left, self.operand())

    def function(self) -> Node:
        name = self.take()
        if name not in _FUNCTIONS:
            raise ValidationError(f"Invalid {self.kind}: Invalid function name; function: {name}")
        self.take("(")
        arguments = [self.operand()]
        while self.accept(","):
            arguments.append(self.operand())
        self.take(")")
        if len(arguments) != _FUNCTIONS[name]:
            raise ValidationError(
                f"Invalid {self.kind}: Incorrect number of operands for operator or function;"
                f" operator or function: {name}, number of operands: {len(arguments)}"
            )
        return ("call", name, tuple(arguments))

    def operand(self) -> Node:
        token = self.peek()
        if token.startswith(":"):
            self.values.add(self.take())
            return ("value", token)
        if token == "size" and self.tokens[self.at + 1] == "(":
            self.take()
            self.take("(")
            path = self.path()
            self.take(")")
            return ("size", path)
        return ("path", self.path())

    def path(self) -> tuple[Any, ...]:
        segments: list[Any] = [self.segment()]
        while self.peek() in (".", "["):
            if self.take() == ".":
                segments.append(self.segment())
                continue
            index = self.take()
            if not index.isdigit():
                raise self.error(index)
            segments.append(int(index))
            self.take("]")
        return tuple(segments)

    def segment(self) -> str:
        token = self.take()
        if token.startswith("#"):
            self.names.add(token)
        elif not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", token):
            raise self.error(token)
        elif token.upper() in _reserved_words():
            raise ValidationError(
                f"Invalid {self.kind}: Attribute name is a reserved keyword; reserved keyword:"
                f" {token}"
            )
        return token

    # -- projections and updates

    def top_level(self, what: str) -> str:
        path = self.path()
        if len(path) > 1:
            raise NotSupportedByTwin(f"a DynamoDB {what} with a nested document path")
        name: str = path[0]
        return name

    def projection(self) -> tuple[str, ...]:
        names = [self.top_level("ProjectionExpression")]
        while self.accept(","):
            names.append(self.top_level("ProjectionExpression"))
        return tuple(names)

    def update(self) -> tuple[Node, ...]:
        actions: list[Node] = []
        seen: set[str] = set()
        while self.peek():
            section = self.take().upper()
            if section not in ("SET", "REMOVE", "ADD"):
                if section == "DELETE":
                    raise NotSupportedByTwin("the DELETE section of a DynamoDB UpdateExpression")
                raise self.error(section)
            if section in seen:
                raise ValidationError(
                    f'Invalid UpdateExpression: The "{section}" section can only be used once in'
                    " an update expression;"
                )
            seen.add(section)
            actions.append(self.action(section))
            while self.accept(","):
                actions.append(self.action(section))
        return tuple(actions)

    def action(self, section: str) -> Node:
        name = self.top_level("UpdateExpression")
        if section == "REMOVE":
            return ("remove", name)
        if section == "ADD":
            return ("add", name, self.operand())
        self.take("=")
        left = self.term()
        if self.peek() in ("+", "-"):
            return ("set", name, (self.take(), left, self.term()))
        return ("set", name, left)

    def term(self) -> Node:
        function = self.peek()
        if self.tokens[self.at + 1] != "(":
            return self.operand()
        if function != "if_not_exists":
            raise NotSupportedByTwin(f"{function} in a DynamoDB UpdateExpression")
        self.take()
        self.take("(")
        path = self.path()
        self.take(",")
        default = self.operand()
        self.take(")")
        return ("if_not_exists", path, default)


@lru_cache(maxsize=512)
def parse_condition(text: str, kind: str = "ConditionExpression") -> Expression:
    """Parse a condition, filter or key condition; ``kind`` names it in error messages."""
    parser = _Parser(kind, text)
    return parser.finished(parser.condition())


@lru_cache(maxsize=512)
def parse_projection(text: str) -> Expression:
    """Parse a ProjectionExpression into names of top-level attributes (or placeholders)."""
    parser = _Parser("ProjectionExpression", text)
    return parser.finished(parser.projection())


@lru_cache(maxsize=512)
def parse_update(text: str) -> Expression:
    """Parse an UpdateExpression into ("set", name, term), ("remove", name), ("add", ...)."""
    parser = _Parser("UpdateExpression", text)
    return parser.finished(parser.update())
