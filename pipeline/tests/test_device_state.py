"""Online equals batch, bit by bit, however the stream was cut, delayed and repeated."""

from __future__ import annotations

import gzip
from dataclasses import replace

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.device_state import DeviceState, advance
from pipeline.etl.arrow_kernel import Computation, compute_features
from pipeline.etl.raw_objects import parse_objects
from pipeline.features import feature_names
from pipeline.ingestion.raw_zone import raw_objects
from pipeline.kinesis_records import Arrived, Record
from pipeline.messages import Burst, Reading
from pipeline.sequence import Arrival, Progress
from pipeline.settings import FeatureSpec
from pipeline.tests.streams import RICH, SPEC, START_MS, Weather, cut, stream, weathers

Rows = dict[tuple[str, int], tuple[int, bytes]]


def online(messages: list[Reading | Burst], seed: int, spec: FeatureSpec = SPEC) -> Rows:
    """Advance states batch by batch, through their stored form, and collect the rows."""
    stored: dict[str, bytes] = {}
    rows: Rows = {}
    for batch in cut(messages, seed):
        names = sorted({message.device_id for message in batch})
        states = {
            name: DeviceState.from_bytes(stored[name], spec)
            if name in stored
            else DeviceState.new(spec)
            for name in names
        }
        result = advance(states, batch, spec)
        for device, at_ms, n, features in zip(
            result.rows.device,
            result.rows.event_time_ms,
            result.rows.n,
            result.rows.features,
            strict=True,
        ):
            key = result.device_ids[device], int(at_ms)
            assert key not in rows, "a row became final twice"
            rows[key] = int(n), features.tobytes()
        stored |= {name: state.to_bytes(spec) for name, state in states.items()}
    return rows


def batch(messages: list[Reading | Burst], spec: FeatureSpec = SPEC) -> Rows:
    """Compute the rows as the Glue job does, from the lines that the raw writer stores."""
    progress: dict[str, Progress] = {}
    accepted = []
    for number, message in enumerate(messages):
        known = progress.setdefault(message.device_id, Progress())
        seen = known.readings if isinstance(message, Reading) else known.bursts
        arrival = known.take(seen, message.seq, message.event_time_ms, spec.allowed_lateness_ms)
        if arrival is not Arrival.DUPLICATE:
            record = Record("shard", f"{number:06}", message.device_id, 0, b"")
            accepted.append((Arrived(record, message), arrival is Arrival.LATE))
    objects = raw_objects(accepted)
    # Repetitions in the raw zone must not count either.
    lines = [line for body in objects.values() for line in gzip.decompress(body).splitlines()]
    objects["twice.jsonl"] = b"\n".join(lines[::3])
    content = pa.array(list(objects.values()), pa.binary())
    table = pa.RecordBatch.from_arrays([pa.array(list(objects)), content], ["path", "content"])
    rows: Rows = {}
    for found in compute_features(parse_objects([table], spec), Computation(spec, 0, 1 << 43)):
        names = feature_names(spec)
        columns = np.column_stack([found.column(name).to_numpy(False) for name in names])
        for name, at_ms, n, features in zip(
            found.column("device_id").to_pylist(),
            found.column("event_time_ms").to_pylist(),
            found.column("n").to_pylist(),
            columns,
            strict=True,
        ):
            if at_ms is not None:
                rows[name, at_ms] = n, features.tobytes()
    return rows


@settings(deadline=None, max_examples=60)
@given(
    weathers, st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.sampled_from([SPEC, RICH])
)
def test_batch_and_online_give_the_same_bits_however_the_stream_is_cut(
    weather: Weather, one_seed: int, other_seed: int, spec: FeatureSpec
) -> None:
    messages = stream(weather)
    rows = online(messages, one_seed, spec)
    assert rows == online(messages, other_seed, spec)
    assert rows == batch(messages, spec)


GAPPY = replace(SPEC, optional=("pressure_bar",))
"""A machine without a pressure sensor, or with one that fails, still counts."""


@settings(deadline=None, max_examples=30)
@given(weathers, st.integers(0, 2**32 - 1), st.sampled_from([0.1, 0.9, 1.0]))
def test_batch_and_online_agree_when_a_sensor_gives_no_value(
    weather: Weather, seed: int, silent: float
) -> None:
    rng = np.random.default_rng(seed)
    messages = [
        m._replace(values={**m.values, "pressure_bar": float("nan")})
        if isinstance(m, Reading) and rng.random() < silent
        else m
        for m in stream(weather)
    ]
    rows = online(messages, seed, GAPPY)
    assert rows == batch(messages, GAPPY)
    whole = online(stream(weather), seed)
    assert rows.keys() == whole.keys()
    for key, (n, features) in rows.items():
        assert n == whole[key][0]
        of_temperature = len(features) // len(feature_names(SPEC)) * 3
        assert features[:of_temperature] == whole[key][1][:of_temperature]


def test_a_healthy_stream_gives_a_row_at_every_step_with_burst_features() -> None:
    weather = Weather(seed=1, devices=2, readings=90, lost=0, repeated=0, delay_s=0, silences=0)
    rows = online(stream(weather), seed=2)
    times = sorted(at_ms for name, at_ms in rows if name == "pump-0")
    assert len(times) > 5
    assert set(np.diff(times)) == {SPEC.hop_ms}
    last = np.frombuffer(rows["pump-0", times[-1]][1])
    assert np.isfinite(last).all()


def readings(times_s: list[float]) -> list[Reading | Burst]:
    values = dict.fromkeys(SPEC.sensors, 1.0)
    return [
        Reading("pump-0", seq, START_MS + round(time_s * 1000), values)
        for seq, time_s in enumerate(times_s)
    ]


def test_a_row_is_final_only_when_the_watermark_has_passed_it_by_the_lateness() -> None:
    states = {"pump-0": DeviceState.new(SPEC)}
    early = readings([1, 2, 3, 9])
    assert len(advance(states, early, SPEC).rows) == 0
    # On the very limit: neither late nor too late for the row at 5 s.
    on_the_limit = [Reading("pump-0", 7, START_MS + 5_000, dict.fromkeys(SPEC.sensors, 1.0))]
    assert advance(states, on_the_limit, SPEC).late == 0
    newer = [Reading("pump-0", 8, START_MS + 9_001, dict.fromkeys(SPEC.sensors, 1.0))]
    rows = advance(states, newer, SPEC).rows
    assert (rows.event_time_ms - START_MS).tolist() == [5_000]
    assert rows.n.tolist() == [4]


def test_a_retried_batch_gives_no_row_and_changes_nothing() -> None:
    states = {"pump-0": DeviceState.new(SPEC)}
    messages = readings([1, 2, 3, 9, 20])
    assert len(advance(states, messages, SPEC).rows) > 0
    before = states["pump-0"].to_bytes(SPEC)
    again = advance(states, messages, SPEC)
    assert len(again.rows) == 0
    assert again.duplicates == len(messages)
    assert states["pump-0"].to_bytes(SPEC) == before


def test_a_clock_that_said_1970_costs_neither_memory_nor_rows() -> None:
    states = {"pump-0": DeviceState.new(SPEC)}
    values = dict.fromkeys(SPEC.sensors, 1.0)
    broken = [Reading("pump-0", seq, seq * 1000, values) for seq in range(10)]
    modern = [Reading("pump-0", 10 + n, START_MS + n * 1000, values) for n in range(30)]
    rows = advance(states, [*broken, *modern], SPEC).rows
    # 5 to 25 s after 1970, and 5 to 20 s after the start of the rest, with 3 readings or more.
    assert rows.event_time_ms[rows.event_time_ms < START_MS].tolist() == list(
        range(5_000, 30_000, 5_000)
    )
    assert (rows.event_time_ms[rows.event_time_ms > START_MS] - START_MS).tolist() == list(
        range(5_000, 25_000, 5_000)
    )


def test_a_state_stays_small_however_long_the_stream_is() -> None:
    states = {"pump-0": DeviceState.new(SPEC)}
    sizes = []
    for start in range(0, 3_000, 100):
        values = dict.fromkeys(SPEC.sensors, 1.0)
        messages = [
            Reading("pump-0", seq, START_MS + seq * 1000, values)
            for seq in range(start, start + 100)
        ]
        advance(states, messages, SPEC)
        sizes.append(len(states["pump-0"].to_bytes(SPEC)))
    assert max(sizes) == sizes[-1] < 1_500


def test_a_state_of_another_spec_keeps_its_progress_and_drops_its_windows() -> None:
    states = {"pump-0": DeviceState.new(SPEC)}
    messages = readings([1, 2, 3])
    advance(states, messages, SPEC)
    other = FeatureSpec.parse(SPEC.to_json().replace('"window_s":20', '"window_s":40'))
    restored = DeviceState.from_bytes(states["pump-0"].to_bytes(SPEC), other)
    assert restored.progress == states["pump-0"].progress
    assert len(restored.event_time_ms) == 0
