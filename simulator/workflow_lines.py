"""Which rows the picture of an execution has: a state each, and once for all rounds of a loop.

`workflow_text` and `workflow_svg` draw them. A workflow that waits for something visits the same
states over and over; the rounds in which these succeeded, if need be at another attempt, are one
group of rows. Not grouped: what failed or has parts (a map's iterations).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from simulator.workflow_runs import StateRun


@dataclass(frozen=True)
class Line:
    """A row of the picture: the visits of a state, or none for the name of what follows it."""

    depth: int
    label: str
    visits: tuple[StateRun, ...] = ()


def lines_of(states: Sequence[StateRun], depth: int = 0) -> Iterator[Line]:
    """Yield the rows of the picture; those of loops and of parts are further in."""
    following = _following(states)
    at = 0
    while at < len(states):
        length, rounds = _loop_at(states, at, following)
        # Grouped rows and their heading, where these are fewer than the rows that they stand for.
        if rounds * length > length + 1:
            loop = states[at : at + rounds * length]
            yield Line(depth, f"x{rounds}, {_span(loop)}")
            for first in range(length):
                yield Line(depth + 1, loop[first].name, tuple(loop[first::length]))
            at += len(loop)
            continue
        state = states[at]
        yield Line(depth, state.name, (state,))
        for part in state.parts:
            yield Line(depth + 1, part.label)
            yield from lines_of(part.states, depth + 2)
        at += 1


def _following(states: Sequence[StateRun]) -> list[int]:
    """Return for each visit how many visits later its state is visited again, 0 for never."""
    seen: dict[str, int] = {}
    found = [0] * len(states)
    for at in range(len(states) - 1, -1, -1):
        name = states[at].name
        found[at] = seen.get(name, at) - at
        seen[name] = at
    return found


def _loop_at(states: Sequence[StateRun], at: int, following: Sequence[int]) -> tuple[int, int]:
    """Return how many states a round that begins here has, and how often it is gone through."""
    length = following[at]
    if length == 0:
        return 1, 1
    wanted = [state.name for state in states[at : at + length]]
    rounds = 0
    while True:
        begin = at + rounds * length
        visited = states[begin : begin + length]
        if [state.name for state in visited] != wanted or not all(map(_is_plain, visited)):
            return length, rounds
        rounds += 1


def _is_plain(state: StateRun) -> bool:
    return state.status == "succeeded" and not state.parts


def _span(loop: Sequence[StateRun]) -> str:
    """Return from when to when a loop went, with the days where these are two."""
    first, last = loop[0].entered, loop[-1].left or loop[-1].entered
    form = "%H:%M:%S" if first.date() == last.date() else "%m-%d %H:%M"
    return f"{first:{form}} - {last:{form}}"
