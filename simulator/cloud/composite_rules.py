"""The rule of a composite alarm: states of other alarms joined by AND, OR and NOT.

`parse_rule` is pure. Source: API reference of PutCompositeAlarm, AlarmRule. AT_LEAST is refused
by name. Used by `alarms`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from simulator.cloud.errors import NotSupportedByTwin, ValidationError

Holds = Callable[[Callable[[str], str]], bool]
"""Tells whether a rule holds, given a function from an alarm's name to its state."""

STATES = ("ALARM", "OK", "INSUFFICIENT_DATA")
MAX_CHARACTERS, MAX_CHILDREN = 10_240, 100
_TOKEN = re.compile(
    r"\s*(?:(?P<state>ALARM|OK|INSUFFICIENT_DATA)\s*\(\s*"
    r"(?:\"(?P<double>[^\"]+)\"|'(?P<single>[^']+)'|(?P<bare>[^\s()\"']+))\s*\)"
    r"|(?P<word>AND|OR|NOT|TRUE|FALSE|AT_LEAST)\b|(?P<bracket>[()]))"
)


@dataclass(frozen=True)
class Rule:
    """A parsed rule and the names of the alarms that it looks at."""

    holds: Holds
    children: frozenset[str]


def parse_rule(text: str) -> Rule:
    """Return the rule of a text; ARNs count as the name in them.

    Raises ValidationError for one that is not well formed or too long.
    """
    if len(text) > MAX_CHARACTERS:
        raise _invalid(f"it has more than {MAX_CHARACTERS} characters")
    tokens = _tokens(text)
    parser = _Parser(tokens)
    holds = parser.either()
    if parser.at < len(tokens):
        raise _invalid(f"{tokens[parser.at][0]!r} is not expected")
    children = frozenset(name for _, name in tokens if name)
    if len(children) > MAX_CHILDREN:
        raise _invalid(f"it names more than {MAX_CHILDREN} alarms")
    return Rule(holds, children)


def _invalid(why: str) -> ValidationError:
    return ValidationError(f"AlarmRule is not valid: {why}", "ValidationError")


def _tokens(text: str) -> list[tuple[str, str]]:
    """Return (word, alarm); the alarm is empty but for a state's."""
    tokens, at = [], 0
    stripped = text.rstrip()
    while at < len(stripped):
        found = _TOKEN.match(stripped, at)
        if found is None:
            raise _invalid(f"{stripped[at:].strip()[:20]!r} is not understood")
        if found["word"] == "AT_LEAST":
            raise NotSupportedByTwin("AT_LEAST in the rule of a composite alarm")
        if found["state"]:
            named = found["double"] or found["single"] or found["bare"]
            tokens.append((found["state"], named.partition(":alarm:")[2] or named))
        else:
            tokens.append((found["word"] or found["bracket"], ""))
        at = found.end()
    return tokens


class _Parser:
    """Recursive descent: OR binds weakest, NOT strongest."""

    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self._tokens, self.at = tokens, 0

    def _take(self, word: str) -> bool:
        if self.at < len(self._tokens) and self._tokens[self.at] == (word, ""):
            self.at += 1
            return True
        return False

    def either(self) -> Holds:
        """Parse alternatives."""
        parts = [self._both()]
        while self._take("OR"):
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else lambda state: any(p(state) for p in parts)

    def _both(self) -> Holds:
        parts = [self._one()]
        while self._take("AND"):
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else lambda state: all(p(state) for p in parts)

    def _one(self) -> Holds:
        if self._take("NOT"):
            inner = self._one()
            return lambda state: not inner(state)
        if self._take("("):
            inner = self.either()
            if not self._take(")"):
                raise _invalid("')' is missing")
            return inner
        if self.at == len(self._tokens):
            raise _invalid("it ends too early")
        word, name = self._tokens[self.at]
        self.at += 1
        if name:
            return lambda state: state(name) == word
        if word in ("TRUE", "FALSE"):
            return lambda state: word == "TRUE"
        raise _invalid(f"{word!r} is not expected")
