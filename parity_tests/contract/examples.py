"""One realistic call for each operation of the twin.

`test_shapes` asks them all. An operation without an example fails there, so whoever adds one
writes its example into the list of its service: `examples_storage` (S3), `examples_tables`
(DynamoDB), `examples_streams` (Kinesis, IoT, Logs, CloudWatch), `examples_jobs` (Lambda, Glue,
SageMaker) or `examples_workflows` (Step Functions). Those of `examples_forwarded` are moto's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from parity_tests.contract.world import World

Make = Callable[[World], dict[str, Any]]
"""Prepares what the call needs and returns its parameters."""


@dataclass(frozen=True)
class Example:
    """One call. ``present`` are the members, as dotted paths, that AWS's answer always has.

    With none named the answer must be empty, as those of most deletions are.
    """

    service: str
    operation: str
    make: Make
    present: str = ""
    note: str = ""

    @property
    def name(self) -> str:
        """Return what a test's id shows."""
        return f"{self.service}.{self.operation}" + (f" ({self.note})" if self.note else "")


class Examples:
    """Collects the examples of one service in the order in which they are written."""

    def __init__(self, service: str) -> None:
        self.service = service
        self.all: list[Example] = []

    def add(self, operation: str, make: Make, present: str = "", note: str = "") -> None:
        """Add one example."""
        self.all.append(Example(self.service, operation, make, present, note))


def below(member: str, names: str) -> str:
    """Return the paths of names that are members of a member."""
    return " ".join(f"{member}.{name}" for name in names.split())
