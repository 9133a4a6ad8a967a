"""Any sequence of time passing and orders: the invariants of a machine's life.

Hypothesis advances a life and orders work as it likes, under every policy and kind of repair.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from simulator.errors import InvariantBroken
from simulator.fleet.life import MachineLife
from simulator.fleet.parts import NEVER
from simulator.fleet.settings import LifeSettings, MaintenanceSettings, WearSettings
from simulator.fleet.streams import FloatArray

DEVICE = "pump-001"
HOUR_S = 3_600.0
STEP_S = 60.0
LEAST_S = 600.0
WEAR = (
    WearSettings("bearing_outer_race", 12 * HOUR_S, 1.5, "gamma", 5 * HOUR_S),
    WearSettings("seal_leak", 15 * HOUR_S, 2.0, "exponential", 6 * HOUR_S),
    WearSettings("filter_clogging", 20 * HOUR_S, 3.0, "wiener", 4 * HOUR_S),
)
MONOTONE = ("bearing_outer_race", "seal_leak")


class Lives(RuleBasedStateMachine):
    """A life against what was seen of it, block after block."""

    @initialize(
        seed=st.integers(0, 2**32),
        policy=st.sampled_from(["run_to_failure", "time_based", "condition_based"]),
        repair=st.sampled_from(["perfect", "minimal", "imperfect"]),
        wrong=st.sampled_from([0.0, 0.4]),
        age=st.sampled_from(["new", "random"]),
    )
    def begin(self, seed: int, policy: str, repair: str, wrong: float, age: str) -> None:
        work = MaintenanceSettings(
            policy,
            interval_s=9 * HOUR_S,
            response_s=2 * HOUR_S,
            response_least_s=LEAST_S,
            work_s=HOUR_S,
            repair=repair,
            wrong_part=wrong,
        )
        self.settings = LifeSettings(WEAR, work, age)
        self.seed = seed
        self.life = MachineLife(seed, DEVICE, "centrifugal_pump", self.settings)
        self.now_s = 0.0
        self.t: list[FloatArray] = []
        self.levels: list[dict[str, FloatArray]] = []
        self.up: list[np.ndarray] = []
        self.left_s: list[FloatArray] = []

    @rule(hours=st.floats(0.01, 12.0))
    def pass_time(self, hours: float) -> None:
        t = self.now_s + np.arange(STEP_S, hours * HOUR_S + STEP_S + 1.0, STEP_S)
        self.t.append(t)
        self.levels.append(self.life.severities(t))
        self.up.append(self.life.up(t))
        self.left_s.append(self.life.rul_s(t))
        health = self.life.health(t)
        assert 0.0 <= health.min() <= health.max() <= 1.0
        worst = np.max([np.zeros(len(t)), *self.levels[-1].values()], axis=0)
        np.testing.assert_array_equal(health, 1.0 - worst)
        self.now_s = float(t[-1])

    @rule(ago_s=st.floats(0.0, LEAST_S - 1.0))
    def order(self, ago_s: float) -> None:
        self.life.order(self.now_s - ago_s, "alert", f"alert-{len(self.life.decisions)}")

    @precondition(lambda self: self.now_s > 0.0)
    @rule(ago_s=st.floats(LEAST_S, 1e5))
    def order_too_late(self, ago_s: float) -> None:
        before = len(self.life.decisions)
        with pytest.raises(InvariantBroken, match=DEVICE):
            self.life.order(self.now_s - ago_s)
        assert len(self.life.decisions) == before

    @invariant()
    def nothing_told_lies_in_the_future(self) -> None:
        for order in self.life.work_orders:
            assert order.opened_s <= order.started_s <= order.finished_s <= self.now_s
            assert 0.0 < order.down_s <= order.finished_s - order.opened_s
            if order.type != "preventive":
                assert order.started_s >= order.opened_s + LEAST_S
        assert all(failure.at_s <= self.now_s for failure in self.life.failures)
        for defect in self.life.truth():
            assert defect.begun_s <= self.now_s
            assert defect.ended_s is None or defect.begun_s <= defect.ended_s <= self.now_s
            assert defect.failed or defect.ended_s is not None or defect.fails_s > self.now_s

    @invariant()
    def orders_have_ids_of_their_own_and_find_what_failed(self) -> None:
        orders = self.life.work_orders
        assert len({order.order_id for order in orders}) == len(orders)
        assert self.life.ignored_decisions <= len(self.life.decisions)
        for order in orders:
            if order.type == "corrective":
                assert order.found == order.cause
                assert order.is_running == (order.found in order.treated)

    @invariant()
    def failures_are_the_defects_that_failed(self) -> None:
        failed = sorted(d.kind for d in self.life.truth() if d.failed)
        assert failed == sorted(failure.kind for failure in self.life.failures)

    def teardown(self) -> None:
        if not self.t:
            return
        self.t_all, self.up_all = np.concatenate(self.t), np.concatenate(self.up)
        self._up_is_false_exactly_while_it_stands_still()
        self._labels_are_effects()
        self._severity_falls_by_repair_alone()
        self._remaining_life_falls_with_time()
        self._the_log_repeats_the_life()

    def _all(self, kind: str) -> FloatArray:
        zeros = (np.zeros(len(t)) for t in self.t)
        return np.concatenate(
            [levels.get(kind, zero) for levels, zero in zip(self.levels, zeros, strict=True)]
        )

    def _up_is_false_exactly_while_it_stands_still(self) -> None:
        down = np.zeros(len(self.t_all), bool)
        for stop in self.life.stops():
            down |= (self.t_all >= stop.begun_s) & (self.t_all < stop.ended_s)
        np.testing.assert_array_equal(self.up_all, ~down)
        assert all(a.ended_s <= b.begun_s for a, b in pairwise(self.life.stops()))

    def _labels_are_effects(self) -> None:
        for wear in WEAR:
            labelled = np.zeros(len(self.t_all), bool)
            for defect in self.life.truth():
                if defect.kind == wear.kind:
                    ended_s = NEVER if defect.ended_s is None else defect.ended_s
                    labelled |= (self.t_all > defect.begun_s) & (self.t_all < ended_s)
            level = self._all(wear.kind)
            assert not np.any((level > 0.0) & ~labelled)
            if wear.kind in MONOTONE:
                assert not np.any((level == 0.0) & labelled)

    def _severity_falls_by_repair_alone(self) -> None:
        for kind in MONOTONE:
            for i in np.flatnonzero(np.diff(self._all(kind)) < 0.0).tolist():
                assert any(
                    kind in order.treated and self.t_all[i] < order.finished_s <= self.t_all[i + 1]
                    for order in self.life.work_orders
                )

    def _remaining_life_falls_with_time(self) -> None:
        left_s = np.concatenate(self.left_s)
        np.testing.assert_array_equal(left_s == 0.0, ~self.up_all)
        undisturbed = self.up_all[1:] & self.up_all[:-1]
        for stop in self.life.stops():
            # A stop shorter than a step hides between two samples.
            undisturbed &= (self.t_all[1:] < stop.begun_s) | (self.t_all[:-1] >= stop.ended_s)
        passed_s = np.diff(self.t_all)[undisturbed]
        np.testing.assert_allclose(-np.diff(left_s)[undisturbed], passed_s, atol=1e-6)
        for failure in self.life.failures:
            before = int(np.searchsorted(self.t_all, failure.at_s)) - 1
            if before >= 0 and self.up_all[before]:
                expected_s = failure.at_s - self.t_all[before]
                assert left_s[before] == pytest.approx(expected_s, abs=1e-6)

    def _the_log_repeats_the_life(self) -> None:
        """In one block and with the decisions known from the start."""
        again = MachineLife(
            self.seed,
            DEVICE,
            "centrifugal_pump",
            self.settings,
            decisions=list(reversed(self.life.decisions)),
        )
        levels = again.severities(self.t_all)
        for wear in WEAR:
            zero = np.zeros(len(self.t_all))
            assert levels.get(wear.kind, zero).tobytes() == self._all(wear.kind).tobytes()
        assert again.up(self.t_all).tobytes() == self.up_all.tobytes()
        assert again.rul_s(self.t_all).tobytes() == np.concatenate(self.left_s).tobytes()
        assert again.work_orders == self.life.work_orders
        assert again.truth() == self.life.truth()
        assert again.ignored_decisions == self.life.ignored_decisions


Lives.TestCase.settings = settings(max_examples=60, stateful_step_count=15, deadline=None)
TestLives = Lives.TestCase
