"""What becomes of each property of a resource type: said beside the mapper that reads it.

A mapper's `maps` takes one declaration a property. A property without one is refused, so nothing
is read that nobody has judged. A claim names the test that shows it, as `file.test`;
`simulator/tests/test_declared_properties.py` looks each one up. The claim is about the property
as a whole: what the twin does not have inside of it, it refuses by name.
"""

from __future__ import annotations

from dataclasses import dataclass

ENFORCED = "enforced"
"""The twin denies, limits or ends something by it, as AWS does."""

HONOURED = "honoured"
"""What the twin does follows it."""

RECORDED = "recorded only"
"""It is kept, and described where AWS describes it; nothing else follows, for a named reason."""

REFUSED = "refused"
"""The assembly does not boot."""


@dataclass(frozen=True)
class Declared:
    """One property's verdict: with the test that shows it, or why it is recorded only.

    ``handed_on``: the service gets it and describes it; otherwise only the deployment keeps it.
    """

    verdict: str
    test: str = ""
    why: str = ""
    handed_on: bool = True


def enforced(test: str) -> Declared:
    """Return that the twin denies or limits by a property, as ``test`` shows."""
    return Declared(ENFORCED, test)


def honoured(test: str) -> Declared:
    """Return that what the twin does follows a property, as ``test`` shows."""
    return Declared(HONOURED, test)


def stored(why: str) -> Declared:
    """Return that the service keeps and describes a property, and why that is all."""
    return Declared(RECORDED, why=why)


def kept(why: str) -> Declared:
    """Return that only the deployment keeps a property: no service here is told."""
    return Declared(RECORDED, why=why, handed_on=False)


NAMED = honoured("test_template.test_outputs_and_finding_by_type_and_name")
"""A physical name: the resource is found by it."""

TEXT = stored("text for people")
TAGS = kept("nothing in the twin is billed, found or permitted by tag")
