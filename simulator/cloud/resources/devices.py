"""What IoT knows of devices: things, their types, policies, and attachments of certificates."""

from __future__ import annotations

import json

from simulator.cloud.resources.declarations import NAMED, enforced, honoured, stored
from simulator.cloud.resources.mapping import Outcome, Resource, maps

_OWN_TOPIC = "test_iot_access.test_a_client_publishes_to_its_own_topic_and_to_no_other"
_ATTACHED = "test_iot_access.test_a_client_connects_as_the_thing_of_its_certificate_only"
_ATTRIBUTES = "test_iot_access.test_what_a_thing_is_stands_for_variables"


@maps(
    "AWS::IoT::Policy",
    {"PolicyName": NAMED, "PolicyDocument": enforced(_OWN_TOPIC)},
)
def policy(resource: Resource) -> Outcome:
    """Create a policy; it decides once it is attached."""
    document = resource.properties.need("PolicyDocument")
    values = {
        "policyName": resource.name("PolicyName", longest=128),
        "policyDocument": document if isinstance(document, str) else json.dumps(document),
    }
    resource.call("iot", "CreatePolicy", values)
    name = values["policyName"]
    arn = resource.context.arn("iot", f"policy/{name}")
    return name, {"Arn": arn, "Id": name}


@maps(
    "AWS::IoT::PolicyPrincipalAttachment",
    {"PolicyName": enforced(_OWN_TOPIC), "Principal": enforced(_OWN_TOPIC)},
)
def policy_attachment(resource: Resource) -> Outcome:
    """Attach a policy to a certificate."""
    name = resource.properties.need("PolicyName")
    target = resource.properties.need("Principal")
    resource.call("iot", "AttachPolicy", {"policyName": name, "target": target})
    return resource.logical_id, {}


@maps("AWS::IoT::Thing", {"ThingName": NAMED, "AttributePayload": enforced(_ATTRIBUTES)})
def thing(resource: Resource) -> Outcome:
    """Create a thing."""
    name = resource.name("ThingName", longest=128)
    values = {"ThingName": name, **resource.properties.rest()}
    answer = resource.call("iot", "CreateThing", resource.fit("iot", "CreateThing", values))
    return name, {
        "Arn": resource.context.arn("iot", f"thing/{name}"),
        "Id": str(answer.get("thingId", "")),
    }


@maps(
    "AWS::IoT::ThingPrincipalAttachment",
    {"ThingName": enforced(_ATTACHED), "Principal": enforced(_ATTACHED)},
)
def thing_attachment(resource: Resource) -> Outcome:
    """Let a certificate act as a thing."""
    name = resource.properties.need("ThingName")
    principal = resource.properties.need("Principal")
    resource.call("iot", "AttachThingPrincipal", {"thingName": name, "principal": principal})
    return resource.logical_id, {}


@maps(
    "AWS::IoT::ThingType",
    {
        "ThingTypeName": NAMED,
        "ThingTypeProperties": stored("for the search of an index, which is not here"),
        "DeprecateThingType": honoured("test_iot_access.test_a_deprecated_type_takes_no_thing"),
    },
)
def thing_type(resource: Resource) -> Outcome:
    """Create a thing type, deprecated where the template says so."""
    name = resource.name("ThingTypeName", longest=128)
    deprecated = resource.properties.truth("DeprecateThingType")
    values = {"ThingTypeName": name, **resource.properties.rest()}
    params = resource.fit("iot", "CreateThingType", values)
    answer = resource.call("iot", "CreateThingType", params)
    if deprecated:
        resource.call("iot", "DeprecateThingType", {"thingTypeName": name})
    return name, {
        "Arn": resource.context.arn("iot", f"thingtype/{name}"),
        "Id": str(answer.get("thingTypeId", "")),
    }
