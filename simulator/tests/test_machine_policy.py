"""The stack's own IoT policy at the twin's broker: a machine is itself, and nobody else."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline.messages import burst_topic, telemetry_topic
from simulator.cloud.errors import AwsError
from simulator.cloud.iot import Direct
from simulator.targets import quiet_twin


def test_a_machine_publishes_under_its_own_name_and_connects_as_nobody_else(tmp_path: Path) -> None:
    cloud = quiet_twin(datetime(2026, 1, 5, tzinfo=UTC), tmp_path)
    try:
        (policy,) = cloud.call("iot", "ListPolicies")["policies"]
        own = cloud.iot.access.certificate_of("pump-001")
        cloud.call("iot", "CreateThing", thingName="pump-001")
        cloud.call("iot", "AttachThingPrincipal", thingName="pump-001", principal=own)
        cloud.call("iot", "AttachPolicy", policyName=policy["policyName"], target=own)

        def denied(client_id: str, topic: str) -> int:
            return cloud.iot.publish_batch([Direct(topic, b"{}", client_id, 0.0)]).denied

        assert denied("pump-001", telemetry_topic("pump-001")) == 0
        assert denied("pump-001", burst_topic("pump-001")) == 0
        assert denied("pump-001", telemetry_topic("pump-002")) == 1
        assert denied("pump-001", "fleet/pump-001/other") == 1
        assert denied("pump-002", telemetry_topic("pump-002")) == 1
        with pytest.raises(AwsError, match="may not connect"):
            cloud.iot.access.connect("pump-002", own)
    finally:
        cloud.close()
