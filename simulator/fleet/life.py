"""The life of one machine: defects that begin and grow, failures, orders, repairs.

A small event-driven story next to the block-wise samples: it is told as far as samples are asked
for, and what was told stays. `order` adds work from outside; it begins late enough not to change
what was told. The story depends on (seed, device, settings, decisions) alone.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from simulator.errors import InvariantBroken
from simulator.fleet.catalogue import KINDS
from simulator.fleet.degradation import course_of, defect_after_s
from simulator.fleet.maintenance import LOOK_SHARE, Decision, Draws, first_age_s, virtual_age_s
from simulator.fleet.parts import NEVER, Defect, Failure, OpenOrder, Part, Spell, Standstill
from simulator.fleet.settings import LifeSettings, WearSettings
from simulator.fleet.streams import FloatArray, stream
from simulator.fleet.work_orders import WorkOrder


class MachineLife:
    """The life of one machine.

    Times are seconds since the fleet's start. ``decisions`` of other devices are left out.
    Conditions and failures are those of `LifeSettings.wear` that its kind can have.
    """

    def __init__(
        self,
        seed: int,
        device_id: str,
        kind: str,
        settings: LifeSettings,
        *,
        decisions: Sequence[Decision] = (),
    ) -> None:
        self.device_id = device_id
        self.kind = kind
        self.defects: list[Defect] = []
        self.failures: list[Failure] = []
        self.standstills: list[Standstill] = []
        self.work_orders: list[WorkOrder] = []
        self.decisions: list[Decision] = []
        self.ignored_decisions = 0
        self._seed = seed
        self._policy = settings.maintenance
        self._told_s = -NEVER
        self._orders = 0
        self._order: OpenOrder | None = None
        self._down_since_s: float | None = None
        self._waiting: list[tuple[float, Decision]] = []
        self._lives: list[tuple[float, float]] = []
        self._spells: list[Spell] = []
        self._past: list[Spell] = []
        overhauls = self._policy.policy == "time_based"
        self._overhaul_s = self._policy.interval_s if overhauls else NEVER
        self._parts = [
            self._begin(Part(wear, self._first_age(wear, settings.initial_age)))
            for wear in settings.wear
            if wear.kind in KINDS[kind].faults
            and (not wear.kinds_of_machine or kind in wear.kinds_of_machine)
        ]
        self._spells = [Spell(part, part.begun_s, NEVER, part.wears_s) for part in self._parts]
        self._lives.append((-NEVER, self._fails_s()))
        for decision in sorted(decisions):
            if decision.device_id == device_id:
                self.order(decision.at_s, decision.cause, decision.alert_id)

    # -- what samples need

    def severities(self, t: FloatArray) -> dict[str, FloatArray]:
        """Return fault kind -> severity (n,) in [0, 1] of the defects that there are at ``t``.

        Times ascend, and follow those of the call before.
        """
        self._tell(t)
        levels: dict[str, FloatArray] = {}
        for spell in (*self._past, *self._spells):
            if spell.from_s <= t[-1]:
                level, kind = spell.at(t), spell.part.wear.kind
                levels[kind] = np.maximum(levels[kind], level) if kind in levels else level
        return levels

    def up(self, t: FloatArray) -> npt.NDArray[np.bool_]:
        """Return (n,) False where the machine stands still for a failure or for work."""
        self._tell(t)
        up = np.ones(len(t), np.bool_)
        for stop in reversed(self._stops()):
            if stop.ended_s <= t[0]:
                break
            up &= (t < stop.begun_s) | (t >= stop.ended_s)
        return up

    # -- what others ask for

    def order(self, at_s: float, cause: str = "alert", alert_id: str = "") -> None:
        """Ask for work at ``at_s``; it begins ``response_least_s`` later or more.

        It is ignored, and counted, when an order is open at that moment already. Raises
        InvariantBroken when the earliest beginning lies in what was told already.
        """
        earliest_s = at_s + self._policy.response_least_s
        if earliest_s <= self._told_s:
            raise InvariantBroken(
                f"{self.device_id}: work ordered at {at_s:g} s would begin before {self._told_s:g} "
                "s, whose samples are made"
            )
        decision = Decision(at_s, self.device_id, cause, alert_id)
        self.decisions.append(decision)
        heapq.heappush(self._waiting, (earliest_s, decision))

    # -- ground truth

    def health(self, t: FloatArray) -> FloatArray:
        """Return 1 minus the worst severity, in [0, 1]; as `severities`."""
        levels = list(self.severities(t).values())
        return 1.0 - np.max(levels, axis=0) if levels else np.ones(len(t))

    def rul_s(self, t: FloatArray) -> FloatArray:
        """Return the time until the next failure if nothing is done from now on; 0 while down.

        For any times of which samples were made; infinite when nothing wears.
        """
        begun_s, fails_s = np.array(self._lives).T
        lives = np.searchsorted(begun_s, t, "right") - 1
        left_s: FloatArray = np.maximum(fails_s[lives] - t, 0.0)
        for stop in self._stops():
            left_s[(t >= stop.begun_s) & (t < stop.ended_s)] = 0.0
        return left_s

    def truth(self) -> tuple[Defect, ...]:
        """Return all defects that began by now, ended and present, in order of their begin.

        While the machine stands still, ``fails_s`` is as if it ran again from now on.
        """
        worn_until_s = self._told_s if self._down_since_s is None else self._down_since_s
        stands_s = self._told_s - worn_until_s
        present = [
            Defect(
                part.wear.kind,
                part.begun_s,
                part.fails_s if part.failed else part.fails_s + stands_s,
                failed=part.failed,
            )
            for part in self._parts
            if part.begun_s <= worn_until_s
        ]
        return tuple(sorted([*self.defects, *present], key=lambda d: (d.begun_s, d.kind)))

    def stops(self) -> tuple[Standstill, ...]:
        """Return every standstill by now, the present one with an infinite end."""
        return tuple(self._stops())

    # -- the story

    def _stops(self) -> list[Standstill]:
        if self._down_since_s is None:
            return self.standstills
        return [*self.standstills, Standstill(self._down_since_s, NEVER, self._reason())]

    def _reason(self) -> str:
        failed_s = self.failures[-1].at_s if self.failures else -NEVER
        return "failure" if failed_s == self._down_since_s else "maintenance"

    def _tell(self, t: FloatArray) -> None:
        """Let everything happen up to the last of these times."""
        until_s = float(t[-1])
        if until_s > self._told_s:
            while True:
                at_s, happen = self._next()
                if at_s > until_s:
                    break
                happen(at_s)
            self._told_s = until_s
        if self._past:
            # What ended before these times is not asked for any more: memory does not grow.
            self._past = [spell for spell in self._past if spell.to_s > t[0]]

    def _next(self) -> tuple[float, Callable[[float], None]]:
        """Return when the next thing happens, and what; equal times in the order of this list."""
        events: list[tuple[float, Callable[[float], None]]] = [(NEVER, self._fail)]
        order = self._order
        if order is not None and order.ends_s < NEVER:
            events.append((order.ends_s, self._finish))
        elif order is not None:
            events.append((order.starts_s, self._start))
        if self._down_since_s is None:
            events.append((self._fails_s(), self._fail))
        events.append((self._overhaul_s, self._overhaul))
        if self._waiting:
            events.append((self._waiting[0][0], self._decide))
        return min(events, key=lambda event: event[0])

    def _fail(self, at_s: float) -> None:
        part = min(self._parts, key=lambda part: part.fails_s)
        part.failed = True
        self.failures.append(Failure(at_s, part.wear.kind))
        self._stop(at_s)
        if self._order is None:
            self._open("corrective", at_s, part.wear.kind)
        else:
            # What was planned becomes urgent.
            order = self._order
            order.kind, order.cause = "corrective", part.wear.kind
            order.starts_s = min(order.starts_s, at_s + order.draws.response_s)

    def _decide(self, at_s: float) -> None:
        _, decision = heapq.heappop(self._waiting)
        if self._order is not None or self._down_since_s is not None:
            self.ignored_decisions += 1
            return
        order = self._open("condition", decision.at_s, decision.cause, decision.alert_id)
        order.starts_s = max(order.starts_s, at_s)

    def _overhaul(self, at_s: float) -> None:
        self._overhaul_s = at_s + self._policy.interval_s
        if self._order is None:
            self._open("preventive", at_s, "interval").starts_s = at_s

    def _open(self, kind: str, opened_s: float, cause: str, alert_id: str = "") -> OpenOrder:
        draws = Draws.of(self._seed, self.device_id, self._orders, self._policy)
        self._order = OpenOrder(
            self._orders, kind, opened_s, opened_s + draws.response_s, draws, cause, alert_id
        )
        self._orders += 1
        return self._order

    def _start(self, at_s: float) -> None:
        """Begin the work: stop the machine, look, and decide what is treated."""
        order = self._order
        assert order is not None
        if self._down_since_s is None:
            self._stop(at_s)
        assert self._down_since_s is not None
        # Parts are as they were when the machine stopped, and one that failed is no riddle.
        worst, defect = (False, 0.0), None
        for part in self._parts:
            state = (part.failed, part.severity(self._down_since_s))
            if state > worst:
                worst, defect = state, part
        order.found = defect.wear.kind if defect is not None else ""
        if order.kind == "preventive":
            order.treated = list(self._parts)
        elif defect is not None:
            order.treated = [defect]
            others = [part for part in self._parts if part is not defect]
            if order.draws.is_wrong:
                order.is_wrong = True
                order.treated = [others[int(order.draws.which * len(others))]] if others else []
        order.began_s = at_s
        share = 1.0 if order.treated or order.is_wrong else LOOK_SHARE
        order.ends_s = at_s + share * order.draws.work_s

    def _finish(self, at_s: float) -> None:
        """End the work; a machine whose failed part was not treated does not start again."""
        order = self._order
        assert order is not None
        assert self._down_since_s is not None
        for part in order.treated:
            self._renew(part, at_s)
        still = [part for part in self._parts if part.failed]
        self.work_orders.append(
            WorkOrder(
                number=order.number,
                device_id=self.device_id,
                kind_of_machine=self.kind,
                type=order.kind,
                cause=order.cause,
                found=order.found,
                treated=tuple(part.wear.kind for part in order.treated),
                is_wrong=order.is_wrong,
                opened_s=order.opened_s,
                started_s=order.began_s,
                finished_s=at_s,
                down_s=at_s - max(self._down_since_s, order.opened_s),
                is_running=not still,
                alert_id=order.alert_id,
                seed=self._seed,
                labour_per_h=self._policy.labour_per_h,
                downtime_per_h=self._policy.downtime_per_h,
            )
        )
        self._order = None
        if still:
            self._open("corrective", at_s, still[0].wear.kind)
            return
        self.standstills.append(Standstill(self._down_since_s, at_s, self._reason()))
        self._run_again(self._down_since_s, at_s)
        self._down_since_s = None

    def _stop(self, at_s: float) -> None:
        """Stop the machine: what stands still does not wear, so its severities are held."""
        self._down_since_s = at_s
        begun = [spell for spell in self._spells if spell.from_s <= at_s]
        self._past += [spell._replace(to_s=at_s) for spell in begun if spell.from_s < at_s]
        self._spells = [spell._replace(from_s=at_s, held_s=at_s - spell.wears_s) for spell in begun]

    def _run_again(self, down_since_s: float, at_s: float) -> None:
        """Let the parts wear on where they stood; those that were renewed have just begun."""
        down_s = at_s - down_since_s
        self._past += [spell._replace(to_s=min(spell.to_s, at_s)) for spell in self._spells]
        self._spells = []
        for part in self._parts:
            old = part.since_s <= down_since_s
            if old and part.begun_s <= down_since_s:
                part.stood_s += down_s
            elif old:
                part.begun_s += down_s
            if old:
                part.since_s += down_s
            elif part.since_s < at_s:
                part.begun_s += at_s - part.since_s
                part.since_s = at_s
            from_s = max(at_s, part.begun_s)
            self._spells.append(Spell(part, from_s, NEVER, part.wears_s))
        self._lives.append((at_s, self._fails_s()))

    # -- parts

    def _first_age(self, wear: WearSettings, initial_age: str) -> float:
        rng = stream(self._seed, self.device_id, "wear", wear.kind, "age")
        return first_age_s(rng, initial_age, wear.life_s)

    def _begin(self, part: Part) -> Part:
        """Draw the life of a part that is put in, or put right, at ``part.since_s``."""
        name = str(part.renewals)
        rng = stream(self._seed, self.device_id, "wear", part.wear.kind, name)
        after_s = defect_after_s(rng, part.wear.life_s, part.wear.shape, part.age_s)
        part.begun_s = part.since_s + after_s
        part.course = course_of(part.wear, rng)
        return part

    def _renew(self, part: Part, at_s: float) -> None:
        """Put a part right while the machine stands still; its new life begins when it runs."""
        assert self._down_since_s is not None
        if part.begun_s <= self._down_since_s:
            self.defects.append(
                Defect(part.wear.kind, part.begun_s, part.fails_s, at_s, failed=part.failed)
            )
        lived_s = max(0.0, self._down_since_s - part.since_s)
        renewed = Part(
            part.wear,
            virtual_age_s(self._policy, part.age_s, lived_s),
            since_s=at_s,
            renewals=part.renewals + 1,
        )
        self._parts[self._parts.index(part)] = self._begin(renewed)
        self._spells = [
            spell._replace(to_s=min(spell.to_s, at_s)) if spell.part is part else spell
            for spell in self._spells
        ]

    def _fails_s(self) -> float:
        return min((part.fails_s for part in self._parts), default=NEVER)
