"""The model registry: versions, approvals, models made of packages, and its file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from simulator.cloud.errors import AwsError, NotSupportedByTwin
from simulator.cloud.sagemaker_endpoints import Endpoints
from simulator.cloud.tests.endpoint_fakes import configure, faked, invoke, serve
from simulator.cloud.tests.job_fakes import IMAGE, ROLE, JobTwin

Pair = tuple[JobTwin, Endpoints]
GROUP = "detectors"


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with faked(tmp_path) as (twin, service):
        twin.do("sagemaker", "CreateModelPackageGroup", ModelPackageGroupName=GROUP)
        yield twin, service


def _package(twin: JobTwin, **more: Any) -> str:
    answer = twin.do(
        "sagemaker",
        "CreateModelPackage",
        ModelPackageGroupName=GROUP,
        InferenceSpecification={"Containers": [{"Image": IMAGE, "Environment": {"A": "1"}}]},
        **more,
    )
    return str(answer["ModelPackageArn"])


def _model(twin: JobTwin, arn: str) -> None:
    container = {"ModelPackageName": arn}
    twin.do(
        "sagemaker",
        "CreateModel",
        ModelName="packed",
        PrimaryContainer=container,
        ExecutionRoleArn=ROLE,
    )


def _listed(twin: JobTwin, **params: Any) -> list[int]:
    answer = twin.do("sagemaker", "ListModelPackages", **params)
    return [each["ModelPackageVersion"] for each in answer["ModelPackageSummaryList"]]


def test_only_an_approved_package_becomes_a_model_and_serves(pair: Pair) -> None:
    twin, service = pair
    events: list[Any] = []
    twin.context.emit = lambda *event: events.append(event)
    arn = _package(twin)
    with pytest.raises(AwsError, match="PendingManualApproval"):
        _model(twin, arn)
    approval = {"ModelApprovalStatus": "Approved", "ApprovalDescription": "seen"}
    twin.do("sagemaker", "UpdateModelPackage", ModelPackageArn=arn, **approval)
    _model(twin, arn)
    twin.do("sagemaker", "DeleteModelPackage", ModelPackageName=arn)
    configure(twin, "packed", {})
    statuses = [detail["ModelApprovalStatus"] for _, _, detail, _ in events]
    assert statuses == ["PendingManualApproval", "Approved"]
    assert {kind for _, kind, _, _ in events} == {"SageMaker Model Package State Change"}
    assert events[1][2]["ModelPackageGroupName"] == GROUP
    serve(twin, service, "packed")
    assert invoke(twin)["Body"] == b"1"


def test_versions_count_up_and_are_not_given_twice(pair: Pair) -> None:
    twin, _ = pair
    first = _package(twin)
    twin.do("sagemaker", "DeleteModelPackage", ModelPackageName=first)
    assert _package(twin).endswith(f"model-package/{GROUP}/2")


def test_a_request_that_is_repeated_with_its_token_makes_no_second_version(pair: Pair) -> None:
    twin, _ = pair
    first = _package(twin, ClientToken="a")
    assert _package(twin, ClientToken="a") == first
    assert _package(twin, ClientToken="b").endswith("/2")
    assert _package(twin).endswith("/3")
    assert _listed(twin, ModelPackageGroupName=GROUP) == [1, 2, 3]
    with pytest.raises(NotSupportedByTwin, match="ClientToken of another request"):
        _package(twin, ClientToken="a", ModelApprovalStatus="Approved")
    twin.do("sagemaker", "DeleteModelPackage", ModelPackageName=first)
    assert _package(twin, ClientToken="a").endswith("/4"), "there is nothing to return"


def test_packages_are_listed_by_group_and_approval_in_order_and_pages(pair: Pair) -> None:
    twin, _ = pair
    for status in ("Approved", "Rejected", "Approved"):
        _package(twin, ModelApprovalStatus=status)
    named = {"ModelPackageGroupName": GROUP}
    assert _listed(twin, **named) == [1, 2, 3]
    assert _listed(twin, **named, SortOrder="Descending", MaxResults=2) == [3, 2]
    assert _listed(twin, **named, ModelApprovalStatus="Approved") == [1, 3]
    assert _listed(twin, **named, NextToken="2") == [3]
    assert _listed(twin) == []
    assert _listed(twin, ModelPackageType="Both") == [1, 2, 3]


def test_the_registry_outlives_its_twin(pair: Pair) -> None:
    twin, _ = pair
    arn = _package(twin, CustomerMetadataProperties={"auc": "0.9"})
    described = twin.do("sagemaker", "DescribeModelPackage", ModelPackageName=arn)
    twin.dispatch.register("sagemaker", Endpoints(twin.context).operations())
    assert twin.do("sagemaker", "DescribeModelPackage", ModelPackageName=arn) == described
    assert _package(twin).endswith("/2")


def test_what_is_missing_used_or_unsupported_is_refused(pair: Pair) -> None:
    twin, _ = pair
    with pytest.raises(AwsError, match="already exists"):
        twin.do("sagemaker", "CreateModelPackageGroup", ModelPackageGroupName=GROUP)
    with pytest.raises(NotSupportedByTwin, match="ModelPackageName"):
        twin.do("sagemaker", "CreateModelPackage", ModelPackageName="alone")
    with pytest.raises(NotSupportedByTwin, match="SourceUri"):
        _package(twin, SourceUri="s3://a/b")
    arn = _package(twin)
    with pytest.raises(AwsError, match="still contains"):
        twin.do("sagemaker", "DeleteModelPackageGroup", ModelPackageGroupName=GROUP)
    twin.do("sagemaker", "DeleteModelPackage", ModelPackageName=arn)
    twin.do("sagemaker", "DeleteModelPackageGroup", ModelPackageGroupName=GROUP)
    for operation, params in (
        ("DescribeModelPackage", {"ModelPackageName": arn}),
        ("DescribeModelPackageGroup", {"ModelPackageGroupName": GROUP}),
    ):
        with pytest.raises(AwsError, match="does not exist"):
            twin.do("sagemaker", operation, **params)
