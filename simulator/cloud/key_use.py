"""May a caller use a KMS key: asked by the services that encrypt with keys of the account.

S3 and Kinesis ask before they answer. The key's policy and the caller's are judged by `Iam`, the
key's state is the one that KMS (moto) describes, remembered until something of KMS changes.
Keys that AWS manages (``alias/aws/...``) admit whoever may use the service, so they are not asked
about (KMS Developer Guide, "AWS managed keys"). Nothing is encrypted here: objects and records
lie as they came. Each service words a refusal in its own way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from simulator.cloud.errors import AwsError
from simulator.cloud.iam import Iam
from simulator.cloud.operations import Principal

ENCRYPT = "kms:GenerateDataKey"
DECRYPT = "kms:Decrypt"

Describe = Callable[[str], Mapping[str, Any]]
"""Returns KMS's KeyMetadata of a key's id, ARN or alias; raises AwsError for one unknown."""

CHANGING = frozenset(
    {
        *("CreateKey", "EnableKey", "DisableKey", "ScheduleKeyDeletion", "CancelKeyDeletion"),
        *("CreateAlias", "UpdateAlias", "DeleteAlias"),
    }
)
"""Operations of KMS after which a key may be in another state, or a name lead to another key."""


class KeyUnusable(AwsError):
    """A key that is not there or not enabled; the code is the one that KMS itself answers."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.args = (code, message)


def _no_keys(key: str) -> Mapping[str, Any]:
    raise AwsError("NotFoundException", f"Key '{key}' does not exist")


def is_aws_managed(key: str) -> bool:
    """Tell whether a name is one of a key that AWS manages for a service."""
    return "alias/aws/" in key


class KeyUse:
    """Decides on one account's keys. Used on the engine's thread only."""

    def __init__(self, iam: Iam) -> None:
        self._iam = iam
        self._states: dict[str, tuple[str, str]] = {}
        self._contexts: dict[str, dict[str, str]] = {}
        self.describe: Describe = _no_keys
        self.of_bucket: Callable[[str], str | None] = lambda bucket: None
        """Returns the key of a bucket's default encryption, None where it needs none."""

    def forget(self) -> None:
        """Ask KMS again: a key or an alias has changed."""
        self._states.clear()

    def require(self, principal: Principal, action: str, key: str, service: str) -> str:
        """Return the key's ARN if the principal may use it through ``service`` (``s3``).

        Raises AccessDenied, and KeyUnusable for a key that is unknown or in no state for it.
        """
        if is_aws_managed(key):
            return key
        arn, state = self._known(key)
        self._iam.authorise(principal, action, arn, self.context(service))
        if state != "Enabled":
            raise _unusable(arn, state)
        return arn

    def may(self, principal: Principal, action: str, key: str, service: str) -> bool:
        """Tell whether `require` would return: a question, so that a no is no denied call."""
        if is_aws_managed(key):
            return True
        try:
            arn, state = self._known(key)
        except KeyUnusable:
            return False
        allowed = self._iam.may(principal, action, arn, self.context(service))
        return allowed and state == "Enabled"

    def arn(self, key: str) -> str:
        """Return the ARN of a key; raises KeyUnusable for one that is unknown."""
        return key if is_aws_managed(key) else self._known(key)[0]

    def context(self, service: str) -> dict[str, str]:
        """Return the condition keys of a call to KMS that a service makes for its caller."""
        found = self._contexts.get(service)
        if found is None:
            found = self._contexts[service] = via(self._iam, service)
        return found

    def _known(self, key: str) -> tuple[str, str]:
        """Return a key's ARN and state; raises KeyUnusable for one that is unknown."""
        if key not in self._states:
            try:
                found = self.describe(key)
            except AwsError as error:
                raise KeyUnusable("NotFoundException", error.message) from None
            self._states[key] = str(found["Arn"]), str(found["KeyState"])
        return self._states[key]


def via(iam: Iam, service: str) -> dict[str, str]:
    """Return the condition keys of KMS for a call through ``service`` (``s3``)."""
    return {
        "kms:calleraccount": iam.account,
        "kms:viaservice": f"{service}.{iam.region}.amazonaws.com",
    }


def _unusable(arn: str, state: str) -> KeyUnusable:
    if state == "Disabled":
        return KeyUnusable("DisabledException", f"{arn} is disabled.")
    words = {"PendingDeletion": "is pending deletion", "PendingImport": "is pending import"}
    return KeyUnusable("KMSInvalidStateException", f"{arn} {words.get(state, f'is {state}')}.")
