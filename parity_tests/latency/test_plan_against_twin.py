"""The planner's shards wait as the twin's do: the same structure, simulated twice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from parity_tests.mutations.small_world import SmallWorld, trained_model
from simulator.cloud.latency import Quantiles
from simulator.parity.latency_fit import HopModel
from simulator.plan.shard_model import Sample, Size
from simulator.plan.workload import Workload


def slow(hop: str, seconds: float) -> dict[str, HopModel]:
    """Return a model by which a hop always takes so long."""
    always = Quantiles(((0.0, seconds), (1.0, seconds)))
    return {hop: HopModel(always, "assumed", "a test", "2026-11-30")}


@pytest.mark.parametrize(
    "models",
    [{}, slow("read", 5.0), slow("start", 20.0), slow("dynamodb:BatchGetItem", 15.0)],
    ids=["as it is", "slow reads", "slow starts", "batches longer than a window"],
)
def test_records_wait_as_long_in_the_plan_as_in_the_twin(
    models: dict[str, HopModel], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One batch at a time, which is what the twin does; also where one takes long."""
    model = trained_model(tmp_path / "model")
    world = SmallWorld(tmp_path / "twin", model, model, monkeypatch)
    try:
        world.cloud.latency.install(dict(models))
        world.run()
        waits = [s.took_s for s in world.cloud.latency.samples if s.hop == "wait"]
    finally:
        world.close()
    planned = Sample(Workload(3, 1.0), Size(1, 1, 1), models).run()
    assert np.mean(planned.waits_s) == pytest.approx(np.mean(waits), rel=0.05)
    shares = (0.1, 0.5, 0.9)
    assert np.quantile(planned.waits_s, shares) == pytest.approx(
        np.quantile(waits, shares), rel=0.05
    )


def test_two_batches_at_a_time_take_away_most_of_what_a_long_one_adds() -> None:
    """Which the twin cannot show, as it runs one at a time: the plan alone is held here."""
    quick = Sample(Workload(3, 1.0), Size(1, 1, 1), {}).run()
    models = slow("start", 15.0)
    one, two = (Sample(Workload(3, 1.0), Size(1, n, 1), models).run() for n in (1, 2))
    assert np.mean(one.waits_s) == pytest.approx(np.mean(quick.waits_s) + 15.0, rel=0.05)
    assert np.mean(quick.waits_s) <= np.mean(two.waits_s) < np.mean(quick.waits_s) + 5.0
