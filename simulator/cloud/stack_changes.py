"""The change set: what an assembly makes of what exists, found before anything is changed.

As CloudFormation's: a resource is added, modified in place, replaced or removed, or stays as it
is. What the twin can do neither in place nor by a replacement is refused here, all of it, with
type, logical id and property. `stack_update` executes a change set, `fleetwin deploy` prints it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from simulator.cloud.assembly import Assembly
from simulator.cloud.context import Context
from simulator.cloud.planned import Planned, roles_in
from simulator.cloud.resources import Created
from simulator.cloud.resources.effects import CannotChange
from simulator.cloud.resources.mapping import Made
from simulator.cloud.resources.replacement import CREATE_ONLY, changed, replacing
from simulator.cloud.stack_events import Node
from simulator.cloud.stack_state import DELETE, POLICIES, Live
from simulator.cloud.stack_steps import name_claimed, names_taken, reverse, steps, undoing
from simulator.cloud.template import Deployer, Deployment
from simulator.errors import TemplateError

ADD, MODIFY, REPLACE, REMOVE, RETAIN = "Add", "Modify", "Replace", "Remove", "Retain"


@dataclass(frozen=True)
class Change:
    """What becomes of one resource. ``properties`` are the names of those that differ.

    ``because`` are the paths of those that need a replacement.
    """

    action: str
    node: Node
    type: str
    physical_id: str = ""
    properties: tuple[str, ...] = ()
    because: tuple[str, ...] = ()

    def line(self, width: int) -> str:
        """Return one line of the table."""
        parts = [
            f"{name} (needs replacement)" if _of(name, self.because) else name
            for name in self.properties
        ]
        why = f"  {', '.join(parts)}" if parts else ""
        return f"{self.action:<8} {self.type:<{width}}  {'/'.join(self.node)}{why}"


@dataclass
class ChangeSet:
    """All changes: additions, modifications and replacements in the order of creation, removals.

    ``outputs`` are the names of outputs that come, go or change.
    """

    deployer: Deployer
    bodies: Mapping[Node, Mapping[str, Any]]
    order: list[Node]
    changes: list[Change] = field(default_factory=list)
    outputs: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.changes or self.outputs)

    def table(self) -> str:
        """Return the changes in columns and their number, or that there are none."""
        return _table(self.changes, self.outputs)


def removal(deployment: Deployment | None) -> str:
    """Return the table of the deletion of the whole stack, in its order."""
    live = deployment.live if deployment is not None else {}
    return _table(
        [
            Change(_ending(one), node, one.created.type, one.created.physical_id)
            for node, one in reversed(live.items())
        ],
        (),
    )


def _ending(live: Live) -> str:
    return REMOVE if live.on_delete == DELETE else RETAIN


def _table(changes: list[Change], outputs: tuple[str, ...]) -> str:
    if not changes and not outputs:
        return "nothing changes"
    width = max((len(change.type) for change in changes), default=0)
    lines = [change.line(width) for change in changes]
    lines += [f"Output   {name}" for name in outputs]
    counts = Counter(change.action for change in changes)
    listed = [f"{counts[a]} {a.lower()}" for a in (ADD, MODIFY, REPLACE, REMOVE, RETAIN)]
    return "\n".join([*lines, f"{len(changes)} changes: {', '.join(listed)}"])


def plan(
    deployment: Deployment, assembly: Assembly, context: Context, parameters: Mapping[str, str]
) -> ChangeSet:
    """Return what an assembly changes; nothing is changed.

    Parameters that are not given keep the values of the last time. Raises TemplateError with all
    that cannot be done.
    """
    known = {name for stack in assembly.stacks for name in stack.parameters}
    kept = {name: value for name, value in deployment.overrides.items() if name in known}
    deployer = Deployer(assembly, context, {**kept, **parameters})
    return _Planner(deployment, deployer).run()


class _Planner:
    """One change set in the making."""

    def __init__(self, deployment: Deployment, deployer: Deployer) -> None:
        self._old = deployment
        self._deployer = deployer
        self._context = deployer.context
        self._refused: list[str] = []
        self._changes: list[Change] = []
        self._taken = {
            key: node for node, live in deployment.live.items() for key in names_taken(live.made)
        }

        self._claimed: dict[tuple[str, str, str], Node] = {}

    def run(self) -> ChangeSet:
        bodies, order = self._deployer.checked()
        for node in order:
            self._look_at(node, bodies[node])
        for node in reversed(self._old.live):
            if node not in bodies:
                self._remove(node, self._old.live[node])
        if self._refused:
            raise TemplateError(_refusal(self._refused))
        outputs = self._deployer.deployment(bodies).outputs
        names = tuple(changed(self._old.outputs, outputs))
        return ChangeSet(self._deployer, bodies, order, self._changes, names)

    # -- one resource

    def _look_at(self, node: Node, body: Mapping[str, Any]) -> None:
        for name in ("DeletionPolicy", "UpdateReplacePolicy"):
            if body.get(name, DELETE) not in POLICIES:
                raise TemplateError(f"{node[0]}: {node[1]}.{name}: the twin has no {body[name]}")
        live, kind = self._old.live.get(node), str(body["Type"])
        values = self._deployer.values(node, body)
        if live is None:
            self._add(node, kind, values)
            return
        if live.created.type != kind:
            # CloudFormation's own refusal, in its words.
            self._refuse(
                node,
                kind,
                "",
                "Update of resource type is not permitted. The new template modifies resource "
                f"type of the following resources: [{node[1]}]",
            )
            self._deployer.created[node] = live.created
            return
        names = changed(live.properties, values)
        if not names:
            self._deployer.created[node] = live.created
        elif because := replacing(kind, live.properties, values):
            self._replace(node, live, values, names, because)
        else:
            self._modify(node, live, values, names)

    def _planned(
        self,
        node: Node,
        kind: str,
        values: Any,
        generation: int = 0,
        before: list[Made] | None = None,
    ) -> tuple[Created, list[Made]]:
        planned = Planned(
            node,
            kind,
            values,
            self._context,
            generation=generation,
            before=before or [],
            roles=roles_in(self._deployer.created),
        )
        return planned.run(), planned.made

    def _add(self, node: Node, kind: str, values: dict[str, Any]) -> None:
        # What was retained has the generated name of its generation.
        generation = self._old.retained.get(node, -1) + 1
        created, made = self._planned(node, kind, values, generation)
        self._deployer.created[node] = created
        self._check_free(node, kind, made, "")
        self._changes.append(Change(ADD, node, kind))

    def _replace(
        self,
        node: Node,
        live: Live,
        values: dict[str, Any],
        names: list[str],
        because: list[str],
    ) -> None:
        kind = live.created.type
        created, made = self._planned(node, kind, values, live.generation + 1)
        self._deployer.created[node] = created
        self._check_free(node, kind, made, because[0])
        if live.on_replace == DELETE:
            self._check_undone(node, live)
        self._changes.append(
            Change(REPLACE, node, kind, live.created.physical_id, tuple(names), tuple(because))
        )

    def _modify(self, node: Node, live: Live, values: dict[str, Any], names: list[str]) -> None:
        kind = live.created.type
        created, made = self._planned(node, kind, values, live.generation, live.made)
        self._deployer.created[node] = created
        self._changes.append(Change(MODIFY, node, kind, live.created.physical_id, tuple(names)))
        if kind not in CREATE_ONLY:
            why = "the twin does not know which of this type's properties need a replacement"
            self._refuse(node, kind, names[0], why)
        elif not _possible(live.made, made):
            for name in self._culprits(node, live, values, names):
                why = "the twin cannot change this in place, and AWS does not replace it"
                self._refuse(node, kind, name, why)

    def _culprits(
        self, node: Node, live: Live, values: dict[str, Any], names: list[str]
    ) -> list[str]:
        """Return the properties that cannot change on their own; all, if none is to blame."""
        found = []
        for name in names:
            one = {key: value for key, value in live.properties.items() if key != name}
            if name in values:
                one[name] = values[name]
            try:
                _, made = self._planned(node, live.created.type, one, live.generation, live.made)
            except TemplateError:
                continue
            if not _possible(live.made, made):
                found.append(name)
        return found or names

    def _remove(self, node: Node, live: Live) -> None:
        action = _ending(live)
        if action == REMOVE:
            self._check_undone(node, live)
        self._changes.append(Change(action, node, live.created.type, live.created.physical_id))

    # -- refusals

    def _check_free(self, node: Node, kind: str, made: list[Made], name: str) -> None:
        """Refuse a name that a resource of the stack has, this one's predecessor included."""
        taken = [self._taken[key] for key in names_taken(made) if key in self._taken]
        claim = name_claimed(made)
        if claim is not None and claim not in self._taken:
            other = self._claimed.setdefault(claim, node)
            taken += [other] if other != node else []
        if node in taken:
            self._refuse(
                node,
                kind,
                name,
                "cannot update a custom-named resource that requires replacing; "
                "rename it and update the stack again",
            )
        elif taken:
            self._refuse(node, kind, name, f"{taken[0][1]} has this name already")

    def _check_undone(self, node: Node, live: Live) -> None:
        try:
            for made in live.made:
                undoing(made)
        except CannotChange as error:
            self._refuse(node, live.created.type, "", f"the twin cannot delete it ({error})")

    def _refuse(self, node: Node, kind: str, path: str, why: str) -> None:
        place = f"{node[1]}.Properties.{path}" if path else node[1]
        self._refused.append(f"{node[0]}: {place}: {why} ({kind})")


def _possible(old: list[Made], new: list[Made]) -> bool:
    """Tell whether one list of calls can be made another, and back."""
    try:
        for step in steps(old, new):
            reverse(step)
    except CannotChange:
        return False
    return True


def _of(name: str, paths: tuple[str, ...]) -> bool:
    return any(path.partition("/")[0] == name for path in paths)


def _refusal(refused: list[str]) -> str:
    if len(refused) == 1:
        return refused[0]
    return "\n".join(
        [f"{len(refused)} changes that the twin cannot make:", *map("  {}".format, refused)]
    )
