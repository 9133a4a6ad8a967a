"""Amazon S3 of the twin: buckets, and the table of all operations that really run here.

Objects are plain files ``<state>/s3/<bucket>/<key>`` with a side-car index, so Spark reads and
writes what the API serves; after a job `S3.commit_scan` registers what it wrote. Called by
`dispatch` on the engine's thread. Versions, ACLs and access points do not exist here.
"""

from __future__ import annotations

from pathlib import Path

from simulator.cloud.context import Context
from simulator.cloud.operations import Answer, Call, Operation
from simulator.cloud.s3_encryption import Encryption
from simulator.cloud.s3_lifecycle import Lifecycle
from simulator.cloud.s3_listing import ListOperations
from simulator.cloud.s3_multipart import MultipartOperations
from simulator.cloud.s3_objects import ObjectOperations, bucket_arn
from simulator.cloud.s3_settings import BucketSettings
from simulator.cloud.s3_store import ObjectStore, timestamp


class S3:
    """The service: `operations` for `dispatch`, and paths for jobs that read files."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.store = ObjectStore(context.engine, context.state)
        self.settings = BucketSettings(self.store)
        self.encryption = Encryption(context.keys, self.settings.get, context.state)
        self.store.kept_of_files = self.encryption.registered
        uploads = MultipartOperations(context, self.store, self.encryption)
        self.lifecycle = Lifecycle(context, self.store, self.settings, uploads)
        self._groups = (
            self.settings,
            self.lifecycle,
            ObjectOperations(context, self.store, self.encryption),
            ListOperations(self.store),
            uploads,
        )

    def close(self) -> None:
        """Write the index to disk; the service is of no use afterwards."""
        self.store.close()

    def operations(self) -> dict[str, Operation]:
        """Return every S3 operation of the twin, keyed by botocore's name."""
        table = {
            "CreateBucket": Operation(self._create, bucket_arn, "s3:CreateBucket"),
            "DeleteBucket": Operation(self._delete, bucket_arn, "s3:DeleteBucket"),
            "HeadBucket": Operation(self._head, bucket_arn, "s3:ListBucket"),
            "GetBucketLocation": Operation(self._location, bucket_arn, "s3:GetBucketLocation"),
            "ListBuckets": Operation(self._list, action="s3:ListAllMyBuckets"),
        }
        for group in self._groups:
            table |= group.operations()
        return table | self.encryption.remembering(table)

    # -- for jobs and services in this process

    def commit_scan(self, bucket: str, prefix: str = "") -> list[str]:
        """Register the files that a job wrote below a prefix; return their keys, sorted.

        Changed files are registered anew, vanished ones forgotten, scratch (`_temporary`,
        `.crc`, names with a leading dot) is not shown.
        """
        return self.store.commit_scan(bucket, prefix)

    def open_path(self, bucket: str, key: str) -> Path:
        """Return the file that holds an object; raises NoSuchBucket or NoSuchKey."""
        return self.store.open_path(bucket, key)

    def bucket_path(self, bucket: str) -> Path:
        """Return the folder that holds a bucket's objects; raises NoSuchBucket."""
        return self.store.files.bucket_path(self.store.require_bucket(bucket))

    def bucket_policy(self, bucket: str) -> str | None:
        """Return the JSON of a bucket's policy, None when it has none."""
        policy: str | None = self.settings.get(bucket, "BucketPolicy")
        return policy

    # -- buckets

    def _create(self, call: Call) -> Answer:
        bucket = call.params["Bucket"]
        self.store.create_bucket(bucket)
        return {"Location": f"/{bucket}", "BucketArn": f"arn:aws:s3:::{bucket}"}

    def _delete(self, call: Call) -> Answer:
        self.store.delete_bucket(call.params["Bucket"])
        self.settings.forget(call.params["Bucket"])
        return {}

    def _head(self, call: Call) -> Answer:
        self.store.require_bucket(call.params["Bucket"])
        return {"BucketRegion": self._context.region, "AccessPointAlias": False}

    def _location(self, call: Call) -> Answer:
        self.store.require_bucket(call.params["Bucket"])
        # us-east-1 has no constraint.
        outside = self._context.region != "us-east-1"
        return {"LocationConstraint": self._context.region} if outside else {}

    def tells_eventbridge(self, bucket: str) -> bool:
        """Tell whether EventBridge hears of a bucket's objects."""
        wanted = self.settings.get(bucket, "BucketNotificationConfiguration") or {}
        return "EventBridgeConfiguration" in wanted

    def _list(self, call: Call) -> Answer:
        prefix = call.params.get("Prefix", "")
        buckets = [
            {"Name": name, "CreationDate": timestamp(created_s)}
            for name, created_s in sorted(self.store.buckets.items())
            if name.startswith(prefix)
        ]
        return {"Buckets": buckets, "Owner": {"ID": self._context.account}}
