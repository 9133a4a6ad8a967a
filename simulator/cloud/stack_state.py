"""What a stack remembers of each of its resources, so that it can be changed and deleted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from simulator.cloud.resources import Created
from simulator.cloud.resources.mapping import Made
from simulator.cloud.stack_events import Node

DELETE, RETAIN, RETAIN_EXCEPT_ON_CREATE = "Delete", "Retain", "RetainExceptOnCreate"
POLICIES = frozenset({DELETE, RETAIN, RETAIN_EXCEPT_ON_CREATE})


@dataclass
class Live:
    """One resource that exists: as the template asked for it, and the calls that made it.

    ``properties`` are resolved. ``needs`` are the resources that must outlive it. ``generation``
    counts its predecessors of the same logical id. ``on_delete`` and ``on_replace`` are
    DeletionPolicy and UpdateReplacePolicy.
    """

    created: Created
    properties: dict[str, Any]
    made: list[Made]
    needs: tuple[Node, ...]
    on_delete: str = DELETE
    on_replace: str = DELETE
    generation: int = 0

    @classmethod
    def of(
        cls,
        created: Created,
        properties: dict[str, Any],
        made: list[Made],
        body: Mapping[str, Any],
        needs: tuple[Node, ...],
        generation: int = 0,
    ) -> Live:
        """Return the record of a resource whose template's entry is ``body``."""
        on_delete = body.get("DeletionPolicy", DELETE)
        on_replace = body.get("UpdateReplacePolicy", DELETE)
        return cls(created, properties, made, needs, on_delete, on_replace, generation)
