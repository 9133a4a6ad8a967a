"""An app of stages: assemblies within an assembly, whose stacks are one twin's, in their order."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.cloud.assembly import Assembly, Stack, load_assembly
from simulator.cloud.stack_order import in_order
from simulator.cloud.template import deploy
from simulator.cloud.tests.recording import ACCOUNT, only, recording_context
from simulator.errors import TemplateError


def queue(name: str) -> dict[str, Any]:
    return only(Q={"Type": "AWS::SQS::Queue", "Properties": {"QueueName": name}})


def manifest(folder: Path, artifacts: Mapping[str, Any]) -> None:
    folder.mkdir(exist_ok=True, parents=True)
    (folder / "manifest.json").write_text(json.dumps({"artifacts": artifacts}))


def stage(folder: str, **more: Any) -> dict[str, Any]:
    return {"type": "cdk:cloud-assembly", "properties": {"directoryName": folder, **more}}


def stack(
    folder: Path, artifact: str, *, name: str = "", after: tuple[str, ...] = (), **template: Any
) -> dict[str, Any]:
    """Write a template and return the artifact that names it."""
    folder.mkdir(exist_ok=True, parents=True)
    (folder / f"{artifact}.template.json").write_text(json.dumps(template or queue(artifact)))
    properties = {"templateFile": f"{artifact}.template.json"} | (
        {"stackName": name} if name else {}
    )
    return {
        "type": "aws:cloudformation:stack",
        "environment": f"aws://{ACCOUNT}/us-east-1",
        "properties": properties,
        "dependencies": [*after, f"{artifact}.assets"],
    }


def staged(folder: Path) -> Assembly:
    """Write an app of a stack, a stage, and a stage in that, and read it back."""
    outer, inner = folder / "assembly-Prod", folder / "assembly-Prod" / "assembly-Prod-Deep"
    manifest(folder, {"App": stack(folder, "App"), "assembly-Prod": stage("assembly-Prod")})
    manifest(
        outer,
        {
            "ProdA1": stack(outer, "ProdA1", name="Prod-A", after=("ProdZ2",)),
            "ProdZ2": stack(outer, "ProdZ2", name="Prod-Z"),
            "assembly-Prod-Deep": stage("assembly-Prod-Deep"),
            "ProdA1.assets": {
                "type": "cdk:asset-manifest",
                "properties": {"file": "ProdA1.assets.json"},
            },
        },
    )
    shared = {"files": {"c0de": {"source": {"path": "../asset.c0de", "packaging": "zip"}}}}
    (outer / "ProdA1.assets.json").write_text(json.dumps(shared))
    (folder / "asset.c0de").mkdir()
    manifest(inner, {"Deep": stack(inner, "Deep", name="Prod-Deep-B")})
    return load_assembly(folder)


def test_the_stacks_and_assets_of_stages_are_read_with_the_apps(tmp_path: Path) -> None:
    assembly = staged(tmp_path)
    assert {each.name for each in assembly.stacks} == {"App", "Prod-A", "Prod-Z", "Prod-Deep-B"}
    assert assembly.assets == {"c0de": (tmp_path / "asset.c0de").resolve()}
    assert (assembly.account, assembly.region) == (ACCOUNT, "us-east-1")


def test_every_stages_resources_are_created_those_that_others_depend_on_first(
    tmp_path: Path,
) -> None:
    context, calls = recording_context(tmp_path)
    done = deploy(staged(tmp_path), context, {})
    assert set(done.resources) == {"App/Q", "Prod-A/Q", "Prod-Z/Q", "Prod-Deep-B/Q"}
    names = [call["QueueName"] for call in calls.of("CreateQueue")]
    assert names.index("ProdZ2") < names.index("ProdA1")


def test_what_a_stage_does_not_have_is_refused(tmp_path: Path) -> None:
    outer = tmp_path / "assembly-Prod"
    pool = only(Pool={"Type": "AWS::Cognito::UserPool", "Properties": {}})
    manifest(tmp_path, {"assembly-Prod": stage("assembly-Prod")})
    manifest(outer, {"P": stack(outer, "P", name="Prod-P", **pool)})
    context, _ = recording_context(tmp_path)
    with pytest.raises(TemplateError, match=r"Prod-P: Pool: the twin has no resource type"):
        deploy(load_assembly(tmp_path), context, {})


def test_stages_that_one_twin_cannot_hold_are_refused_by_name(tmp_path: Path) -> None:
    one, other = tmp_path / "assembly-One", tmp_path / "assembly-Other"
    stages = {"assembly-One": stage("assembly-One"), "assembly-Other": stage("assembly-Other")}
    manifest(tmp_path, stages)
    manifest(one, {"S1": stack(one, "S1", name="Same")})
    manifest(other, {"S2": stack(other, "S2", name="Same")})
    with pytest.raises(TemplateError, match="more than one stack is called Same"):
        load_assembly(tmp_path)
    elsewhere = stack(other, "S2", name="Other") | {"environment": f"aws://{ACCOUNT}/eu-west-1"}
    manifest(other, {"S2": elsewhere})
    with pytest.raises(TemplateError, match="one account and region"):
        load_assembly(tmp_path)


@pytest.mark.parametrize("properties", [{}, {"directoryName": "."}])
def test_a_stage_without_a_folder_of_its_own_is_refused_by_name(
    tmp_path: Path, properties: dict[str, str]
) -> None:
    manifest(tmp_path, {"Prod": {"type": "cdk:cloud-assembly", "properties": properties}})
    with pytest.raises(TemplateError, match="the stage Prod names no folder"):
        load_assembly(tmp_path)
    manifest(tmp_path, {"Prod": stage("gone")})
    with pytest.raises(TemplateError, match=r"gone.manifest\.json: no such file"):
        load_assembly(tmp_path)


def test_stacks_that_wait_for_each_other_are_refused(tmp_path: Path) -> None:
    artifacts = {
        "A": stack(tmp_path, "A", after=("B",)),
        "B": stack(tmp_path, "B", after=("A",)),
    }
    manifest(tmp_path, artifacts)
    with pytest.raises(TemplateError, match="stacks need each other in a circle: "):
        load_assembly(tmp_path)


@given(st.data())
def test_a_stack_waits_for_all_of_those_it_depends_on_also_through_an_empty_one(
    data: st.DataObject,
) -> None:
    count = data.draw(st.integers(1, 5))
    stacks, needs = [], {}
    for number in range(count):
        earlier = st.sets(st.integers(0, number - 1), max_size=2) if number else st.just(set())
        after = data.draw(earlier)
        stacks.append(Stack(f"S{number}", {}, tuple(f"S{one}" for one in sorted(after))))
        for resource in range(data.draw(st.integers(0, 3))):
            needs[f"S{number}", f"R{resource}"] = list[tuple[str, str]]()
    before: dict[str, set[str]] = {}
    for each in stacks:
        before[each.name] = {*each.after, *(far for one in each.after for far in before[one])}
    order = in_order(dict(data.draw(st.permutations(list(needs.items())))), stacks)
    assert sorted(order) == sorted(needs)
    for at, (name, _) in enumerate(order):
        assert not {later for later, _ in order[at:]} & before[name]
