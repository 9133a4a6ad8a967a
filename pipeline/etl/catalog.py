"""Partitions of the processed zone in the Glue catalog."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from pipeline.errors import PipelineError

_BATCH = 100
"""BatchCreatePartition's limit (Glue API reference)."""


class GlueCatalog(Protocol):
    """The two operations of boto3's Glue client in use."""

    @property
    def get_table(self) -> Callable[..., Any]:
        """Describe a table."""

    @property
    def batch_create_partition(self) -> Callable[..., Any]:
        """Create partitions; failures are in the answer."""


def register_partitions(
    glue: GlueCatalog, database: str, table: str, location: str, hours: Sequence[tuple[str, str]]
) -> int:
    """Make partitions ``(dt, hour)`` known; return how many were new.

    One that is known already is left alone. Raises PipelineError for any other failure.
    """
    if not hours:
        return 0
    described = glue.get_table(DatabaseName=database, Name=table)["Table"]
    storage = described["StorageDescriptor"]
    new = 0
    for start in range(0, len(hours), _BATCH):
        batch = hours[start : start + _BATCH]
        answer = glue.batch_create_partition(
            DatabaseName=database,
            TableName=table,
            PartitionInputList=[
                {
                    "Values": [dt, hour],
                    "StorageDescriptor": {
                        **storage,
                        "Location": f"{location}/dt={dt}/hour={hour}/",
                    },
                }
                for dt, hour in batch
            ],
        )
        errors = answer.get("Errors", [])
        for error in errors:
            detail = error["ErrorDetail"]
            if detail["ErrorCode"] != "AlreadyExistsException":
                values = "/".join(error["PartitionValues"])
                raise PipelineError(
                    f"partition {values} of {database}.{table}: {detail['ErrorCode']}: "
                    f"{detail.get('ErrorMessage', '')}"
                )
        new += len(batch) - len(errors)
    return new
