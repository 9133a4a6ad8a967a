"""A folder of history into the lake of a state folder: DataSync, then the import job.

The twin that does it has no workers and no Spark: its services are there, its clock moves.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pipeline.etl.import_job import Imported, ImportJob
from simulator.targets import quiet_twin

ACCOUNT = "000000000000"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/fleetwin-history"
HOST = "history"
_TRUST = {
    "Statement": {
        "Effect": "Allow",
        "Principal": {"Service": "datasync.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
}
_TICK_S = 1.0

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Transfer:
    """How DataSync's execution ended."""

    status: str
    moved: int
    skipped: int
    failed: int
    bytes_written: int
    error: str


class TwinObjects:
    """S3 of a twin in this process, with boto3's names."""

    def __init__(self, call: Callable[..., dict[str, Any]]) -> None:
        self._call = call

    def get_object(self, **request: Any) -> Any:
        """Read an object."""
        answer = self._call("s3", "GetObject", **request)
        return {**answer, "Body": io.BytesIO(answer["Body"])}

    def put_object(self, **request: Any) -> Any:
        """Write an object."""
        return self._call("s3", "PutObject", **request)

    def list_objects_v2(self, **request: Any) -> Any:
        """List a page of objects."""
        return self._call("s3", "ListObjectsV2", **request)

    def delete_objects(self, **request: Any) -> Any:
        """Delete objects."""
        return self._call("s3", "DeleteObjects", **request)


class HistoryImport:
    """Brings one folder into one state folder; a context manager, which ends the twin."""

    def __init__(self, state: Path, now: datetime, stage: str = "dev") -> None:
        self.cloud = quiet_twin(now, state)
        self.bucket = f"fleetwin-{stage}-raw-{ACCOUNT}"

    def __enter__(self) -> HistoryImport:
        return self

    def __exit__(self, *error: object) -> None:
        self.cloud.close()

    def transfer(
        self,
        folder: Path,
        name: str,
        progress: Progress,
        *,
        excludes: Sequence[str] = (),
        bytes_per_s: int = -1,
    ) -> Transfer:
        """Have DataSync move what is new or has changed to ``landing/NAME/``."""
        cloud = self.cloud
        cloud.datasync.exports[HOST] = folder.resolve()
        bucket = f"arn:aws:s3:::{self.bucket}"
        rights = {"Effect": "Allow", "Action": "s3:*", "Resource": [bucket, f"{bucket}/*"]}
        cloud.iam.put_role(ROLE, _TRUST, {"bucket": {"Statement": rights}})
        agent = cloud.call(
            "datasync", "CreateAgent", ActivationKey="LOCAL-LOCAL-LOCAL-LOCAL-LOCAL"
        )["AgentArn"]
        source = cloud.call(
            "datasync",
            "CreateLocationNfs",
            ServerHostname=HOST,
            Subdirectory="/",
            OnPremConfig={"AgentArns": [agent]},
        )
        target = cloud.call(
            "datasync",
            "CreateLocationS3",
            S3BucketArn=bucket,
            Subdirectory=f"/landing/{name}",
            S3Config={"BucketAccessRoleArn": ROLE},
        )
        more: dict[str, Any] = {}
        if excludes:
            more["Excludes"] = [{"FilterType": "SIMPLE_PATTERN", "Value": "|".join(excludes)}]
        task = cloud.call(
            "datasync",
            "CreateTask",
            SourceLocationArn=source["LocationArn"],
            DestinationLocationArn=target["LocationArn"],
            Options={"BytesPerSecond": bytes_per_s},
            **more,
        )
        execution = cloud.call("datasync", "StartTaskExecution", **task)
        return self._watched(execution["TaskExecutionArn"], progress)

    def _watched(self, execution: str, progress: Progress) -> Transfer:
        cloud, ended = self.cloud, self.cloud.datasync.wait_event(execution)
        while True:
            now = cloud.call("datasync", "DescribeTaskExecution", TaskExecutionArn=execution)
            progress(
                f"{now['Status'].lower()}: {now['FilesTransferred']:,} of "
                f"{now['EstimatedFilesToTransfer']:,} files, {now['BytesWritten'] / 1e6:,.1f} MB"
            )
            if ended.triggered:
                break
            tick = cloud.engine.env.timeout(_TICK_S)
            cloud.engine.run(ended | tick)
        return Transfer(
            now["Status"],
            now["FilesTransferred"],
            now["FilesSkipped"],
            sum(now["FilesFailed"].values()),
            now["BytesWritten"],
            now["Result"].get("ErrorDetail", ""),
        )

    def ingest(self, name: str, mapping: str, progress: Progress) -> Imported:
        """Run the import job on what has landed; raises JobInputError."""
        store = TwinObjects(self.cloud.call)
        key = f"imports/{name}/mapping.toml"
        store.put_object(Bucket=self.bucket, Key=key, Body=mapping.encode())
        return ImportJob(store, self.bucket, name).run(progress)
