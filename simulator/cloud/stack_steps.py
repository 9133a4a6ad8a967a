"""The difference between two lists of calls, as steps that can be taken and taken back.

Used by `stack_changes`, which only asks whether it can be done, and by `stack_update`, which
does it. Nothing is called here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from simulator.cloud.resources.effects import Ask, CannotChange, Effect
from simulator.cloud.resources.effects_table import EFFECTS
from simulator.cloud.resources.mapping import Made


@dataclass(frozen=True)
class Step:
    """One thing changes from what ``before`` made to what ``after`` makes; None is nothing.

    ``do`` are the calls. Of a thing that is new the only call is the one that makes it.
    """

    do: tuple[Ask, ...]
    before: Made | None
    after: Made | None


def effect_of(made: Made) -> Effect:
    """Return what is known of a call. Raises CannotChange for one that is in no table."""
    found = EFFECTS.get((made.service, made.operation))
    if found is None:
        raise CannotChange(f"{made.service}:{made.operation}")
    return found


def undoing(made: Made) -> tuple[Ask, ...]:
    """Return the calls that take one back."""
    return tuple(effect_of(made).undo(made))


def taking_back(made: Sequence[Made]) -> list[Made]:
    """Return the calls that have to be undone for a resource to be gone, the last first.

    What was set on a thing that the resource itself created goes with it; undone first, a thing
    that cannot be deleted would be left without its settings.
    """
    first = made[0] if made else None
    creates = first is not None and first.operation.startswith("Create")
    return [
        one
        for one in reversed(made)
        if one is first or not creates or first is None or one.service != first.service
    ]


def key_of(made: Made) -> tuple[str, str, str]:
    """Return what says that two calls are about the same thing."""
    return made.service, made.operation, effect_of(made).identity(made.params)


def names_taken(calls: Iterable[Made]) -> set[tuple[str, str, str]]:
    """Return the keys of what nothing else may be called like, as far as calls are known."""
    known = ((made, EFFECTS.get((made.service, made.operation))) for made in calls)
    return {key_of(made) for made, one in known if one and one.key and not one.shared}


def name_claimed(calls: Sequence[Made]) -> tuple[str, str, str] | None:
    """Return the key of the thing that a resource is, if that has a name of its own.

    A setting of another's (the policy of a queue) is not a thing.
    """
    first = calls[0] if calls else None
    if first is None or first.operation.startswith("Set"):
        return None
    return next(iter(names_taken([first])), None)


def is_shared(calls: Sequence[Made]) -> bool:
    """Tell whether all calls are about things that are not the resource's own."""
    return all(effect_of(made).shared for made in calls)


def steps(old: Sequence[Made], new: Sequence[Made]) -> list[Step]:
    """Return the steps from ``old`` to ``new``: changes and additions in order, then removals.

    Answers in ``new`` count for nothing. Raises CannotChange with a member's name.
    """
    left = {key_of(made): made for made in old}
    found = []
    for made in new:
        before = left.pop(key_of(made), None)
        if before is None:
            if made.operation.startswith("Create"):
                raise CannotChange(next(iter(effect_of(made).key), made.operation))
            ask = Ask(made.service, made.operation, dict(made.params))
            found.append(Step((ask,), None, made))
            continue
        after = made._replace(answer=before.answer)
        calls: tuple[Ask, ...] = ()
        if made.params != before.params:
            calls = tuple(effect_of(made).change(before, made.params))
        found.append(Step(calls, before, after))
    for made in reversed(left.values()):
        found.append(Step(undoing(made), made, None))
    return found


def reverse(step: Step) -> tuple[Ask, ...]:
    """Return the calls that take a step back. Raises CannotChange where nothing does."""
    if step.before is None:
        return undoing(step.after) if step.after is not None else ()
    if step.after is None:
        return (Ask(step.before.service, step.before.operation, dict(step.before.params)),)
    if not step.do:
        return ()
    return tuple(effect_of(step.after).change(step.after, step.before.params))
