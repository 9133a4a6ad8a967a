"""Boot the twin from what ``cdk synth`` wrote: templates in, dispatch calls out.

`load_assembly` reads a folder of templates, manifest and assets; `deploy` orders the
resources of all its stacks by what they refer to and brings each about through its mapper
(`simulator.cloud.resources`). It fails closed: an unknown type, a property that no mapper
reads, an intrinsic that cannot be resolved or a circle of references is a TemplateError in
one line. What exists is changed and deleted by `stack_changes` and `stack_update`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from simulator.cloud import stand_ins, survey
from simulator.cloud.assembly import Assembly, Stack, load_assembly
from simulator.cloud.context import Context
from simulator.cloud.intrinsics import Reference, Scope
from simulator.cloud.resources import IGNORED_TYPES, MAPPINGS, Created, Resource
from simulator.cloud.resources.declarations import RECORDED
from simulator.cloud.stack_events import ASKED_FOR, Node
from simulator.cloud.stack_order import in_order
from simulator.cloud.stack_state import Live
from simulator.cloud.stack_steps import name_claimed
from simulator.cloud.template_faults import Faults
from simulator.errors import SimulatorError, TemplateError, UnknownResourceType

__all__ = ["Assembly", "Deployment", "Stack", "deploy", "load_assembly"]


@dataclass
class Deployment:
    """What exists after `deploy`.

    ``resources`` and ``outputs`` are keyed by logical id and output name; with several
    stacks by ``<stack>/<name>``, because the same name may stand in two of them.
    ``recorded_only``: resource type -> its properties in use that change nothing here. ``live`` is
    how each came about, in the order of creation; ``overrides`` are the parameters that were given.
    """

    resources: dict[str, Created] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)
    recorded_only: dict[str, list[str]] = field(default_factory=dict)
    parameters: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The parameters' values of each stack, by its name."""
    live: dict[Node, Live] = field(default_factory=dict)
    overrides: dict[str, str] = field(default_factory=dict)
    updated: datetime | None = None
    """When it was last updated; None of what is as it was created."""
    retained: dict[Node, int] = field(default_factory=dict)
    """Logical ids whose resources of before still exist, and the last generation of them."""

    def find(self, type_name: str) -> list[Created]:
        """Return the resources of one type in the order of creation."""
        return [each for each in self.resources.values() if each.type == type_name]

    def named(self, type_name: str, ending: str) -> Created:
        """Return the one resource of a type whose physical id ends so (``-telemetry``).

        Raises TemplateError when there is none or more than one.
        """
        found = [each for each in self.find(type_name) if each.physical_id.endswith(ending)]
        if len(found) != 1:
            raise TemplateError(f"{len(found)} resources of {type_name} are named *{ending}, not 1")
        return found[0]


def deploy(assembly: Assembly, context: Context, parameters: Mapping[str, str]) -> Deployment:
    """Bring every resource of the assembly about; return what exists then.

    ``parameters`` overrides template parameters by name, in each stack that has the name.
    Raises TemplateError (UnknownResourceType) before the first call wherever the template
    alone shows the fault.
    """
    return Deployer(assembly, context, parameters).run()


def survey_of(
    assembly: Assembly, context: Context, parameters: Mapping[str, str]
) -> list[survey.Row]:
    """Return what the twin makes of each resource type; nothing is created."""
    return Deployer(assembly, context, parameters).survey()


def left_out_of(
    assembly: Assembly, context: Context, parameters: Mapping[str, str]
) -> dict[str, list[str]]:
    """Return the resources that conditions leave out, by the name of the condition."""
    found: dict[str, list[str]] = {}
    scopes = Deployer(assembly, context, parameters).scopes
    for stack in assembly.stacks:
        for logical_id, body in stack.resources.items():
            if "Condition" in body and logical_id not in scopes[stack.name].resource_ids:
                found.setdefault(str(body["Condition"]), []).append(logical_id)
    return found


class Deployer:
    """One assembly on its way into the twin: names, order and values of its resources.

    ``created`` is what references lead to; `stack_changes` fills it with what will exist.
    """

    def __init__(self, assembly: Assembly, context: Context, parameters: Mapping[str, str]) -> None:
        self.assembly = assembly
        self.context = context
        self.overrides = dict(parameters)
        self.created: dict[Node, Created] = {}
        self.live: dict[Node, Live] = {}
        self._claimed: dict[tuple[str, str, str], Node] = {}
        self.stacks = {stack.name: stack for stack in assembly.stacks}
        assembly.check_environment(context.account, context.region)
        assembly.check_overrides(parameters)
        self.faults = Faults()
        self.scopes = {s.name: self._scope(s, parameters) for s in assembly.stacks}
        self.exports = dict(self._exports())

    def run(self) -> Deployment:
        """Create everything."""
        bodies, order = self.checked()
        self.context.assets.update(self.assembly.assets)
        events = self.context.stack_events
        for name in self.stacks:
            events.stack(name, "CREATE_IN_PROGRESS", ASKED_FOR)
        for node in order:
            self._create(node, bodies[node])
        done = self.deployment(bodies)
        for name in self.stacks:
            events.stack(name, "CREATE_COMPLETE")
        return done

    def checked(self) -> tuple[dict[Node, Mapping[str, Any]], list[Node]]:
        """Return the resources and the order of their creation; raises for what cannot be."""
        bodies = self._bodies()
        rows = self.survey()
        problems = [problem for row in rows for problem in row.problems]
        only_a_type = len(problems) == 1 and problems[0].endswith(survey.NO_TYPE)
        # Of a type alone `_check_type` says more.
        if problems and not only_a_type:
            raise TemplateError(survey.refusal(rows))
        for node, body in bodies.items():
            _check_type(node, body)
        return bodies, self._order(bodies)

    def needs(self, node: Node, body: Mapping[str, Any]) -> tuple[Node, ...]:
        """Return the resources that one refers to or waits for."""
        return tuple(dict.fromkeys(self._needs(node, body)))

    def values(self, node: Node, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return a resource's properties, references being resolved by ``created``."""
        stack, logical_id = node
        found: dict[str, Any] = self.scopes[stack].resolve(
            body.get("Properties", {}), f"{logical_id}.Properties"
        )
        return found

    def survey(self) -> list[survey.Row]:
        """Return what would become of every resource."""
        bodies = self._bodies()
        with self._made_up_values():
            self._find_faults(bodies)
            return survey.surveyed(self._looked_at(bodies), self.context, self.faults)

    # -- before the first call

    def _bodies(self) -> dict[Node, Mapping[str, Any]]:
        return {
            (stack.name, logical_id): body
            for stack in self.assembly.stacks
            for logical_id, body in stack.resources.items()
            if logical_id in self.scopes[stack.name].resource_ids
        }

    def _looked_at(
        self, bodies: Mapping[Node, Mapping[str, Any]]
    ) -> Iterator[tuple[str, str, Mapping[str, Any], Any]]:
        """Yield each resource with its properties, but for those that have a fault.

        What others give is made up. Of a resource whose properties cannot be resolved that way
        only the type is looked at: what is wrong with it shows when it is created.
        """
        for (stack, logical_id), body in bodies.items():
            left_out = self.faults.places((stack, logical_id))
            written = body.get("Properties", {})
            kept = {name: value for name, value in written.items() if name not in left_out}
            try:
                values = self.scopes[stack].resolve(kept, f"{logical_id}.Properties")
            except (TemplateError, KeyError, ValueError, IndexError):
                values = {}
            yield stack, logical_id, body, values

    @contextmanager
    def _made_up_values(self) -> Iterator[None]:
        for name, scope in self.scopes.items():
            scope.value_of = partial(self._made_up, name)
        try:
            yield
        finally:
            for name, scope in self.scopes.items():
                scope.value_of = self._reader(name)

    def _find_faults(self, bodies: Mapping[Node, Mapping[str, Any]]) -> None:
        """Take in all that is wrong with the templates themselves."""
        for stack in self.assembly.stacks:
            scope = self.scopes[stack.name]
            for name in stack.not_read():
                self.faults.note(scope.error(name, "section is not supported by the twin"))
            for name, output in self._active_outputs(stack):
                check = partial(self._check_reference, stack.name)
                for fault in scope.faults(output.get("Value"), f"Outputs.{name}", check):
                    self.faults.note(fault)
        for node, body in bodies.items():
            stack_name = node[0]
            check = partial(self._check_reference, stack_name)
            known = self.stacks[stack_name].resources
            self.faults.look_at(node, body, self.scopes[stack_name], known, check)
        try:
            self._order(bodies)
        except TemplateError as circle:
            self.faults.note(circle)

    def _check_reference(self, stack: str, reference: Reference) -> None:
        for _ in self._nodes_behind(reference, stack, ()):
            pass

    def _made_up(self, stack: str, logical_id: str, attribute: str | None) -> str:
        """Return an ARN of the resource's service: what a mapping may read is known by it."""
        kind = str(self.stacks[stack].resources[logical_id].get("Type"))
        service = kind.split("::")[1].lower() if kind.startswith("AWS::") else "twin"
        service = {"stepfunctions": "states"}.get(service, service)
        return self.context.arn(service, stand_ins.stand_in(logical_id, attribute))

    def _reader(self, stack: str) -> Callable[[str, str | None], Any]:
        return lambda logical_id, attribute: self._value((stack, logical_id), attribute)

    def _scope(self, stack: Stack, parameters: Mapping[str, str]) -> Scope:
        context = self.context
        pseudo = {
            "AWS::AccountId": context.account,
            "AWS::Partition": "aws",
            "AWS::Region": context.region,
            "AWS::StackId": context.stack_events.stack_id(stack.name),
            "AWS::StackName": stack.name,
            "AWS::URLSuffix": "amazonaws.com",
        }
        scope = Scope(stack.name, stack.parameter_values(parameters), pseudo)
        scope.condition_bodies = stack.template.get("Conditions", {})
        scope.resource_ids = frozenset(
            logical_id
            for logical_id, body in stack.resources.items()
            if body.get("Type") not in IGNORED_TYPES and self._holds(scope, body, logical_id)
        )
        scope.value_of = self._reader(stack.name)
        scope.output_of = self._output
        return scope

    def _holds(self, scope: Scope, body: Mapping[str, Any], path: str) -> bool:
        """Tell whether a resource or output is wanted; one whose condition has a fault is."""
        try:
            return "Condition" not in body or scope.condition(body["Condition"], path)
        except TemplateError as error:
            self.faults.note(error)
            return True

    def _order(self, bodies: Mapping[Node, Mapping[str, Any]]) -> list[Node]:
        needs = {node: list(self._needs(node, body)) for node, body in bodies.items()}
        return in_order(needs, self.assembly.stacks)

    def _needs(self, node: Node, body: Mapping[str, Any]) -> Iterator[Node]:
        stack, logical_id = node
        scope = self.scopes[stack]
        after = body.get("DependsOn", [])
        for name in [after] if isinstance(after, str) else after:
            if name not in self.stacks[stack].resources:
                raise scope.error(f"{logical_id}.DependsOn", f"there is no resource {name}")
            if name in scope.resource_ids:
                yield stack, name
        path = f"{logical_id}.Properties"
        for reference in scope.references(body.get("Properties", {}), path):
            yield from self._nodes_behind(reference, stack, ())

    def _nodes_behind(
        self, reference: Reference, stack: str, seen: tuple[Node, ...]
    ) -> Iterator[Node]:
        """Yield the resources behind a reference, through other stacks' outputs."""
        if reference.kind == "resource":
            yield reference.stack, reference.name
            return
        place = self._output_place(reference.stack, reference.name)
        if place is None:
            name = ".".join(part for part in (reference.stack, reference.name) if part)
            why = f"there is no output {name} in this assembly"
            raise self.scopes[stack].error(reference.path, why)
        if place in seen:
            raise self.scopes[stack].error(reference.path, f"output {place[1]} depends on itself")
        there, name = place
        value = self.stacks[there].outputs[name].get("Value")
        for inner in self.scopes[there].references(value, f"Outputs.{name}"):
            yield from self._nodes_behind(inner, there, (*seen, place))

    # -- references between stacks

    def _exports(self) -> Iterator[tuple[str, Node]]:
        for stack in self.assembly.stacks:
            scope = self.scopes[stack.name]
            for name, output in self._active_outputs(stack):
                if "Export" not in output:
                    continue
                place = f"Outputs.{name}.Export"
                try:
                    yield scope.resolve(output["Export"]["Name"], place), (stack.name, name)
                except TemplateError as error:
                    self.faults.note(error)

    def _active_outputs(self, stack: Stack) -> Iterator[tuple[str, Mapping[str, Any]]]:
        scope = self.scopes[stack.name]
        for name, output in stack.outputs.items():
            if self._holds(scope, output, f"Outputs.{name}"):
                yield name, output

    def _output_place(self, stack: str, name: str) -> Node | None:
        if not stack:
            return self.exports.get(name)
        known = stack in self.stacks and name in self.stacks[stack].outputs
        return (stack, name) if known else None

    def _output(self, stack: str, name: str) -> Any:
        place = self._output_place(stack, name)
        if place is None:
            raise KeyError(name)
        value = self.stacks[place[0]].outputs[place[1]]["Value"]
        return self.scopes[place[0]].resolve(value, f"Outputs.{place[1]}")

    def _value(self, node: Node, attribute: str | None) -> Any:
        created = self.created[node]
        return created.physical_id if attribute is None else created.attributes[attribute]

    # -- the calls

    def _create(self, node: Node, body: Mapping[str, Any]) -> None:
        stack, logical_id = node
        values = self.values(node, body)
        events, kind = self.context.stack_events, str(body["Type"])
        resource = Resource(stack, logical_id, kind, values, self.context)
        events.resource(node, kind, "", "CREATE_IN_PROGRESS", properties=values)
        try:
            made = self.created[node] = MAPPINGS[kind].create(resource)
            claim = name_claimed(resource.made)
            other = self._claimed.setdefault(claim, node) if claim is not None else node
            if other != node:
                # Some operations would put one over the other without a word.
                raise resource.error("", f"{other[1]} has this name already")
        except SimulatorError as error:
            events.resource(node, kind, "", "CREATE_FAILED", str(error), values)
            raise
        events.resource(node, kind, made.physical_id, "CREATE_COMPLETE", properties=values)
        self.live[node] = Live.of(
            self.created[node], values, resource.made, body, self.needs(node, body)
        )

    def deployment(self, bodies: Mapping[Node, Mapping[str, Any]]) -> Deployment:
        """Return what exists: the resources in ``created``, listed as in ``bodies``."""
        qualified = len(self.stacks) > 1
        done = Deployment(live=dict(self.live), overrides=self.overrides)
        done.parameters = {name: dict(scope.parameters) for name, scope in self.scopes.items()}
        done.recorded_only = _recorded_only(bodies.values())
        for stack, logical_id in bodies:
            key = f"{stack}/{logical_id}" if qualified else logical_id
            done.resources[key] = self.created[stack, logical_id]
        for each in self.assembly.stacks:
            for name, _ in self._active_outputs(each):
                key = f"{each.name}/{name}" if qualified else name
                done.outputs[key] = self._output(each.name, name)
        return done


def _recorded_only(bodies: Iterable[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Return the properties in use that are declared to change nothing, by resource type."""
    found: dict[str, set[str]] = {}
    for body in bodies:
        for name in body.get("Properties", {}):
            if MAPPINGS[body["Type"]].declared[name].verdict == RECORDED:
                found.setdefault(body["Type"], set()).add(name)
    return {kind: sorted(found[kind]) for kind in sorted(found)}


def _check_type(node: Node, body: Mapping[str, Any]) -> None:
    kind = body.get("Type")
    if kind not in MAPPINGS:
        raise UnknownResourceType(
            f"{node[0]}: {node[1]}: the twin has no resource type {kind}; "
            "run it with --target aws or remove it from the template"
        )
