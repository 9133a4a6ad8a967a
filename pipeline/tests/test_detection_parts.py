"""A run of more states and detections than one transaction holds."""

from __future__ import annotations

import pytest

from pipeline.tests.test_detection_stream import World, event, fault, stream


@pytest.mark.parametrize("call", [1, 2, 3, 4])
def test_when_one_of_several_transactions_fails_nothing_is_lost_or_overwritten(call: int) -> None:
    """99 devices with a detection each need two, 31 more another."""
    batch = event(stream({f"p{number:03d}": fault(3, 8, 0) for number in range(130)}))
    expected, world = World(), World()
    for each in (expected, world):
        each.activate()
    expected.detector().handle(batch)
    assert len(expected.objects) == 3
    world.fail = {"transact_write_items": call}
    detector = world.detector()
    with pytest.raises(ConnectionError):
        detector.handle(batch)
    detector.handle(batch)
    assert world.rows() == expected.rows()
    assert world.objects == expected.objects
    assert world.detections == expected.detections
    assert sorted(alert["alert_id"] for alert in world.alerts) == sorted(expected.detections)
