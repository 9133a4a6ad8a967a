"""Bucket settings: what was put is what get answers; each has AWS's own names and default.

The settings are recorded here: objects keep one version, encryption changes nothing on disk
(`s3_encryption` decides on its keys), policies are read by whoever authorises
(`S3.bucket_policy`), and `s3_lifecycle` validates and applies lifecycle rules. Of notifications
only those to EventBridge are delivered.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from simulator.cloud.errors import AwsError, NotSupportedByTwin
from simulator.cloud.operations import Answer, Call, Operation
from simulator.cloud.s3_objects import bucket_arn
from simulator.cloud.s3_store import ObjectStore


@dataclass(frozen=True)
class _Setting:
    """One bucket setting. ``member`` holds it in the put request.

    ``wraps``: the get answer has it under the same member; otherwise its members are the answer.
    ``missing`` is the error of a get before any put; empty means that ``default`` is answered.
    ``action`` is the part of the IAM action behind ``s3:Get`` and ``s3:Put``.
    """

    name: str
    member: str
    action: str
    wraps: bool = False
    missing: tuple[str, str] | None = None
    default: Any = None
    delete: str | None = None


_SETTINGS = (
    _Setting(
        "BucketEncryption",
        "ServerSideEncryptionConfiguration",
        "EncryptionConfiguration",
        wraps=True,
        default={
            "Rules": [
                {
                    "ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"},
                    "BucketKeyEnabled": False,
                }
            ]
        },
        delete="DeleteBucketEncryption",
    ),
    _Setting(
        "PublicAccessBlock",
        "PublicAccessBlockConfiguration",
        "BucketPublicAccessBlock",
        wraps=True,
        # On for every new bucket since April 2023 (S3 user guide, block public access).
        default={
            "BlockPublicAcls": True,
            "IgnorePublicAcls": True,
            "BlockPublicPolicy": True,
            "RestrictPublicBuckets": True,
        },
        delete="DeletePublicAccessBlock",
    ),
    _Setting(
        "BucketLifecycleConfiguration",
        "LifecycleConfiguration",
        "LifecycleConfiguration",
        missing=("NoSuchLifecycleConfiguration", "The lifecycle configuration does not exist"),
        delete="DeleteBucketLifecycle",
    ),
    _Setting(
        "BucketPolicy",
        "Policy",
        "BucketPolicy",
        wraps=True,
        missing=("NoSuchBucketPolicy", "The bucket policy does not exist"),
        delete="DeleteBucketPolicy",
    ),
    _Setting("BucketVersioning", "VersioningConfiguration", "BucketVersioning", default={}),
    _Setting(
        "BucketTagging",
        "Tagging",
        "BucketTagging",
        missing=("NoSuchTagSet", "The TagSet does not exist"),
        delete="DeleteBucketTagging",
    ),
    _Setting(
        "BucketNotificationConfiguration",
        "NotificationConfiguration",
        "BucketNotification",
        default={},
    ),
    _Setting(
        "BucketOwnershipControls",
        "OwnershipControls",
        "BucketOwnershipControls",
        wraps=True,
        default={"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
        delete="DeleteBucketOwnershipControls",
    ),
    _Setting("BucketLogging", "BucketLoggingStatus", "BucketLogging", default={}),
)


class BucketSettings:
    """What was put on each bucket, and the operations on it."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._values: dict[tuple[str, str], Any] = {}

    def get(self, bucket: str, name: str) -> Any:
        """Return a setting by its name in operations (``BucketPolicy``), None when never put."""
        return self._values.get((bucket, name))

    def put(self, bucket: str, name: str, value: Any) -> None:
        """Keep a setting that whoever enforces it has checked."""
        self._values[bucket, name] = value

    def forget(self, bucket: str) -> None:
        """Drop everything about a bucket that is gone."""
        self._values = {key: value for key, value in self._values.items() if key[0] != bucket}

    def operations(self) -> dict[str, Operation]:
        """Return put, get and delete of every setting."""
        table: dict[str, Operation] = {}
        for setting in _SETTINGS:
            table |= self._operations_of(setting)
        return table

    def _operations_of(self, setting: _Setting) -> dict[str, Operation]:
        def put(call: Call) -> Answer:
            bucket = self._store.require_bucket(call.params["Bucket"])
            value = call.params[setting.member]
            if setting.name == "BucketNotificationConfiguration" and value:
                _check_notifications(value)
            self._values[bucket, setting.name] = copy.deepcopy(value)
            return {}

        def get(call: Call) -> Answer:
            bucket = self._store.require_bucket(call.params["Bucket"])
            value = self._values.get((bucket, setting.name), setting.default)
            if value is None:
                assert setting.missing is not None
                raise AwsError(*setting.missing, 404, {"BucketName": bucket})
            value = copy.deepcopy(value)
            return {setting.member: value} if setting.wraps else value

        def delete(call: Call) -> Answer:
            bucket = self._store.require_bucket(call.params["Bucket"])
            self._values.pop((bucket, setting.name), None)
            return {}

        change = f"s3:Put{setting.action}"
        table = {
            f"Put{setting.name}": Operation(put, bucket_arn, change),
            f"Get{setting.name}": Operation(get, bucket_arn, f"s3:Get{setting.action}"),
        }
        if setting.delete:
            # Deleting needs the put action, except of the policy (service authorization
            # reference for S3).
            removal = "s3:DeleteBucketPolicy" if setting.name == "BucketPolicy" else change
            table[setting.delete] = Operation(delete, bucket_arn, removal)
        return table


def _check_notifications(value: Mapping[str, Any]) -> None:
    """Refuse by name what is not told of a bucket's objects: only EventBridge is."""
    for name in value:
        if name != "EventBridgeConfiguration":
            raise NotSupportedByTwin(f"delivery of S3 event notifications by {name}")
