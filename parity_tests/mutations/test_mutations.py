"""A deliberately broken twin is caught: every planted defect is found by the comparison named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from parity_tests.mutations.comparisons import (
    ALERT,
    AT_REST,
    COMPARISONS,
    RAW,
    Observation,
    observe,
    observe_at_rest,
)
from parity_tests.mutations.mutations import MUTATIONS
from parity_tests.mutations.small_world import Mutate, SmallWorld, trained_model
from simulator.cloud.latency import WAIT

Run = Callable[[Mutate | None, bool], Observation]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes]:
    """Return the model, and one that was trained before it."""
    folder = tmp_path_factory.mktemp("models")
    return trained_model(folder / "new"), trained_model(folder / "old", seed=1)


@pytest.fixture
def run(
    models: tuple[bytes, bytes],
    whole: Observation,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Run:
    """Return a function that runs a world with a defect in it and says what was seen.

    ``at_rest``: it is looked at as soon as it has booted.
    """

    def observed(plant: Mutate | None, at_rest: bool) -> Observation:
        world = SmallWorld(tmp_path / "twin", *models, monkeypatch)
        try:
            if plant is not None:
                plant(world)
            if at_rest:
                return observe_at_rest(world, whole)
            world.run()
            return observe(world)
        finally:
            world.close()

    return observed


@pytest.fixture(scope="module")
def whole(models: tuple[bytes, bytes], tmp_path_factory: pytest.TempPathFactory) -> Observation:
    """Return what a twin without a defect shows."""
    with pytest.MonkeyPatch.context() as patch:
        world = SmallWorld(tmp_path_factory.mktemp("whole"), *models, patch)
        try:
            world.run()
            return observe(world)
        finally:
            world.close()


def test_the_small_journey_has_all_that_a_defect_could_hit(whole: Observation) -> None:
    assert whole.journey.detections
    assert whole.journey.alerts == len(whole.journey.detections)
    assert whole.journey.readings["dead_lettered"] > 0
    assert whole.journey.readings["duplicates_dropped"] > 0
    assert all((whole.traces[name] > 0.0).all() for name in (RAW, ALERT, WAIT))
    assert {True, False} == set(whole.permissions.values())


@pytest.mark.parametrize("at_rest", [False, True])
def test_a_twin_without_a_defect_shows_no_difference(
    at_rest: bool, run: Run, whole: Observation
) -> None:
    again = run(None, at_rest)
    assert {name: compare(whole, again) for name, compare in COMPARISONS.items()} == {
        name: [] for name in COMPARISONS
    }


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_planted_defect_is_found(name: str, run: Run, whole: Observation) -> None:
    caught_by, plant = MUTATIONS[name]
    broken = run(plant, caught_by in AT_REST)
    assert COMPARISONS[caught_by](whole, broken), f"{name} passed unnoticed by {caught_by}"


def test_there_are_a_dozen_defects_and_each_comparison_has_one_to_find() -> None:
    assert len(MUTATIONS) >= 12
    assert {caught_by for caught_by, _ in MUTATIONS.values()} == set(COMPARISONS)
