"""Kinematics of rolling bearings: published multiples, and the identities between them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.fleet.bearings import BEARINGS, Bearing


@pytest.mark.parametrize(
    ("name", "multiples"),
    [
        ("6205", (3.5848, 5.4152, 2.3567, 0.3983)),
        ("ER-10K", (3.0523, 4.9477, 1.9919, 0.3815)),
        ("6203", (3.0531, 4.9469, 1.9938, 0.3816)),
    ],
)
def test_the_catalogue_has_the_published_multiples(
    name: str, multiples: tuple[float, float, float, float]
) -> None:
    bearing = BEARINGS[name]
    found = (
        bearing.outer_race_hz(1.0),
        bearing.inner_race_hz(1.0),
        bearing.ball_spin_hz(1.0),
        bearing.cage_hz(1.0),
    )
    assert found == pytest.approx(multiples, rel=1e-3)


@given(
    balls=st.integers(4, 30),
    ball_mm=st.floats(1.0, 20.0),
    ratio=st.floats(1.5, 10.0),
    contact_deg=st.floats(0.0, 40.0),
    shaft_hz=st.floats(0.1, 1_000.0),
)
def test_the_frequencies_belong_together(
    balls: int, ball_mm: float, ratio: float, contact_deg: float, shaft_hz: float
) -> None:
    bearing = Bearing(balls, ball_mm, ratio * ball_mm, contact_deg)
    outer, inner = bearing.outer_race_hz(shaft_hz), bearing.inner_race_hz(shaft_hz)
    assert outer + inner == pytest.approx(balls * shaft_hz)
    assert outer == pytest.approx(balls * bearing.cage_hz(shaft_hz))
    assert outer < inner
