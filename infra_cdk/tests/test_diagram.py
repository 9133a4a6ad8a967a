"""The diagram is that of the committed template, and shows the way of a reading."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from infra_cdk.diagram import IMAGE, graph_of, svg_of
from infra_cdk.tests.snapshot import template

GRAPH = graph_of(template())
LABELS = {key: f"{kind}: {label}" for key, (_, label, kind) in GRAPH.boxes.items()}
ARROWS = {(LABELS[start], LABELS[end]) for start, end in GRAPH.arrows}


def test_the_committed_image_is_drawn_from_the_committed_template() -> None:
    drawn = svg_of(GRAPH)
    assert IMAGE.read_text(encoding="utf-8") == drawn, "run `python -m infra_cdk.diagram`"
    ElementTree.fromstring(drawn)


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("IoT TopicRule: telemetry", "Kinesis Stream: telemetry"),
        ("Kinesis Stream: telemetry", "Lambda Function: raw-writer"),
        ("Lambda Function: raw-writer", "S3 Bucket: raw"),
        ("Kinesis Stream: telemetry", "Lambda Function: detector"),
        ("Lambda Function: detector", "SNS Topic: alerts"),
        ("Glue Job: features", "S3 Bucket: processed"),
        ("StepFunctions StateMachine: training", "Glue Job: features"),
    ],
)
def test_an_arrow_leads_along_the_way_of_a_reading(start: str, end: str) -> None:
    assert (start, end) in ARROWS


def test_no_arrow_leads_both_along_and_against_a_mapping() -> None:
    assert ("Lambda Function: detector", "Kinesis Stream: telemetry") not in ARROWS


def test_a_type_without_a_column_is_an_error() -> None:
    with pytest.raises(ValueError, match="AWS::Braket::Job"):
        graph_of({"Resources": {"Other": {"Type": "AWS::Braket::Job"}}})
