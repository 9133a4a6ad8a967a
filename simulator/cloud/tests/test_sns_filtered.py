"""A filter policy decides for every kind of subscriber, by attributes and by the body."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any

import pytest

from simulator.cloud.cloud import Cloud
from simulator.cloud.tests.test_sns import (
    INBOX,
    TOPIC,
    Endpoint,
    cloud,
    counted,
    function,
    publish,
    queue,
    received,
    run,
    subscribe,
)

__all__ = ["cloud"]

POLICY = '{"device_id": ["pump-007"]}'


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    made = Endpoint()
    yield made
    made.close()


def attributes(device_id: str) -> dict[str, Any]:
    return {"device_id": {"DataType": "String", "StringValue": device_id}}


def publish_all(cloud: Cloud) -> None:
    """Publish five messages; which of them passes depends on the scope."""
    said = [("pump-007", "pump-007"), ("fan-001", "fan-001")]
    said += [("pump-007", "fan-001"), ("fan-001", "pump-007")]
    for number, (in_attributes, in_body) in enumerate(said):
        body = json.dumps({"device_id": in_body, "n": number})
        publish(cloud, body, MessageAttributes=attributes(in_attributes))
    publish(cloud, "no JSON", wait_s=5.0)


def by_queue(cloud: Cloud, folder: Path, endpoint: Endpoint, **policy: str) -> Any:
    url = queue(cloud)
    subscribe(cloud, "sqs", INBOX, **policy)
    publish_all(cloud)
    return [json.loads(one["Body"])["Message"] for one in received(cloud, url)]


def by_function(cloud: Cloud, folder: Path, endpoint: Endpoint, **policy: str) -> Any:
    subscribe(cloud, "lambda", function(cloud, folder), **policy)
    publish_all(cloud)
    lines = [one for one in cloud.logs.lines("/aws/lambda/f") if one.startswith("GOT ")]
    return [json.loads(one[4:])["Records"][0]["Sns"]["Message"] for one in lines]


def by_http(cloud: Cloud, folder: Path, endpoint: Endpoint, **policy: str) -> Any:
    subscribe(cloud, "http", endpoint.url, **policy)
    run(cloud, 1.0)
    token = json.loads(endpoint.seen[0][1])["Token"]
    cloud.call("sns", "ConfirmSubscription", TopicArn=TOPIC, Token=token)
    publish_all(cloud)
    return [json.loads(body)["Message"] for _, body in endpoint.seen[1:]]


def by_mail(cloud: Cloud, folder: Path, endpoint: Endpoint, **policy: str) -> Any:
    subscribe(cloud, "email", "ops@example.com", **policy)
    publish_all(cloud)
    _, *paths = sorted((folder / "state/mail").iterdir())
    bodies = [message_from_bytes(one.read_bytes(), policy=default).get_body() for one in paths]
    return [body.get_content().strip() for body in bodies if body is not None]


@pytest.mark.parametrize("reach", [by_queue, by_function, by_http, by_mail])
@pytest.mark.parametrize(
    ("scope", "passed"), [("MessageAttributes", [0, 2]), ("MessageBody", [0, 3])]
)
def test_a_subscriber_gets_only_what_its_filter_policy_wants(
    cloud: Cloud,
    tmp_path: Path,
    endpoint: Endpoint,
    reach: Callable[..., list[str]],
    scope: str,
    passed: list[int],
) -> None:
    got = reach(cloud, tmp_path, endpoint, FilterPolicy=POLICY, FilterPolicyScope=scope)
    assert [json.loads(text)["n"] for text in got] == passed
    assert counted(cloud, "NumberOfNotificationsFilteredOut") == 3
    assert counted(cloud, "NumberOfNotificationsDelivered") == 2


@pytest.mark.parametrize("wanted", ['[{"exists": false}]', '[null, {"anything-but": "x"}]'])
def test_no_policy_of_attributes_wants_a_message_without_any(cloud: Cloud, wanted: str) -> None:
    url = queue(cloud)
    subscribe(cloud, "sqs", INBOX, FilterPolicy=f'{{"store": {wanted}}}')
    publish(cloud, "bare")
    publish(cloud, "other", MessageAttributes=attributes("pump-007"))
    assert [json.loads(one["Body"])["Message"] for one in received(cloud, url)] == ["other"]
