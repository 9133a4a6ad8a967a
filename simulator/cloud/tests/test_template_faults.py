"""The first fault of a template does not hide the rest: all are in the table of what is missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.cloud import survey
from simulator.cloud.intrinsics import Reference, Scope
from simulator.cloud.template import deploy, survey_of
from simulator.cloud.tests.recording import only, recording_context, written
from simulator.errors import TemplateError


def parameter(value: Any, **more: Any) -> dict[str, Any]:
    properties = {"Name": "/p", "Type": "String", "Value": value}
    return {"Type": "AWS::SSM::Parameter", "Properties": properties, **more}


def queue(**properties: Any) -> dict[str, Any]:
    return {"Type": "AWS::SQS::Queue", "Properties": properties}


FAULTY = {
    **only(
        Chosen=parameter({"Fn::FindInMap": ["Sizes", "dev", "size"]}),
        Coded=parameter({"Fn::Join": ["", [{"Ref": "Jobs"}, {"Fn::Base64": "x"}]]}),
        Secret=parameter({"Fn::Join": ["", [{"Ref": "Jobs"}, "{{resolve:ssm:/a/b}}"]]}),
        Jobs=queue(QueueName={"Fn::ImportValue": "gone"}, Colour="red"),
        Late=parameter("x", DependsOn="Ghost", UpdatePolicy={}),
        Maybe=parameter("x", Condition="Unclear"),
        Unclear=parameter({"Fn::If": ["Unclear", "a", "b"]}),
        Asked=parameter({"Ref": "Wanted"}),
        Pool={"Type": "AWS::Cognito::UserPool", "Properties": {"Name": {"Ref": "Nothing"}}},
    ),
    "Mappings": {"Sizes": {"dev": {"size": "s"}}},
    "Conditions": {"Unclear": {"Fn::Equals": [{"Fn::FindInMap": ["Sizes", "a", "b"]}, "x"]}},
    "Parameters": {"Wanted": {"Type": "String"}},
    "Outputs": {"Gone": {"Value": {"Fn::GetAtt": ["Nowhere", "Arn"]}}},
}
NO_FUNCTION = "is not an intrinsic function the twin resolves"
SAID = [
    ("template", f"Conditions.Unclear: Fn::FindInMap {NO_FUNCTION}"),
    ("template", "Mappings: section is not supported by the twin"),
    ("template", "Outputs.Gone: Ref Nowhere leads to nothing in this stack"),
    ("AWS::SSM::Parameter", f"Chosen.Properties.Value: Fn::FindInMap {NO_FUNCTION}"),
    ("AWS::SSM::Parameter", f"Coded.Properties.Value[1][1]: Fn::Base64 {NO_FUNCTION}"),
    (
        "AWS::SSM::Parameter",
        "Secret.Properties.Value[1][1]: dynamic reference {{resolve:ssm:/a/b}} is not supported "
        "by the twin",
    ),
    (
        "AWS::SQS::Queue",
        "Jobs.Properties.QueueName: there is no output gone in this assembly",
    ),
    ("AWS::SQS::Queue", "Jobs.Properties.Colour: property is not mapped by the twin"),
    ("AWS::SSM::Parameter", "Late.DependsOn: there is no resource Ghost"),
    ("AWS::SSM::Parameter", "Late.UpdatePolicy: not supported by the twin"),
    (
        "AWS::SSM::Parameter",
        "Asked.Properties.Value: parameter Wanted has neither a default nor a value",
    ),
    ("AWS::Cognito::UserPool", "Pool.Properties.Name: Ref Nothing leads to nothing in this stack"),
    ("AWS::Cognito::UserPool", "Pool: no such type in the twin"),
]


def test_every_fault_is_listed_once_before_anything_is_created(tmp_path: Path) -> None:
    context, calls = recording_context(tmp_path)
    with pytest.raises(TemplateError) as caught:
        deploy(written(tmp_path, Dev=FAULTY), context, {})
    first, *lines = str(caught.value).splitlines()
    assert sorted(lines) == sorted(f"  {kind}: Dev: {text}" for kind, text in SAID)
    assert first == f"{len(SAID)} things that cannot be created on the twin:"
    assert calls.calls == []


def test_the_survey_has_a_row_of_what_belongs_to_no_resource(tmp_path: Path) -> None:
    context, _ = recording_context(tmp_path)
    rows = survey_of(written(tmp_path, Dev=FAULTY), context, {})
    listed = {row.type: row for row in rows}
    assert {row.verdict for row in rows} == {"refused"}
    assert listed["AWS::SQS::Queue"].properties == {"QueueName": "refused", "Colour": "refused"}
    assert listed["AWS::SSM::Parameter"].properties["Value"] == "refused"
    assert listed["AWS::SSM::Parameter"].properties["Name"] != "refused"
    assert [row.type for row in rows][-1] == survey.TEMPLATE
    assert "\ntemplate" in survey.table(rows)


def test_a_parameter_that_is_given_is_no_fault(tmp_path: Path) -> None:
    template = {**only(P=parameter({"Ref": "Wanted"})), "Parameters": {"Wanted": {}}}
    context, _ = recording_context(tmp_path)
    assembly = written(tmp_path, Dev=template)
    assert [len(row.problems) for row in survey_of(assembly, context, {})] == [1]
    assert [row.problems for row in survey_of(assembly, context, {"Wanted": "x"})] == [[]]


def test_what_another_resource_gives_is_no_fault(tmp_path: Path) -> None:
    picked = {"Fn::Select": [9, {"Fn::Split": ["/", {"Fn::GetAtt": ["Jobs", "Arn"]}]}]}
    context, _ = recording_context(tmp_path)
    template = only(P=parameter(picked), Jobs=queue())
    assert [row.problems for row in survey_of(written(tmp_path, D=template), context, {})] == [
        [],
        [],
    ]


FAULT = {"Fn::Cidr": ["10.0.0.0/8", 1, 1]}
trees = st.recursive(
    st.just(FAULT) | st.just("{{resolve:ssm:/a}}") | st.integers() | st.text("ab", max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("XY"), inner, max_size=3),
    max_leaves=12,
)


def places(tree: Any, path: str) -> list[str]:
    """Return where the faults of a tree are."""
    if tree in (FAULT, "{{resolve:ssm:/a}}"):
        return [path]
    if isinstance(tree, list):
        return [at for i, each in enumerate(tree) for at in places(each, f"{path}[{i}]")]
    if isinstance(tree, dict):
        return [at for key, each in tree.items() for at in places(each, f"{path}.{key}")]
    return []


def no_reference(reference: Reference) -> None:
    raise AssertionError(reference)


@given(trees)
def test_each_place_that_cannot_be_resolved_is_found_and_no_other(tree: Any) -> None:
    scope = Scope("Dev", {}, {"AWS::Region": "us-east-1"})
    found = [str(fault) for fault in scope.faults(tree, "P", no_reference)]
    assert [text.split(": ")[1] for text in found] == places(tree, "P")
    if not found:
        assert scope.resolve(tree, "P") == tree
    else:
        with pytest.raises(TemplateError):
            scope.resolve(tree, "P")
