"""AWS IoT's registry: things, their types, and the certificates that are attached to them.

Joined with topic rules and policies by `simulator.cloud.iot`. A certificate is an ARN here: keys
and certificates of devices are made elsewhere, and no connection is encrypted, so nothing checks
that one was issued. Groups, jobs, indexing and shadows are not here.

Source: AWS IoT API reference; texts of errors are from memory and not verified.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from simulator.cloud.context import Context
from simulator.cloud.errors import AwsError, NotSupportedByTwin
from simulator.cloud.operations import Answer, Call, Operation, Params

MAX_ATTRIBUTES_WITHOUT_TYPE = 3
"""A thing has three attributes, or fifty when it has a type (AWS IoT guide, "Thing types")."""
MAX_ATTRIBUTES = 50


@dataclass
class Thing:
    """One thing, with the principals that may act as it."""

    name: str
    arn: str
    id: str
    type: str | None = None
    attributes: dict[str, str] = field(default_factory=dict)
    version: int = 1
    principals: list[str] = field(default_factory=list)


@dataclass
class ThingType:
    """One thing type."""

    name: str
    arn: str
    id: str
    properties: Params
    created: datetime
    deprecated: datetime | None = None


class Registry:
    """Things and types. ``changed`` is called when a decision about a client may be another."""

    def __init__(self, context: Context, changed: Callable[[], None]) -> None:
        self._context = context
        self._changed = changed
        self.things: dict[str, Thing] = {}
        self._types: dict[str, ThingType] = {}

    def operations(self) -> dict[str, Operation]:
        """Return the operations of ``iot`` on things and thing types."""
        on_thing = {
            "CreateThing": self._create,
            "DescribeThing": self._describe,
            "UpdateThing": self._update,
            "DeleteThing": self._delete,
            "ListThingPrincipals": self._principals,
            "AttachThingPrincipal": self._attach,
            "DetachThingPrincipal": self._detach,
        }
        on_type = {
            "CreateThingType": self._create_type,
            "DescribeThingType": self._describe_type,
            "UpdateThingType": self._update_type,
            "DeprecateThingType": self._deprecate_type,
            "DeleteThingType": self._delete_type,
        }
        return {
            **{name: Operation(execute, self._thing_arn) for name, execute in on_thing.items()},
            **{name: Operation(execute, self._type_arn) for name, execute in on_type.items()},
            "ListThings": Operation(self._list),
            "ListThingTypes": Operation(self._list_types),
            "ListPrincipalThings": Operation(self._principal_things),
        }

    def thing_of(self, client_id: str, principal: str) -> Thing | None:
        """Return the thing that a client is: it has the client id as its name, and the principal.

        Source: AWS IoT guide, "Thing policy variables".
        """
        thing = self.things.get(client_id)
        return thing if thing is not None and principal in thing.principals else None

    # -- things

    def _thing_arn(self, params: Params) -> Sequence[str]:
        return (self._context.arn("iot", f"thing/{params['thingName']}"),)

    def _named(self, params: Params) -> Thing:
        name = params["thingName"]
        if name not in self.things:
            raise _not_found(f"Thing {name} not found")
        return self.things[name]

    def _create(self, call: Call) -> Answer:
        params = call.params
        if "billingGroupName" in params:
            raise NotSupportedByTwin("iot:CreateThing with billingGroupName")
        name = params["thingName"]
        thing = Thing(
            name, self._thing_arn(params)[0], self._context.engine.new_id(), self._type_in(params)
        )
        _set_attributes(thing, params.get("attributePayload", {}))
        known = self.things.get(name)
        if known is None:
            self.things[name] = known = thing
            self._changed()
        elif (known.type, known.attributes) != (thing.type, thing.attributes):
            raise AwsError(
                "ResourceAlreadyExistsException",
                f"Thing {name} already exists in account with different attributes",
                status=409,
            )
        return {"thingName": name, "thingArn": known.arn, "thingId": known.id}

    def _type_in(self, params: Params) -> str | None:
        name: str | None = params.get("thingTypeName")
        if name is not None and self._named_type(params).deprecated is not None:
            raise AwsError("InvalidRequestException", f"Thing type {name} is deprecated")
        return name

    def _describe(self, call: Call) -> Answer:
        thing = self._named(call.params)
        answer = {
            "defaultClientId": thing.name,
            "thingName": thing.name,
            "thingId": thing.id,
            "thingArn": thing.arn,
            "attributes": dict(thing.attributes),
            "version": thing.version,
        }
        return answer | ({"thingTypeName": thing.type} if thing.type else {})

    def _update(self, call: Call) -> Answer:
        params = call.params
        thing = self._named(params)
        _check_version(thing, params)
        if params.get("removeThingType"):
            thing.type = None
        elif "thingTypeName" in params:
            thing.type = self._type_in(params)
        _set_attributes(thing, params.get("attributePayload", {}))
        thing.version += 1
        self._changed()
        return {}

    def _delete(self, call: Call) -> Answer:
        thing = self._named(call.params)
        _check_version(thing, call.params)
        if thing.principals:
            raise AwsError(
                "InvalidRequestException", f"Cannot delete {thing.name}: principals are attached"
            )
        del self.things[thing.name]
        self._changed()
        return {}

    def _list(self, call: Call) -> Answer:
        params = call.params
        found = [
            thing
            for name, thing in sorted(self.things.items())
            if params.get("thingTypeName") in (None, thing.type) and _has_attribute(thing, params)
        ]
        return _page(
            "things",
            [
                {
                    "thingName": thing.name,
                    "thingArn": thing.arn,
                    "attributes": dict(thing.attributes),
                    "version": thing.version,
                    **({"thingTypeName": thing.type} if thing.type else {}),
                }
                for thing in found
            ],
            params,
        )

    # -- principals

    def _attach(self, call: Call) -> Answer:
        if call.params.get("thingPrincipalType") == "EXCLUSIVE_THING":
            raise NotSupportedByTwin("iot:AttachThingPrincipal with EXCLUSIVE_THING")
        thing, principal = self._named(call.params), call.params["principal"]
        check_certificate(self._context, principal)
        if principal not in thing.principals:
            thing.principals.append(principal)
        self._changed()
        return {}

    def _detach(self, call: Call) -> Answer:
        thing, principal = self._named(call.params), call.params["principal"]
        if principal not in thing.principals:
            raise _not_found(f"The principal is not attached to thing {thing.name}")
        thing.principals.remove(principal)
        self._changed()
        return {}

    def _principals(self, call: Call) -> Answer:
        return _page("principals", list(self._named(call.params).principals), call.params)

    def _principal_things(self, call: Call) -> Answer:
        principal = call.params["principal"]
        names = [name for name, one in sorted(self.things.items()) if principal in one.principals]
        return _page("things", names, call.params)

    # -- types

    def _type_arn(self, params: Params) -> Sequence[str]:
        return (self._context.arn("iot", f"thingtype/{params['thingTypeName']}"),)

    def _named_type(self, params: Params) -> ThingType:
        name = params["thingTypeName"]
        if name not in self._types:
            raise _not_found(f"Thing type {name} not found")
        return self._types[name]

    def _create_type(self, call: Call) -> Answer:
        params = call.params
        name, properties = params["thingTypeName"], _type_properties(params)
        known = self._types.get(name)
        if known is not None and known.properties != properties:
            raise AwsError(
                "ResourceAlreadyExistsException", f"Thing type {name} already exists", status=409
            )
        if known is None:
            engine = self._context.engine
            known = ThingType(
                name, self._type_arn(params)[0], engine.new_id(), properties, engine.now()
            )
            self._types[name] = known
        return {"thingTypeName": name, "thingTypeArn": known.arn, "thingTypeId": known.id}

    def _update_type(self, call: Call) -> Answer:
        """Replace a type's properties; that what is not said is gone is not verified."""
        one = self._named_type(call.params)
        if "thingTypeProperties" in call.params:
            one.properties = _type_properties(call.params)
        return {}

    def _describe_type(self, call: Call) -> Answer:
        one = self._named_type(call.params)
        return {**_shown_type(one), "thingTypeId": one.id}

    def _deprecate_type(self, call: Call) -> Answer:
        undo = call.params.get("undoDeprecate", False)
        self._named_type(call.params).deprecated = None if undo else self._context.engine.now()
        return {}

    def _delete_type(self, call: Call) -> Answer:
        one = self._named_type(call.params)
        if one.deprecated is None:
            # Five minutes have to pass since the deprecation, too; here the next second will do.
            raise AwsError("InvalidRequestException", f"Thing type {one.name} is not deprecated")
        del self._types[one.name]
        return {}

    def _list_types(self, call: Call) -> Answer:
        named = call.params.get("thingTypeName")
        shown = [_shown_type(one) for one in self._types.values() if named in (None, one.name)]
        return _page("thingTypes", shown, call.params)


def check_certificate(context: Context, principal: str) -> None:
    """Raise InvalidRequestException for a principal that is no certificate of this account."""
    if not principal.startswith(context.arn("iot", "cert/")):
        raise AwsError("InvalidRequestException", f"Invalid principal {principal}")


def _type_properties(params: Params) -> Params:
    properties: Params = params.get("thingTypeProperties", {})
    if "mqtt5Configuration" in properties:
        raise NotSupportedByTwin("iot: mqtt5Configuration of a thing type")
    return properties


def _shown_type(one: ThingType) -> Params:
    metadata: Params = {"deprecated": one.deprecated is not None, "creationDate": one.created}
    if one.deprecated is not None:
        metadata["deprecationDate"] = one.deprecated
    return {
        "thingTypeName": one.name,
        "thingTypeArn": one.arn,
        "thingTypeProperties": one.properties,
        "thingTypeMetadata": metadata,
    }


def _set_attributes(thing: Thing, payload: Params) -> None:
    given = payload.get("attributes", {})
    kept = {**thing.attributes, **given} if payload.get("merge") else given
    if "attributes" not in payload:
        kept = thing.attributes
    # An empty value takes an attribute away (API reference, AttributePayload).
    attributes = {name: value for name, value in kept.items() if value != ""}
    most = MAX_ATTRIBUTES if thing.type else MAX_ATTRIBUTES_WITHOUT_TYPE
    if len(attributes) > most:
        raise AwsError("InvalidRequestException", f"A thing has at most {most} attributes")
    thing.attributes = attributes


def _has_attribute(thing: Thing, params: Params) -> bool:
    name = params.get("attributeName")
    if name is None:
        return True
    value, wanted = thing.attributes.get(name), params.get("attributeValue", "")
    if params.get("usePrefixAttributeValue"):
        return value is not None and value.startswith(str(wanted))
    return bool(value == wanted)


def _check_version(thing: Thing, params: Params) -> None:
    if params.get("expectedVersion", thing.version) != thing.version:
        raise AwsError(
            "VersionConflictException", f"Thing {thing.name} is at {thing.version}", status=409
        )


def _page(member: str, items: list[Any], params: Params) -> Answer:
    """Return a page; the token is the number of the next item."""
    start = int(params.get("nextToken") or 0)
    end = start + params.get("maxResults", 250)
    return {member: items[start:end]} | ({"nextToken": str(end)} if end < len(items) else {})


def _not_found(message: str) -> AwsError:
    return AwsError("ResourceNotFoundException", message, status=404)
