"""Faults in the history itself: found where they stand out by far, and nothing else is."""

from __future__ import annotations

import json
import shutil
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.model import fitting, train
from pipeline.model.calibration import TAIL_PEAKS, outlier_limit
from pipeline.model.dataset import Dataset
from pipeline.model.fitting import Training
from pipeline.partitions import HOUR_MS
from pipeline.tests import healthy
from pipeline.tests.test_model_checkpoints import StopAfter, job, model_files
from pipeline.tests.test_model_healthy_rows import FAULT, shifted
from pipeline.tests.test_model_training import write

Floats = NDArray[np.float64]

UNITS, ROWS = 6, 2_000
WHEN_H = (0.3, 0.6)
"""Within a block of time: a fault that each fold's model has learnt stands out of none."""
CHANGES = {"alarm_margin_s": "300", "memory_rows": "30"}


def machines_of(seed: int, machines: int, peaks: int) -> list[Floats]:
    rng = np.random.default_rng(seed)
    return [np.sqrt(4.0 + rng.exponential(size=peaks)) for _ in range(machines)]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(3, 20), st.data())
def test_faults_of_fewer_than_half_of_the_machines_however_long_do_not_move_the_limit(
    seed: int, machines: int, data: st.DataObject
) -> None:
    peaks = machines_of(seed, machines, 60)
    faulty = data.draw(st.integers(1, (machines - 1) // 2))
    share = data.draw(st.floats(0.02, 1.0))
    times = data.draw(st.floats(10.0, 1e6))
    for own in peaks[:faulty]:
        own[: max(1, int(share * len(own)))] *= times
    limit = outlier_limit(peaks)
    assert 2.5 < limit < 7.0
    assert all(own.max() > limit for own in peaks[:faulty])
    # A healthy peak may lie beyond the limit, though never far.
    assert all(own.max() < 1.5 * limit for own in peaks[faulty:])


def test_healthy_peaks_hardly_ever_stand_out() -> None:
    beyond = sum(
        np.isfinite(outlier_limit(machines_of(seed, 2 + seed % 20, 40 + seed % 300)))
        for seed in range(400)
    )
    # A tail of twenty knows its mean badly.
    assert beyond <= 0.02 * 400


def test_of_few_peaks_and_of_two_machines_nothing_stands_out() -> None:
    few = [np.ones(TAIL_PEAKS // 2), np.ones(TAIL_PEAKS // 2), np.full(3, 1e6)]
    assert outlier_limit(few) == float("inf")
    assert outlier_limit([np.ones(500), np.full(500, 1e6)]) == float("inf")
    assert outlier_limit([]) == float("inf")


def trained(data: Dataset) -> Training:
    return fitting.train(data, healthy.chosen(**CHANGES))


@cache
def clean() -> Dataset:
    return healthy.dataset(4, UNITS, ROWS)


@cache
def spoilt() -> Dataset:
    """Return a history in which m0 has a fault."""
    return shifted(clean(), FAULT, range(1), WHEN_H)


def test_a_fault_in_the_history_is_left_out_and_the_threshold_is_that_of_a_healthy_one() -> None:
    usual, cured = trained(clean()), trained(spoilt())
    assert usual.stood_out == {}
    assert list(cured.stood_out) == ["m0"]
    ((from_ms, until_ms),) = cured.stood_out["m0"]
    assert -600_000 <= from_ms - WHEN_H[0] * HOUR_MS <= 0
    assert -healthy.SPEC.hop_ms <= until_ms - WHEN_H[1] * HOUR_MS <= 900_000
    for name in ("threshold", "slow_threshold", "no_model_threshold"):
        assert cured.metrics[name] == pytest.approx(usual.metrics[name], rel=0.15), name
    assert cured.metrics["rows"] < usual.metrics["rows"]


def test_without_the_search_the_same_fault_makes_the_threshold_far_too_high(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fitting, "MAX_SEARCHES", 0)
    assert trained(spoilt()).metrics["threshold"] > 2.0 * trained(clean()).metrics["threshold"]


def test_what_most_machines_do_at_once_and_what_one_alone_does_is_no_fault() -> None:
    common = shifted(clean(), FAULT, range(UNITS - 2), WHEN_H)
    assert trained(common).stood_out == {}
    alone = Dataset(["m0"] * ROWS, spoilt().event_time_ms[:ROWS], spoilt().features[:ROWS])
    assert trained(alone).stood_out == {}


def test_the_card_names_the_machine_and_counts_only_what_was_trained_on(tmp_path: Path) -> None:
    write(spoilt(), tmp_path / "data" / "part.parquet")
    done = train.run(job(tmp_path, **CHANGES))
    card = json.loads((tmp_path / "model" / "model_card.json").read_text())
    assert card["stood_out"] == done.stood_out
    assert card["training_data"]["rows"] == done.metrics["rows"] < len(spoilt())


def test_stopped_in_the_second_fit_it_leaves_a_usable_model_and_goes_on_to_the_same_bytes(
    tmp_path: Path,
) -> None:
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    for folder in (whole, stopped):
        write(spoilt(), folder / "data" / "part.parquet")
    counted = StopAfter(steps=1_000_000)
    done = train.run(job(whole, **CHANGES), counted)
    steps = 1_000_000 - counted.steps
    # In the network that is to serve, of which nothing is usable yet, and in the folds.
    for share in (0.55, 0.9):
        found = train.run(job(stopped, **CHANGES), StopAfter(steps=round(share * steps)))
        shutil.rmtree(stopped / "checkpoints")
        assert found.stood_out == done.stood_out
        assert not found.complete
        assert found.artefact.version == f"{done.artefact.version}-stopped"
        assert found.metrics["threshold"] == pytest.approx(done.metrics["threshold"], rel=0.3)
    assert not train.run(job(stopped, **CHANGES), StopAfter(steps=round(0.55 * steps))).complete
    train.run(job(stopped, **CHANGES))
    assert model_files(stopped) == model_files(whole)
