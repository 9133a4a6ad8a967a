"""What the twin makes of an assembly, found before anything is created.

Every resource goes through its mapper, which makes no call: whatever it does not know shows
itself, and what of each call the service would refuse by its parameters alone (`refusals`).
`template.deploy` refuses an assembly with all that is missing in one table; `fleetwin assembly`
prints the rest: what the twin's own code acts on, what moto has, which properties change nothing
here and why.

A value that another resource gives is not known yet: it stands for any (`stand_ins`), and what
depends on it is not judged here but when the resource is created.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from simulator.cloud.context import Context
from simulator.cloud.errors import AwsError, NotSupportedByTwin
from simulator.cloud.forward_table import Arns
from simulator.cloud.iam import Iam
from simulator.cloud.planned import Planned
from simulator.cloud.refusals import lacks, refusals
from simulator.cloud.resources import MAPPINGS
from simulator.cloud.resources.declarations import ENFORCED, HONOURED, RECORDED, REFUSED
from simulator.cloud.resources.mapping import NOT_MAPPED
from simulator.cloud.stack_events import Node
from simulator.cloud.template_faults import Faults
from simulator.errors import TemplateError

NO_TYPE = "no such type in the twin"
TEMPLATE = "template"
"""Stands for a type in the row of what belongs to no resource: sections, conditions, outputs."""
RUNS, FORWARDED = "runs", "forwarded"
"""Verdicts on a type, beside REFUSED: the twin's own code acts on it; moto has it.

Those on a property, ENFORCED, HONOURED and RECORDED, are declared beside the type's mapper.
"""


class _Surveyed(Planned):
    """A resource that only says what of it the twin does not have."""

    def __init__(self, node: Node, type_name: str, values: Any, context: Context) -> None:
        super().__init__(node, type_name, values, context)
        self.refused: list[str] = []

    def call(self, service: str, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        """Note a call, and what of it the twin is known not to have."""
        answer = super().call(service, operation, params)
        for said in refusals(service, operation, params, self.context):
            self._refuse(said)
        return answer

    def register(self, change: partial[None]) -> None:
        """Note a change of permissions, having tried it where nothing depends on it."""
        super().register(change)
        try:
            change(Iam(self.context.account, self.context.region))
        except NotSupportedByTwin as error:
            self._refuse(lacks(error))
        except AwsError:
            # Of a role that is not there yet.
            pass

    def _refuse(self, what: str) -> None:
        if what not in self.refused:
            self.refused.append(what)


@dataclass
class Row:
    """What becomes of the resources of one type; ``recorded``: property -> why it changes nothing.

    ``problems`` are the one-line errors of those that the twin refuses. ``properties`` are all
    properties in use with their declared verdicts, or REFUSED.
    """

    type: str
    count: int = 0
    verdict: str = RUNS
    recorded: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    properties: dict[str, str] = field(default_factory=dict)

    def add(self, problems: Iterable[str]) -> None:
        """Note problems, each once; what has one is refused."""
        self.problems += [each for each in problems if each not in self.problems]
        if self.problems:
            self.verdict = REFUSED


def survey_resource(
    node: Node,
    kind: str,
    body: Mapping[str, Any],
    values: Any,
    row: Row,
    context: Context,
    faults: Faults,
) -> None:
    """Take one resource into its type's row; ``faults`` are those of its template."""
    row.count += 1
    place = f"{node[0]}: {node[1]}"
    mapping = MAPPINGS.get(kind)
    if mapping is None:
        row.add([*faults.texts(node), f"{place}: {NO_TYPE}"])
        return
    written = body.get("Properties", {})
    for name, each in mapping.declared.items():
        if name in written and each.verdict == RECORDED:
            row.recorded[name] = each.why
    refused = [name for name in written if name not in mapping.declared]
    problems = [f"{place}.Properties.{name}: {NOT_MAPPED}" for name in refused]
    problems += faults.texts(node)
    known = {name: value for name, value in values.items() if name not in refused}
    resource = _Surveyed(node, kind, known, context)
    try:
        mapping.create(resource)
    except TemplateError as error:
        if NOT_MAPPED in str(error):
            problems.append(str(error).removesuffix(f" ({kind})"))
            refused.append(error_path(str(error)))
    except (ArithmeticError, LookupError, TypeError, ValueError):
        # Of values that are made up; whatever is wrong shows when the resource is created.
        pass
    problems += [f"{place}: {what}" for what in resource.refused]
    row.add(problems)
    refused += faults.places(node)
    if not problems and row.verdict != REFUSED:
        row.verdict = _runs(resource, context)
    for name in written:
        if name in refused:
            row.properties[name] = REFUSED
        elif row.properties.get(name) != REFUSED:
            row.properties[name] = mapping.declared[name].verdict


def _runs(resource: _Surveyed, context: Context) -> str:
    """Return who acts on a resource, by the first call that makes it."""
    if not resource.made:
        return RUNS
    first = resource.made[0]
    forwarded = Arns(context.account, context.region).table_of_operations()
    return FORWARDED if first.operation in forwarded.get(first.service, {}) else RUNS


def error_path(message: str) -> str:
    """Return the name of the property, not of what is in it, that an error speaks of."""
    path = message.partition(".Properties.")[2].partition(":")[0]
    return path.partition(".")[0].partition("[")[0]


def surveyed(
    bodies: Iterable[tuple[str, str, Mapping[str, Any], Any]], context: Context, faults: Faults
) -> list[Row]:
    """Return a row a type, in the order of names; the last one has what is of no resource.

    ``bodies`` are (stack, logical id, body, resolved properties).
    """
    rows: dict[str, Row] = {}
    if faults.elsewhere:
        rows[TEMPLATE] = Row(TEMPLATE, len(faults.elsewhere))
        rows[TEMPLATE].add(faults.elsewhere)
    for stack, logical_id, body, values in bodies:
        kind = str(body.get("Type"))
        row = rows.setdefault(kind, Row(kind))
        survey_resource((stack, logical_id), kind, body, values, row, context, faults)
    return [rows[kind] for kind in sorted(rows)]


def table(rows: Iterable[Row], *, properties: bool = False) -> str:
    """Return the rows in columns, each type's problems and recorded properties below it.

    With ``properties`` every property in use stands there with its verdict.
    """
    listed = list(rows)
    width = max((len(row.type) for row in listed), default=0)
    lines = []
    for row in listed:
        lines.append(f"{row.type:<{width}}  {row.count:>3}  {row.verdict}")
        lines += [f"    {problem}" for problem in row.problems]
        if properties:
            lines += [
                f"    {name}: {verdict}"
                + (f", {row.recorded[name]}" if name in row.recorded else "")
                for name, verdict in sorted(row.properties.items())
            ]
        else:
            lines += [f"    {name}: changes nothing, {why}" for name, why in row.recorded.items()]
    totals = Counter(row.verdict for row in listed)
    summed = ", ".join(f"{totals[verdict]} {verdict}" for verdict in (RUNS, FORWARDED, REFUSED))
    return "\n".join([*lines, f"{len(listed)} types: {summed}", properties_line(listed)])


def properties_line(rows: Iterable[Row]) -> str:
    """Return how many properties in use have which verdict, in one line."""
    totals = Counter(verdict for row in rows for verdict in row.properties.values())
    verdicts = (ENFORCED, HONOURED, RECORDED, REFUSED)
    summed = ", ".join(f"{totals[verdict]} {verdict}" for verdict in verdicts)
    return f"{totals.total()} properties: {summed}"


def refusal(rows: Iterable[Row]) -> str:
    """Return what an error says of everything that is missing, "" where nothing is.

    One problem is one line; several are a line each.
    """
    problems = [(row.type, problem) for row in rows for problem in row.problems]
    if len(problems) <= 1:
        of = {kind: "" if kind == TEMPLATE else f" ({kind})" for kind, _ in problems}
        return "".join(f"{problem}{of[kind]}" for kind, problem in problems)
    lines = [f"  {kind}: {problem}" for kind, problem in problems]
    return "\n".join([f"{len(problems)} things that cannot be created on the twin:", *lines])
