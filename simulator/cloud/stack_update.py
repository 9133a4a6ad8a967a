"""Execute a change set: create, modify, replace; then remove what is gone. Delete a stack.

As CloudFormation does it: in the order of what needs what; a replaced resource is created anew,
what refers to it follows, and the old one is deleted in the clean-up, when everything else has
succeeded. A failure before the clean-up is rolled back to the last good state. A deletion that
fails in the clean-up (a bucket that is not empty) is reported and leaves the resource behind.
Source: CloudFormation User Guide, "Update behaviors of stack resources", "Stack events".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import simpy

from simulator.cloud.context import Context
from simulator.cloud.errors import AwsError
from simulator.cloud.planned import Planned
from simulator.cloud.resources import MAPPINGS, Created, Resource
from simulator.cloud.resources.effects import Ask, CannotChange
from simulator.cloud.resources.mapping import PERMISSIONS, Made
from simulator.cloud.stack_changes import MODIFY, REPLACE, ChangeSet
from simulator.cloud.stack_state import DELETE, Live, Node
from simulator.cloud.stack_steps import Step, is_shared, reverse, steps, taking_back, undoing
from simulator.cloud.template import Deployment
from simulator.errors import SimulatorError, TemplateError

_FAILURES = (SimulatorError, CannotChange)


class UpdateFailed(TemplateError):
    """An update that was rolled back, or could not be; says which and why."""


class DeletionFailed(TemplateError):
    """A stack of which something is left, with the reasons."""


@dataclass
class Outcome:
    """What an update came to: what exists now, and what the clean-up could not delete."""

    deployment: Deployment
    left_behind: list[str] = field(default_factory=list)


def update(old: Deployment, changes: ChangeSet, context: Context) -> Outcome:
    """Apply a change set to what exists.

    Raises UpdateFailed, after having rolled back, for the first thing that fails.
    """
    return _Update(old, changes, context).run()


def delete(old: Deployment, context: Context) -> Deployment:
    """Delete every resource in the reverse order of need; return the empty stack.

    What DeletionPolicy retains stays and no longer belongs to it. Raises DeletionFailed when
    something could not be deleted: it, and what it needs, are what ``old`` has left.
    """
    failed: list[str] = []
    needed: set[Node] = set()
    for node in list(reversed(old.live)):
        live = old.live[node]
        if node in needed:
            needed |= set(live.needs)
            continue
        if live.on_delete != DELETE:
            _retain(old, node, live)
        problem = _deleted(context, live) if live.on_delete == DELETE else ""
        if problem:
            failed.append(f"{'/'.join(node)}: DELETE_FAILED, {problem}")
            needed |= set(live.needs)
            continue
        del old.live[node]
    if failed:
        _keep_only(old)
        left = ", ".join("/".join(node) for node in old.live)
        raise DeletionFailed("\n".join([*failed, f"what is left: {left}"]))
    return Deployment(overrides=old.overrides, retained=old.retained)


def _retain(deployment: Deployment, node: Node, live: Live) -> None:
    """Remember that a resource exists which is the stack's no longer."""
    last = deployment.retained.get(node, -1)
    deployment.retained[node] = max(last, live.generation)


def _keep_only(deployment: Deployment) -> None:
    left = {id(live.created) for live in deployment.live.values()}
    kept = {key: one for key, one in deployment.resources.items() if id(one) in left}
    deployment.resources = kept
    deployment.outputs = {}


def _deleted(context: Context, live: Live) -> str:
    """Take back the calls behind a resource; return why that is not possible, or nothing."""
    try:
        _take_back(context, live.made)
    except (AwsError, CannotChange) as error:
        return str(error)
    return ""


def _take_back(context: Context, made: list[Made]) -> None:
    """Undo calls, the last first; each that is undone leaves the list."""
    for one in taking_back(made):
        for ask in undoing(one):
            _done(context, ask)
        made.remove(one)


def _done(context: Context, ask: Ask) -> Mapping[str, Any]:
    """Do one call as the account's root and return its answer."""
    if ask.service == PERMISSIONS:
        getattr(context.iam, ask.operation)(**ask.params)
        return {}
    answer = context.dispatch(context.dispatch.root, ask.service, ask.operation, ask.params)
    found: Mapping[str, Any] = (
        context.engine.run(answer) if isinstance(answer, simpy.Event) else answer
    )
    return found


class _Update:
    """One update under way."""

    def __init__(self, old: Deployment, changes: ChangeSet, context: Context) -> None:
        self._old = old
        self._set = changes
        self._deployer = changes.deployer
        self._context = context
        self._changes = {change.node: change for change in changes.changes}
        self._back: list[Callable[[], None]] = []
        self._cleanup: list[tuple[Node, Live]] = []
        self._left_behind: list[str] = []

    def run(self) -> Outcome:
        context, deployer = self._context, self._deployer
        assets = dict(context.assets)
        context.assets.update(deployer.assembly.assets)
        deployer.created, deployer.live = {}, {}
        try:
            for node in self._set.order:
                live = self._brought(node, self._set.bodies[node])
                deployer.live[node], deployer.created[node] = live, live.created
            done = deployer.deployment(self._set.bodies)
        except _FAILURES as error:
            self._roll_back(error)
            context.assets.clear()
            context.assets.update(assets)
            raise UpdateFailed(f"{error}\nUPDATE_ROLLBACK_COMPLETE: all is as before") from error
        done.retained = dict(self._old.retained)
        done.updated = context.engine.now() if self._old.live else None
        self._clean_up(done)
        return Outcome(done, self._left_behind)

    def _roll_back(self, cause: Exception) -> None:
        for undo in reversed(self._back):
            try:
                undo()
            except _FAILURES as error:
                raise UpdateFailed(
                    f"{cause}\nUPDATE_ROLLBACK_FAILED: {error}; the twin is in neither state, "
                    "start it afresh"
                ) from error

    def _clean_up(self, done: Deployment) -> None:
        bodies = self._set.bodies
        gone = [(node, live) for node, live in self._old.live.items() if node not in bodies]
        policy = {node: live.on_delete for node, live in gone}
        replaced = dict(self._cleanup)
        for node in reversed(self._old.live):
            live = replaced.get(node) or (self._old.live[node] if node in policy else None)
            if live is None:
                continue
            if policy.get(node, live.on_replace) != DELETE:
                _retain(done, node, live)
                continue
            problem = _deleted(self._context, live)
            if problem:
                _retain(done, node, live)
                self._left_behind.append(f"{'/'.join(node)}: DELETE_FAILED, {problem}")

    # -- one resource

    def _brought(self, node: Node, body: Mapping[str, Any]) -> Live:
        """Return a resource as it is from now on."""
        values = self._deployer.values(node, body)
        needs = self._deployer.needs(node, body)
        live, change = self._old.live.get(node), self._changes.get(node)
        if live is None:
            generation = self._old.retained.get(node, -1) + 1
            return self._created(node, body, values, needs, generation)
        if change is None or change.action == MODIFY:
            return self._modified(node, body, live, values, needs)
        assert change.action == REPLACE
        return self._replaced(node, body, live, values, needs)

    def _created(
        self,
        node: Node,
        body: Mapping[str, Any],
        values: dict[str, Any],
        needs: tuple[Node, ...],
        generation: int,
    ) -> Live:
        resource = Resource(*node, body["Type"], values, self._context, generation)
        # Before it is tried: what a failed creation has made is taken back as well.
        self._back.append(lambda: _take_back(self._context, resource.made))
        created = MAPPINGS[body["Type"]].create(resource)
        return Live.of(created, values, resource.made, body, needs, generation)

    def _replaced(
        self,
        node: Node,
        body: Mapping[str, Any],
        live: Live,
        values: dict[str, Any],
        needs: tuple[Node, ...],
    ) -> Live:
        generation = live.generation + 1
        planned = Planned(node, body["Type"], values, self._context, generation=generation)
        planned.run()
        if is_shared([*live.made, *planned.made]):
            return self._modified(node, body, live, values, needs, generation)
        self._cleanup.append((node, live))
        return self._created(node, body, values, needs, generation)

    def _modified(
        self,
        node: Node,
        body: Mapping[str, Any],
        live: Live,
        values: dict[str, Any],
        needs: tuple[Node, ...],
        generation: int | None = None,
    ) -> Live:
        if values == live.properties:
            return Live.of(live.created, values, live.made, body, needs, live.generation)
        generation = live.generation if generation is None else generation
        planned = Planned(
            node, body["Type"], values, self._context, generation=generation, before=live.made
        )
        created: Created = planned.run()
        made = [
            one
            for step in steps(live.made, planned.made)
            if (one := self._taken(node, live, step)) is not None
        ]
        return Live.of(created, values, made, body, needs, generation)

    def _taken(self, node: Node, live: Live, step: Step) -> Made | None:
        """Take a step, and remember how to take it back; return what exists by it."""
        context, after = self._context, step.after
        for number, ask in enumerate(step.do):
            if number == 1:
                # A step of several calls that fails in between is taken back as a whole.
                self._back.append(lambda: self._taken_back(live, step))
            try:
                answer = _done(context, ask)
            except AwsError as error:
                place = f"{node[0]}: {node[1]}.Properties"
                why = f"{ask.service}:{ask.operation} answered {error}"
                raise TemplateError(f"{place}: {why} ({live.created.type})") from error
            if step.before is None and after is not None:
                after = after._replace(answer=answer)
        if len(step.do) == 1:
            taken = Step(step.do, step.before, after)
            self._back.append(lambda: self._taken_back(live, taken))
        return after

    def _taken_back(self, live: Live, step: Step) -> None:
        for ask in reverse(step):
            answer = _done(self._context, ask)
            if step.after is None and step.before is not None:
                # It exists again, and may be called otherwise (a subscription's ARN).
                place = next(i for i, one in enumerate(live.made) if one is step.before)
                live.made[place] = step.before._replace(answer=answer)
