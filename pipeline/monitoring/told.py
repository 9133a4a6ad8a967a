"""What was told of a window, kept in S3, so that a window that is judged again tells nobody twice.

Used by `job`. One object a window, named by the window's times, below a prefix of the endpoint,
whose metrics are of whatever model it has. Neither CloudWatch nor EventBridge knows a request
that it had before, so the object is written after both have taken theirs: a job that ends in
between tells again when it is repeated.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Protocol

from botocore.exceptions import ClientError

from pipeline.monitoring.publishing import iso


class S3(Protocol):
    """The operations of boto3's client in use."""

    def get_object(self, *, Bucket: str, Key: str) -> Any:
        """Return an object."""

    def put_object(self, *, Bucket: str, Key: str, Body: bytes) -> Any:
        """Write an object."""


@dataclass(frozen=True)
class Told:
    """What others know of a window: whether its metrics were put, and its drift event's detail."""

    metrics: bool = False
    drift: dict[str, Any] | None = None

    def lacks(self, detail: dict[str, Any] | None) -> bool:
        """Tell whether a drift is news: there was none, or not one to train on as this one is."""
        if detail is None:
            return False
        return self.drift is None or (detail["retrain"] and not self.drift["retrain"])


class Memory:
    """The objects below ``s3://bucket/prefix``, of windows in epoch milliseconds."""

    def __init__(self, s3: S3, uri: str) -> None:
        self._s3 = s3
        self._bucket, _, prefix = uri.removeprefix("s3://").partition("/")
        self._prefix = prefix.rstrip("/")

    def of(self, start_ms: int, end_ms: int) -> Told:
        """Return what was told of a window; raises ClientError when S3 does not say."""
        try:
            found = self._s3.get_object(Bucket=self._bucket, Key=self._key(start_ms, end_ms))
        except ClientError as error:
            if error.response["Error"]["Code"] == "NoSuchKey":
                return Told()
            raise
        kept = json.loads(found["Body"].read())
        return Told(kept["metrics"], kept["drift"])

    def keep(self, start_ms: int, end_ms: int, told: Told) -> None:
        """Keep what was told of a window in the place of what was kept before."""
        body = json.dumps({"metrics": told.metrics, "drift": told.drift}) + "\n"
        key = self._key(start_ms, end_ms)
        self._s3.put_object(Bucket=self._bucket, Key=key, Body=body.encode())

    def _key(self, start_ms: int, end_ms: int) -> str:
        return f"{self._prefix}/{iso(start_ms)}--{iso(end_ms)}.json"
