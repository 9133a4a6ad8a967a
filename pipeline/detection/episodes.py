"""Turns the scores of one device into detection episodes, one row at a time and causally.

Pure: the state goes in, the next state comes out, so that it can be kept in the state table
between invocations and how the rows were batched changes nothing.

An episode opens when `enter_rows` smoothed scores in a row are above `enter`, and closes when
`exit_rows` in a row are below `exit`. It *starts* at the row that opened it, not at the first
high one: nothing was known before.

Where rows come with deviations of the sensors' levels, the length of their slow mean is a second
score, and the higher of the two counts. A row that is beyond the threshold by itself is left out
of the slow mean: a strong fault is seen anyway, and would be remembered long after its end.

What drove an episode are the rows above `enter` in the smoothing at its opening: their sensors'
shares, weighted with their scores. A mean above `enter` has at least one such row, and a healthy
machine hardly any, so that nothing is kept of it and no row costs more for it.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace

_HEAD = struct.Struct("<qqqdHB")
_SCORE = struct.Struct("<d")
_COUNT = struct.Struct("<B")
_DRIVER = struct.Struct("<HB")
_NONE_MS = -1

Shares = tuple[float, ...]
"""Each sensor's part in a score, together 1."""


@dataclass(frozen=True)
class Rule:
    """The model's episode rule; a gap of more than `max_gap_ms` empties the smoothing.

    `reach_ms`: how far before a row's time the readings behind its smoothed score begin.
    `memory_rows`: the newest row's weight in the slow mean is 1 over this, 0 for no slow mean, and
    `memory_ms` how far before the row's time this reaches. `level_sensors` names its members.
    """

    smoothing_rows: int
    enter: float
    exit: float
    enter_rows: int
    exit_rows: int
    max_gap_ms: int
    reach_ms: int = 0
    memory_rows: int = 0
    memory_ms: int = 0
    level_sensors: tuple[str, ...] = ()


@dataclass(frozen=True)
class EpisodeState:
    """What must be remembered of one device and one rule.

    `recent` are the last scores, `last_ms` the time of the newest one. `streak` counts rows above
    `enter` while no episode is open, below `exit` while one is; `above_since_ms` is the first row
    of the streak that opened or may open an episode. `peak` is the highest smoothed score of
    the open episode. `memory` is the slow mean, empty before there is one. `drivers` has for each
    of `recent` the sensors' shares of a row above `enter`, nothing for the others; it is empty
    where none is above.
    """

    recent: tuple[float, ...] = ()
    last_ms: int = _NONE_MS
    streak: int = 0
    above_since_ms: int = _NONE_MS
    started_ms: int = _NONE_MS
    peak: float = 0.0
    memory: tuple[float, ...] = ()
    drivers: tuple[Shares, ...] = ()

    @property
    def slow_score(self) -> float:
        """The length of the slow mean, in thresholds."""
        if not self.memory:
            return 0.0
        return math.sqrt(sum(part * part for part in self.memory) / len(self.memory))

    @property
    def is_slow(self) -> bool:
        """Whether the slow mean is what stands out."""
        return bool(self.recent) and self.slow_score > sum(self.recent) / len(self.recent)

    def slow_shares(self, rule: Rule) -> tuple[tuple[str, float], ...]:
        """Return each sensor's share of the slow mean's square; they sum to 1."""
        squares = [part * part for part in self.memory]
        total = sum(squares) or 1.0
        named = zip(rule.level_sensors, squares, strict=True)
        return tuple((sensor, square / total) for sensor, square in named)

    def driving_shares(self) -> Shares:
        """Return the shares of the rows above `enter`, weighted with their scores.

        Together 1, as those of each row are; empty where no shares were given.
        """
        rows = [pair for pair in zip(self.recent, self.drivers, strict=False) if pair[1]]
        if not rows:
            return ()
        # Shares of the largest: a sum of scores as large as numbers get would be infinite.
        largest = max(score for score, _ in rows)
        weights = [score / largest for score, _ in rows]
        total = sum(weights)
        columns = zip(*(shares for _, shares in rows), strict=True)
        return tuple(
            sum(weight * share for weight, share in zip(weights, column, strict=True)) / total
            for column in columns
        )

    @property
    def is_open(self) -> bool:
        """Whether an episode is open."""
        return self.started_ms != _NONE_MS

    def to_bytes(self) -> bytes:
        """Return the compact form kept in the state table."""
        head = _HEAD.pack(
            self.last_ms,
            self.above_since_ms,
            self.started_ms,
            self.peak,
            self.streak,
            len(self.recent),
        )
        parts = [head, _packed(self.recent)]
        if self.memory or self.drivers:
            parts += [_COUNT.pack(len(self.memory)), _packed(self.memory)]
        for place, shares in enumerate(self.drivers):
            if shares:
                parts += [_DRIVER.pack(place, len(shares)), _packed(shares)]
        return b"".join(parts)

    @classmethod
    def from_bytes(cls, data: bytes) -> EpisodeState:
        """Return the state that `to_bytes` wrote."""
        last_ms, above_since_ms, started_ms, peak, streak, count = _HEAD.unpack_from(data)
        recent, end = _unpacked(data, _HEAD.size, count)
        memory: tuple[float, ...] = ()
        # Absent where there is neither, as in states of before there was a slow mean.
        if end < len(data):
            memory, end = _unpacked(data, end + _COUNT.size, data[end])
        drivers: list[Shares] = []
        while end < len(data):
            place, width = _DRIVER.unpack_from(data, end)
            shares, end = _unpacked(data, end + _DRIVER.size, width)
            drivers = drivers or [()] * count
            drivers[place] = shares
        return cls(
            recent, last_ms, streak, above_since_ms, started_ms, peak, memory, tuple(drivers)
        )


def _unpacked(data: bytes, start: int, count: int) -> tuple[tuple[float, ...], int]:
    """Return so many numbers, and where they end."""
    end = start + _SCORE.size * count
    return tuple(part[0] for part in _SCORE.iter_unpack(data[start:end])), end


def _packed(numbers: Sequence[float]) -> bytes:
    return b"".join(map(_SCORE.pack, numbers))


@dataclass(frozen=True)
class Step:
    """What one row led to; `smoothed` is None until the smoothing is full.

    `episode` is the state of the episode that this row opened or closed (before it was reset).
    """

    event_time_ms: int
    smoothed: float | None
    opened: bool = False
    closed: bool = False
    episode: EpisodeState | None = None


def advance(
    state: EpisodeState,
    rule: Rule,
    event_time_ms: int,
    score: float,
    levels: Sequence[float] = (),
    shares: Sequence[tuple[str, float]] = (),
) -> tuple[EpisodeState, Step]:
    """Return the next state and what the row at `event_time_ms` led to.

    `levels` are the row's deviations for the slow mean, if the rule has one, `shares` the sensors'
    parts in its score, for who wants to know what drove an episode. A row that is not newer than
    the state is ignored. After a gap the smoothing, the slow mean and the streak start afresh; an
    open episode stays open, because silence is not recovery.
    """
    if event_time_ms <= state.last_ms:
        return state, Step(event_time_ms, None)
    gap = state.last_ms != _NONE_MS and event_time_ms - state.last_ms > rule.max_gap_ms
    recent = () if gap else state.recent
    recent = (*recent, score)[-rule.smoothing_rows :]
    drivers = () if gap else state.drivers
    if drivers or score > rule.enter:
        drivers = _driving(drivers, rule, len(recent), score, shares)
    state = replace(
        state,
        recent=recent,
        last_ms=event_time_ms,
        streak=0 if gap else state.streak,
        memory=_remembered(() if gap else state.memory, rule, score, levels),
        drivers=drivers,
    )
    if len(recent) < rule.smoothing_rows:
        return state, Step(event_time_ms, None)
    smoothed = max(sum(recent) / len(recent), state.slow_score)
    if state.is_open:
        return _while_open(state, rule, event_time_ms, smoothed)
    return _while_closed(state, rule, event_time_ms, smoothed)


def _remembered(
    memory: tuple[float, ...], rule: Rule, score: float, levels: Sequence[float]
) -> tuple[float, ...]:
    """Return the slow mean with a row's levels in it, unless the row itself stands out."""
    if not rule.memory_rows or not levels or score > rule.enter:
        return memory
    share = 1.0 / rule.memory_rows
    before = memory if len(memory) == len(levels) else (0.0,) * len(levels)
    return tuple(part + share * (level - part) for part, level in zip(before, levels, strict=True))


def _driving(
    drivers: tuple[Shares, ...],
    rule: Rule,
    rows: int,
    score: float,
    shares: Sequence[tuple[str, float]],
) -> tuple[Shares, ...]:
    """Return the drivers of `rows` recent rows, of which the last has these shares."""
    own = tuple(share for _, share in shares) if score > rule.enter else ()
    before = drivers or ((),) * (rows - 1)
    found = (*before, own)[-rows:]
    return found if any(found) else ()


def _while_closed(
    state: EpisodeState, rule: Rule, event_time_ms: int, smoothed: float
) -> tuple[EpisodeState, Step]:
    if not smoothed > rule.enter:
        if state.above_since_ms != _NONE_MS or state.streak:
            state = replace(state, streak=0, above_since_ms=_NONE_MS)
        return state, Step(event_time_ms, smoothed)
    since_ms = state.above_since_ms if state.streak else event_time_ms
    state = replace(state, streak=state.streak + 1, above_since_ms=since_ms)
    if state.streak < rule.enter_rows:
        return state, Step(event_time_ms, smoothed)
    state = replace(state, streak=0, started_ms=event_time_ms, peak=smoothed)
    return state, Step(event_time_ms, smoothed, opened=True, episode=state)


def _while_open(
    state: EpisodeState, rule: Rule, event_time_ms: int, smoothed: float
) -> tuple[EpisodeState, Step]:
    streak = state.streak + 1 if smoothed < rule.exit else 0
    state = replace(state, streak=streak, peak=max(state.peak, smoothed))
    if streak < rule.exit_rows:
        return state, Step(event_time_ms, smoothed)
    closed = replace(state, streak=0, above_since_ms=_NONE_MS, started_ms=_NONE_MS, peak=0.0)
    return closed, Step(event_time_ms, smoothed, closed=True, episode=state)
