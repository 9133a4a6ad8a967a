"""Objects of the raw zone: parsed at once or line by line the same, and nothing dropped."""

from __future__ import annotations

import gzip
import io
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.etl import raw_objects
from pipeline.etl.packed import Columns, PackedRows
from pipeline.etl.raw_objects import parse_objects
from pipeline.tests.streams import SPEC, START_MS

OPTIONAL = replace(SPEC, optional=("pressure_bar",))
Found = tuple[list[tuple[Any, ...]], list[tuple[str, str, bytes]]]


def parsed(objects: dict[str, bytes], spec: Any = SPEC) -> Found:
    """Return the messages and what is malformed in objects."""
    batch = pa.RecordBatch.from_arrays(
        [pa.array(list(objects)), pa.array(list(objects.values()), pa.binary())],
        ["path", "content"],
    )
    messages, wrong = [], []
    for rows in parse_objects([batch], spec):
        for row in rows.to_pylist():
            if row["device_id"] is None:
                wrong.append((row["source"], row["reason"], row["malformed"]))
                continue
            width = 7 if row["is_burst"] else len(spec.sensors)
            columns = Columns.unpack(row["packed"], row["n"], width)
            messages += [
                (row["device_id"], int(seq), int(time), bool(late), values.tobytes())
                for seq, time, late, values in zip(*columns, strict=True)
            ]
    return sorted(messages), sorted(wrong)


numbers = st.one_of(
    st.floats(), st.integers(-(2**70), 2**70), st.booleans(), st.none(), st.just("7")
)
good_lines = st.builds(
    lambda device, seq, time, late, a, b: {
        "schema": 1,
        "device_id": device,
        "seq": seq,
        "event_time_ms": time,
        "late": late,
        "values": {"temperature_c": a, "pressure_bar": b},
    },
    st.sampled_from(["pump-1", "pump-2", "motor-1"]),
    st.integers(0, 2**53 - 1),
    st.integers(0, 2**53 - 1),
    st.booleans(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.one_of(st.integers(-9, 9), st.floats(-1, 1)),
)


@st.composite
def any_lines(draw: st.DrawFn) -> bytes:
    """Return a line that is right, or wrong in one of the ways in which lines are."""
    line: dict[str, Any] = draw(good_lines)
    how = draw(st.sampled_from(["good"] * 6 + ["field", "value", "gone", "cut", "text", "blank"]))
    if how == "field":
        name = draw(st.sampled_from(["device_id", "seq", "event_time_ms", "late", "values"]))
        line[name] = draw(numbers)
    elif how == "value":
        line["values"]["pressure_bar"] = draw(numbers)
    elif how == "gone":
        del line[draw(st.sampled_from(["device_id", "seq", "late", "values"]))]
    elif how == "text":
        return draw(st.sampled_from([b"[]", b"7", b"\xff\xfe", b"{}{}", b"null", b'{"seq":1}']))
    elif how == "blank":
        return b" "
    text = json.dumps(line).encode()
    return text[: draw(st.integers(1, len(text) - 1))] if how == "cut" else text


@settings(deadline=None, max_examples=150)
@given(st.lists(any_lines(), max_size=8), st.sampled_from([SPEC, OPTIONAL]))
def test_a_block_parsed_at_once_is_what_its_lines_are_one_by_one(
    lines: list[bytes], spec: Any
) -> None:
    block = b"\n".join(lines) + b"\n"
    one_by_one = PackedRows()
    raw_objects._parse_each("o", block, spec, one_by_one)
    at_once = PackedRows()
    if raw_objects._parse_at_once(block, spec, at_once):
        assert at_once.rows == one_by_one.rows
    messages, wrong = parsed({"o": block}, spec)
    assert len(messages) + len(wrong) == sum(not line.isspace() for line in lines)


@settings(deadline=None, max_examples=40)
@given(st.lists(good_lines, min_size=1, max_size=20), st.integers(1, 3), st.integers(0, 2**32))
def test_gzip_members_and_blocks_change_nothing(
    lines: list[dict[str, Any]], members: int, seed: int
) -> None:
    texts = [json.dumps(line).encode() + b"\n" for line in lines]
    expected = parsed({"o": b"".join(texts)})
    assert expected[1] == []
    cuts = np.array_split(np.arange(len(texts)), members)
    body = b"".join(gzip.compress(b"".join(texts[i] for i in cut)) for cut in cuts)
    kept = raw_objects._BLOCK_BYTES
    try:
        raw_objects._BLOCK_BYTES = 1 + seed % 300
        assert parsed({"o.gz": body}) == expected
    finally:
        raw_objects._BLOCK_BYTES = kept


@settings(deadline=None, max_examples=100)
@given(st.lists(st.lists(any_lines(), max_size=3), max_size=6), st.booleans(), st.integers(1, 900))
def test_objects_that_share_a_block_are_what_each_is_by_itself(
    objects: list[list[bytes]], ends: bool, block_bytes: int
) -> None:
    bodies = {
        f"{number}": b"\n".join(lines) + b"\n" * (ends and bool(lines))
        for number, lines in enumerate(objects)
    }
    apart = [parsed({name: body}) for name, body in bodies.items()]
    kept = raw_objects._BLOCK_BYTES
    try:
        raw_objects._BLOCK_BYTES = block_bytes
        together = parsed(bodies)
    finally:
        raw_objects._BLOCK_BYTES = kept
    assert together == (
        sorted(message for messages, _ in apart for message in messages),
        sorted(line for _, wrong in apart for line in wrong),
    )


def test_many_small_objects_become_one_row_a_device() -> None:
    batch = pa.RecordBatch.from_arrays(
        [pa.array([str(n) for n in range(50)]), pa.array([lines_of(2)] * 50, pa.binary())],
        ["path", "content"],
    )
    (rows,) = parse_objects([batch], SPEC)
    assert rows["device_id"].to_pylist() == ["pump-1"]
    assert rows["n"].to_pylist() == [100]


def lines_of(n: int) -> bytes:
    return b"".join(
        json.dumps(
            {
                "device_id": "pump-1",
                "seq": seq,
                "event_time_ms": START_MS + seq,
                "late": False,
                "values": {"temperature_c": 1.5 * seq, "pressure_bar": 2},
            }
        ).encode()
        + b"\n"
        for seq in range(n)
    )


def test_of_a_truncated_object_all_whole_lines_count_and_the_object_is_named() -> None:
    rng = np.random.default_rng(1)
    noisy = lines_of(2_000).replace(b"1.5", str(rng.random()).encode())
    body = gzip.compress(noisy)
    messages, wrong = parsed(
        {"cut.gz": body[: len(body) // 2], "whole.gz": gzip.compress(lines_of(3))}
    )
    assert 3 < len(messages) < 2_000
    ((source, reason, rest),) = wrong
    assert source == "cut.gz"
    assert "not a whole gzip object" in reason
    assert b"\n" not in rest
    damaged = bytearray(body)
    damaged[len(body) // 2 : len(body) // 2 + 8] = b"\0" * 8
    _, wrong = parsed({"damaged.gz": bytes(damaged), "empty.gz": b"", "text.gz": b"{}"})
    assert {source for source, _, _ in wrong} == {"damaged.gz", "empty.gz", "text.gz"}


def parquet(**changes: Any) -> bytes:
    columns: dict[str, Any] = {
        "device_id": ["pump-1", "pump-2"],
        "seq": [0, 0],
        "event_time_ms": [START_MS, START_MS],
        "temperature_c": [20.5, 21.0],
        "pressure_bar": [3, 4],
        "further": ["a", "b"],
        **changes,
    }
    out = io.BytesIO()
    pq.write_table(pa.table({k: v for k, v in columns.items() if v is not None}), out)
    return out.getvalue()


def test_parquet_objects_are_read_whole_or_not_at_all() -> None:
    messages, wrong = parsed({"a.parquet": parquet()})
    assert [message[:4] for message in messages] == [
        ("pump-1", 0, START_MS, False),
        ("pump-2", 0, START_MS, False),
    ]
    assert np.frombuffer(messages[0][4]).tolist() == [20.5, 3.0]
    assert wrong == []
    (one,) = parsed({"a.parquet": parquet(pressure_bar=[None, 4.0])}, OPTIONAL)[0][:1]
    assert np.isnan(np.frombuffer(one[4])[1])


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (parquet()[:-20], "not a readable Parquet object"),
        (b"", "not a readable Parquet object"),
        (parquet(temperature_c=["hot", "cold"]), "not a readable Parquet object"),
        (parquet(temperature_c=None), "no column"),
        (parquet(seq=[0, -1]), "seq is not a whole number"),
        (parquet(seq=[0, None]), "seq is missing"),
        (parquet(pressure_bar=[1.0, float("inf")]), "not finite"),
        (parquet(device_id=["", "pump-1"]), "device_id is empty"),
    ],
)
def test_a_parquet_object_that_cannot_be_used_says_why(body: bytes, reason: str) -> None:
    messages, wrong = parsed({"bad.parquet": body, "good.jsonl": lines_of(2)})
    assert len(messages) == 2
    assert [(source, found) for source, found, _ in wrong if reason in found] == [
        ("bad.parquet", wrong[0][1])
    ]
