"""Streams and recursions: found by name, and the same however they are cut."""

from __future__ import annotations

import pickle
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import lfilter
from scipy.stats import kstest

from simulator.fleet.streams import Lag, RunningSum, Wander, first_order, stable_words, stream

NAMES = st.lists(st.text("abc-1", max_size=4), max_size=4)
COUNT = 200
CUTS = st.integers(1, COUNT - 1)


@settings(max_examples=50, deadline=None)
@given(one=NAMES, other=NAMES, seed=st.integers(0, 2**63))
def test_a_path_of_names_has_one_stream_and_no_other_path_has_it(
    one: list[str], other: list[str], seed: int
) -> None:
    first, again = (stream(seed, *one).random(4).tolist() for _ in range(2))
    assert first == again
    assert (first == stream(seed, *other).random(4).tolist()) == (one == other)
    assert first != stream(seed + 1, *one).random(4).tolist()


def test_streams_do_not_depend_on_the_process() -> None:
    assert stable_words("pump-001") == (2_513_280_068, 881_829_576)
    assert stream(1, "pump-001", "white").integers(0, 1_000, 4).tolist() == [521, 120, 503, 280]


def test_first_numbers_of_neighbouring_streams_are_independent() -> None:
    first = [float(stream(1, f"unit-{i}", "white").random()) for i in range(2_000)]
    assert kstest(first, "uniform").pvalue > 0.01
    assert abs(np.corrcoef(first[:-1], first[1:])[0, 1]) < 0.06


def test_a_stream_continues_after_it_has_travelled() -> None:
    rng = stream(3, "unit-001")
    rng.random(10)
    copy = pickle.loads(pickle.dumps(rng))
    assert copy.random(5).tolist() == rng.random(5).tolist()


def test_the_recursion_has_the_bits_of_lfilter() -> None:
    gain, poles, state = np.array([0.1]), np.array([1.0, -0.9]), np.array([0.3])
    values = stream(1, "test").standard_normal(COUNT)
    response, end = first_order(gain, poles, values, state)
    expected, expected_end = lfilter(gain, poles, values, zi=state)
    assert response.tobytes() == expected.tobytes()
    assert end.tobytes() == expected_end.tobytes()


def test_signals_take_one_module_of_scipy_which_the_whole_takes_over_later() -> None:
    program = """
import sys
import numpy as np
import simulator.run
from simulator.fleet.streams import first_order
values, state = np.arange(9.0), np.array([0.3])
found, _ = first_order(np.array([0.1]), np.array([1.0, -0.9]), values, state)
assert "scipy.signal" not in sys.modules
from scipy.signal import lfilter
expected, _ = lfilter([0.1], [1.0, -0.9], values, zi=state)
assert found.tobytes() == expected.tobytes()
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=300)


@settings(max_examples=30, deadline=None)
@given(cut=CUTS, tau_s=st.floats(0.5, 500.0), seed=st.integers(0, 2**32))
def test_recursions_do_not_depend_on_the_cut(cut: int, tau_s: float, seed: int) -> None:
    values = stream(seed, "values").standard_normal(COUNT)

    def wander() -> Wander:
        return Wander(stream(seed, "wander"), 2.0, tau_s, 1.0)

    for make in (lambda: Lag(tau_s, 1.0).follow, lambda: RunningSum().follow):
        whole, parted = make()(values), make()
        parts = [parted(values[:cut]), parted(values[cut:])]
        assert np.concatenate(parts).tobytes() == whole.tobytes()
    one, other = wander(), wander()
    whole = one.take(COUNT)
    parts = [other.take(cut), other.take(COUNT - cut)]
    assert np.concatenate(parts).tobytes() == whole.tobytes()


@pytest.mark.parametrize("tau_s", [5.0, 50.0])
def test_a_wander_has_its_deviation_and_its_memory(tau_s: float) -> None:
    path = Wander(stream(2, "wander"), 3.0, tau_s, 1.0).take(200_000)
    assert path.std() == pytest.approx(3.0, rel=0.06)
    lag = round(tau_s)
    assert np.corrcoef(path[:-lag], path[lag:])[0, 1] == pytest.approx(np.exp(-1.0), abs=0.05)


def test_a_lag_is_at_rest_only_in_the_steady_state_of_zero() -> None:
    lag = Lag(10.0, 1.0, initial=0.0)
    assert lag.at_rest
    assert not lag.follow(np.zeros(5)).any()
    assert lag.at_rest
    lag.follow(np.ones(1))
    assert not lag.at_rest
    assert not Lag(10.0, 1.0).at_rest
