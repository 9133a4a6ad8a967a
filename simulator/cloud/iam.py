"""Who may do what: roles, policies, credentials and the one decision function.

`dispatch` asks `Iam.authorise` before every call; the template loader registers roles and
policies; the gateway turns access keys into principals. It decides as AWS does inside one
account: an explicit deny wins, then an allow of the identity or of the resource's policy,
else denied. Permission boundaries, session policies and organisations do not exist here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from simulator.cloud.errors import AccessDenied, AwsError, NotSupportedByTwin
from simulator.cloud.iam_conditions import RequestContext
from simulator.cloud.iam_credentials import credentials, role_session
from simulator.cloud.iam_policies import (
    AWS_MANAGED,
    PolicyDocument,
    Statement,
    delegates,
    parse_identity_policy,
    parse_resource_policy,
    parse_trust_policy,
    policy_owner,
)
from simulator.cloud.operations import Principal

MEMO_LIMIT = 200_000
"""Remembered decisions before the memo starts afresh: S3 keys are unbounded, memory is not."""


class Observed(NamedTuple):
    """One distinct question that was put to `Iam.authorise`, and its answer.

    ``context`` are the condition keys that came with it, sorted by name.
    """

    role_arn: str
    action: str
    resource: str
    allowed: bool
    context: tuple[tuple[str, str | tuple[str, ...]], ...] = ()


@dataclass
class _Role:
    arn: str
    trust: tuple[Statement, ...]
    inline: dict[str, tuple[Statement, ...]] = field(default_factory=dict)
    attached: list[str] = field(default_factory=list)


class Iam:
    """The permissions of one account. Used on the engine's thread only."""

    def __init__(self, account: str, region: str = "us-east-1") -> None:
        self.account = account
        self.region = region
        self.root = Principal(arn=f"arn:aws:iam::{account}:root")
        self.observed: dict[Observed, str] = {}  # With the step that asked first.
        self._roles: dict[str, _Role] = {}
        self._managed: dict[str, tuple[Statement, ...]] = {}
        self._resource: dict[str, dict[str, tuple[Statement, ...]]] = {}
        self._allowed: set[tuple[object, ...]] = set()
        self._denied: dict[tuple[object, ...], bool] = {}
        self._keys: dict[str, tuple[Principal, str]] = {}
        self._issued = 0
        self.history: list[tuple[str, tuple[Any, ...]]] = []
        """Every change of roles and policies: the method's name and its arguments."""
        self._root_key = credentials("AKIA", f"{account}/root")[:2]
        self._keys[self._root_key[0]] = (self.root, self._root_key[1])

    # -- decisions

    def authorise(
        self,
        principal: Principal,
        action: str,
        resource: str,
        context: RequestContext | None = None,
    ) -> None:
        """Return if the principal may do ``action`` on ``resource``; raise AccessDenied if not.

        ``context`` holds condition keys beyond those every request has (account, region,
        secure transport). Root may do everything.
        """
        role = principal.role_arn
        if role is None:
            return
        key: tuple[object, ...] = (role, action, resource)
        keys = tuple(sorted(context.items())) if context else ()
        if keys:
            key = (*key, *keys)
        if not role.startswith("arn:"):
            key = (*key, principal.arn)
        if key in self._allowed:
            return
        explicit = self._denied.get(key)
        asked = Observed(role, action, resource, False, keys)
        if explicit is None:
            explicit = self._decide(principal, role, action, resource, context or {})
            self._remember(key, asked, explicit, principal.step)
        if explicit is not None:
            self.observed.setdefault(asked, principal.step)
            raise AccessDenied(principal.arn, action, resource, explicit=explicit)

    def may(
        self,
        principal: Principal,
        action: str,
        resource: str,
        context: RequestContext | None = None,
    ) -> bool:
        """Tell whether `authorise` would return: a question, so that a no is no denied call."""
        keys = tuple(sorted((context or {}).items()))
        asked = Observed(principal.role_arn or "", action, resource, False, keys)
        was_denied = asked in self.observed
        try:
            self.authorise(principal, action, resource, context)
        except AccessDenied:
            if not was_denied:
                self.observed.pop(asked, None)
            return False
        return True

    def _remember(
        self, key: tuple[object, ...], asked: Observed, denial: bool | None, step: str
    ) -> None:
        if len(self._allowed) + len(self._denied) >= MEMO_LIMIT:
            self._forget()
        if denial is None:
            self._allowed.add(key)
            self.observed.setdefault(asked._replace(allowed=True), step)
        else:
            self._denied[key] = denial

    def _decide(
        self, principal: Principal, identity: str, action: str, resource: str, extra: RequestContext
    ) -> bool | None:
        """Return None when allowed, else whether the denial is an explicit one."""
        context = self._context(principal, identity, extra)
        lowered = action.lower()
        allowed = False
        for statement in self._identity_statements(identity):
            if statement.matches(lowered, resource, context):
                if not statement.allows:
                    return True
                allowed = True
        of_resource = self._resource_statements(resource)
        if of_resource and resource.startswith("arn:aws:kms:"):
            allowed = allowed and any(
                delegates(statement, self.account) and statement.matches(lowered, resource, context)
                for statement in of_resource
            )
        for statement in of_resource:
            principals = statement.principals
            assert principals is not None
            if principals.include(
                identity, self.account, denying=not statement.allows
            ) and statement.matches(lowered, resource, context):
                if not statement.allows:
                    return True
                allowed = True
        return None if allowed else False

    def _context(
        self, principal: Principal, identity: str, extra: RequestContext
    ) -> RequestContext:
        # The gateway is plain HTTP on loopback; policies that insist on TLS mean the network.
        context: dict[str, str | tuple[str, ...]] = {
            "aws:securetransport": "true",
            "aws:requestedregion": self.region,
        }
        if identity.startswith("arn:"):
            context["aws:principalarn"] = identity
            context["aws:principalaccount"] = self.account
        else:
            context["aws:sourceaccount"] = self.account
            context["aws:sourcearn"] = principal.arn
        context.update((key.lower(), value) for key, value in extra.items())
        return context

    def _identity_statements(self, role_arn: str) -> list[Statement]:
        role = self._roles.get(role_arn)
        if role is None:
            return []
        documents = [*role.inline.values(), *(self._managed[arn] for arn in role.attached)]
        return [statement for document in documents for statement in document]

    def _resource_statements(self, resource: str) -> list[Statement]:
        documents = self._resource.get(policy_owner(resource), {})
        return [statement for document in documents.values() for statement in document]

    def _forget(self) -> None:
        self._allowed.clear()
        self._denied.clear()

    # -- roles and policies, from the template

    def put_role(
        self,
        arn: str,
        trust_policy: PolicyDocument,
        inline: Mapping[str, PolicyDocument] | None = None,
        managed: tuple[str, ...] = (),
    ) -> None:
        """Register or replace a role with its trust, inline and attached managed policies."""
        role = _Role(arn, parse_trust_policy(trust_policy))
        role.inline = {name: parse_identity_policy(doc) for name, doc in (inline or {}).items()}
        self._roles[arn] = role
        self.history.append(("put_role", (arn, trust_policy, dict(inline or {}))))
        for policy_arn in managed:
            self.attach(arn, policy_arn)
        self._forget()

    def remove_role(self, arn: str) -> None:
        """Forget a role; its sessions may do nothing from now on."""
        self._role(arn)
        del self._roles[arn]
        self.history.append(("remove_role", (arn,)))
        self._forget()

    def put_role_policy(self, role_arn: str, name: str, document: PolicyDocument) -> None:
        """Set one inline policy of a role. Raises NoSuchEntity for an unknown role."""
        self._role(role_arn).inline[name] = parse_identity_policy(document)
        self.history.append(("put_role_policy", (role_arn, name, document)))
        self._forget()

    def put_trust_policy(self, role_arn: str, document: PolicyDocument) -> None:
        """Replace a role's trust policy; what it may do stays."""
        self._role(role_arn).trust = parse_trust_policy(document)
        self.history.append(("put_trust_policy", (role_arn, document)))
        self._forget()

    def describe_role(self, role_arn: str, text: str = "") -> None:
        """Say what a role is for: text for people, which GetRole returns."""
        self.history.append(("describe_role", (self._role(role_arn).arn, text)))

    def remove_role_policy(self, role_arn: str, name: str) -> None:
        """Remove one inline policy. Raises NoSuchEntity when there is none of that name."""
        if self._role(role_arn).inline.pop(name, None) is None:
            raise _no_such_entity(f"The role policy with name {name} cannot be found.")
        self.history.append(("remove_role_policy", (role_arn, name)))
        self._forget()

    def put_managed_policy(self, arn: str, document: PolicyDocument) -> None:
        """Register or replace a customer-managed policy; roles get it by `attach`."""
        self._managed[arn] = parse_identity_policy(document)
        self.history.append(("put_managed_policy", (arn, document)))
        self._forget()

    def attach(self, role_arn: str, policy_arn: str) -> None:
        """Attach a managed policy: one of the template's, or one of `AWS_MANAGED`."""
        if policy_arn not in self._managed:
            if policy_arn in AWS_MANAGED:
                self._managed[policy_arn] = parse_identity_policy(AWS_MANAGED[policy_arn])
            elif policy_arn.startswith("arn:aws:iam::aws:policy/"):
                raise NotSupportedByTwin(f"AWS managed policy {policy_arn}")
            else:
                raise _no_such_entity(f"Policy {policy_arn} does not exist or is not attachable.")
        attached = self._role(role_arn).attached
        if policy_arn not in attached:
            attached.append(policy_arn)
        self.history.append(("attach", (role_arn, policy_arn)))
        self._forget()

    def detach(self, role_arn: str, policy_arn: str) -> None:
        """Take a managed policy from a role, if it has it."""
        attached = self._role(role_arn).attached
        if policy_arn in attached:
            attached.remove(policy_arn)
        self.history.append(("detach", (role_arn, policy_arn)))
        self._forget()

    def remove_managed_policy(self, arn: str) -> None:
        """Forget a managed policy. Raises DeleteConflict while a role has it."""
        if any(arn in role.attached for role in self._roles.values()):
            text = "Cannot delete a policy attached to entities."
            raise AwsError("DeleteConflict", text, status=409)
        self._managed.pop(arn, None)
        self.history.append(("remove_managed_policy", (arn,)))
        self._forget()

    def put_resource_policy(self, arn: str, document: PolicyDocument, name: str = "") -> None:
        """Set the policy of a bucket, topic, queue, key or function.

        ``name`` tells several documents of one resource apart (a function's permissions).
        """
        self._resource.setdefault(arn, {})[name] = parse_resource_policy(document)
        self.history.append(("put_resource_policy", (arn, document, name)))
        self._forget()

    def remove_resource_policy(self, arn: str, name: str = "") -> None:
        """Remove a resource's policy, if there is one."""
        self._resource.get(arn, {}).pop(name, None)
        self.history.append(("remove_resource_policy", (arn, name)))
        self._forget()

    def role_arns(self) -> list[str]:
        """Return the registered roles, sorted."""
        return sorted(self._roles)

    def _role(self, arn: str) -> _Role:
        role = self._roles.get(arn)
        if role is None:
            raise _no_such_entity(f"The role with name {arn.rpartition('/')[2]} cannot be found.")
        return role

    # -- principals and credentials

    def principal_for_role(
        self,
        role_arn: str,
        session: str,
        service: str = "lambda.amazonaws.com",
        context: RequestContext | None = None,
        worker: str | None = None,
    ) -> Principal:
        """Let ``service`` (``lambda.amazonaws.com``) assume a role, as the trust policy says.

        Raises AccessDenied for sts:AssumeRole, also for a role that does not exist: AWS does
        not tell which.
        """
        asked = ("sts:AssumeRole", role_arn, service)
        if asked in self._allowed:
            return role_session(self.account, role_arn, session, worker)
        role = self._roles.get(role_arn)
        asking = self.service_principal(service)
        conditions = self._context(asking, service, context or {})
        allowed = False
        for statement in role.trust if role is not None else ():
            assert statement.principals is not None
            if statement.principals.include(
                service, self.account, denying=not statement.allows
            ) and statement.matches("sts:assumerole", role_arn, conditions):
                if not statement.allows:
                    raise AccessDenied(service, "sts:AssumeRole", role_arn, explicit=True)
                allowed = True
        if role is None or not allowed:
            raise AccessDenied(service, "sts:AssumeRole", role_arn, explicit=False)
        if not any(statement.conditions for statement in role.trust):
            self._allowed.add(asked)  # Nothing that it hangs on changes from call to call.
        return role_session(self.account, role_arn, session, worker)

    def service_principal(self, service: str, source_arn: str = "") -> Principal:
        """Return an AWS service that acts in its own name (an alarm that publishes to SNS).

        Only resource policies allow it something; ``source_arn`` becomes ``aws:SourceArn``.
        """
        return Principal(arn=source_arn or service, role_arn=service)

    def issue_credentials(self, role_arn: str, session: str, worker: str) -> tuple[str, str, str]:
        """Return (access key, secret, token) of a new session; ``worker`` names it on the clock.

        Keys come from a counter, so the same run hands out the same keys.
        """
        self._role(role_arn)
        self._issued += 1
        seed = f"{self.account}/{role_arn}/{session}/{worker}/{self._issued}"
        key, secret, token = credentials("ASIA", seed)
        self._keys[key] = (role_session(self.account, role_arn, session, worker), secret)
        return key, secret, token

    def root_credentials(self) -> tuple[str, str]:
        """Return the account's own key pair, for whoever talks to ``fleetwin up`` from outside."""
        return self._root_key

    def revoke(self, access_key: str) -> None:
        """Make a key unknown, when the process that had it is gone."""
        self._keys.pop(access_key, None)

    def principal_for_key(self, access_key: str, service: str = "") -> Principal:
        """Return who signs with ``access_key``.

        Raises AwsError with the code of the service's protocol for an unknown key.
        """
        found = self._keys.get(access_key)
        if found is not None:
            return found[0]
        if service == "s3":
            raise AwsError(
                "InvalidAccessKeyId",
                "The AWS Access Key Id you provided does not exist in our records.",
                status=403,
            )
        text = "The security token included in the request is invalid."
        if service in ("cloudwatch", "iam", "sns", "sts"):
            raise AwsError("InvalidClientTokenId", text, status=403)
        raise AwsError("UnrecognizedClientException", text, status=400)

    def secret_for_key(self, access_key: str) -> str:
        """Return the secret of a known key, to check a presigned URL's signature."""
        self.principal_for_key(access_key)
        return self._keys[access_key][1]


def _no_such_entity(message: str) -> AwsError:
    return AwsError("NoSuchEntity", message, status=404)
