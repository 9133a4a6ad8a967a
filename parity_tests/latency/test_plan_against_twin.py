"""The planner's shards wait as the twin's do: the same structure, simulated twice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from parity_tests.mutations.small_world import SmallWorld, trained_model
from simulator.plan.shard_model import Sample, Size
from simulator.plan.workload import Workload


def test_records_wait_as_long_in_the_plan_as_in_the_twin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = trained_model(tmp_path / "model")
    world = SmallWorld(tmp_path / "twin", model, model, monkeypatch)
    try:
        world.run()
        waits = [s.took_s for s in world.cloud.latency.samples if s.hop == "wait"]
    finally:
        world.close()
    planned = Sample(Workload(3, 1.0), Size(1, 1, 1), {}).run()
    assert np.mean(planned.waits_s) == pytest.approx(np.mean(waits), rel=0.1)
