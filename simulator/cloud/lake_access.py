"""What a caller may see of a table: the columns and rows, never more than was granted."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TableAccess:
    """Columns and rows of one table that may be read.

    ``columns`` None: all of them, partition keys included. ``row_filters`` empty: all rows;
    otherwise a row is seen when any of the conditions holds.
    """

    columns: tuple[str, ...] | None = None
    row_filters: tuple[str, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Tell whether nothing of the table is hidden."""
        return self.columns is None and not self.row_filters
