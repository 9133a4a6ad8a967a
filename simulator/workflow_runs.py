"""An execution of a workflow as a tree of its states, read from DescribeExecution and its history.

The answers may be the twin's or AWS's. `workflow_text` and `workflow_svg` draw the tree. Not in
it: the items of a distributed map, which have executions of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

STATUSES = ("RUNNING", "SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED")
"""What a listed execution can be."""

_BEGINS = {
    "TaskScheduled",
    "LambdaFunctionScheduled",
    "ActivityScheduled",
    "MapStateStarted",
    "ParallelStateStarted",
}
_WORKED = {
    "TaskSucceeded",
    "LambdaFunctionSucceeded",
    "ActivitySucceeded",
    "MapStateSucceeded",
    "ParallelStateSucceeded",
}
_FAILED = ("Failed", "TimedOut")
_HAVE_PARTS = ("Map", "Parallel")


@dataclass
class Attempt:
    """One try of a state; ``error`` is None for one that worked or has not ended."""

    start: datetime
    end: datetime | None = None
    error: str | None = None
    cause: str | None = None


@dataclass
class StateRun:
    """One visit of one state.

    ``status``: succeeded, caught (it failed and a catcher led on), failed, aborted, timed out,
    running. ``parts`` are branches and iterations; ``follows`` names the next state.
    """

    name: str
    kind: str
    entered: datetime
    left: datetime | None = None
    status: str = "running"
    attempts: list[Attempt] = field(default_factory=list)
    error: str | None = None
    cause: str | None = None
    follows: str | None = None
    parts: list[Part] = field(default_factory=list)

    @property
    def retries(self) -> int:
        """Return how many attempts came after the first."""
        return max(0, len(self.attempts) - 1)


@dataclass
class Part:
    """A branch of a Parallel or an iteration of a Map, with its states in their order."""

    label: str
    states: list[StateRun] = field(default_factory=list)


@dataclass
class WorkflowRun:
    """One execution."""

    name: str
    arn: str
    machine: str
    status: str
    started: datetime
    stopped: datetime | None
    input: str
    output: str | None
    error: str | None
    cause: str | None
    redrives: int
    events: int
    states: list[StateRun]

    @property
    def ended(self) -> datetime:
        """Return when it ended, or when its last state was entered."""
        return self.stopped or max([each.entered for each in visits(self.states)] + [self.started])


def run_of(description: Mapping[str, Any], events: Sequence[Mapping[str, Any]]) -> WorkflowRun:
    """Return the tree of an execution; times are datetimes or ISO texts."""
    return WorkflowRun(
        name=description["name"],
        arn=description["executionArn"],
        machine=description["stateMachineArn"].rpartition(":")[2],
        status=description["status"],
        started=_time(description["startDate"]),
        stopped=_time(description["stopDate"]) if description.get("stopDate") else None,
        input=description.get("input", ""),
        output=description.get("output"),
        error=description.get("error"),
        cause=description.get("cause"),
        redrives=description.get("redriveCount", 0),
        events=len(events),
        states=_Reader(events, description["status"]).states,
    )


def visits(states: Sequence[StateRun]) -> Iterator[StateRun]:
    """Yield all states, those in parts after the one around them."""
    for state in states:
        yield state
        for part in state.parts:
            yield from visits(part.states)


def _time(value: Any) -> datetime:
    return value if isinstance(value, datetime) else datetime.fromisoformat(value)


@dataclass
class _Place:
    """Where an event belongs: the visit it is of, and where states after that one go."""

    visit: StateRun | None
    lane: list[StateRun]
    around: _Place | None = None


class _Reader:
    """Follows the links of a history: each event names the one before it on its thread."""

    def __init__(self, events: Sequence[Mapping[str, Any]], status: str) -> None:
        self.states: list[StateRun] = []
        self._top = _Place(None, self.states)
        self._places: dict[int, _Place] = {}
        self._kinds: dict[int, str] = {}
        self._open: list[_Place] = []
        self._waiting: list[_Place] = []
        self._asked: dict[int, tuple[Any, ...]] = {}
        self._last: datetime | None = None
        for event in events:
            self._kinds[event["id"]] = event["type"]
            self._places[event["id"]] = self._read(event)
        _judge([place.visit for place in self._open if place.visit is not None], status)

    def _read(self, event: Mapping[str, Any]) -> _Place:
        kind, at = event["type"], _time(event["timestamp"])
        before = event["previousEventId"]
        place = self._places.get(before, self._top)
        details: Mapping[str, Any] = next(
            (v for k, v in event.items() if k.endswith("EventDetails")), {}
        )
        if kind.startswith("Execution"):
            if kind == "ExecutionRedriven":
                self._reopen()
            self._last = at
            return self._top
        if kind.endswith("StateEntered"):
            return self._enter(kind.removesuffix("StateEntered"), details["name"], at, before)
        if self._kinds.get(before) == "ExecutionRedriven":
            place = self._resumed(kind, details)
        if kind in _BEGINS and place.visit is not None:
            self._asked[id(place.visit)] = _asked(details)
        if kind.endswith("StateExited"):
            return self._exit(place, details["name"], at)
        if kind == "MapIterationStarted":
            return self._iterate(place, details)
        for around in _HAVE_PARTS:
            if kind.startswith(around):
                place = _climb(place, lambda visit, kind=around: visit.kind == kind)
        self._note(place.visit, kind, details, at)
        return place

    def _enter(self, kind: str, name: str, at: datetime, before: int) -> _Place:
        previous, place = self._kinds.get(before, ""), self._places.get(before, self._top)
        around, lane = place.around, place.lane
        if previous == "ParallelStateStarted":
            assert place.visit is not None
            again = _again(place.visit)
            same = [each for each in place.visit.parts if each.label.endswith(again)]
            part = Part(f"branch {len(same) + 1}{again}")
            place.visit.parts.append(part)
            around, lane = place, part.states
        elif previous.endswith("StateExited") and place.visit is not None:
            place.visit.follows = name
        visit = StateRun(name, kind, at)
        lane.append(visit)
        entered = _Place(visit, lane, around)
        self._open.append(entered)
        return entered

    def _exit(self, place: _Place, name: str, at: datetime) -> _Place:
        place = _climb(place, lambda visit: visit.name == name and visit.left is None)
        visit = place.visit
        assert visit is not None
        visit.left = at
        visit.status = "succeeded" if visit.error is None else "caught"
        self._open.remove(place)
        return place

    def _iterate(self, place: _Place, details: Mapping[str, Any]) -> _Place:
        """Return the place within an iteration, which a redrive begins a second time."""
        place = _climb(place, lambda visit: visit.name == details["name"])
        assert place.visit is not None
        label = f"[{details['index']}]{_again(place.visit)}"
        for part in place.visit.parts:
            if part.label == label:
                inside = [each for each in self._open if each.lane is part.states]
                return inside[-1] if inside else _Place(None, part.states, place)
        part = Part(label)
        place.visit.parts.append(part)
        return _Place(None, part.states, place)

    def _reopen(self) -> None:
        """Forget of what goes on that it had failed."""
        self._waiting = list(self._open)
        for place in self._open:
            visit = place.visit
            assert visit is not None
            visit.error = visit.cause = None
            if visit.parts and visit.attempts:
                visit.attempts[-1] = Attempt(visit.attempts[-1].start)
            elif visit.attempts and visit.attempts[-1].end is None:
                visit.attempts[-1].end = self._last

    def _resumed(self, kind: str, details: Mapping[str, Any]) -> _Place:
        """Return the state that goes on after a redrive.

        An event that follows the redrive names its state, or it is a task: then the state is one
        that asked the same before.
        """
        name = details.get("name", details.get("state"))
        fit = [each for each in self._waiting if each.visit and each.visit.name == name]
        if name is None:
            around = next((each for each in _HAVE_PARTS if kind.startswith(each)), None)
            fit = [
                place
                for place in self._waiting
                if place.visit
                and (place.visit.kind == around or around is None)
                and (around or self._asked.get(id(place.visit)) == _asked(details))
            ]
        for place in fit:
            if place.visit and place.visit.kind not in _HAVE_PARTS:
                self._waiting.remove(place)
            return place
        return self._top

    @staticmethod
    def _note(visit: StateRun | None, kind: str, details: Mapping[str, Any], at: datetime) -> None:
        if visit is None:
            return
        if kind in _BEGINS:
            visit.attempts.append(Attempt(at))
            visit.error = visit.cause = None
        elif kind in _WORKED and visit.attempts:
            visit.attempts[-1].end = at
        elif kind.endswith(_FAILED) and not kind.startswith("MapIteration"):
            visit.error = details.get("error") or visit.error or "(no name)"
            visit.cause = details.get("cause") or visit.cause
            if kind.endswith("StateFailed"):
                inner = [each for part in visit.parts for each in part.states if each.error]
                if inner and not details:
                    visit.error, visit.cause = inner[-1].error, inner[-1].cause
            if visit.attempts and visit.attempts[-1].end is None:
                visit.attempts[-1].end = at
                visit.attempts[-1].error, visit.attempts[-1].cause = visit.error, visit.cause


def _again(visit: StateRun) -> str:
    """Return what tells the parts of a second attempt from those of the first."""
    return f", attempt {len(visit.attempts)}" if visit.retries else ""


def _asked(details: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(details.get(name) for name in ("resourceType", "resource", "parameters", "input"))


def _climb(place: _Place, wanted: Any) -> _Place:
    """Return the first place, from this one outwards, whose visit is wanted."""
    found: _Place | None = place
    while found is not None and (found.visit is None or not wanted(found.visit)):
        found = found.around
    return found or place


def _judge(unfinished: Sequence[StateRun], status: str) -> None:
    """Say of states that were entered and not left what became of them."""
    if status == "FAILED":
        failed = [each for each in unfinished if each.error is not None or each.kind == "Fail"]
        for visit in unfinished:
            is_around = any(each in list(visits([visit]))[1:] for each in failed)
            ended_it = visit in failed or is_around or not failed
            visit.status = "failed" if ended_it else "aborted"
    else:
        for visit in unfinished:
            visit.status = status.lower().replace("_", " ")
