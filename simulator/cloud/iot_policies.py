"""AWS IoT's own policies: their operations, and what they let a client of the broker do.

Joined with topic rules and things by `simulator.cloud.iot`, whose broker asks `allows`. The rules
of decision are IAM's; policy variables stand for what is known of the connection. Policies are in
force at once (on AWS after minutes). Policies of thing groups are not here.

Source: AWS IoT guide, "AWS IoT Core policies" and "Thing policy variables". Texts of errors are
from memory and not verified.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from simulator.cloud.context import Context
from simulator.cloud.errors import AwsError, NotSupportedByTwin
from simulator.cloud.iam_policies import Statement, parse_identity_policy
from simulator.cloud.iot_registry import Registry, Thing, check_certificate
from simulator.cloud.operations import Answer, Call, Operation, Params

MAX_VERSIONS = 5
MAX_DOCUMENT_BYTES = 2048

_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_ATTRIBUTE = re.compile(r"iot:Connection\.Thing\.Attributes\[([^\]]+)\]")
_KNOWN = ("iot:ClientId", "iot:Connection.Thing.ThingName", "iot:Connection.Thing.ThingTypeName")


@dataclass
class Policy:
    """One policy: its versions, and the certificates that it is attached to."""

    name: str
    arn: str
    created: datetime
    versions: dict[str, tuple[Params, datetime]]
    default: str = "1"
    newest: int = 1
    targets: list[str] = field(default_factory=list)

    @property
    def document(self) -> Params:
        """Return the version in force."""
        return self.versions[self.default][0]


class Policies:
    """Policies and decisions. ``changed`` is called when a decision may be another."""

    def __init__(self, context: Context, registry: Registry, changed: Callable[[], None]) -> None:
        self._context = context
        self._registry = registry
        self._changed = changed
        self._by_name: dict[str, Policy] = {}

    def __bool__(self) -> bool:
        """Tell whether there is any policy, and so anything to decide."""
        return bool(self._by_name)

    def operations(self) -> dict[str, Operation]:
        """Return the operations of ``iot`` on policies."""
        on_policy = {
            "CreatePolicy": self._create,
            "GetPolicy": self._get,
            "DeletePolicy": self._delete,
            "CreatePolicyVersion": self._create_version,
            "GetPolicyVersion": self._get_version,
            "ListPolicyVersions": self._versions,
            "SetDefaultPolicyVersion": self._set_default,
            "DeletePolicyVersion": self._delete_version,
            "ListTargetsForPolicy": self._targets,
        }
        on_target = {
            "AttachPolicy": self._attach,
            "DetachPolicy": self._detach,
            "ListAttachedPolicies": self._attached,
        }
        return {
            **{name: Operation(execute, self._arns) for name, execute in on_policy.items()},
            **{name: Operation(execute, _target) for name, execute in on_target.items()},
            "ListPolicies": Operation(self._list),
        }

    def allows(self, principal: str, client_id: str, action: str, resource: str) -> bool:
        """Tell whether the policies of a principal let its client do an action (``iot:Publish``).

        ``resource`` is what stands behind the account in the ARN, such as ``topic/a``.
        """
        thing = self._registry.thing_of(client_id, principal)
        arn = self._context.arn("iot", resource)
        context = {"iot:connection.thing.isattached": str(thing is not None).lower()}
        allowed = False
        for policy in self._by_name.values():
            if principal not in policy.targets:
                continue
            for statement in _compiled(policy.document, client_id, thing):
                if statement.matches(action.lower(), arn, context):
                    if not statement.allows:
                        return False
                    allowed = True
        return allowed

    # -- operations

    def _arns(self, params: Params) -> Sequence[str]:
        return (self._context.arn("iot", f"policy/{params['policyName']}"),)

    def _named(self, params: Params) -> Policy:
        name = params["policyName"]
        if name not in self._by_name:
            raise AwsError("ResourceNotFoundException", f"Policy not found: {name}", status=404)
        return self._by_name[name]

    def _create(self, call: Call) -> Answer:
        name, text = call.params["policyName"], call.params["policyDocument"]
        if name in self._by_name:
            raise AwsError(
                "ResourceAlreadyExistsException", f"Policy already exists: {name}", status=409
            )
        now = self._context.engine.now()
        document = checked_document(text)
        policy = Policy(name, self._arns(call.params)[0], now, {"1": (document, now)})
        self._by_name[name] = policy
        self._changed()
        return {
            "policyName": name,
            "policyArn": policy.arn,
            "policyDocument": text,
            "policyVersionId": "1",
        }

    def _get(self, call: Call) -> Answer:
        policy = self._named(call.params)
        document, changed = policy.versions[policy.default]
        return {
            "policyName": policy.name,
            "policyArn": policy.arn,
            "policyDocument": json.dumps(document),
            "defaultVersionId": policy.default,
            "creationDate": policy.created,
            "lastModifiedDate": changed,
            "generationId": policy.default,
        }

    def _delete(self, call: Call) -> Answer:
        policy = self._named(call.params)
        if policy.targets or len(policy.versions) > 1:
            raise AwsError(
                "DeleteConflictException",
                f"Policy {policy.name} has targets or other versions",
                status=409,
            )
        del self._by_name[policy.name]
        self._changed()
        return {}

    def _create_version(self, call: Call) -> Answer:
        policy = self._named(call.params)
        text = call.params["policyDocument"]
        document = checked_document(text)
        if len(policy.versions) >= MAX_VERSIONS:
            raise AwsError(
                "VersionsLimitExceededException",
                f"Policy {policy.name} has {MAX_VERSIONS} versions",
                status=409,
            )
        policy.newest += 1
        version = str(policy.newest)
        policy.versions[version] = (document, self._context.engine.now())
        if call.params.get("setAsDefault"):
            policy.default = version
            self._changed()
        return {
            "policyArn": policy.arn,
            "policyDocument": text,
            "policyVersionId": version,
            "isDefaultVersion": version == policy.default,
        }

    def _version(self, policy: Policy, params: Params) -> str:
        version = str(params["policyVersionId"])
        if version not in policy.versions:
            raise AwsError(
                "ResourceNotFoundException",
                f"Policy {policy.name} has no version {version}",
                status=404,
            )
        return version

    def _set_default(self, call: Call) -> Answer:
        policy = self._named(call.params)
        policy.default = self._version(policy, call.params)
        self._changed()
        return {}

    def _get_version(self, call: Call) -> Answer:
        policy = self._named(call.params)
        version = self._version(policy, call.params)
        document, created = policy.versions[version]
        return {
            "policyArn": policy.arn,
            "policyName": policy.name,
            "policyDocument": json.dumps(document),
            "policyVersionId": version,
            "isDefaultVersion": version == policy.default,
            "creationDate": created,
            "lastModifiedDate": created,
            "generationId": version,
        }

    def _versions(self, call: Call) -> Answer:
        policy = self._named(call.params)
        return {
            "policyVersions": [
                {
                    "versionId": version,
                    "isDefaultVersion": version == policy.default,
                    "createDate": created,
                }
                for version, (_, created) in policy.versions.items()
            ]
        }

    def _delete_version(self, call: Call) -> Answer:
        policy = self._named(call.params)
        version = self._version(policy, call.params)
        if version == policy.default:
            raise AwsError(
                "DeleteConflictException", f"Version {version} is the default", status=409
            )
        del policy.versions[version]
        return {}

    def _list(self, call: Call) -> Answer:
        return {"policies": [_shown(policy) for policy in self._by_name.values()]}

    def _attach(self, call: Call) -> Answer:
        policy, target = self._named(call.params), call.params["target"]
        if target.startswith(self._context.arn("iot", "thinggroup/")):
            raise NotSupportedByTwin("iot:AttachPolicy to a thing group")
        check_certificate(self._context, target)
        if target not in policy.targets:
            policy.targets.append(target)
        self._changed()
        return {}

    def _detach(self, call: Call) -> Answer:
        policy, target = self._named(call.params), call.params["target"]
        if target in policy.targets:
            policy.targets.remove(target)
        self._changed()
        return {}

    def _attached(self, call: Call) -> Answer:
        target = call.params["target"]
        found = [_shown(one) for one in self._by_name.values() if target in one.targets]
        return {"policies": found}

    def _targets(self, call: Call) -> Answer:
        return {"targets": list(self._named(call.params).targets)}


def _target(params: Params) -> Sequence[str]:
    return (params["target"],)


def _shown(policy: Policy) -> Params:
    return {"policyName": policy.name, "policyArn": policy.arn}


def checked_document(text: str) -> Params:
    """Return a checked document. Raises MalformedPolicyException, NotSupportedByTwin."""
    if len("".join(text.split()).encode()) > MAX_DOCUMENT_BYTES:
        raise _malformed(f"is longer than {MAX_DOCUMENT_BYTES} bytes without white space")
    try:
        document = json.loads(text)
        if document.get("Version") != "2012-10-17":
            raise _malformed("needs Version 2012-10-17")
        for name in _VARIABLE.findall(text):
            if name not in _KNOWN and not _ATTRIBUTE.fullmatch(name):
                raise NotSupportedByTwin(f"the policy variable {name}")
        # With no thing every statement is compiled all the same, so what is wrong shows now.
        _compiled(document, "client", Thing("client", "", "", "type"))
    except (json.JSONDecodeError, AttributeError) as error:
        raise _malformed(f"is no JSON object: {error}") from None
    except AwsError as error:
        if error.code != "MalformedPolicyDocument":
            raise
        raise _malformed(error.message) from None
    found: Params = document
    return found


def _compiled(document: Params, client_id: str, thing: Thing | None) -> tuple[Statement, ...]:
    """Return the statements for one connection, its variables filled in.

    A resource whose variable has no value names nothing: the statement is without it.
    """
    filled = copy.deepcopy(dict(document))
    given_statements = filled.get("Statement", [])
    listed = given_statements if isinstance(given_statements, list) else [given_statements]
    statements: list[dict[str, Any]] = []
    for each in listed:
        member = "NotResource" if "NotResource" in each else "Resource"
        given = each.get(member, [])
        resources = [given] if isinstance(given, str) else given
        values = [_filled(text, _values(client_id, thing)) for text in resources]
        each[member] = [value for value in values if value is not None]
        if each[member] or not resources:
            statements.append(each)
    return parse_identity_policy({**filled, "Statement": statements})


def _values(client_id: str, thing: Thing | None) -> Mapping[str, str | None]:
    values: dict[str, str | None] = {"iot:ClientId": client_id}
    if thing is not None:
        values["iot:Connection.Thing.ThingName"] = thing.name
        values["iot:Connection.Thing.ThingTypeName"] = thing.type
        for name, value in thing.attributes.items():
            values[f"iot:Connection.Thing.Attributes[{name}]"] = value
    return values


def _filled(text: str, values: Mapping[str, str | None]) -> str | None:
    """Return a resource with its variables filled in, None where one has no value."""
    found = {name: values.get(name) for name in _VARIABLE.findall(text)}
    # A value with a wildcard in it would mean more than itself.
    if any(value is None or set(value) & set("*?") for value in found.values()):
        return None
    return _VARIABLE.sub(lambda match: found[match[1]] or "", text)


def _malformed(why: str) -> AwsError:
    return AwsError("MalformedPolicyException", f"The policy document {why}")
