"""What the twin makes of an assembly, found before anything is created.

Every resource goes through its mapper up to the first call: by then a mapper has read all
properties, so whatever it does not know has shown itself. `template.deploy` refuses an assembly
with all that is missing in one table; `fleetwin assembly` prints the rest: what the twin's own
code acts on, what moto has, which properties change nothing here and why.

What depends on the answers of other resources (an ARN that has to have a form) is not judged
here but when the resource is created.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from simulator.cloud.context import Context
from simulator.cloud.forward_table import Arns
from simulator.cloud.resources import MAPPINGS, Resource
from simulator.cloud.resources.declarations import ENFORCED, HONOURED, RECORDED, REFUSED
from simulator.cloud.resources.mapping import NOT_MAPPED
from simulator.errors import TemplateError

RUNS, FORWARDED = "runs", "forwarded"
"""Verdicts on a type, beside REFUSED: the twin's own code acts on it; moto has it.

Those on a property, ENFORCED, HONOURED and RECORDED, are declared beside the type's mapper.
"""


class _ReachedCall(Exception):
    """No error: the mapper got as far as it should."""

    def __init__(self, service: str, operation: str) -> None:
        super().__init__(f"{service}:{operation}")
        self.service = service
        self.operation = operation


class _Surveyed(Resource):
    """A resource whose first call only says that it was reached."""

    def call(self, service: str, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        """Stop, everything having been read."""
        self._stop(service, operation)

    def register(self, change: Callable[[Any], None]) -> None:
        """Stop, everything having been read."""
        self._stop("iam", "")

    def _stop(self, service: str, operation: str) -> NoReturn:
        self.properties.check_all_read()
        raise _ReachedCall(service, operation)


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


def survey_resource(resource: _Surveyed, body: Mapping[str, Any], row: Row) -> None:
    """Take one resource into its type's row."""
    row.count += 1
    mapping = MAPPINGS.get(resource.type)
    if mapping is None:
        row.verdict = REFUSED
        row.problems.append(f"{resource.stack}: {resource.logical_id}: no such type in the twin")
        return
    written = body.get("Properties", {})
    for name, each in mapping.declared.items():
        if name in written and each.verdict == RECORDED:
            row.recorded[name] = each.why
    refused = ""
    try:
        mapping.create(resource)
    except _ReachedCall as reached:
        arns = Arns(resource.context.account, resource.context.region)
        forwarded = arns.table_of_operations().get(reached.service, {})
        row.verdict = FORWARDED if reached.operation in forwarded else RUNS
    except TemplateError as error:
        if NOT_MAPPED in str(error):
            row.verdict = REFUSED
            row.problems.append(str(error).removesuffix(f" ({resource.type})"))
            refused = error_path(str(error))
    for name in written:
        if name == refused or name not in mapping.declared:
            row.properties[name] = REFUSED
        elif row.properties.get(name) != REFUSED:
            row.properties[name] = mapping.declared[name].verdict


def error_path(message: str) -> str:
    """Return the name of the property, not of what is in it, that an error speaks of."""
    path = message.partition(".Properties.")[2].partition(":")[0]
    return path.partition(".")[0].partition("[")[0]


def surveyed(
    bodies: Iterable[tuple[str, str, Mapping[str, Any], Any]], context: Context
) -> list[Row]:
    """Return a row a type, in the order of names.

    ``bodies`` are (stack, logical id, body, resolved properties).
    """
    rows: dict[str, Row] = {}
    for stack, logical_id, body, values in bodies:
        kind = str(body.get("Type"))
        resource = _Surveyed(stack, logical_id, kind, values, context)
        survey_resource(resource, body, rows.setdefault(kind, Row(kind)))
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
        return "".join(f"{problem} ({kind})" for kind, problem in problems)
    lines = [f"  {kind}: {problem}" for kind, problem in problems]
    return "\n".join([f"{len(problems)} things that the twin does not have:", *lines])
