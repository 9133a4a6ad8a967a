"""The loader: references, conditions, order, and every way in which it fails closed."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.cloud.errors import AwsError
from simulator.cloud.intrinsics import Scope
from simulator.cloud.template import deploy, load_assembly
from simulator.cloud.tests.recording import only, recording_context, written
from simulator.errors import TemplateError, UnknownResourceType

PSEUDO = {"AWS::AccountId": "000000000000", "AWS::Region": "us-east-1", "AWS::Partition": "aws"}


def parameter(value: Any, **more: Any) -> dict[str, Any]:
    """Return an SSM parameter, the smallest resource that shows how a value was resolved."""
    properties = {"Name": "/p", "Type": "String", "Value": value}
    return {"Type": "AWS::SSM::Parameter", "Properties": properties, **more}


def deployed_value(tmp_path: Path, value: Any, **sections: Any) -> Any:
    template = {**only(P=parameter(value), **sections.pop("Others", {})), **sections}
    context, calls = recording_context(tmp_path)
    deploy(written(tmp_path, Dev=template), context, {})
    return next(each["Value"] for each in calls.of("PutParameter") if each["Name"] == "/p")


def refusal(tmp_path: Path, *, parameters: dict[str, str] | None = None, **stacks: Any) -> str:
    """Return the one-line error of a deployment, having checked that it is one line."""
    context, calls = recording_context(tmp_path)
    with pytest.raises(TemplateError) as caught:
        deploy(written(tmp_path, **stacks), context, parameters or {})
    assert "\n" not in str(caught.value)
    assert calls.calls == []
    return str(caught.value)


TOPIC = {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": "alerts"}}
ALERTS_ARN = "arn:aws:sns:us-east-1:000000000000:alerts"

VALUES = [
    ({"Ref": "AWS::Region"}, "us-east-1"),
    ({"Ref": "Topic"}, ALERTS_ARN),
    ({"Fn::GetAtt": ["Topic", "TopicName"]}, "alerts"),
    ({"Fn::GetAtt": "Topic.TopicName"}, "alerts"),
    ({"Fn::Join": ["-", ["a", {"Ref": "AWS::AccountId"}, 3]]}, "a-000000000000-3"),
    (
        {"Fn::Sub": "x-${AWS::AccountId}-${Topic.TopicName}-${!Kept}"},
        "x-000000000000-alerts-${Kept}",
    ),
    ({"Fn::Sub": ["${A}/${Size}", {"A": {"Ref": "Topic"}}]}, f"{ALERTS_ARN}/7"),
    ({"Fn::Select": [1, {"Fn::Split": [":", {"Ref": "Topic"}]}]}, "aws"),
    ({"Fn::Select": ["0", ["a", "b"]]}, "a"),
    ({"Fn::If": ["IsDev", "dev", {"Ref": "Nowhere"}]}, "dev"),
    ({"Fn::If": ["IsLarge", "large", "small"]}, "small"),
    ({"Fn::ToJsonString": {"a": [{"Ref": "Size"}]}}, '{"a":["7"]}'),
]


@pytest.mark.parametrize(("value", "expected"), VALUES)
def test_intrinsic_functions_give_what_the_reference_says(
    tmp_path: Path, value: Any, expected: str
) -> None:
    found = deployed_value(
        tmp_path,
        value,
        Others={"Topic": TOPIC},
        Parameters={"Size": {"Type": "Number", "Default": 7}, "Stage": {"Default": "dev"}},
        Conditions={
            "IsDev": {"Fn::Equals": [{"Ref": "Stage"}, "dev"]},
            "IsLarge": {
                "Fn::And": [
                    {"Condition": "IsDev"},
                    {"Fn::Not": [{"Fn::Or": [{"Condition": "IsDev"}, {"Fn::Equals": ["a", "b"]}]}]},
                ]
            },
        },
    )
    assert found == expected


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text("abc ", max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text("XYZ", min_size=1, max_size=3), inner, max_size=3)
    ),
    max_leaves=20,
)


@given(plain)
def test_plain_data_resolves_to_itself_and_refers_to_nothing(value: Any) -> None:
    scope = Scope("Dev", {}, PSEUDO)
    assert scope.resolve(value, "P") == value
    assert list(scope.references(value, "P")) == []


@given(st.lists(st.text("ab:-", max_size=4), min_size=1, max_size=6))
def test_split_undoes_join(parts: list[str]) -> None:
    joined = {"Fn::Join": ["/", parts]}
    assert Scope("Dev", {}, PSEUDO).resolve({"Fn::Split": ["/", joined]}, "P") == parts


def test_no_value_leaves_out_the_property_and_the_list_item() -> None:
    nothing = {"Ref": "AWS::NoValue"}
    value = {"kept": [1, nothing, 2], "left_out": nothing}
    assert Scope("Dev", {}, PSEUDO).resolve(value, "P") == {"kept": [1, 2]}


def test_resources_are_created_after_what_they_refer_to(tmp_path: Path) -> None:
    other = parameter("x")
    other["Properties"]["Name"] = "/other"
    template = only(
        Last=parameter({"Fn::Sub": "${Middle}"}),
        Middle={**other, "DependsOn": ["Topic"]},
        Topic=TOPIC,
    )
    context, calls = recording_context(tmp_path)
    done = deploy(written(tmp_path, Dev=template), context, {})
    assert [operation for _, operation, _ in calls.calls] == [
        "CreateTopic",
        "PutParameter",
        "PutParameter",
    ]
    assert list(done.resources) == ["Last", "Middle", "Topic"]


def test_a_resource_whose_condition_is_false_does_not_exist(tmp_path: Path) -> None:
    template = {
        **only(P=parameter("x", Condition="Never"), Topic={**TOPIC, "DependsOn": "P"}),
        "Conditions": {"Never": {"Fn::Equals": ["a", "b"]}},
        "Outputs": {"P": {"Condition": "Never", "Value": {"Ref": "P"}}},
    }
    context, _ = recording_context(tmp_path)
    done = deploy(written(tmp_path, Dev=template), context, {})
    assert list(done.resources) == ["Topic"]
    assert done.outputs == {}


def test_metadata_and_policies_about_deletion_are_accepted(tmp_path: Path) -> None:
    extra = {"DeletionPolicy": "Retain", "UpdateReplacePolicy": "Delete", "Metadata": {"a": 1}}
    template = only(P=parameter("x", **extra), CDKMetadata={"Type": "AWS::CDK::Metadata"})
    context, _ = recording_context(tmp_path)
    assert list(deploy(written(tmp_path, Dev=template), context, {}).resources) == ["P"]


def test_outputs_and_finding_by_type_and_name(tmp_path: Path) -> None:
    template = {**only(Topic=TOPIC), "Outputs": {"Arn": {"Value": {"Ref": "Topic"}}}}
    context, _ = recording_context(tmp_path)
    done = deploy(written(tmp_path, Dev=template), context, {})
    assert done.outputs == {"Arn": ALERTS_ARN}
    assert done.find("AWS::SNS::Topic") == [done.resources["Topic"]]
    assert done.named("AWS::SNS::Topic", "alerts").attributes["TopicName"] == "alerts"
    with pytest.raises(TemplateError, match="0 resources"):
        done.named("AWS::SNS::Topic", "other")


@pytest.mark.parametrize(
    "read",
    [
        {"Fn::ImportValue": {"Fn::Sub": "shared-${AWS::Region}"}},
        {"Fn::GetStackOutput": {"StackName": "Zebra", "OutputName": "Arn"}},
    ],
)
def test_a_stack_reads_another_stacks_output_whatever_their_names_order(
    tmp_path: Path, read: Any
) -> None:
    export = {"Name": {"Fn::Join": ["-", ["shared", {"Ref": "AWS::Region"}]]}}
    zebra = {**only(Topic=TOPIC), "Outputs": {"Arn": {"Value": {"Ref": "Topic"}, "Export": export}}}
    context, calls = recording_context(tmp_path)
    done = deploy(written(tmp_path, Ant=only(P=parameter(read)), Zebra=zebra), context, {})
    assert calls.of("PutParameter")[0]["Value"] == ALERTS_ARN
    assert set(done.resources) == {"Ant/P", "Zebra/Topic"}
    assert done.outputs == {"Zebra/Arn": ALERTS_ARN}


# -- parameters


def test_an_override_replaces_the_default(tmp_path: Path) -> None:
    template = {
        **only(P=parameter({"Ref": "Spec"})),
        "Parameters": {"Spec": {"Type": "String", "Default": "old"}},
    }
    context, calls = recording_context(tmp_path)
    deploy(written(tmp_path, Dev=template), context, {"Spec": "new"})
    assert calls.of("PutParameter")[0]["Value"] == "new"


@pytest.mark.parametrize(
    ("declared", "override", "said"),
    [
        ({"Type": "String"}, {"Other": "x"}, "no template parameter Other; known: Spec"),
        ({"Type": "String"}, {}, "Spec has neither a default nor a value"),
        ({"AllowedValues": ["a", "b"]}, {"Spec": "c"}, "'c' is not one of a, b"),
        ({"AllowedPattern": "[a-z]+"}, {"Spec": "A"}, "does not match"),
        ({"Type": "Number"}, {"Spec": "x"}, "not a number"),
        ({"Type": "Number", "MaxValue": 3}, {"Spec": "4"}, "outside"),
    ],
)
def test_a_parameter_that_is_not_admitted_is_refused(
    tmp_path: Path, declared: Any, override: dict[str, str], said: str
) -> None:
    template = {**only(P=parameter({"Ref": "Spec"})), "Parameters": {"Spec": declared}}
    assert said in refusal(tmp_path, parameters=override, Dev=template)


# -- failing closed


def test_an_unknown_resource_type_is_named_with_stack_and_logical_id(tmp_path: Path) -> None:
    line = refusal(tmp_path, Dev=only(P=parameter("x"), Net={"Type": "AWS::EC2::VPC"}))
    assert line.startswith("Dev: Net: the twin has no resource type AWS::EC2::VPC")
    context, _ = recording_context(tmp_path)
    with pytest.raises(UnknownResourceType):
        deploy(load_assembly(tmp_path), context, {})


def test_an_unmapped_property_is_named_with_its_path(tmp_path: Path) -> None:
    broken = {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": "a", "Shape": "round"}}
    assert refusal(tmp_path, Dev=only(T=broken)) == (
        "Dev: T.Properties.Shape: property is not mapped by the twin (AWS::SNS::Topic)"
    )


def test_an_unmapped_property_deep_inside_is_named_with_its_path(tmp_path: Path) -> None:
    rule = {
        "Type": "AWS::IoT::TopicRule",
        "Properties": {
            "TopicRulePayload": {
                "Sql": "SELECT * FROM 'a'",
                "Actions": [{"Kinesis": {"StreamName": "s", "RoleArn": "r" * 20, "Colour": "red"}}],
            }
        },
    }
    assert "R.Properties.TopicRulePayload.Actions[0].Kinesis.Colour: property is not mapped" in (
        refusal(tmp_path, Dev=only(R=rule))
    )


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"Fn::Cidr": ["10.0.0.0/8", 1, 1]}, "Fn::Cidr is not an intrinsic function"),
        ({"Fn::FindInMap": ["a", "b", "c"]}, "Fn::FindInMap is not"),
        ({"Ref": "Nowhere"}, "Ref Nowhere leads to nothing"),
        ({"Fn::GetAtt": ["Nowhere", "Arn"]}, "Ref Nowhere leads to nothing"),
        ({"Fn::Sub": "a-${Nowhere.Arn}"}, "Ref Nowhere leads to nothing"),
        ({"Fn::Sub": "a-${AWS::Moon}"}, "AWS::Moon"),
        ({"Fn::ImportValue": "gone"}, "there is no output gone"),
        ({"Fn::GetStackOutput": {"StackName": "S", "OutputName": "O"}}, "there is no output S.O"),
        (
            {"Fn::GetStackOutput": {"StackName": "S", "OutputName": "O", "Region": "mars"}},
            "another region",
        ),
        ({"Fn::If": ["Maybe", 1, 2]}, "there is no condition Maybe"),
        ({"Fn::Join": ["-", "text"]}, "Fn::Join needs a list"),
        ({"Fn::Select": [3, ["a"]]}, "Fn::Select 3"),
        ("{{resolve:ssm:/a/b}}", "dynamic reference"),
    ],
)
def test_what_cannot_be_resolved_is_named_with_its_path(
    tmp_path: Path, value: Any, said: str
) -> None:
    line = refusal(tmp_path, Dev=only(P=parameter(value)))
    assert line.startswith("Dev: P.Properties.Value: ")
    assert said in line


def test_an_attribute_that_the_twin_does_not_know_is_refused(tmp_path: Path) -> None:
    context, _ = recording_context(tmp_path)
    template = only(P=parameter({"Fn::GetAtt": ["T", "Mood"]}), T=TOPIC)
    with pytest.raises(
        TemplateError, match=r"P\.Properties\.Value: Fn::GetAtt T\.Mood is not known"
    ):
        deploy(written(tmp_path, Dev=template), context, {})


def test_a_circle_of_references_is_reported_in_the_order_of_need(tmp_path: Path) -> None:
    template = only(
        A=parameter({"Ref": "B"}), B=parameter({"Fn::Sub": "${C}"}), C=parameter("x", DependsOn="A")
    )
    line = refusal(tmp_path, Dev=template)
    said, _, circle = line.rpartition(": ")
    assert said == "Dev: resources need each other in a circle"
    names = circle.split(" -> ")
    assert set(pairwise(names)) == {("A", "B"), ("B", "C"), ("C", "A")}


def test_conditions_and_outputs_that_depend_on_themselves_are_refused(tmp_path: Path) -> None:
    conditions = {"A": {"Fn::Not": [{"Condition": "B"}]}, "B": {"Condition": "A"}}
    circular = {**only(P=parameter("x", Condition="A")), "Conditions": conditions}
    assert "depends on itself" in refusal(tmp_path, Dev=circular)
    itself = {"Fn::GetStackOutput": {"StackName": "Dev", "OutputName": "O"}}
    outputs = {**only(P=parameter(itself)), "Outputs": {"O": {"Value": itself}}}
    assert "output O depends on itself" in refusal(tmp_path, Dev=outputs)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"UpdatePolicy": {}}, "P.UpdatePolicy: not supported"),
        ({"DependsOn": "Ghost"}, "there is no resource Ghost"),
        ({"Condition": "Ghost"}, "there is no condition Ghost"),
    ],
)
def test_what_a_resource_says_beside_its_properties_is_checked(
    tmp_path: Path, change: Any, said: str
) -> None:
    assert said in refusal(tmp_path, Dev=only(P=parameter("x", **change)))


@pytest.mark.parametrize("section", ["Mappings", "Transform", "Hooks"])
def test_a_section_that_the_twin_does_not_read_is_refused(tmp_path: Path, section: str) -> None:
    line = refusal(tmp_path, Dev={**only(P=parameter("x")), section: {}})
    assert line == f"Dev: {section}: section is not supported by the twin"


def test_an_error_of_the_service_names_the_resource(tmp_path: Path) -> None:
    context, calls = recording_context(tmp_path)
    calls.fails = {"CreateTopic": AwsError("Throttled", "slow down")}
    with pytest.raises(
        TemplateError, match=r"Dev: T\.Properties: sns:CreateTopic answered Throttled"
    ):
        deploy(written(tmp_path, Dev=only(T=TOPIC)), context, {})


# -- the folder


def test_assets_lead_to_their_sources_below_the_nearest_folder_that_has_them_all(
    tmp_path: Path,
) -> None:
    snapshots = tmp_path / "infra" / "snapshots"
    snapshots.mkdir(parents=True)
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "job.py").touch()
    package = {"packaging": "zip", "path": ".", "include": ["code"]}
    sources = {"function": package, "job": {"packaging": "file", "path": "code/job.py"}}
    (snapshots / "sources.json").write_text(json.dumps(sources))
    assembly = written(snapshots, Dev=only(P=parameter("x")))
    context, _ = recording_context(tmp_path)
    deploy(assembly, context, {})
    assert context.assets == {"function": tmp_path, "job": tmp_path / "code" / "job.py"}
    (tmp_path / "code" / "job.py").unlink()
    with pytest.raises(TemplateError, match=r"asset job has no source code/job\.py"):
        load_assembly(snapshots)
    (snapshots / "sources.json").write_text(json.dumps({"function": "infra"}))
    assert load_assembly(snapshots, root=tmp_path).assets == {"function": tmp_path / "infra"}


def test_account_and_region_come_from_the_manifest(tmp_path: Path) -> None:
    assembly = written(tmp_path, Dev=only(P=parameter("x")))
    assert (assembly.account, assembly.region) == ("000000000000", "us-east-1")
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    manifest["artifacts"]["Dev"]["environment"] = "aws://unknown-account/unknown-region"
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    again = load_assembly(tmp_path)
    assert (again.account, again.region) == (None, None)


def test_an_assembly_for_another_account_is_refused(tmp_path: Path) -> None:
    written(tmp_path, Dev=only(P=parameter("x")))
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    manifest["artifacts"]["Dev"]["environment"] = "aws://111111111111/us-east-1"
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    context, _ = recording_context(tmp_path)
    with pytest.raises(TemplateError, match="synthesized for account 111111111111, the twin has 0"):
        deploy(load_assembly(tmp_path), context, {})


def test_a_folder_without_a_readable_manifest_is_refused_with_the_cure(tmp_path: Path) -> None:
    with pytest.raises(TemplateError, match=r"manifest\.json: no such file; write it with"):
        load_assembly(tmp_path)
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(TemplateError, match=r"manifest\.json: no such file; write it with"):
        load_assembly(tmp_path / "manifest.json")
    with pytest.raises(TemplateError, match="not JSON"):
        load_assembly(tmp_path)
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(TemplateError, match="names no stack"):
        load_assembly(tmp_path)
