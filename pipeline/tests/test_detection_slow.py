"""A slow mean through the detector's whole batch: opened, alerted and stored."""

from __future__ import annotations

from pipeline.tests.test_detection_stream import HEALTHY, SLOW, SPEC, World, run, stream


def test_a_fault_that_no_row_shows_is_found_by_the_slow_mean_and_its_sensor_is_named() -> None:
    found = []
    for size in (7, 200):
        world = World()
        world.activate()
        world.memory_rows = 10
        run(world, stream({"a": [HEALTHY] * 10 + [SLOW] * 40, "b": [HEALTHY] * 50}), size=size)
        (alert,) = world.alerts
        assert alert["device_id"] == "a"
        assert alert["sensors"][0]["sensor"] == "heat"
        # The readings behind it reach as far back as the memory does.
        (detection,) = world.detections.values()
        reach_ms = int(detection["since_ms"]["N"]) - int(detection["window_start_ms"]["N"])
        assert reach_ms >= 10 * SPEC.hop_ms
        found.append(world.detections)
    assert found[0] == found[1]
