"""What is wrong with templates as such, gathered so that the first fault does not hide the rest.

Found by `template` before anything is created; `survey` puts it into the table of what the twin
does not have.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from typing import Any

from simulator.cloud.intrinsics import Reference, Scope
from simulator.cloud.stack_events import Node
from simulator.errors import TemplateError

_RESOURCE_KEYS = frozenset(
    {"Type", "Properties", "DependsOn", "Condition", "Metadata", "DeletionPolicy"}
    | {"UpdateReplacePolicy"}
)


class Faults:
    """The faults of one assembly. ``elsewhere`` are those that stand in no resource."""

    def __init__(self) -> None:
        self.elsewhere: list[str] = []
        self._of: dict[Node, list[tuple[str, str]]] = {}

    def note(self, fault: TemplateError) -> None:
        """Note what is wrong with a section, a condition or an output, unless it is known."""
        known = [text for each in self._of.values() for _, text in each]
        if str(fault) not in (*self.elsewhere, *known):
            self.elsewhere.append(str(fault))

    def texts(self, node: Node) -> list[str]:
        """Return what is wrong with a resource itself, in the order of its template."""
        return [text for _, text in self._of.get(node, []) if text not in self.elsewhere]

    def places(self, node: Node) -> list[str]:
        """Return the properties of a resource that cannot be resolved."""
        return [name for name, _ in self._of.get(node, []) if name]

    def look_at(
        self,
        node: Node,
        body: Mapping[str, Any],
        scope: Scope,
        known: Container[str],
        check: Callable[[Reference], None],
    ) -> None:
        """Note the faults of a resource; ``known`` are the logical ids of its stack.

        ``check`` is that of `Scope.faults`.
        """
        logical_id = node[1]
        found = []
        for name in body:
            if name not in _RESOURCE_KEYS:
                found.append(("", scope.error(f"{logical_id}.{name}", "not supported by the twin")))
        after = body.get("DependsOn", [])
        for name in [after] if isinstance(after, str) else after:
            if name not in known:
                why = f"there is no resource {name}"
                found.append(("", scope.error(f"{logical_id}.DependsOn", why)))
        for name, value in body.get("Properties", {}).items():
            place = f"{logical_id}.Properties.{name}"
            found += [(name, fault) for fault in scope.faults(value, place, check)]
        for _, fault in found:
            if not str(fault).startswith(f"{scope.stack}: {logical_id}."):
                # Of a condition or an output that the resource needs, as others may.
                self.note(fault)
        self._of[node] = [(name, str(fault)) for name, fault in found]
