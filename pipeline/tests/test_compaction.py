"""Compaction: however often it is killed, the messages are the same, each once."""

from __future__ import annotations

import gzip
import io
import json
from collections import Counter
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import JobInputError
from pipeline.etl.compaction_job import Compaction, main
from pipeline.tests.streams import START_MS

HOUR = "dt=2026-01-05/hour=00"
END_MS = START_MS + 3_600_000


class Killed(Exception):
    """The process ends here."""


class Store:
    """A bucket; the call numbered ``dies_at`` happens or not, and ends the process."""

    def __init__(self, dies_at: int = -1, *, after: bool = False, page: int = 3) -> None:
        self.objects: dict[str, bytes] = {}
        self.dies_at = dies_at
        self.after = after
        self.page = page

    def _call(self, change: Any) -> Any:
        self.dies_at -= 1
        if self.dies_at == -1 and not self.after:
            raise Killed
        answer = change()
        if self.dies_at == -1:
            raise Killed
        return answer

    def get_object(self, **request: Any) -> Any:
        """Read."""
        return {"Body": io.BytesIO(self.objects[request["Key"]])}

    def put_object(self, **request: Any) -> Any:
        """Write."""
        return self._call(lambda: self.objects.__setitem__(request["Key"], request["Body"]))

    def list_objects_v2(self, **request: Any) -> Any:
        """List a page."""
        keys = sorted(key for key in self.objects if key.startswith(request["Prefix"]))
        first = int(request.get("ContinuationToken", 0))
        page = keys[first : first + self.page]
        more = first + self.page < len(keys)
        return {
            "Contents": [{"Key": key, "ETag": str(hash(self.objects[key]))} for key in page],
            "IsTruncated": more,
            **({"NextContinuationToken": str(first + self.page)} if more else {}),
        }

    def delete_objects(self, **request: Any) -> Any:
        """Delete, some of them before the process ends."""
        keys = [one["Key"] for one in request["Delete"]["Objects"]]

        def change() -> Any:
            for key in keys:
                self.objects.pop(key, None)
            return {}

        if self.dies_at == 0:
            self.objects.pop(keys[0], None)
        return self._call(change)


def line(device: int, seq: int) -> bytes:
    return json.dumps({"device_id": f"pump-{device}", "seq": seq}).encode()


def messages(store: Store, prefix: str = "telemetry") -> set[bytes]:
    return {
        found
        for key, body in store.objects.items()
        if key.startswith(prefix)
        for found in (gzip.decompress(body) if key.endswith(".gz") else body).splitlines()
    }


@settings(deadline=None)
@given(
    st.lists(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 5)), max_size=4), max_size=7),
    st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=4),
)
def test_killed_anywhere_and_run_again_no_message_is_lost_or_twice(
    objects: list[list[tuple[int, int]]], deaths: list[tuple[int, bool]]
) -> None:
    store = Store()
    for number, found in enumerate(objects):
        body = b"\n".join(line(*message) for message in found)
        is_zipped = number % 2 == 0
        name = f"telemetry/{HOUR}/{number}.jsonl" + (".gz" if is_zipped else "")
        store.objects[name] = gzip.compress(body) if is_zipped else body
    truth = messages(store)
    for dies_at, after in deaths:
        store.dies_at, store.after = dies_at, after
        try:
            Compaction(store, "raw", "telemetry", 2).compact(START_MS, END_MS)
        except Killed:
            assert messages(store) == truth
    store.dies_at = -1
    Compaction(store, "raw", "telemetry", 2).compact(START_MS, END_MS)
    assert messages(store) == truth
    left = [key for key in store.objects if key.startswith("telemetry")]
    assert len(left) == min(len(objects), 1)
    assert not [key for key in store.objects if key.startswith("compaction")]
    if len(objects) > 1:
        assert len(gzip.decompress(store.objects[left[0]]).splitlines()) == len(truth)
    before = dict(store.objects)
    Compaction(store, "raw", "telemetry", 2).compact(START_MS, END_MS)
    assert store.objects == before, "again changes nothing"


def parquet(**columns: Any) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out)
    return out.getvalue()


def test_parquet_is_joined_with_all_columns_and_what_is_broken_stays() -> None:
    store = Store()
    folder = f"features/{HOUR}"
    whole = parquet(device_id=["b", "a"], event_time_ms=[1, 1], x=[1.0, 2.0])
    store.objects = {
        f"{folder}/1.parquet": whole,
        f"{folder}/2.parquet": parquet(device_id=["a"], event_time_ms=[0], x=[3.0], new=[4.0]),
        f"{folder}/3.parquet": whole[:-9],
        f"{folder}/4.txt": b"?",
    }
    words = "--bucket p --prefix features --start 2026-01-05T00 --end 2026-01-05T02"
    result = main(["job", *words.split(), "--minimum_files=2"], store)
    assert (result["objects_before"], result["objects_after"]) == (2, 1)
    assert [one["key"] for one in result["unreadable"]] == [
        f"{folder}/3.parquet",
        f"{folder}/4.txt",
    ]
    (key,) = [key for key in store.objects if "compact-" in key]
    rows = pq.read_table(io.BytesIO(store.objects[key])).to_pylist()
    assert [(row["device_id"], row["event_time_ms"]) for row in rows] == [
        ("a", 0),
        ("a", 1),
        ("b", 1),
    ]
    assert [row["new"] for row in rows] == [4.0, None, None]
    assert len(store.objects) == 3


def test_thousands_of_tiny_objects_become_one() -> None:
    store = Store(page=1_000)
    for seq in range(2_000):
        store.objects[f"telemetry/{HOUR}/{seq:06}.jsonl.gz"] = gzip.compress(line(0, seq), 1)
    words = "--bucket p --prefix telemetry --start 2026-01-05T00 --end 2026-01-05T01"
    result = main(["job", *words.split()], store)
    assert result["rows"] == 2_000
    (body,) = store.objects.values()
    assert [orjson.loads(row)["seq"] for row in gzip.decompress(body).splitlines()] == list(
        range(2_000)
    )


@pytest.mark.parametrize("time", ["2026-01-06T03:45:00Z", "2026-01-06T23:59:59+00:00"])
def test_the_day_before_a_time_is_compacted_and_no_other(time: str) -> None:
    store = Store()
    days = [
        f"{kind}/dt=2026-01-0{day}/hour=23" for kind in ("telemetry", "bursts") for day in (4, 5, 6)
    ]
    for folder in days:
        for seq in range(3):
            store.objects[f"{folder}/{seq}.jsonl.gz"] = gzip.compress(line(0, seq), 1)
    words = f"--bucket p --prefix telemetry,bursts --day_before {time} --minimum_files 2"
    result = main(["job", *words.split()], store)
    assert (result["objects_before"], result["objects_after"], result["rows"]) == (6, 2, 6)
    left = Counter(key.rpartition("/")[0] for key in store.objects)
    assert left == {folder: 1 if "01-05" in folder else 3 for folder in days}


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("--prefix bursts --day_before yesterday", "--day_before"),
        ("--prefix bursts,other --day_before 2026-01-06T00:00:00Z", "--prefix"),
        ("--prefix other --start 2026-01-05T00 --end 2026-01-05T01", "--prefix"),
        ("--prefix bursts --start 2026-01-05T01 --end 2026-01-05T01", "is not before"),
        ("--prefix bursts --start 2026-01-05T00 --end 2026-01-05T01 --minimum_files 1", "minimum"),
    ],
)
def test_wrong_arguments_are_named(words: str, named: str) -> None:
    with pytest.raises(JobInputError, match=named):
        main(["job", "--bucket", "b", *words.split()], Store())
