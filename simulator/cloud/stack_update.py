"""Execute a change set: create, modify, replace; then remove what is gone.

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

from simulator.cloud.context import Context
from simulator.cloud.errors import AwsError
from simulator.cloud.planned import Planned
from simulator.cloud.resources import MAPPINGS, Created, Resource
from simulator.cloud.resources.effects import CannotChange
from simulator.cloud.resources.mapping import Made
from simulator.cloud.stack_changes import MODIFY, REPLACE, ChangeSet
from simulator.cloud.stack_deletion import asked, deleted, retain, take_back
from simulator.cloud.stack_events import Node
from simulator.cloud.stack_progress import Progress
from simulator.cloud.stack_state import DELETE, Live
from simulator.cloud.stack_steps import Step, is_shared, reverse, steps
from simulator.cloud.template import Deployment
from simulator.errors import SimulatorError, TemplateError

_FAILURES = (SimulatorError, CannotChange)


class UpdateFailed(TemplateError):
    """An update that was rolled back, or could not be; says which and why."""


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


class _Update:
    """One update under way."""

    def __init__(self, old: Deployment, changes: ChangeSet, context: Context) -> None:
        self._old = old
        self._set = changes
        self._deployer = changes.deployer
        self._context = context
        self._changes = {change.node: change for change in changes.changes}
        self._progress = Progress(context, old, changes)
        self._back: dict[Node, list[Callable[[], None]]] = {}
        self._created_anew: set[Node] = set()
        self._cleanup: list[tuple[Node, Live]] = []
        self._left_behind: dict[Node, str] = {}

    def run(self) -> Outcome:
        context, deployer = self._context, self._deployer
        assets = dict(context.assets)
        context.assets.update(deployer.assembly.assets)
        deployer.created, deployer.live = {}, {}
        self._progress.begun()
        try:
            for node in self._set.order:
                live = self._brought(node, self._set.bodies[node])
                deployer.live[node], deployer.created[node] = live, live.created
                self._progress.finished(node, live)
            done = deployer.deployment(self._set.bodies)
        except _FAILURES as error:
            self._roll_back(error)
            context.assets.clear()
            context.assets.update(assets)
            said = self._progress.status("COMPLETE")
            raise UpdateFailed(f"{error}\n{said}: all is as before") from error
        done.retained = dict(self._old.retained)
        done.updated = context.engine.now() if self._old.live else None
        self._progress.cleaning_up()
        self._clean_up(done)
        self._progress.ended(self._left_behind)
        return Outcome(done, list(self._left_behind.values()))

    def _roll_back(self, cause: Exception) -> None:
        progress = self._progress
        progress.rolling_back(cause)
        for node in reversed(progress.worked_on):
            new = self._new_id(node)
            progress.taken_back(node, new, "IN_PROGRESS")
            try:
                for undo in reversed(self._back.get(node, [])):
                    undo()
            except _FAILURES as error:
                progress.taken_back(node, new, "FAILED", str(error))
                progress.rolled_back("FAILED")
                raise UpdateFailed(
                    f"{cause}\n{progress.status('FAILED')}: {error}; the twin is in neither "
                    "state, start it afresh"
                ) from error
            progress.taken_back(node, new, "COMPLETE")
        progress.rolled_back("COMPLETE")

    def _new_id(self, node: Node) -> str | None:
        """Return the physical id of what was created anew, "" if it came to none, else None."""
        if node not in self._created_anew:
            return None
        made = self._deployer.created.get(node)
        return made.physical_id if made is not None else ""

    def _clean_up(self, done: Deployment) -> None:
        bodies = self._set.bodies
        gone = [(node, live) for node, live in self._old.live.items() if node not in bodies]
        policy = {node: live.on_delete for node, live in gone}
        replaced = dict(self._cleanup)
        for node in reversed(self._old.live):
            live = replaced.get(node) or (self._old.live[node] if node in policy else None)
            if live is None:
                continue
            wanted = policy.get(node, live.on_replace)
            problem = deleted(self._context, node, live, wanted)
            if problem or wanted != DELETE:
                retain(done, node, live)
            if problem:
                self._left_behind[node] = f"{'/'.join(node)}: DELETE_FAILED, {problem}"

    def _undo(self, node: Node, undo: Callable[[], None]) -> None:
        self._back.setdefault(node, []).append(undo)

    # -- one resource

    def _brought(self, node: Node, body: Mapping[str, Any]) -> Live:
        """Return a resource as it is from now on."""
        values = self._deployer.values(node, body)
        needs = self._deployer.needs(node, body)
        live, change = self._old.live.get(node), self._changes.get(node)
        self._progress.started(node, values)
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
        self._created_anew.add(node)
        self._undo(node, lambda: take_back(self._context, resource.made))
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
                self._undo(node, lambda: self._taken_back(live, step))
            try:
                answer = asked(context, ask)
            except AwsError as error:
                place = f"{node[0]}: {node[1]}.Properties"
                why = f"{ask.service}:{ask.operation} answered {error}"
                raise TemplateError(f"{place}: {why} ({live.created.type})") from error
            if step.before is None and after is not None:
                after = after._replace(answer=answer)
        if len(step.do) == 1:
            taken = Step(step.do, step.before, after)
            self._undo(node, lambda: self._taken_back(live, taken))
        return after

    def _taken_back(self, live: Live, step: Step) -> None:
        for ask in reverse(step):
            answer = asked(self._context, ask)
            if step.after is None and step.before is not None:
                # It exists again, and may be called otherwise (a subscription's ARN).
                place = next(i for i, one in enumerate(live.made) if one is step.before)
                live.made[place] = step.before._replace(answer=answer)
