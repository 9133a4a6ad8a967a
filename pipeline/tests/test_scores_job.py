"""The scores job: every row once to lines, and every scored line once to the table."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import JobInputError
from pipeline.etl.scores_job import COLUMNS, Scoring, main
from pipeline.features import feature_names
from pipeline.settings import FeatureSpec
from pipeline.tests.streams import START_MS
from pipeline.tests.test_compaction import Store

HOUR_MS = 3_600_000
NAMES = ("a_mean", "a_std")
SPEC = '{"sensors": {"a": [-1, 9]}, "window_s": 60, "hop_s": 10, "allowed_lateness_s": 10}'
Rows = list[tuple[str, int, float | None, float | None]]


class Catalog:
    """A catalog with one table that takes every partition; it is asked for no columns."""

    def __init__(self) -> None:
        self.partitions: list[dict[str, Any]] = []

    def get_table(self, **request: Any) -> Any:
        """Describe."""
        assert request == {"DatabaseName": "d", "Name": "scores"}
        return {"Table": {"StorageDescriptor": {"InputFormat": "parquet", "Location": "s3://b/"}}}

    def update_table(self, **request: Any) -> Any:
        """Fail: the columns are the stack's."""
        raise AssertionError(request)

    def batch_create_partition(self, **request: Any) -> Any:
        """Keep."""
        self.partitions += request["PartitionInputList"]
        return {}


def parquet(
    rows: Sequence[tuple[str, int, float | None, float | None]], names: tuple[str, ...] = NAMES
) -> bytes:
    """Return rows as the features job writes them, with a column that the model does not see."""
    columns = list(zip(*rows, strict=True)) if rows else [()] * 4
    table = pa.table(
        {
            "device_id": pa.array(columns[0], pa.string()),
            "event_time_ms": pa.array(columns[1], pa.int64()),
            "n": pa.array([1] * len(rows), pa.int64()),
            **{
                name: pa.array(values, pa.float64())
                for name, values in zip(names, columns[2:], strict=True)
            },
        }
    )
    out = io.BytesIO()
    pq.write_table(table, out)
    return out.getvalue()


def put(store: Store, hour: int, part: int, rows: Rows) -> None:
    store.objects[f"features/dt=2026-01-05/hour={hour:02}/part-{part}.parquet"] = parquet(rows)


def scored(store: Store, run: str) -> None:
    """Do what the transform job does: join each line with an answer, its first feature."""
    for key, body in list(store.objects.items()):
        if key.startswith(f"transform/{run}/rows/"):
            lines = []
            for line in body.splitlines():
                row = orjson.loads(line)
                score = row.pop("features")[0]
                answer = {"score": score, "no_model_score": 0.5, "model_version": "m"}
                lines.append(orjson.dumps(row | {"SageMakerOutput": answer}) + b"\n")
            kept = key.replace("/rows/", "/scored/", 1) + ".out"
            store.objects[kept] = b"".join(lines)


def kept(store: Store) -> list[tuple[Any, ...]]:
    found = []
    for key, body in sorted(store.objects.items()):
        if key.startswith("batch-scores/"):
            table = pq.read_table(io.BytesIO(body))
            assert table.schema.equals(COLUMNS)
            found += [tuple(row.values()) for row in table.to_pylist()]
    return found


number = st.one_of(st.none(), st.floats(allow_infinity=False, allow_nan=False))
row = st.tuples(st.sampled_from("pq"), st.integers(0, HOUR_MS - 1), number, number)


@settings(max_examples=60, deadline=None)
@given(
    hours=st.lists(st.lists(row, max_size=8, unique_by=lambda each: each[:2]), max_size=3),
    copies=st.integers(1, 2),
)
def test_every_row_becomes_one_score_whatever_it_is_stored_in_and_however_often(
    hours: list[Rows], copies: int
) -> None:
    store = Store(page=2)
    expected = []
    for hour, rows in enumerate(hours):
        placed: Rows = [
            (device, START_MS + hour * HOUR_MS + at_ms, first, second)
            for device, at_ms, first, second in rows
        ]
        for part in range(copies):
            put(store, hour, part, placed)
        expected += [
            (device, at_ms, first, 0.5, "m")
            for device, at_ms, first, _ in sorted(placed, key=lambda each: each[:2])
        ]
    scoring = Scoring(store, "b", "r", START_MS, START_MS + 4 * HOUR_MS)
    if not expected:
        with pytest.raises(JobInputError, match="no feature row from dt=2026-01-05/hour=00"):
            scoring.write_rows(NAMES)
        return
    assert scoring.write_rows(NAMES) == len(expected)
    scored(store, "r")
    for _ in range(2):
        n_rows, found = scoring.keep_scores()
        assert n_rows == len(expected)
        assert found == [("2026-01-05", f"{hour:02}") for hour, of in enumerate(hours) if of]
        assert kept(store) == expected


def arguments(step: str, **more: str) -> list[str]:
    given_ = {
        "step": step,
        "start": "2026-01-05T00",
        "end": "2026-01-05T02",
        "run": "r",
        "bucket": "b",
        "database": "d",
        "table": "scores",
        "feature_spec": SPEC,
    } | more
    return ["script", *(word for name, value in given_.items() for word in (f"--{name}", value))]


def test_both_steps_by_their_arguments_and_hours_outside_stay_out() -> None:
    store, catalog = Store(), Catalog()
    names = feature_names(FeatureSpec.parse(SPEC))
    for hour in (1, 2):
        rows = [("p", START_MS + hour * HOUR_MS, 1.0, float("nan"))]
        key = f"features/dt=2026-01-05/hour={hour:02}/part.parquet"
        table = pq.read_table(io.BytesIO(parquet(rows)))
        for name in names:
            if name not in table.column_names:
                table = table.append_column(name, pa.array([None], pa.float64()))
        out = io.BytesIO()
        pq.write_table(table, out)
        store.objects[key] = out.getvalue()
    assert main(arguments("rows"), store, catalog)["rows"] == 1
    (line,) = store.objects["transform/r/rows/dt=2026-01-05/hour=01/rows.jsonl"].splitlines()
    features = json.loads(line)["features"]
    assert features == [1.0, None, *[None] * (len(names) - 2)], "NaN is null"
    scored(store, "r")
    told = main(arguments("scores"), store, catalog)
    assert (told["rows"], told["new_partitions"]) == (1, 1)
    (partition,) = catalog.partitions
    assert partition["Values"] == ["2026-01-05", "01"]
    location = partition["StorageDescriptor"]["Location"]
    assert location == "s3://b/batch-scores/dt=2026-01-05/hour=01/"


@pytest.mark.parametrize(
    ("given_", "words"),
    [
        (arguments("neither"), "--step: 'neither' is neither rows nor scores"),
        (arguments("rows", end="2026-01-05T00"), "is not before"),
        (arguments("rows", start="2026-01-05T00:30"), "not a whole hour"),
        (arguments("scores"), "no scored line below transform/r/scored/"),
    ],
)
def test_what_cannot_be_done_is_said(given_: list[str], words: str) -> None:
    with pytest.raises(JobInputError, match=words):
        main(given_, Store(), Catalog())


@pytest.mark.parametrize("line", [b"not json", b"[]", b"{}", b'{"SageMakerOutput": 1}'])
def test_a_line_that_is_no_answer_fails_with_its_object(line: bytes) -> None:
    store = Store()
    key = "transform/r/scored/dt=2026-01-05/hour=00/rows.jsonl.out"
    store.objects[key] = line + b"\n"
    with pytest.raises(JobInputError, match=r"hour=00/rows\.jsonl\.out: not a scored line"):
        main(arguments("scores"), store, Catalog())


def test_a_feature_that_the_rows_lack_is_named() -> None:
    store = Store()
    put(store, 0, 0, [("p", START_MS, 1.0, 2.0)])
    scoring = Scoring(store, "b", "r", START_MS, START_MS + HOUR_MS)
    with pytest.raises(JobInputError, match=r"part-0.parquet: no column 'a_slope'"):
        scoring.write_rows((*NAMES, "a_slope"))
