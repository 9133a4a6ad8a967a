"""The reverse check: what the twin's describe calls return is what the template asked for.

Every property of the committed template is looked for in the answer of its type's describe
operation; those that no answer has are listed with the reason (`simulator.cloud.drift`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from simulator.cloud.cloud import Cloud
from simulator.cloud.drift import NOT_DESCRIBED, of_resource
from simulator.cloud.drift_lake import ANSWERS
from simulator.cloud.resources import MAPPINGS
from simulator.cloud.stack_state import Live
from simulator.targets import SNAPSHOT

PARAMETERS = {"MaintenanceServer": "plant", "AgentActivationKey": "-".join(["LOCAL"] * 5)} | {
    "QuickSightPrincipal": "arn:aws:quicksight:us-east-1:000000000000:user/default/reader",
    "AccountLogs": "true",
}
"""With them there is a resource of every type in the template."""


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """Return a twin of our own stack."""
    cloud = Cloud(datetime(2026, 1, 5, tzinfo=UTC), tmp_path_factory.mktemp("described"))
    try:
        cloud.boot(SNAPSHOT, PARAMETERS, prewarmed=False)
        yield cloud
    finally:
        cloud.close()


def live(cloud: Cloud) -> list[Live]:
    assert cloud.deployment is not None
    return list(cloud.deployment.live.values())


def test_every_property_comes_back_or_it_is_listed_why_not(twin: Cloud) -> None:
    assert twin.drift() == []


def test_every_type_is_asked_for() -> None:
    assert ANSWERS.keys() == MAPPINGS.keys()
    assert [(k, n) for k, n in NOT_DESCRIBED if n not in MAPPINGS[k].declared] == []


def otherwise(value: Any) -> Any:
    """Return a value that is another."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, (int, float)):
        return value + 1
    if isinstance(value, str):
        return f"{value}-other" if value not in ("true", "false") else "neither"
    if isinstance(value, list):
        return [otherwise(each) for each in value] or ["more"]
    return {name: otherwise(each) for name, each in value.items()} or {"More": 1}


def test_a_property_that_is_otherwise_is_found(twin: Cloud) -> None:
    unseen = []
    for one in live(twin):
        kind = one.created.type
        for name, value in one.properties.items():
            if (kind, name) in NOT_DESCRIBED or name in one.created.recorded:
                continue
            changed = dataclasses.replace(one, properties={**one.properties})
            changed.properties[name] = otherwise(value)
            if not list(of_resource(changed, twin.call)):
                unseen.append(f"{kind} {name}")
    assert sorted(set(unseen)) == []


def test_what_was_changed_by_hand_is_named(twin: Cloud) -> None:
    (queue, *_) = [one for one in live(twin) if one.created.type == "AWS::SQS::Queue"]
    url = queue.created.physical_id
    had = queue.properties.get("MessageRetentionPeriod", 345600)
    attributes = {"MessageRetentionPeriod": "61"}
    twin.call("sqs", "SetQueueAttributes", QueueUrl=url, Attributes=attributes)
    (line,) = twin.drift()
    assert line.endswith(f"AWS::SQS::Queue.MessageRetentionPeriod: {had} was asked for, not '61'")
    attributes = {"MessageRetentionPeriod": str(had)}
    twin.call("sqs", "SetQueueAttributes", QueueUrl=url, Attributes=attributes)
    assert twin.drift() == []
