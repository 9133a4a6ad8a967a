"""IoT policies at the broker: who connects as what, and what each may publish."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from simulator.cloud.errors import AwsError
from simulator.cloud.iot import Direct
from simulator.cloud.iot_access import LOG_GROUP
from simulator.cloud.tests.test_iot import World

ARN = "arn:aws:iot:us-east-1:000000000000:"
THING = "${iot:Connection.Thing.ThingName}"
PUMPS = ("pump-001", "pump-002")


def statement(action: str, *resources: str, effect: str = "Allow", **more: Any) -> dict[str, Any]:
    named = [ARN + resource for resource in resources]
    return {"Effect": effect, "Action": f"iot:{action}", "Resource": named, **more}


OWN = (
    statement(
        "Connect",
        f"client/{THING}",
        Condition={"Bool": {"iot:Connection.Thing.IsAttached": "true"}},
    ),
    statement("Publish", f"topic/fleet/{THING}/telemetry"),
)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    made.rule()
    yield made
    made.twin.processes.close()


def put_policy(world: World, *statements: dict[str, Any], name: str = "machine") -> None:
    document = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
    world.twin.do("iot", "CreatePolicy", policyName=name, policyDocument=document)


def provision(world: World, thing: str, policy: str = "machine", **more: Any) -> str:
    certificate = world.iot.access.certificate_of(thing)
    world.twin.do("iot", "CreateThing", thingName=thing, **more)
    world.twin.do("iot", "AttachThingPrincipal", thingName=thing, principal=certificate)
    world.twin.do("iot", "AttachPolicy", policyName=policy, target=certificate)
    return certificate


def sent(world: World, client_id: str, topic: str) -> Any:
    now_s = world.twin.engine.env.now
    return world.iot.publish_batch([Direct(topic, b"1", client_id, now_s)])


def entries(world: World) -> list[dict[str, Any]]:
    return [json.loads(line) for line in world.twin.logs.groups.get(LOG_GROUP, [])]


def test_a_client_publishes_to_its_own_topic_and_to_no_other(world: World) -> None:
    put_policy(world, *OWN)
    for pump in PUMPS:
        provision(world, pump)
    assert sent(world, "pump-001", "fleet/pump-001/telemetry").delivered == 1
    denied = sent(world, "pump-001", "fleet/pump-002/telemetry")
    assert (denied.delivered, denied.discarded, denied.denied) == (0, 1, 1)
    assert denied.discarded_positions == (0,)
    (entry,) = entries(world)
    assert (entry["eventType"], entry["reason"]) == ("Publish-In", "AUTHORIZATION_FAILURE")
    assert (entry["clientId"], entry["topicName"]) == ("pump-001", "fleet/pump-002/telemetry")
    assert world.twin.cloudwatch.total("PublishIn.AuthError") == 1
    assert len(world.stored()) == 1


def test_a_client_connects_as_the_thing_of_its_certificate_only(world: World) -> None:
    put_policy(world, *OWN)
    first, _ = (provision(world, pump) for pump in PUMPS)
    world.iot.access.connect("pump-001", first)
    with pytest.raises(AwsError, match="pump-002 may not connect"):
        world.iot.access.connect("pump-002", first)
    assert [entry["eventType"] for entry in entries(world)] == ["Connect"]
    assert world.twin.cloudwatch.total("Connect.AuthError") == 1


def test_a_client_that_nobody_provisioned_may_do_nothing(world: World) -> None:
    put_policy(world, *OWN)
    assert sent(world, "stranger", "fleet/stranger/telemetry").denied == 1
    assert [entry["eventType"] for entry in entries(world)] == ["Connect"]


def test_without_any_policy_nobody_is_asked(world: World) -> None:
    assert sent(world, "stranger", "fleet/pump-001/telemetry").delivered == 1


def test_a_change_decides_from_the_next_message_on(world: World) -> None:
    put_policy(world, *OWN)
    certificate = provision(world, "pump-001")
    topic = "fleet/pump-001/telemetry"
    assert sent(world, "pump-001", topic).denied == 0
    world.twin.do("iot", "DetachPolicy", policyName="machine", target=certificate)
    assert sent(world, "pump-001", topic).denied == 1
    world.twin.do("iot", "AttachPolicy", policyName="machine", target=certificate)
    assert sent(world, "pump-001", topic).denied == 0
    world.twin.do("iot", "DetachThingPrincipal", thingName="pump-001", principal=certificate)
    assert sent(world, "pump-001", topic).denied == 1


def test_a_new_version_decides_once_it_is_the_default(world: World) -> None:
    put_policy(world, *OWN)
    provision(world, "pump-001")
    topic = "fleet/pump-001/telemetry"
    document = json.dumps({"Version": "2012-10-17", "Statement": [OWN[0]]})
    named = {"policyName": "machine", "policyDocument": document}
    world.twin.do("iot", "CreatePolicyVersion", **named)
    assert sent(world, "pump-001", topic).denied == 0
    world.twin.do("iot", "CreatePolicyVersion", **named, setAsDefault=True)
    assert sent(world, "pump-001", topic).denied == 1


def test_an_explicit_deny_wins(world: World) -> None:
    put_policy(world, *OWN, statement("Publish", "topic/*/telemetry", effect="Deny"))
    provision(world, "pump-001")
    assert sent(world, "pump-001", "fleet/pump-001/telemetry").denied == 1


def test_what_a_thing_is_stands_for_variables(world: World) -> None:
    hall = "${iot:Connection.Thing.Attributes[hall]}"
    kind = "${iot:Connection.Thing.ThingTypeName}"
    put_policy(
        world,
        statement("Connect", "client/${iot:ClientId}"),
        statement("Publish", f"topic/{hall}/{kind}", "topic/always"),
    )
    world.twin.do("iot", "CreateThingType", thingTypeName="pump")
    attributes = {"attributes": {"hall": "north"}}
    provision(world, "pump-001", thingTypeName="pump", attributePayload=attributes)
    provision(world, "pump-002")
    denied = {
        (pump, topic): sent(world, pump, topic).denied
        for pump in PUMPS
        for topic in ("north/pump", "south/pump", "always")
    }
    assert [place for place, count in denied.items() if not count] == [
        ("pump-001", "north/pump"),
        ("pump-001", "always"),
        ("pump-002", "always"),
    ]


def test_a_wildcard_in_a_name_stands_for_nothing(world: World) -> None:
    own = statement("Publish", "topic/${iot:ClientId}")
    put_policy(world, statement("Connect", "client/*"), own)
    certificate = world.iot.access.certificate_of("*")
    world.twin.do("iot", "AttachPolicy", policyName="machine", target=certificate)
    assert sent(world, "*", "fleet/pump-001/telemetry").denied == 1


def test_a_deprecated_type_takes_no_thing(world: World) -> None:
    world.twin.do("iot", "CreateThingType", thingTypeName="pump")
    world.twin.do("iot", "DeprecateThingType", thingTypeName="pump")
    with pytest.raises(AwsError, match="pump is deprecated"):
        world.twin.do("iot", "CreateThing", thingName="p", thingTypeName="pump")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("no json", "MalformedPolicyException"),
        ("[]", "MalformedPolicyException"),
        ('{"Version": "2008-10-17", "Statement": []}', "MalformedPolicyException"),
        (
            '{"Version": "2012-10-17", "Statement": [{"Effect": "Maybe"}]}',
            "MalformedPolicyException",
        ),
        (
            json.dumps(
                {"Version": "2012-10-17", "Statement": [statement("Publish", "${iot:Other}")]}
            ),
            "NotSupportedByTwin",
        ),
        (
            json.dumps({"Version": "2012-10-17", "Statement": [statement("Publish", "t" * 2100)]}),
            "MalformedPolicyException",
        ),
    ],
)
def test_a_document_that_cannot_decide_is_refused(world: World, text: str, code: str) -> None:
    with pytest.raises(AwsError) as caught:
        world.twin.do("iot", "CreatePolicy", policyName="p", policyDocument=text)
    assert caught.value.code == code


def test_what_is_in_use_or_missing_is_refused(world: World) -> None:
    put_policy(world, *OWN)
    provision(world, "pump-001")
    for operation, params, code in (
        ("DeletePolicy", {"policyName": "machine"}, "DeleteConflictException"),
        ("DeleteThing", {"thingName": "pump-001"}, "InvalidRequestException"),
        ("GetPolicy", {"policyName": "none"}, "ResourceNotFoundException"),
        ("DescribeThing", {"thingName": "none"}, "ResourceNotFoundException"),
        ("AttachPolicy", {"policyName": "machine", "target": "x"}, "InvalidRequestException"),
    ):
        with pytest.raises(AwsError) as caught:
            world.twin.do("iot", operation, **params)
        assert caught.value.code == code


def test_a_repeated_question_is_not_decided_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_policy(world, *OWN)
    provision(world, "pump-001")
    sent(world, "pump-001", "fleet/pump-001/telemetry")
    monkeypatch.setattr(world.iot.access.policies, "allows", None)
    assert sent(world, "pump-001", "fleet/pump-001/telemetry").denied == 0
