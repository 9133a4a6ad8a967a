"""Examples of Application Auto Scaling, of the variant of an endpoint in service."""

from __future__ import annotations

from typing import Any

from parity_tests.contract.examples import Examples, below
from parity_tests.contract.world import World

scaling = Examples("application-autoscaling")

NAMESPACE = {"ServiceNamespace": "sagemaker"}
METRIC = {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"}


def place(w: World) -> dict[str, Any]:
    """Return what names the variant of the endpoint in service."""
    described = w.do("sagemaker", "DescribeEndpoint", EndpointName=w.endpoint)
    variant = described["ProductionVariants"][0]["VariantName"]
    return {
        **NAMESPACE,
        "ResourceId": f"endpoint/{w.endpoint}/variant/{variant}",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    }


def _target(w: World) -> dict[str, Any]:
    return {**place(w), "MinCapacity": 1, "MaxCapacity": 2}


def _registered(w: World) -> dict[str, Any]:
    w.do("application-autoscaling", "RegisterScalableTarget", **_target(w))
    return place(w)


def _policy_of(w: World) -> dict[str, Any]:
    return {
        **_registered(w),
        "PolicyName": "requests",
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": {
            "TargetValue": 100.0,
            "PredefinedMetricSpecification": METRIC,
        },
    }


def _policy(w: World) -> dict[str, Any]:
    w.do("application-autoscaling", "PutScalingPolicy", **_policy_of(w))
    return {**place(w), "PolicyName": "requests"}


def _scaled(w: World) -> dict[str, Any]:
    """Have an activity: one instance is too few for a moment."""
    described = _registered(w)
    for count in (2, 1):
        limits = {"MinCapacity": count, "MaxCapacity": count}
        w.do("application-autoscaling", "RegisterScalableTarget", **place(w), **limits)
        w.cloud.engine.run(w.cloud.endpoints.wait_event(w.endpoint))
        w.run()
    return {**NAMESPACE, "ResourceId": described["ResourceId"]}


_PLACE = "ServiceNamespace ResourceId ScalableDimension"
scaling.add("RegisterScalableTarget", _target, "ScalableTargetARN")
scaling.add(
    "DescribeScalableTargets",
    lambda w: NAMESPACE | {"ResourceIds": [_registered(w)["ResourceId"]]},
    below(
        "ScalableTargets",
        f"{_PLACE} MinCapacity MaxCapacity RoleARN CreationTime ScalableTargetARN"
        " SuspendedState.DynamicScalingInSuspended",
    ),
)
scaling.add("PutScalingPolicy", _policy_of, "PolicyARN Alarms.AlarmName Alarms.AlarmARN")
scaling.add(
    "DescribeScalingPolicies",
    lambda w: {**NAMESPACE, "ResourceId": _policy(w)["ResourceId"]},
    below(
        "ScalingPolicies",
        f"{_PLACE} PolicyARN PolicyName PolicyType Alarms.AlarmName CreationTime"
        " TargetTrackingScalingPolicyConfiguration.TargetValue",
    ),
)
scaling.add("DeleteScalingPolicy", _policy)
scaling.add(
    "DescribeScalingActivities",
    _scaled,
    below(
        "ScalingActivities",
        f"{_PLACE} ActivityId Description Cause StartTime EndTime StatusCode StatusMessage",
    ),
)
scaling.add("DeregisterScalableTarget", _registered)
