"""L2: what AWS answers, as rows that say where that is known from and since when.

`rows_*` write the rows, `test_behaviour` asks each on the contract's world, `scorecard` counts
them. A row that nobody recorded or documented does not exist: what is from memory is no row.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from parity_tests.contract.world import World

RECORDED = "recorded"
"""An answer that real AWS gave and somebody kept."""
DOCUMENTED = "documented"
"""A statement of AWS's documentation or of its service model in botocore."""

Check = Callable[[World], "str | None"]
"""Asks the twin and returns what is different, None when nothing is."""


@dataclass(frozen=True)
class Behaviour:
    """One row. ``date`` is the year, or year and month, of the recording or of the reading."""

    service: str
    operation: str
    what: str
    source: str
    date: str
    check: Check

    @property
    def name(self) -> str:
        """Return what a test's id shows."""
        return f"{self.service}.{self.operation}: {self.what}"


@dataclass
class Behaviours:
    """Collects the rows of a service."""

    service: str
    all: list[Behaviour] = field(default_factory=list)

    def add(self, operation: str, what: str, source: str, date: str, check: Check) -> None:
        """Add a row."""
        self.all.append(Behaviour(self.service, operation, what, source, date, check))

    def refuses(
        self,
        operation: str,
        what: str,
        make: Callable[[World], dict[str, Any]],
        code: str,
        text: str = "",
        *,
        source: str = RECORDED,
        date: str,
        status: int = 400,
    ) -> None:
        """Add a row of a refused call; ``text`` is a pattern that the message must have in it.

        Validation errors are compared as a set: AWS does not keep their order.
        """

        def check(world: World) -> str | None:
            params = make(world)
            try:
                world.ask(self.service, operation, params)
            except ClientError as error:
                response: dict[str, Any] = dict(error.response)
                said = response["Error"]
                got = said["Code"], response["ResponseMetadata"]["HTTPStatusCode"]
                if got != (code, status):
                    return f"{got} instead of {(code, status)}: {said['Message']}"
                if text and not fits(text, said["Message"]):
                    return f"{said['Message']!r} has no {text!r}"
                return None
            return f"it was answered instead of refused with {code}"

        self.add(operation, what, source, date, check)


_MANY = re.compile(r"^\d+ validation errors? detected: (.*)$", re.DOTALL)


def validation_errors(message: str) -> set[str]:
    """Return the errors of a message that lists several, in no order."""
    found = _MANY.match(message)
    return set(found[1].split("; ")) if found else {message}


def fits(pattern: str, message: str) -> bool:
    """Tell whether the errors of a message are those of the pattern's list: no less, no more."""
    if not _MANY.match(message):
        return re.search(pattern, message) is not None
    wanted, said = set(pattern.split("; ")), validation_errors(message)
    return (
        len(wanted) == len(said)
        and all(any(re.search(each, one) for one in said) for each in wanted)
        and all(any(re.search(each, one) for each in wanted) for one in said)
    )


def differs(wanted: Any, got: Any) -> str | None:
    """Return how an answer differs from the one that is known, None when it does not."""
    return None if wanted == got else f"{got!r} instead of {wanted!r}"
