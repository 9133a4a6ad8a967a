"""The order in which the resources of all stacks are created.

Used by `template`, which says what each resource needs. A stack that depends on another one
waits for all of it, also where no value leads from one to the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter

from simulator.cloud.assembly import Stack
from simulator.cloud.stack_events import Node
from simulator.errors import TemplateError


def in_order(needs: Mapping[Node, Iterable[Node]], stacks: Iterable[Stack]) -> list[Node]:
    """Return the resources, each after what it needs; raises TemplateError for a circle."""
    graph: TopologicalSorter[Node] = TopologicalSorter()
    after = {stack.name: stack.after for stack in stacks}
    for node, needed in needs.items():
        # A stack's gate opens when the stacks are there that it depends on; no resource has "".
        gates = [(node[0], "")] if after.get(node[0]) else []
        graph.add(node, *needed, *gates)
    for name, others in after.items():
        # An empty stack between two others hands their order on through its own gate.
        before = [node for node in needs if node[0] in others]
        graph.add((name, ""), *before, *((other, "") for other in others))
    try:
        return [node for node in graph.static_order() if node[1]]
    except CycleError as error:
        # graphlib lists predecessors first, and the first node again at the end.
        names = [logical_id or stack for stack, logical_id in reversed(error.args[1])]
        stack = error.args[1][0][0]
        raise TemplateError(
            f"{stack}: resources need each other in a circle: {' -> '.join(names)}"
        ) from None
