"""S3's encryption with keys of the account: what a write or a read needs of KMS.

Asked by the operations on objects, uploads and copies, by `commit_scan` for what jobs wrote, and
by `job_files` before Spark reads files. Rules: S3 User Guide, "Using server-side encryption with
AWS KMS keys", and the permissions in the API reference of each operation. Objects lie as they
came: nothing is encrypted. Kinds other than SSE-KMS need nothing of anybody.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from simulator.cloud.errors import AwsError
from simulator.cloud.key_use import DECRYPT, ENCRYPT, KeyUnusable, KeyUse, is_aws_managed
from simulator.cloud.operations import Answer, Call, Operation, Principal

MEMBERS = ("ServerSideEncryption", "SSEKMSKeyId", "BucketKeyEnabled")
"""What an object keeps of its encryption."""
_DEFAULT_ENCRYPTION = "AES256"
"""Every new object is encrypted with SSE-S3 unless asked otherwise (S3 user guide, 2023)."""
_BY_KMS = ("aws:kms", "aws:kms:dsse")
_SERVICE = "s3"


def encryption_of(attributes: Mapping[str, Any]) -> Answer:
    """Return the members about encryption of a put's or get's answer."""
    answer: Answer = {
        "ServerSideEncryption": attributes.get("ServerSideEncryption", _DEFAULT_ENCRYPTION)
    }
    for name in ("SSEKMSKeyId", "BucketKeyEnabled"):
        if name in attributes:
            answer[name] = attributes[name]
    return answer


class Encryption:
    """Which key an object has, and whether its reader or writer may use it."""

    def __init__(self, keys: KeyUse, setting: Callable[[str, str], Any], state: Path) -> None:
        self._keys = keys
        self._setting = setting
        self._state = state
        keys.of_bucket = self.key_of

    def default_of(self, bucket: str) -> dict[str, Any]:
        """Return what an object gets that names no encryption; empty unless it is KMS's."""
        setting = self._setting(bucket, "BucketEncryption")
        if setting is None:
            return {}
        rule = setting["Rules"][0] if setting["Rules"] else {}
        default = rule.get("ApplyServerSideEncryptionByDefault", {})
        if default.get("SSEAlgorithm") not in _BY_KMS:
            return {}
        found: dict[str, Any] = {"ServerSideEncryption": default["SSEAlgorithm"]}
        key = default.get("KMSMasterKeyID")
        if key is not None and not is_aws_managed(key):
            found["SSEKMSKeyId"] = key
        if rule.get("BucketKeyEnabled"):
            found["BucketKeyEnabled"] = True
        return found

    def key_of(self, bucket: str) -> str | None:
        """Return the key of a bucket's default encryption, None where it needs none."""
        key: str | None = self.default_of(bucket).get("SSEKMSKeyId")
        return key

    def registered(self, bucket: str) -> dict[str, Any]:
        """Return what an object gets that a job has written as a file: the default, by its ARN."""
        found = self.default_of(bucket)
        if "SSEKMSKeyId" in found:
            found["SSEKMSKeyId"] = self._keys.arn(found["SSEKMSKeyId"])
        return found

    def apply(self, principal: Principal, bucket: str, attributes: dict[str, Any]) -> None:
        """Complete what an object keeps of its encryption; its writer must be let use the key.

        ``attributes`` are those of the request. Raises AccessDenied, or what S3 says of a key
        that cannot be used.
        """
        if "ServerSideEncryption" not in attributes:
            attributes.update(self.default_of(bucket))
        key = attributes.get("SSEKMSKeyId")
        if key is not None:
            attributes["SSEKMSKeyId"] = self._use(principal, ENCRYPT, key)

    def require_read(self, principal: Principal, attributes: Mapping[str, Any]) -> None:
        """Raise AccessDenied, or S3's error, unless a reader may decrypt an object.

        A part of a multipart upload needs it, too: S3 reads it again to join the object.
        """
        key = attributes.get("SSEKMSKeyId")
        if key is not None:
            self._use(principal, DECRYPT, key)

    def _use(self, principal: Principal, action: str, key: str) -> str:
        try:
            return self._keys.require(principal, action, key, _SERVICE)
        except KeyUnusable as error:
            # As recorded on AWS: KMS's own code behind "KMS.".
            raise AwsError(f"KMS.{error.code}", error.message) from None

    # -- for those who ask a twin that has ended

    def remembering(self, table: Mapping[str, Operation]) -> dict[str, Operation]:
        """Return the settings' operations, so that a change of encryption is also written down."""
        return {
            name: replace(table[name], execute=self._then_save(table[name].execute))
            for name in ("PutBucketEncryption", "DeleteBucketEncryption")
        }

    def _then_save(self, execute: Callable[[Call], Any]) -> Callable[[Call], Answer]:
        def done(call: Call) -> Answer:
            answer: Answer = execute(call)
            bucket = call.params["Bucket"]
            keys = bucket_keys(self._state)
            before = dict(keys)
            keys.pop(bucket, None)
            try:
                if key := self.registered(bucket).get("SSEKMSKeyId"):
                    keys[bucket] = key
            except KeyUnusable:  # S3 takes the name of a key that is not there yet.
                keys[bucket] = str(self.key_of(bucket))
            if keys != before:
                _path(self._state).write_text(json.dumps(keys, sort_keys=True), "utf-8")
            return answer

        return done


def bucket_keys(state: Path) -> dict[str, str]:
    """Return bucket -> ARN of its key, of the twin whose state this is."""
    path = _path(state)
    found: dict[str, str] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    return found


def _path(state: Path) -> Path:
    return state / "s3-keys.json"
