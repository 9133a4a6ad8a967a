"""The id of a reading, and the log lines that lead to it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.correlation import correlation_id, parse_correlation_id, spans
from pipeline.tests.test_detection_stream import World, fault, run, stream

devices = st.text("abcz019-_", min_size=1, max_size=12)


@given(devices, st.integers(0, 4_102_444_800_000))
def test_an_id_reads_back_as_device_and_time(device_id: str, time_ms: int) -> None:
    assert parse_correlation_id(correlation_id(device_id, time_ms)) == (device_id, time_ms)
    assert parse_correlation_id(f"{device_id}@{time_ms}") == (device_id, time_ms)


@pytest.mark.parametrize("text", ["pump-1", "@5", "pump-1@", "pump-1@2026-01-05T00:00:00", "a@b"])
def test_another_text_is_no_id(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_correlation_id(text)


def test_an_id_is_written_in_utc_with_milliseconds() -> None:
    assert correlation_id("pump-7", 1_767_571_200_497) == "pump-7@2026-01-05T00:00:00.497Z"


def test_no_messages_have_no_spans() -> None:
    assert spans([]) == {}


def test_the_detectors_line_names_the_span_of_each_device_and_the_alerts_it_sent() -> None:
    world = World()
    world.activate()
    run(world, stream({"a": fault(4, 8, 0)}))
    (line,) = world.lines
    low, high = line["devices"]["a"]
    assert low < high
    (announced,) = line["alerts"]
    device_id, opened_ms = parse_correlation_id(announced["correlation_id"])
    assert device_id == "a"
    assert low <= opened_ms <= high
    assert len(announced["alert_id"]) == 32
    assert line["FeatureLag"] >= 0
    assert {m["Name"]: m["Unit"] for m in line["_aws"]["CloudWatchMetrics"][0]["Metrics"]}[
        "FeatureLag"
    ] == "Milliseconds"
