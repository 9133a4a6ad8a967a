"""What Application Auto Scaling is asked: permissions, what is found again, what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from simulator.cloud.autoscaling import LINKED_ROLE
from simulator.cloud.errors import AccessDenied, AwsError, NotSupportedByTwin
from simulator.cloud.tests.job_fakes import ACCOUNT, ROLE
from simulator.cloud.tests.scaling_fakes import (
    METRIC,
    PLACE,
    RESOURCE,
    SAGEMAKER,
    Scaled,
    scaled_twin,
)


@pytest.fixture
def scaled(tmp_path: Path) -> Iterator[Scaled]:
    with scaled_twin(tmp_path) as made:
        yield made


NEEDED = {
    "application-autoscaling:RegisterScalableTarget": "arn:aws:application-autoscaling:*:*:*",
    "sagemaker:DescribeEndpoint": "*",
    "sagemaker:UpdateEndpointWeightsAndCapacities": "*",
    "iam:CreateServiceLinkedRole": f"arn:aws:iam::{ACCOUNT}:{LINKED_ROLE}",
    "application-autoscaling:PutScalingPolicy": "arn:aws:application-autoscaling:*:*:*",
    "cloudwatch:PutMetricAlarm": f"arn:aws:cloudwatch:*:*:alarm:TargetTracking-{RESOURCE}-*",
}


@pytest.mark.parametrize("missing", [None, *NEEDED])
def test_the_caller_needs_each_permission_that_the_guide_lists(
    scaled: Scaled, missing: str | None
) -> None:
    twin = scaled.twin
    twin.allow(*[([action], [on]) for action, on in NEEDED.items() if action != missing])
    caller = twin.iam.principal_for_role(ROLE, "tests", SAGEMAKER)
    limits = {"MinCapacity": 2, "MaxCapacity": 4}
    policy = {
        "PolicyName": "track",
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": {
            "TargetValue": 5.0,
            "PredefinedMetricSpecification": METRIC,
        },
    }
    service = "application-autoscaling"

    def both() -> None:
        twin.dispatch(caller, service, "RegisterScalableTarget", {**PLACE, **limits})
        twin.dispatch(caller, service, "PutScalingPolicy", {**PLACE, **policy})

    if missing is None:
        both()
        return
    with pytest.raises(AccessDenied, match=missing.replace("*", ".*")):
        both()


def test_a_target_and_its_policy_are_found_changed_and_removed(scaled: Scaled) -> None:
    with pytest.raises(AwsError, match="No scalable target registered for service namespace: sage"):
        scaled.track()
    scaled.register()
    scaled.do("RegisterScalableTarget", **PLACE, MaxCapacity=5)
    (target,) = scaled.do("DescribeScalableTargets", ServiceNamespace="sagemaker")[
        "ScalableTargets"
    ]
    assert (target["MinCapacity"], target["MaxCapacity"]) == (2, 5)
    assert target["RoleARN"].endswith("AutoScaling_SageMakerEndpoint")
    first = scaled.track()
    assert scaled.track(TargetValue=9.0) == first
    (policy,) = scaled.do("DescribeScalingPolicies", ServiceNamespace="sagemaker")[
        "ScalingPolicies"
    ]
    assert policy["TargetTrackingScalingPolicyConfiguration"]["TargetValue"] == 9.0
    assert policy["Alarms"] == first["Alarms"]
    scaled.do("DeleteScalingPolicy", **PLACE, PolicyName="track")
    with pytest.raises(AwsError, match="No scaling policy found"):
        scaled.do("DeleteScalingPolicy", **PLACE, PolicyName="track")
    assert scaled.alarms.states() == {}
    scaled.do("DeregisterScalableTarget", **PLACE)
    with pytest.raises(AwsError, match="No scalable target"):
        scaled.do("DeregisterScalableTarget", **PLACE)


REFUSED: list[tuple[str, dict[str, Any], type[AwsError], str]] = [
    ("RegisterScalableTarget", {"ServiceNamespace": "ecs"}, NotSupportedByTwin, "of ecs"),
    ("RegisterScalableTarget", {"MaxCapacity": 50}, NotSupportedByTwin, "more than 8"),
    ("RegisterScalableTarget", {"MinCapacity": 0}, NotSupportedByTwin, "below one"),
    ("RegisterScalableTarget", {"MinCapacity": 5}, AwsError, "must not be above"),
    ("RegisterScalableTarget", {"ResourceId": "table/t"}, AwsError, "Unsupported resource ID"),
    (
        "RegisterScalableTarget",
        {"ResourceId": "endpoint/e/variant/x"},
        AwsError,
        "has no variant x",
    ),
    ("RegisterScalableTarget", {"ResourceId": "endpoint/x/variant/x"}, AwsError, "Could not find"),
    ("RegisterScalableTarget", {"RoleARN": ROLE}, NotSupportedByTwin, "RoleARN"),
]


@pytest.mark.parametrize(("operation", "change", "kind", "words"), REFUSED)
def test_what_cannot_be_registered_is_refused(
    scaled: Scaled, operation: str, change: dict[str, Any], kind: type[AwsError], words: str
) -> None:
    with pytest.raises(kind, match=words):
        scaled.do(operation, **{**PLACE, "MinCapacity": 1, "MaxCapacity": 4, **change})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"PolicyType": "StepScaling"}, "of the type StepScaling"),
        ({"PolicyName": "second"}, "a second scaling policy"),
        (
            {
                "TargetTrackingScalingPolicyConfiguration": {
                    "TargetValue": 1.0,
                    "CustomizedMetricSpecification": {"MetricName": "m", "Namespace": "n"},
                }
            },
            "CustomizedMetricSpecification",
        ),
        (
            {
                "TargetTrackingScalingPolicyConfiguration": {
                    "TargetValue": 1.0,
                    "PredefinedMetricSpecification": {
                        "PredefinedMetricType": "ECSServiceAverageCPUUtilization"
                    },
                }
            },
            "only SageMakerVariantInvocationsPerInstance",
        ),
    ],
)
def test_policies_of_other_kinds_are_refused_by_name(
    scaled: Scaled, change: dict[str, Any], words: str
) -> None:
    scaled.register()
    scaled.track()
    policy = {
        "PolicyName": "track",
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": {
            "TargetValue": 1.0,
            "PredefinedMetricSpecification": METRIC,
        },
    }
    with pytest.raises(NotSupportedByTwin, match=words):
        scaled.do("PutScalingPolicy", **PLACE, **{**policy, **change})
