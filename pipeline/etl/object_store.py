"""What the jobs without Spark ask of S3: compaction, scores and imports."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol


class ObjectStore(Protocol):
    """The operations of boto3's S3 client in use."""

    @property
    def get_object(self) -> Callable[..., Any]:
        """Read an object."""

    @property
    def put_object(self) -> Callable[..., Any]:
        """Write an object."""

    @property
    def list_objects_v2(self) -> Callable[..., Any]:
        """List a page of objects."""

    @property
    def delete_objects(self) -> Callable[..., Any]:
        """Delete up to 1,000 objects."""
