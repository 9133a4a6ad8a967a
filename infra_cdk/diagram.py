"""Draw the infrastructure: ``python -m infra_cdk.diagram`` writes docs/images/infrastructure.svg.

Reads the committed template only, needs no CDK, and gives the same bytes for the same template.
A box is a resource (or a group that is one thing to a reader), an arrow leads from what refers
to, starts or may use something to that thing; roles are not drawn, their statements are arrows.
`synth` calls this too, so that the picture is as new as the template.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
TEMPLATE = REPOSITORY / "infra_cdk" / "snapshots" / "FleetwinDev.template.json"
IMAGE = REPOSITORY / "docs" / "images" / "infrastructure.svg"

COLUMNS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("Ways in", "#7a4fb5", ("AWS::IoT::", "AWS::DataSync::", "AWS::Kinesis::")),
    ("Functions, clocks", "#c2571a", ("AWS::Lambda::", "AWS::Events::")),
    ("Workflows", "#b0275f", ("AWS::StepFunctions::",)),
    ("Jobs, models", "#1f7a5c", ("AWS::Glue::Job", "AWS::SageMaker::")),
    ("Data", "#2f6f2f", ("AWS::S3::", "AWS::DynamoDB::", "AWS::Glue::", "AWS::LakeFormation::")),
    ("Watching", "#2a5db0", ("AWS::CloudWatch::", "AWS::SNS::", "AWS::SQS::", "AWS::QuickSight::")),
)
"""Heading, colour and types of each column; a type is in the first that names its beginning."""
GROUPS = {
    "AWS::CloudWatch::Alarm": "alarms",
    "AWS::CloudWatch::CompositeAlarm": "alarms",
    "AWS::DataSync::": "maintenance transfer",
    "AWS::IoT::Policy": "machines",
    "AWS::QuickSight::": "reports",
    "AWS::IoT::ThingType": "machines",
    "AWS::LakeFormation::": "tags and grants",
    "AWS::Glue::Database": "catalog",
    "AWS::Glue::Table": "catalog",
}
"""Types whose resources are one box together."""
LINKS = {
    "AWS::Lambda::EventSourceMapping": ("EventSourceArn", "FunctionName"),
    "AWS::SNS::Subscription": ("TopicArn", "Endpoint"),
}
"""Types that are an arrow by themselves: the properties with its beginning and its end."""
ROLE = "AWS::IAM::Role"
NOT_DRAWN = (
    *(ROLE, *LINKS, "AWS::SSM::", "AWS::Logs::", "AWS::S3::BucketPolicy"),
    *("AWS::SNS::TopicPolicy", "AWS::SQS::QueuePolicy", "AWS::CDK::"),
)
NAMES = re.compile(
    r"(Bucket|Table|Topic|Queue|Function|Rule|StateMachine|Dashboard|ModelPackageGroup)?Name$"
)
_BOX = (172, 34)
_STEP = (240, 52)
_TOP = 64

Body = Mapping[str, Any]


@dataclass(frozen=True)
class Graph:
    """Boxes by key: (column, label, kind); and arrows between keys."""

    boxes: dict[str, tuple[int, str, str]]
    arrows: tuple[tuple[str, str], ...]


def graph_of(template: Body) -> Graph:
    """Return what is drawn of a template; raises ValueError for a type that has no column."""
    resources: Body = template["Resources"]
    keys = {
        logical_id: _group(body["Type"]) or logical_id
        for logical_id, body in resources.items()
        if not body["Type"].startswith(NOT_DRAWN)
    }
    boxes: dict[str, tuple[int, str, str]] = {}
    for logical_id, key in keys.items():
        kind = resources[logical_id]["Type"]
        label = key if key != logical_id else _label(logical_id, resources[logical_id])
        if key != logical_id:
            members = sum(other == key for other in keys.values())
            boxes[key] = (_column(kind), f"{label} ({members})", kind.split("::")[1])
        else:
            boxes[key] = (_column(kind), label, " ".join(kind.split("::")[1:]))
    linked = set()
    for body in resources.values():
        if body["Type"] in LINKS:
            start, end = LINKS[body["Type"]]
            linked |= {
                (keys[one], keys[other])
                for one in _references(body["Properties"][start])
                for other in _references(body["Properties"][end])
            }
    # A function may read the stream that calls it: that is the same arrow, the other way round.
    used = {
        (keys[logical_id], keys[other])
        for logical_id in keys
        for other in _uses(logical_id, resources)
        if other in keys
    }
    arrows = linked | {arrow for arrow in used if arrow[::-1] not in linked}
    return Graph(boxes, tuple(sorted(arrow for arrow in arrows if arrow[0] != arrow[1])))


def svg_of(graph: Graph) -> str:
    """Return the drawing."""
    places: dict[str, tuple[int, int]] = {}
    heights = [0] * len(COLUMNS)
    for key, (column, _, _) in graph.boxes.items():
        places[key] = (20 + column * _STEP[0], _TOP + heights[column] * _STEP[1])
        heights[column] += 1
    width = 20 + len(COLUMNS) * _STEP[0]
    height = _TOP + max(heights) * _STEP[1] + 10
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        'font-family="sans-serif" font-size="12">',
        "<title>The resources of the stack and what each refers to or may use</title>",
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        '<marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" '
        'orient="auto"><path d="M0 0 8 4 0 8z" fill="#555555"/></marker>',
    ]
    for column, (heading, colour, _) in enumerate(COLUMNS):
        x = 20 + column * _STEP[0]
        lines.append(
            f'<text x="{x}" y="40" font-size="15" font-weight="bold" fill="{colour}">'
            f"{escape(heading)}</text>"
        )
    for start, end in graph.arrows:
        colour = COLUMNS[graph.boxes[start][0]][1]
        lines.append(
            f'<path d="{_curve(places[start], places[end])}" fill="none" stroke="{colour}" '
            'stroke-opacity="0.55" marker-end="url(#tip)"/>'
        )
    for key, (column, label, kind) in graph.boxes.items():
        x, y = places[key]
        lines += [
            f'<rect x="{x}" y="{y}" width="{_BOX[0]}" height="{_BOX[1]}" rx="5" fill="#ffffff" '
            f'stroke="{COLUMNS[column][1]}" stroke-width="1.5"/>',
            f'<text x="{x + 8}" y="{y + 15}">{escape(label)}</text>',
            f'<text x="{x + 8}" y="{y + 28}" font-size="9" fill="#666666">{escape(kind)}</text>',
        ]
    return "\n".join([*lines, "</svg>", ""])


def write_diagram() -> None:
    """Draw the committed template."""
    drawing = svg_of(graph_of(json.loads(TEMPLATE.read_text(encoding="utf-8"))))
    IMAGE.write_text(drawing, encoding="utf-8")


def _curve(start: tuple[int, int], end: tuple[int, int]) -> str:
    y1, y2 = start[1] + _BOX[1] // 2, end[1] + _BOX[1] // 2
    if start[0] == end[0]:
        x = start[0] + _BOX[0]
        return f"M{x} {y1}C{x + 40} {y1} {x + 40} {y2} {x} {y2}"
    forward = start[0] < end[0]
    x1 = start[0] + (_BOX[0] if forward else 0)
    x2 = end[0] + (0 if forward else _BOX[0])
    bend = 60 if forward else -60
    return f"M{x1} {y1}C{x1 + bend} {y1} {x2 - bend} {y2} {x2} {y2}"


def _column(kind: str) -> int:
    for column, (_, _, beginnings) in enumerate(COLUMNS):
        if kind.startswith(beginnings):
            return column
    raise ValueError(f"{kind}: no column of the diagram has it; add it to COLUMNS or NOT_DRAWN")


def _group(kind: str) -> str | None:
    return next((group for start, group in GROUPS.items() if kind.startswith(start)), None)


def _label(logical_id: str, body: Body) -> str:
    for key, value in sorted(body.get("Properties", {}).items()):
        if NAMES.fullmatch(key):
            parts = value["Fn::Join"][1] if isinstance(value, dict) and "Fn::Join" in value else []
            text = value if isinstance(value, str) else str(parts[0]) if parts else ""
            if text:
                return re.sub(r"^fleetwin[-_][a-z]+[-_]", "", text).rstrip("-")
    return re.sub(r"[0-9A-F]{8}$", "", logical_id)


def _uses(logical_id: str, resources: Body) -> Iterator[str]:
    """Yield what a resource refers to, and what the roles that it refers to may use."""
    for other in _references(resources[logical_id].get("Properties", {})):
        if resources.get(other, {}).get("Type") == ROLE:
            yield from _references(resources[other]["Properties"].get("Policies", []))
        else:
            yield other


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for part in value:
            yield from _references(part)
    elif isinstance(value, dict):
        for key, argument in value.items():
            if key == "Ref":
                yield argument
            elif key == "Fn::GetAtt":
                yield argument[0] if isinstance(argument, list) else argument.split(".")[0]
            elif key == "Fn::Sub":
                text = argument if isinstance(argument, str) else argument[0]
                yield from (name.split(".")[0] for name in re.findall(r"\$\{([^!}]+)\}", text))
                yield from _references(argument[1:] if isinstance(argument, list) else [])
            else:
                yield from _references(argument)


if __name__ == "__main__":
    write_diagram()
