"""What the Data Catalog asks of Lake Formation about a caller: the port between the two.

The catalog (`glue_catalog`) works without one: then IAM alone decides.
"""

from __future__ import annotations

from typing import Any, Protocol

from simulator.cloud.operations import Principal

IAM_ALLOWED_PRINCIPALS = "IAM_ALLOWED_PRINCIPALS"
OPEN_TO_IAM: list[dict[str, Any]] = [
    {
        "Principal": {"DataLakePrincipalIdentifier": IAM_ALLOWED_PRINCIPALS},
        "Permissions": ["ALL"],
    }
]
"""An account's setting for new databases and tables until Lake Formation is given them."""


class Guard(Protocol):
    """What the catalog asks of `simulator.cloud.lakeformation`."""

    def columns_seen(
        self, principal: Principal, database: str, table: str
    ) -> tuple[str, ...] | None:
        """Return the columns that may be seen, None for all; raises AccessDeniedException."""

    def require(
        self, principal: Principal, permission: str, database: str, table: str | None = None
    ) -> None:
        """Raise AccessDeniedException without the permission on a database or table."""

    def default_permissions(self) -> tuple[Any, Any]:
        """Return the defaults of the settings: for databases, for tables."""

    def created(self, principal: Principal, database: str, table: str | None = None) -> None:
        """Give a new database or table its first permissions."""

    def removed(self, database: str, table: str | None = None) -> None:
        """Forget the permissions of what is gone."""

    def require_location(self, principal: Principal, location: str) -> None:
        """Raise AccessDeniedException for a table in a place that the caller may not use."""

    def is_registered(self, location: str) -> bool:
        """Tell whether a table's files are under Lake Formation's control."""
