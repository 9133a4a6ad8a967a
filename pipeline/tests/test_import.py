"""An import: what a mapping says, whole files or none, once however often it is run."""

from __future__ import annotations

import gzip
import io
import json
from datetime import UTC, datetime
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import JobInputError
from pipeline.etl.import_job import ImportJob, main
from pipeline.etl.import_mapping import EXAMPLE, parse_mapping
from pipeline.etl.import_table import FileRefused, Readings, read_file
from pipeline.tests.test_compaction import Killed, Store

MAPPING = """
[files]
include = ["*.csv"]
[device]
id = "pump-{stem}"
[time]
column = "time"
format = "%Y-%m-%d %H:%M:%S"
[sensors]
temperature_c = { column = "temp", convert = "degF_to_degC" }
current_a = { column = "amps", scale = 2.0, offset = 1.0 }
"""
DAY = "2026-01-05 "


def csv(*rows: str) -> bytes:
    return "\n".join(["time,temp,amps,note", *rows, ""]).encode()


def decoded(readings: Readings) -> list[dict[str, Any]]:
    return [orjson.loads(line) for lines in readings.lines.values() for line in lines]


def test_cells_become_values_in_our_units_at_their_times() -> None:
    body = csv(f"{DAY}00:59:59,212,1.5,x", f"{DAY}01:00:00,32,,y")
    found = read_file("a/7.csv", body, parse_mapping(MAPPING))
    assert decoded(found) == [
        {
            "schema": 1,
            "device_id": "pump-7",
            "seq": 1767574799000,
            "event_time_ms": 1767574799000,
            "late": False,
            "values": {"temperature_c": pytest.approx(100.0), "current_a": 4.0},
        },
        {
            "schema": 1,
            "device_id": "pump-7",
            "seq": 1767574800000,
            "event_time_ms": 1767574800000,
            "late": False,
            "values": {"temperature_c": pytest.approx(0.0)},
        },
    ]
    assert len(found.lines) == 2, "an hour each"


def test_rows_that_cannot_be_read_are_told_and_the_others_count() -> None:
    body = csv(
        f"{DAY}00:00:00,1,1,x",
        f"{DAY}00:00:01,warm,1,x",
        "yesterday,1,1,x",
        f"{DAY}00:00:02,,,x",
        f"{DAY}00:00:00,2,2,x",
        f"{DAY}00:00:03,1,1",
        f"{DAY}00:00:04,inf,1,x",
    )
    found = read_file("7.csv", body, parse_mapping(MAPPING))
    assert (found.rows, found.refused) == (1, 6)
    told = " | ".join(reason for _, reason in found.reasons)
    for part in ("'warm' is no number", "'yesterday' is no time", "no sensor has a value"):
        assert part in told
    assert "already" in told
    assert "3 columns instead of 4" in told
    assert "'inf' is no number" in told


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"time,temp\n2026-01-05 00:00:00,1\n", "no column 'amps'"),
        (b"", "cannot be read as csv"),
        (csv(), "no rows"),
        (csv(f"{DAY}00:00:00,hot,1,x", f"{DAY}00:00:01,cold,1,x"), "'hot' is no number"),
        (b"time,temp,amps\n\xff\xfe,1,1\n", "cannot be read as csv"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_with_the_reason(body: bytes, why: str) -> None:
    with pytest.raises(FileRefused, match=why):
        read_file("7.csv", body, parse_mapping(MAPPING))


def test_parquet_text_and_decimal_commas() -> None:
    moments = [datetime(2026, 1, 5, hour, tzinfo=UTC) for hour in (0, 1)]
    out = io.BytesIO()
    pq.write_table(pa.table({"m": ["a", "b"], "t": moments, "x": [1, 2]}), out)
    mapping = parse_mapping(
        '[files]\nformat = "parquet"\n[device]\ncolumn = "m"\n[time]\ncolumn = "t"\n'
        '[sensors]\nx = "x"\n'
    )
    found = read_file("f.parquet", out.getvalue(), mapping)
    assert [(row["device_id"], row["values"]["x"]) for row in decoded(found)] == [
        ("a", 1.0),
        ("b", 2.0),
    ]
    with pytest.raises(FileRefused, match="cannot be read as parquet"):
        read_file("f.parquet", out.getvalue()[:-20], mapping)
    text = parse_mapping(
        '[files]\nformat = "text"\ndecimal = ","\n[device]\nid = "d"\n[time]\n'
        'start = 2026-01-05T00:00:00Z\nperiod_s = 0.5\n[sensors]\ny = "c2"\n'
    )
    found = read_file("d.dat", b"1 1,5\n\n 2  2,5 \n3\n", text)
    assert [row["values"]["y"] for row in decoded(found)] == [1.5, 2.5]
    assert found.last_ms - found.first_ms == 500
    assert found.reasons == ((3, "1 columns instead of 2"),)


@given(st.lists(st.tuples(st.integers(0, 2**40), st.floats(-1e6, 1e6)), min_size=1))
def test_numbers_and_times_survive(rows: list[tuple[int, float]]) -> None:
    mapping = parse_mapping(
        '[device]\nid = "d"\n[time]\ncolumn = "t"\nunit = "ms"\n[sensors]\nx = "x"\n'
    )
    body = "t,x\n" + "".join(f"{time},{value!r}\n" for time, value in rows)
    found = read_file("d.csv", body.encode(), mapping)
    first = dict(reversed(rows))
    assert [(one["event_time_ms"], one["values"]["x"]) for one in decoded(found)] == [
        (time, first[time]) for time in sorted(first)
    ]
    assert found.refused == len(rows) - len(first)


def test_a_zones_local_time_becomes_utc() -> None:
    mapping = parse_mapping(MAPPING.replace('format = "', 'timezone = "Europe/Berlin"\nformat = "'))
    found = read_file("7.csv", csv("2026-07-01 02:00:00,1,1,x"), mapping)
    assert found.first_ms == round(datetime(2026, 7, 1, tzinfo=UTC).timestamp() * 1000)
    twice = csv("2026-10-25 02:30:00,1,1,x", "2026-10-25 04:30:00,1,1,x")
    assert read_file("7.csv", twice, mapping).refused == 1, "that hour is there twice"


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("[time]", "[tiem]", "tiem: unknown key; did you mean 'time'"),
        ("convert =", "convrt =", "sensors.temperature_c.convrt"),
        ("degF_to_degC", "degF", "'degF' is not one of"),
        ('column = "temp", ', "", "sensors.temperature_c.column: is missing"),
        ('id = "pump-{stem}"', "", "device: give either id or column"),
        ('column = "time"', "", "time: give either column, or start"),
        ("scale = 2.0", 'scale = "2"', "sensors.current_a.scale: must be a number"),
        ("[sensors]", "[sensors", "mapping: "),
        ('format = "', 'timezone = "Mars/Base"\nformat = "', "no zone 'Mars/Base'"),
        ('include = ["*.csv"]', 'include = "*.csv"', "files.include"),
    ],
)
def test_a_wrong_mapping_names_the_key(old: str, new: str, named: str) -> None:
    with pytest.raises(JobInputError) as caught:
        parse_mapping(MAPPING.replace(old, new))
    assert named in str(caught.value)


def test_the_example_is_a_mapping() -> None:
    assert parse_mapping(EXAMPLE).sensors[1].scale == pytest.approx(0.0689475729)


def landed(**files: bytes) -> Store:
    store = Store(page=2)
    store.objects = {f"landing/old/{name}.csv": body for name, body in files.items()}
    store.objects["imports/old/mapping.toml"] = MAPPING.encode()
    return store


def raw(store: Store) -> list[tuple[str, int]]:
    return sorted(
        (row["device_id"], row["seq"])
        for key, body in store.objects.items()
        if key.startswith("telemetry/")
        for row in map(orjson.loads, gzip.decompress(body).splitlines())
    )


@settings(deadline=None)
@given(
    st.dictionaries(st.sampled_from("abc"), st.sets(st.integers(0, 3), min_size=1), min_size=1),
    st.lists(st.tuples(st.integers(0, 8), st.booleans()), max_size=3),
)
def test_killed_anywhere_and_run_again_every_row_is_there_once(
    files: dict[str, set[int]], deaths: list[tuple[int, bool]]
) -> None:
    store = landed(
        **{name: csv(*(f"{DAY}0{h}:30:00,1,1,x" for h in hours)) for name, hours in files.items()}
    )
    truth = sorted(
        (f"pump-{name}", 1767573000000 + hour * 3_600_000)
        for name, hours in files.items()
        for hour in hours
    )
    for dies_at, after in deaths:
        store.dies_at, store.after = dies_at, after
        try:
            ImportJob(store, "raw", "old").run()
        except Killed:
            found = raw(store)
            assert set(found) <= set(truth)
            assert len(found) == len(set(found))
    store.dies_at = -1
    ImportJob(store, "raw", "old").run()
    assert raw(store) == truth
    before = dict(store.objects)
    again = ImportJob(store, "raw", "old").run()
    assert (again.files, again.unchanged) == (0, len(files))
    assert store.objects == before


def test_a_changed_file_replaces_what_it_had_brought_and_a_broken_one_does_not() -> None:
    store = landed(a=csv(f"{DAY}00:00:00,1,1,x", f"{DAY}02:00:00,1,1,x"))
    done = main(["job", "--bucket", "raw", "--name", "old"], store)
    assert (done.rows, done.objects, done.refused_files) == (2, 2, {})
    manifest = json.loads(store.objects["imports/old/manifest.json"])
    assert (manifest["start"], manifest["end"]) == ("2026-01-05T00", "2026-01-05T03")
    store.objects["landing/old/a.csv"] = csv(f"{DAY}02:00:00,5,5,x")
    ImportJob(store, "raw", "old").run()
    assert raw(store) == [("pump-a", 1767578400000)]
    store.objects["landing/old/a.csv"] = b"\x00\x01broken"
    done = ImportJob(store, "raw", "old").run()
    assert "cannot be read as csv" in done.refused_files["a.csv"]
    assert raw(store) == [("pump-a", 1767578400000)]


def test_an_import_of_nothing_says_what_was_looked_for() -> None:
    store = landed()
    store.objects["landing/old/x.txt"] = b""
    with pytest.raises(JobInputError, match=r"no file of 1 .*files.include"):
        ImportJob(store, "raw", "old").run()
