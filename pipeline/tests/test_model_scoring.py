"""Baselines, metrics and scores: properties that hold for any healthy rows."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pipeline.model.artefact import Artefact
from pipeline.model.baseline import fit_baselines
from pipeline.model.fitting import train
from pipeline.model.hyperparameters import ARCHITECTURES
from pipeline.model.inference import Request, predict_fn
from pipeline.model.scoring import (
    Combination,
    Parts,
    fit_metric,
    ledoit_wolf,
    reconstruct,
    smooth,
)
from pipeline.tests import healthy
from pipeline.tests.healthy import Floats

# What a wide range hardly ever draws is a row close to healthy, and there the network works.
finite = st.floats(-1e4, 1e4) | st.floats(-3.0, 3.0)
distances = st.floats(1e-9, 1e6) | st.just(0.0)
some_rows = hnp.arrays(
    np.float64, st.tuples(st.integers(1, 12), st.just(healthy.WIDTH)), elements=finite
)
UNITS = ("m0", "m1", "m2", "never-seen")


@cache
def trained() -> Artefact:
    return train(healthy.dataset(1), healthy.chosen()).artefact


@settings(deadline=None)  # The first example trains the model.
@given(rows=some_rows, data=st.data())
def test_a_rows_score_does_not_depend_on_the_rows_beside_it(
    rows: Floats, data: st.DataObject
) -> None:
    artefact = trained()
    units = data.draw(st.lists(st.sampled_from(UNITS), min_size=len(rows), max_size=len(rows)))
    order = data.draw(st.permutations(range(len(rows))))
    scores = artefact.combination.score(artefact.model.parts(units, rows))
    shuffled = artefact.combination.score(
        artefact.model.parts([units[row] for row in order], rows[order])
    )
    # The network computes in single precision, by other steps for other numbers of rows.
    np.testing.assert_allclose(shuffled, scores[order], rtol=1e-7, atol=1e-9)
    alone = artefact.combination.score(artefact.model.parts(units[:1], rows[:1]))
    np.testing.assert_allclose(alone, scores[:1], rtol=1e-7, atol=1e-9)


@settings(deadline=None)  # The first example trains the model.
@given(rows=some_rows, weight=st.floats(0.0, 1.0))
def test_the_contributions_of_a_row_are_shares_that_sum_to_one(rows: Floats, weight: float) -> None:
    model, units = trained().model, ["m1"] * len(rows)
    _, shares = model.parts_and_contributions(units, rows, weight)
    assert shares.shape == (len(rows), len(healthy.SENSORS))
    assert (shares >= 0.0).all()
    np.testing.assert_allclose(shares.sum(axis=1), 1.0, rtol=1e-9)
    # Of the input's and of the residual's they are what the score is of both.
    _, of_input = model.parts_and_contributions(units, rows, 0.0)
    _, of_residual = model.parts_and_contributions(units, rows, 1.0)
    mixed = (1.0 - weight) * of_input + weight * of_residual
    np.testing.assert_allclose(shares, mixed, rtol=1e-6, atol=1e-9)


def test_an_answer_weighs_input_and_residual_as_its_score_does() -> None:
    artefact = trained()
    weight = artefact.combination.residual_weight
    rows = healthy.dataset(1).features[200:]
    _, shares = artefact.model.parts_and_contributions(["m0"] * len(rows), rows, weight)
    answered = predict_fn(Request(["m0"] * len(rows), rows), artefact)["contributions"]
    np.testing.assert_allclose(answered, shares, atol=1e-6)


def test_the_sensor_that_left_its_place_has_the_largest_share() -> None:
    model = trained().model
    row = np.median(healthy.dataset(1).features[:200], axis=0)[None, :]
    row[0, 3] += 30.0
    _, (shares,) = model.parts_and_contributions(["m0"], row, 0.05)
    assert model.sensors[int(shares.argmax())] == "heat"


@settings(deadline=None)  # The first example trains the model.
@given(rows=some_rows, column=st.integers(0, healthy.WIDTH - 1))
def test_scores_are_finite_whatever_a_row_holds(rows: Floats, column: int) -> None:
    artefact = trained()
    rows = rows.copy()
    rows[0, column] = np.inf
    rows[-1, column] = np.nan
    parts = artefact.model.parts(["m0"] * len(rows), rows)
    for scores in (artefact.combination.score(parts), artefact.combination.no_model_score(parts)):
        assert np.isfinite(scores).all()
        assert (scores >= 0.0).all()


def test_a_missing_feature_counts_as_usual() -> None:
    model = trained().model
    data = healthy.dataset(1)
    usual = data.features[:1].copy()
    usual[0, 2] = model.baselines.location[0, 2]
    missing = usual.copy()
    missing[0, 2] = np.nan
    assert model.parts(["m0"], missing).of_input == pytest.approx(
        model.parts(["m0"], usual).of_input
    )


def test_an_unknown_machine_is_judged_by_how_far_machines_lie_apart() -> None:
    artefact = trained()
    rows = healthy.features(np.random.default_rng(5), 50, level=150.0)
    known = artefact.combination.score(artefact.model.parts(["m0"] * 50, rows))
    unknown = artefact.combination.score(artefact.model.parts(["new"] * 50, rows))
    assert np.median(unknown) < 1.0 < np.median(known)


def test_a_feature_that_never_moved_in_training_counts_when_it_moves() -> None:
    data = healthy.dataset(2)
    data.features[:, 4] = 7.0
    artefact = train(data, healthy.chosen()).artefact
    row = data.features[:1].copy()
    moved = row.copy()
    moved[0, 4] = 9.0
    score = artefact.combination.score
    assert score(artefact.model.parts(["m0"], row)) < 1.0
    assert score(artefact.model.parts(["m0"], moved)) > 2.0


def test_a_feature_that_never_had_a_value_in_training_never_counts() -> None:
    data = healthy.dataset(2)
    data.features[:, 4] = np.nan
    artefact = train(data, healthy.chosen()).artefact
    row = data.features[:1].copy()
    there = row.copy()
    there[0, 4] = 9.0
    assert artefact.model.parts(["m0"], there) == artefact.model.parts(["m0"], row)


@given(weight=st.floats(0.0, 1.0), parts=hnp.arrays(np.float64, (2, 5), elements=distances))
def test_the_score_is_the_weighted_geometric_mean_of_both_distances(
    weight: float, parts: Floats
) -> None:
    combination = Combination(2.0, 4.0, threshold=1.5, residual_weight=weight)
    expected = (parts[0] / 2.0) ** (1.0 - weight) * (parts[1] / 4.0) ** weight / 1.5
    score = combination.score(Parts(parts[0], parts[1], parts[0]))
    np.testing.assert_allclose(score, expected, rtol=1e-12)


@given(
    rows=hnp.arrays(np.float64, st.tuples(st.integers(2, 30), st.just(4)), elements=finite),
    shift=finite,
)
def test_the_shrunk_covariance_is_symmetric_positive_and_blind_to_shifts(
    rows: Floats, shift: float
) -> None:
    covariance = ledoit_wolf(rows)
    np.testing.assert_array_equal(covariance, covariance.T)
    assert np.linalg.eigvalsh(covariance).min() >= -1e-6 * max(1.0, np.trace(covariance))
    np.testing.assert_allclose(ledoit_wolf(rows + shift), covariance, rtol=1e-6, atol=1e-2)


def test_whitened_healthy_rows_have_about_unit_variance_in_every_direction() -> None:
    rng = np.random.default_rng(3)
    mixing = rng.standard_normal((4, 4))
    rows = rng.standard_normal((5_000, 4)) @ mixing
    positions = np.zeros(5_000, dtype=np.int64)
    whitened = fit_metric(rows, positions, unit_share=0.5).whiten(positions, rows)
    values = np.linalg.eigvalsh(np.cov(whitened.T))
    assert 0.3 < values.min() <= values.max() < 1.1


@given(st.integers(1, 6), hnp.arrays(np.float64, st.integers(0, 20), elements=finite))
def test_smoothing_looks_back_only(rows: int, scores: Floats) -> None:
    smoothed = smooth(scores, rows)
    for row in range(len(scores)):
        if row < rows - 1:
            assert np.isnan(smoothed[row])
        else:
            assert smoothed[row] == pytest.approx(scores[row - rows + 1 : row + 1].mean(), abs=1e-9)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_numpy_and_torch_reconstruct_the_same(architecture: str) -> None:
    import torch

    training = train(healthy.dataset(4), healthy.chosen(architecture=architecture))
    z = np.random.default_rng(0).standard_normal((20, len(training.artefact.model.columns)))
    with torch.no_grad():
        expected = training.network(torch.from_numpy(z.astype(np.float32))).numpy()
    np.testing.assert_allclose(reconstruct(training.artefact.model.layers, z), expected, atol=1e-5)


@settings(max_examples=20, deadline=None)
@given(offset=st.floats(-1e3, 1e3))
def test_a_machines_own_level_does_not_show_after_normalisation(offset: float) -> None:
    data = healthy.dataset(6, units=2, rows=40)
    moved = data.features.copy()
    moved[:40] += offset
    plain = fit_baselines(data.device_ids, data.features)
    shifted = fit_baselines(data.device_ids, moved)
    np.testing.assert_allclose(
        shifted.normalise(data.device_ids, moved),
        plain.normalise(data.device_ids, data.features),
        atol=1e-5,
    )
