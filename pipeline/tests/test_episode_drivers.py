"""What drove an episode: shares of the rows above the threshold in the window that opened it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.detection.device_detection import (
    MODEL_RULE,
    Detection,
    DeviceDetection,
    ScoredRow,
)
from pipeline.detection.episodes import EpisodeState, Rule
from pipeline.device_state import DeviceState
from pipeline.settings import FeatureSpec

SPEC = FeatureSpec(sensors=("flow", "heat"), limits=((0, 1), (0, 1)), bursts=False)
HOP_MS = 10_000
RULE = Rule(4, 1.0, 0.8, 2, 3, max_gap_ms=60_000)

Row = tuple[float, float]
"""A row's score, and the flow's share of it."""
rows = st.lists(st.tuples(st.floats(0.0, 3.0), st.floats(0.0, 1.0)), max_size=40)


def detected(
    scored: Sequence[Row], batch: int = 1, *, stored: bool = False
) -> tuple[list[Detection], DeviceDetection]:
    """Return what the model's rule finds, and the detector's state at the end."""
    device, found = DeviceDetection(DeviceState.new(SPEC)), []
    named = [
        ScoredRow(number * HOP_MS, score, score, (("flow", flow), ("heat", 1.0 - flow)))
        for number, (score, flow) in enumerate(scored)
    ]
    for start in range(0, len(named), batch):
        found += device.detect("pump", named[start : start + batch], RULE, "v1")[1]
        if stored:
            device = DeviceDetection.from_bytes(device.to_bytes(SPEC), SPEC)
    return [each for each in found if each.rule == MODEL_RULE and each.opened], device


def test_a_sensor_that_drove_the_window_is_named_though_another_is_in_the_last_row() -> None:
    (found,), _ = detected([(0.1, 0.5), (0.1, 0.5), (2.5, 0.9), (1.9, 0.9), (1.2, 0.1)])
    assert found.started_ms == 4 * HOP_MS
    flow = (2.5 * 0.9 + 1.9 * 0.9 + 1.2 * 0.1) / (2.5 + 1.9 + 1.2)
    assert found.shares == (("flow", round(flow, 6)), ("heat", round(1.0 - flow, 6)))
    assert found.alert().to_json().index('"flow"') < found.alert().to_json().index('"heat"')


@given(rows)
def test_shares_are_the_mean_of_the_rows_above_in_the_last_smoothing_by_their_scores(
    scored: list[Row],
) -> None:
    for found in detected(scored)[0]:
        last = found.started_ms // HOP_MS
        window = scored[last - RULE.smoothing_rows + 1 : last + 1]
        above = [row for row in window if row[0] > RULE.enter]
        total = sum(score for score, _ in above)
        named = dict(found.shares)
        assert sum(named.values()) == pytest.approx(1.0, abs=2e-6)
        if above:  # A mean of equal numbers can be one rounding above them.
            flow = sum(score * flow for score, flow in above) / total
            assert named["flow"] == pytest.approx(flow, abs=1e-6)
        # They are of the window that the detection names.
        assert found.window_start_ms <= found.since_ms <= found.started_ms


@given(rows, st.integers(1, 40))
def test_how_the_rows_are_batched_and_whether_the_state_is_stored_changes_nothing(
    scored: list[Row], batch: int
) -> None:
    once, state = detected(scored)
    again, stored = detected(scored, batch, stored=True)
    # An episode that opens and closes within a batch is one detection.
    assert [each.shares for each in again] == [each.shares for each in once]
    assert stored.episodes == state.episodes


@given(st.lists(st.floats(0.0, 1.0), max_size=40))
def test_nothing_is_kept_of_a_healthy_machine(scores: list[float]) -> None:
    _, device = detected([(score, 0.5) for score in scores])
    state = device.episodes[MODEL_RULE]
    assert state.drivers == ()
    without = EpisodeState(state.recent, state.last_ms, state.streak, state.above_since_ms)
    assert len(state.to_bytes()) == len(without.to_bytes())


def test_a_row_above_the_threshold_is_forgotten_with_its_smoothing() -> None:
    _, device = detected([(0.1, 0.5), (2.0, 0.5), (0.1, 0.5), (0.1, 0.5), (0.1, 0.5)])
    assert device.episodes[MODEL_RULE].drivers != ()
    _, device = detected([(2.0, 0.5), *[(0.1, 0.5)] * RULE.smoothing_rows])
    assert device.episodes[MODEL_RULE].drivers == ()


def test_scores_next_to_the_largest_number_have_shares_too() -> None:
    (found,), _ = detected([(1e308, 0.25)] * 5)
    assert dict(found.shares) == {"flow": 0.25, "heat": 0.75}


def test_a_state_of_before_names_the_row_that_opens() -> None:
    device = DeviceDetection(DeviceState.new(SPEC))
    # As an earlier version stored it: rows above, and nothing of what drove them.
    device.model_version = "v1"
    device.episodes[MODEL_RULE] = EpisodeState((3.0,) * 4, 0, 1, 0)
    _, (found,) = device.detect(
        "pump", [ScoredRow(HOP_MS, 0.9, None, (("flow", 0.2), ("heat", 0.8)))], RULE, "v1"
    )
    assert found.shares == (("flow", 0.2), ("heat", 0.8))
