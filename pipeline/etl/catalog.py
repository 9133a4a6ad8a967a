"""Columns and partitions of the processed zone in the Glue catalog."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from pipeline.errors import PipelineError

_BATCH = 100
"""BatchCreatePartition's limit (Glue API reference)."""


class GlueCatalog(Protocol):
    """The three operations of boto3's Glue client in use."""

    @property
    def get_table(self) -> Callable[..., Any]:
        """Describe a table."""

    @property
    def update_table(self) -> Callable[..., Any]:
        """Replace a table's description."""

    @property
    def batch_create_partition(self) -> Callable[..., Any]:
        """Create partitions; failures are in the answer."""


_TABLE_INPUT = (
    "Name",
    "Description",
    "Owner",
    "Retention",
    "StorageDescriptor",
    "PartitionKeys",
    "TableType",
    "Parameters",
)
"""What UpdateTable takes of what GetTable answers."""


def add_columns(
    glue: GlueCatalog, database: str, table: str, columns: Sequence[tuple[str, str]]
) -> list[str]:
    """Make the columns (name, type) known that the table lacks; return their names.

    Columns are only added: rows of earlier runs have NULL there. Raises PipelineError for a
    column that is known with another type.
    """
    described = glue.get_table(DatabaseName=database, Name=table)["Table"]
    storage = described["StorageDescriptor"]
    known = {column["Name"].lower(): column["Type"].lower() for column in storage["Columns"]}
    for name, kind in columns:
        if known.get(name.lower(), kind) != kind:
            raise PipelineError(
                f"column {name} of {database}.{table} is {known[name.lower()]} in the catalog and "
                f"{kind} in the data: give the job another table"
            )
    new = [(name, kind) for name, kind in columns if name.lower() not in known]
    if new:
        added = [{"Name": name.lower(), "Type": kind} for name, kind in new]
        storage = {**storage, "Columns": [*storage["Columns"], *added]}
        kept = {key: described[key] for key in _TABLE_INPUT if key in described}
        glue.update_table(DatabaseName=database, TableInput={**kept, "StorageDescriptor": storage})
    return [name for name, _ in new]


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
