"""The features against the same definitions written independently, as SQL for DuckDB."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.features import Signals, feature_names, feature_rows
from pipeline.settings import FeatureSpec
from pipeline.tests.features_sql import oracle
from pipeline.tests.streams import RICH

SPEC = FeatureSpec.parse(RICH.to_json().replace('"bursts":true', '"bursts":false'))


@st.composite
def fleets(draw: st.DrawFn) -> tuple[pa.Table, int]:
    """Return readings of some devices with gaps, equal times and missing values."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    silent = draw(st.sampled_from([0.0, 0.1, 0.9]))
    tables = []
    for device in range(draw(st.integers(1, 3))):
        n = draw(st.integers(1, 120))
        steps = rng.choice([0, 250, 1_000, 6_000, 45_000], n, p=[0.1, 0.3, 0.5, 0.07, 0.03])
        columns: dict[str, object] = {
            "device": np.full(n, device),
            "t": 1_767_571_200_000 + np.cumsum(steps),
            "seq": np.arange(n),
        }
        for position, name in enumerate(SPEC.sensors):
            values = np.round(rng.normal(50, 3, n), 3) * 10.0**position
            columns[name] = pa.array(values, mask=rng.random(n) < silent)
        tables.append(pa.table(columns))
    readings = pa.concat_tables(tables)
    return readings, int(readings["t"].to_numpy().max()) + draw(st.integers(-5_000, 60_000))


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Leave numpy's error state alone."""
    with np.errstate(all="raise", under="ignore", invalid="ignore"):
        yield


@settings(deadline=None, max_examples=25)
@given(fleets())
def test_the_kernel_agrees_with_sql_to_a_billionth(fleet: tuple[pa.Table, int]) -> None:
    readings, upper_ms = fleet
    expected = oracle(readings, upper_ms, SPEC)
    device = readings["device"].to_numpy().astype(np.int64)
    values = np.column_stack([readings[name].to_numpy() for name in SPEC.sensors]).astype(float)
    nothing = np.zeros(0, np.int64)
    n_devices = int(device.max()) + 1
    rows = feature_rows(
        Signals(
            device,
            readings["t"].to_numpy().astype(np.int64),
            values,
            nothing,
            nothing,
            np.zeros((0, 7)),
        ),
        np.zeros(n_devices, np.int64),
        np.full(n_devices, upper_ms),
        SPEC,
    )
    assert rows.device.tolist() == expected["device"].to_pylist()
    assert rows.event_time_ms.tolist() == expected["at_ms"].to_pylist()
    assert rows.n.tolist() == expected["n_main"].to_pylist()
    for position, name in enumerate(feature_names(SPEC)):
        found = rows.features[:, position]
        wanted = expected[name].to_numpy(zero_copy_only=False).astype(float)
        assert (np.isnan(found) == np.isnan(wanted)).all(), name
        # Relative to the size of the values: a mean of 5,000 has that many digits less.
        scale = np.nanmax(np.abs(values), initial=1.0)
        assert np.allclose(found, wanted, rtol=1e-9, atol=1e-9 * scale, equal_nan=True), name
