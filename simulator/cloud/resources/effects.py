"""What a call that brought a resource about left behind: how to change it, how to take it back.

A resource that exists is the calls that were made for it (`Resource.made`). An update makes the
difference between two lists of them, a deletion takes one list back; the tables in
`effects_table` say how for each operation. A change that no operation of the twin can make is
`CannotChange`: whoever plans an update asks before anything is done. Nothing is called here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from simulator.cloud.resources.mapping import Made
from simulator.cloud.resources.shapes import input_shape

Params = Mapping[str, Any]


class Ask(NamedTuple):
    """A call to be made: service (or ``PERMISSIONS``), operation (or method), parameters."""

    service: str
    operation: str
    params: dict[str, Any]


STEPS = "steps"
"""The service of an `Ask` that is several calls of which each needs the last one's answer:
``operation`` is a function of `effects_steps`."""


def _at(values: Any, path: str) -> Any:
    for name in path.split("/"):
        values = values.get(name) if isinstance(values, Mapping) else None
    return values


class CannotChange(Exception):
    """No operation of the twin makes this change in place; the text is the member's name."""


Undo = Callable[[Made], Iterable[Ask]]
Change = Callable[[Made, Params], Iterable[Ask]]
"""(what was made, the parameters it would be made with now) -> what to call."""


@dataclass(frozen=True)
class Effect:
    """``key`` names the parameters (``/`` leads inside) that say which thing a call speaks of.

    Without one, what is made has no name that could be taken twice.

    ``shared``: the thing is not the resource's own (a table that is granted), so that a
    replacement about the same thing is the difference of the two.
    """

    key: tuple[str, ...]
    undo: Undo
    change: Change
    shared: bool = False

    def identity(self, params: Params) -> str:
        """Return what two calls about the same thing have in common."""
        return json.dumps([_at(params, path) for path in self.key], sort_keys=True, default=str)


def differing(old: Params, new: Params) -> list[str]:
    """Return the members that differ, in order."""
    names = dict.fromkeys([*old, *new])
    return [n for n in names if old.get(n) != new.get(n) or (n in old) != (n in new)]


# -- kinds of effects


def undone_by(operation: str, *names: str, renames: Params | None = None, **more: Any) -> Undo:
    """Return the undoing by an operation that takes the parameters ``names`` of the first call."""

    def undo(made: Made) -> Iterable[Ask]:
        given = {
            (renames or {}).get(n, n): made.params[n]
            for n in names
            if made.params.get(n) is not None
        }
        yield Ask(made.service, operation, {**given, **more})

    return undo


def undone_for(operation: str, **members: str) -> Undo:
    """Return the undoing by an operation that takes what the first call answered."""

    def undo(made: Made) -> Iterable[Ask]:
        given = {name: made.answer.get(member, "") for name, member in members.items()}
        yield Ask(made.service, operation, given)

    return undo


def fixed(made: Made, new: Params) -> Iterable[Ask]:
    """Change nothing in place: the first member that differs is refused."""
    raise CannotChange(next(iter(differing(made.params, new))))


def again(**more: Any) -> Change:
    """Return the change by the same call: it replaces what it said before."""

    def change(made: Made, new: Params) -> Iterable[Ask]:
        yield Ask(made.service, made.operation, {**new, **more})

    return change


def put(*key: str, undo: Undo, **more: Any) -> Effect:
    """Return the effect of a call that replaces whatever was said before."""
    return Effect(key, undo, again(**more))


def updated_by(
    operation: str,
    *names: str,
    answer: Mapping[str, str] | None = None,
    defaults: Params | None = None,
    whole: bool = False,
) -> Change:
    """Return the change by an operation that takes the members that differ.

    ``names`` are the members that say which thing it is, ``answer`` those that the first answer
    gave (member -> member of the answer). A member that is gone gets its value of ``defaults``;
    one that has none there, or that the operation does not take, cannot be changed. ``whole``:
    the operation takes all members, and what is not said is as if it had never been.
    """

    def change(made: Made, new: Params) -> Iterable[Ask]:
        takes = input_shape(made.service, operation).members
        changes: dict[str, Any] = {}
        for name in differing(made.params, new):
            value = new.get(name, (defaults or {}).get(name))
            if name not in takes or (value is None and not whole):
                raise CannotChange(name)
            changes[name] = value
        if whole:
            changes = {name: value for name, value in new.items() if name in takes}
        which = {name: made.params[name] for name in names}
        which |= {name: made.answer.get(member, "") for name, member in (answer or {}).items()}
        yield Ask(made.service, operation, {**changes, **which})

    return change


def attributes_by(
    operation: str,
    which: Mapping[str, str],
    defaults: Params,
    *,
    one_by_one: bool,
) -> Change:
    """Return the change of ``Attributes`` (text by name), one call for each or one for all.

    ``which`` maps the operation's member to that of the first answer.
    """

    def change(made: Made, new: Params) -> Iterable[Ask]:
        named = {name: made.answer.get(member, "") for name, member in which.items()}
        others = [n for n in differing(made.params, new) if n != "Attributes"]
        if others:
            raise CannotChange(others[0])
        old, now = made.params.get("Attributes", {}), new.get("Attributes", {})
        changes = {}
        for name in differing(old, now):
            value = now.get(name, defaults.get(name))
            if value is None:
                raise CannotChange(name)
            changes[name] = value
        if not one_by_one:
            yield Ask(made.service, operation, {**named, "Attributes": changes})
            return
        for name, value in changes.items():
            params = {**named, "AttributeName": name, "AttributeValue": value}
            yield Ask(made.service, operation, params)

    return change


def within(old: Sequence[Any], new: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """Return what is only in ``new`` and what is only in ``old``."""
    return [one for one in new if one not in old], [one for one in old if one not in new]
