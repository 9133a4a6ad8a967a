"""What an update tells of itself, stack by stack and resource by resource.

Used by `stack_update`. Stacks of one assembly are updated together here, so their events are
mixed where AWS, which updates one after the other, has them one after the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from simulator.cloud.context import Context
from simulator.cloud.stack_changes import ADD, REPLACE, ChangeSet
from simulator.cloud.stack_events import (
    ASKED_FOR,
    CREATE,
    DELETE,
    NOT_ALL_DELETED,
    REPLACING,
    UPDATE,
    Node,
    failed_to,
)
from simulator.cloud.stack_state import Live
from simulator.cloud.template import Deployment


class Progress:
    """The events of one update. ``worked_on``: the resources that were begun, in order."""

    def __init__(self, context: Context, old: Deployment, changes: ChangeSet) -> None:
        self._events = context.stack_events
        self._actions = {change.node: change.action for change in changes.changes}
        self._types = {node: str(body["Type"]) for node, body in changes.bodies.items()}
        self._old = old
        touched = {change.node[0] for change in changes.changes}
        touched |= {name.partition("/")[0] for name in changes.outputs if "/" in name}
        new = set(changes.deployer.stacks)
        known = [*changes.deployer.stacks, *(name for name in old.parameters if name not in new)]
        one = len(known) == 1
        self._verbs = {
            name: CREATE if name not in old.parameters else UPDATE if name in new else DELETE
            for name in known
            if one or name in touched or name not in old.parameters or name not in new
        }
        self._now: Node | None = None
        self.worked_on: list[Node] = []

    # -- the stacks

    def begun(self) -> None:
        """Tell that the stacks are worked on."""
        for name, verb in self._verbs.items():
            self._events.stack(name, f"{verb}_IN_PROGRESS", ASKED_FOR)

    def cleaning_up(self) -> None:
        """Tell that everything exists and that what is old goes now."""
        for name, verb in self._verbs.items():
            if verb == UPDATE:
                self._events.stack(name, "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS")

    def ended(self, left_behind: Mapping[Node, str]) -> None:
        """Tell that the stacks are done; of some an old resource may be left."""
        for name, verb in self._verbs.items():
            left = any(node[0] == name for node in left_behind)
            why = NOT_ALL_DELETED if left and verb == UPDATE else ""
            self._events.stack(name, f"{verb}_COMPLETE", why)

    def rolling_back(self, cause: Exception) -> None:
        """Tell which resource failed, and that everything is taken back."""
        failed, verb = self._now, CREATE
        if failed is not None:
            verb = CREATE if self._is_new(failed) else UPDATE
            made = self._old.live.get(failed)
            physical_id = made.created.physical_id if made else ""
            told = (failed, self._types[failed], physical_id)
            self._events.resource(*told, f"{verb}_FAILED", str(cause))
        for name, of_stack in self._verbs.items():
            why = str(cause) if failed is None else ""
            if failed is not None and failed[0] == name:
                why = failed_to(verb.lower(), [failed[1]])
            self._events.stack(name, f"{_back(of_stack)}_IN_PROGRESS", why)

    def rolled_back(self, ending: str) -> None:
        """Tell that the stacks are as before (``ending``: COMPLETE), or are not (FAILED)."""
        for name, verb in self._verbs.items():
            self._events.stack(name, f"{_back(verb)}_{ending}")

    # -- a resource

    def started(self, node: Node, values: Mapping[str, Any]) -> None:
        """Tell that a resource is worked on, if it is."""
        live, action = self._old.live.get(node), self._actions.get(node)
        if live is not None and action is None and values == live.properties:
            return
        self.worked_on.append(node)
        self._now = node
        verb = UPDATE if live is not None else CREATE
        physical_id = live.created.physical_id if live is not None else ""
        why = REPLACING if action == REPLACE else ""
        told = (node, self._types[node], physical_id)
        self._events.resource(*told, f"{verb}_IN_PROGRESS", why, values)

    def finished(self, node: Node, live: Live) -> None:
        """Tell that a resource is done, if anything was."""
        self._now = None
        before = self._old.live.get(node)
        if before is not None and live.properties == before.properties:
            return
        verb = UPDATE if before is not None else CREATE
        created = live.created
        told = (node, created.type, created.physical_id)
        self._events.resource(*told, f"{verb}_COMPLETE", properties=live.properties)

    def taken_back(self, node: Node, new: str | None, ending: str, why: str = "") -> None:
        """Tell how far a resource's rollback is: IN_PROGRESS, COMPLETE, FAILED.

        ``new`` is the physical id of what was created anew and is deleted now, None where nothing
        was.
        """
        before = self._old.live.get(node)
        if new is not None:
            self._events.resource(node, self._types[node], new, f"{DELETE}_{ending}", why)
        if before is not None and (new is None or ending == "COMPLETE"):
            told = (node, before.created.type, before.created.physical_id)
            self._events.resource(*told, f"{UPDATE}_{ending}", why)

    def status(self, ending: str) -> str:
        """Return the status of what was rolled back, in the word for all stacks together."""
        new = all(verb == CREATE for verb in self._verbs.values())
        return f"{_back(CREATE if new else UPDATE)}_{ending}"

    def _is_new(self, node: Node) -> bool:
        return self._actions.get(node) == ADD or node not in self._old.live


def _back(verb: str) -> str:
    return "ROLLBACK" if verb == CREATE else "UPDATE_ROLLBACK"
