"""Two models that answer by turns, as while an update of the endpoint shifts traffic."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.detection.device_detection import (
    MODEL_RULE,
    DeviceDetection,
    ScoredRow,
    SmoothedRow,
)
from pipeline.detection.episodes import Rule
from pipeline.device_state import DeviceState
from pipeline.settings import FeatureSpec

SPEC = FeatureSpec(sensors=("flow",), limits=((0, 1),), bursts=False)
HOP_MS = 10_000
RULE = Rule(4, 1.0, 0.8, 2, 3, max_gap_ms=60_000)

Rows = list[tuple[str, float]]
rows = st.lists(st.tuples(st.sampled_from(["old", "new"]), st.floats(0.0, 2.0)), max_size=60)


def run(scored: Rows, *, stored: bool = False) -> tuple[list[SmoothedRow], int]:
    """Return the smoothed rows of one device, and how many episodes of the model opened."""
    device = DeviceDetection(DeviceState.new(SPEC))
    smoothed, opened = [], 0
    for number, (version, score) in enumerate(scored):
        row = ScoredRow(number * HOP_MS, score, None, (("flow", 1.0),))
        levels, found = device.detect("pump", [row], RULE, version)
        smoothed += levels
        opened += sum(each.opened and each.rule == MODEL_RULE for each in found)
        if stored:
            device = DeviceDetection.from_bytes(device.to_bytes(SPEC), SPEC)
    return smoothed, opened


@given(rows)
def test_what_is_smoothed_are_the_last_scores_of_the_same_model(scored: Rows) -> None:
    levels, _ = run(scored)
    own: dict[str, list[tuple[int, float]]] = {"old": [], "new": []}
    for number, ((version, score), level) in enumerate(zip(scored, levels, strict=True)):
        mine = own[version]
        if mine and (number - mine[-1][0]) * HOP_MS > RULE.max_gap_ms:
            mine.clear()
        mine.append((number, score))
        last = [score for _, score in mine[-RULE.smoothing_rows :]]
        if len(last) < RULE.smoothing_rows:
            assert level.score is None
        else:
            assert level.score == sum(last) / len(last)


@given(rows)
def test_a_state_that_was_stored_between_the_models_goes_on_as_if_it_had_not_been(
    scored: Rows,
) -> None:
    assert run(scored, stored=True) == run(scored)


def test_a_fault_in_a_canary_opens_one_episode_though_the_models_take_turns() -> None:
    turns = [("old", "new")[number % 2] for number in range(40)]
    healthy_then_faulty = [0.2] * 20 + [1.8] * 20
    _, opened = run(list(zip(turns, healthy_then_faulty, strict=True)))
    assert opened == 1


def test_a_model_that_has_gone_is_not_kept() -> None:
    device = DeviceDetection(DeviceState.new(SPEC))
    for number, version in enumerate(["old"] * 5 + ["new"] * 8):
        row = ScoredRow(number * HOP_MS, 0.1, None, (("flow", 1.0),))
        device.detect("pump", [row], RULE, version)
    assert (device.resting_version, device.resting) == ("", {})
    assert device.model_version == "new"
