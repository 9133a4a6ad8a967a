"""The page about a reading's time is what the committed results make, and times add up."""

from __future__ import annotations

import threading
import time

import pytest

from benchmarks import performance
from benchmarks.hops import per_reading_us
from benchmarks.put_records import prepared
from benchmarks.result import RESULTS, ROOT, load
from benchmarks.self_time import SelfTime
from simulator.aws_endpoint import local_session


def test_the_page_is_what_the_results_make() -> None:
    expected = performance.page(load(RESULTS / "pipeline.json"))
    assert (ROOT / performance.PAGE).read_text("utf-8") == expected


class Work:
    """Two steps, one within the other."""

    def __init__(self) -> None:
        self.clock = 0.0

    def outer(self) -> str:
        self.clock += 1.0
        self.inner()
        return "done"

    def inner(self) -> None:
        self.clock += 2.0


def test_a_step_is_charged_without_the_steps_that_it_calls(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    work, taken = Work(), SelfTime()
    monkeypatch.setattr(time, "thread_time", lambda: work.clock)
    taken.wrap(work, "inner", "inner")
    taken.wrap(work, "outer", lambda: "outer")
    assert [work.outer() for _ in range(3)] == ["done"] * 3
    other = threading.Thread(target=work.inner)
    other.start()
    other.join()
    assert taken.taken_s == {"outer": 3.0, "inner": 8.0}
    assert per_reading_us({"inner": 3.0}, taken.taken_s, 10**6) == {"inner": 5.0, "outer": 3.0}


def test_prepared_requests_are_boto3s_and_reach_nobody() -> None:
    session = local_session("AKIA", "secret", "us-east-1")
    client = session.client("kinesis", endpoint_url="http://127.0.0.1:9")
    first, second = prepared(client, "s", 2)
    head, _, body = first.partition(b"\r\n\r\n")
    assert head.startswith(b"POST / HTTP/1.1\r\nHost: 127.0.0.1:9\r\n")
    assert b"Content-Length: %d" % len(body) in head
    assert b"X-Amz-Target: Kinesis_20131202.PutRecords" in head
    assert b"Credential=AKIA/" in head
    assert first != second
