"""Which changes make another resource, and what a resource remembers of how it came about."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.cloud.resources import MAPPINGS, Resource
from simulator.cloud.resources.mapping import PERMISSIONS
from simulator.cloud.resources.replacement import CREATE_ONLY, changed, replacing
from simulator.cloud.tests.recording import recording_context

values = st.dictionaries(st.sampled_from("ABCD"), st.integers(0, 2), max_size=4)


@given(values, values)
def test_the_changed_names_are_those_that_differ_whichever_comes_first(
    old: dict[str, int], new: dict[str, int]
) -> None:
    names = changed(old, new)
    assert names == changed(new, old)
    assert {**old, **{n: new[n] for n in names if n in new}} == {
        **new,
        **{n: old[n] for n in old if n not in new},
    }
    assert changed(old, old) == []


@pytest.mark.parametrize(
    ("type_name", "old", "new", "said"),
    [
        ("AWS::S3::Bucket", {"BucketName": "a"}, {"BucketName": "b"}, ["BucketName"]),
        ("AWS::S3::Bucket", {"Tags": []}, {"BucketName": "b"}, ["BucketName"]),
        ("AWS::S3::Bucket", {"Tags": []}, {}, []),
        ("AWS::Kinesis::Stream", {"ShardCount": 1}, {"ShardCount": 2}, []),
        (
            "AWS::Glue::Table",
            {"TableInput": {"Name": "a", "Owner": "x"}},
            {"TableInput": {"Name": "b", "Owner": "y"}},
            ["TableInput/Name"],
        ),
        (
            "AWS::Glue::Table",
            {"TableInput": {"Name": "a", "Owner": "x"}},
            {"TableInput": {"Name": "a"}},
            [],
        ),
        ("AWS::Lambda::Permission", {"Action": "a"}, {"Action": "b"}, ["Action"]),
        ("AWS::DynamoDB::Table", {"KeySchema": [1]}, {"KeySchema": [2]}, ["KeySchema"]),
    ],
)
def test_a_property_of_the_table_needs_another_resource(
    type_name: str, old: dict[str, Any], new: dict[str, Any], said: list[str]
) -> None:
    assert replacing(type_name, old, new) == said


def test_the_table_speaks_of_types_that_the_loader_has() -> None:
    assert set(CREATE_ONLY) <= set(MAPPINGS)


def test_a_resource_remembers_what_changed_something_and_not_what_asked(tmp_path: Path) -> None:
    context, _ = recording_context(tmp_path)
    stream = Resource("Dev", "S", "AWS::Kinesis::Stream", {"ShardCount": 1}, context)
    MAPPINGS[stream.type].create(stream)
    assert [made.operation for made in stream.made] == ["CreateStream"]
    trust = {"Version": "2012-10-17", "Statement": []}
    role = Resource("Dev", "R", "AWS::IAM::Role", {"AssumeRolePolicyDocument": trust}, context)
    MAPPINGS[role.type].create(role)
    assert [(made.service, made.operation) for made in role.made] == [(PERMISSIONS, "put_role")]


def test_a_replacement_has_another_generated_name(tmp_path: Path) -> None:
    context, _ = recording_context(tmp_path)
    names = {
        Resource("Dev", "B", "AWS::S3::Bucket", {}, context, generation).name("BucketName")
        for generation in range(3)
    }
    assert len(names) == 3
    assert Resource("Dev", "B", "T", {"Name": "n"}, context, 2).name("Name") == "n"
