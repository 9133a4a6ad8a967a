"""What a target tracking policy asks for: its limits, its two alarms, how many instances it wants.

Pure functions for `autoscaling` and `autoscaling_activities`. Sources: Application Auto Scaling
API reference, TargetTrackingScalingPolicyConfiguration; its user guide, "How target tracking
scaling works"; names of alarms as recorded in public deployments. AWS does not publish how it
computes a capacity: here it is in proportion to the metric.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from simulator.cloud.errors import NotSupportedByTwin, ValidationError
from simulator.cloud.operations import Params

METRIC = "SageMakerVariantInvocationsPerInstance"
PERIOD_S = 60
HIGH_PERIODS, LOW_PERIODS = 3, 15
LOW_SHARE = 0.9
"""The low alarm's threshold is below the target, so that the two do not take turns."""
COOLDOWN_S = 300.0
"""Of endpoint variants, where a policy does not say another (API reference)."""
SERVICE, DIMENSION = "sagemaker", "sagemaker:variant:DesiredInstanceCount"


@dataclass(frozen=True)
class Tracking:
    """A policy's settings: ``target`` invocations a minute and instance, cooldowns."""

    target: float
    out_cooldown_s: float
    in_cooldown_s: float
    scales_in: bool

    @classmethod
    def of(cls, configuration: Params) -> Tracking:
        """Read a configuration; raises NotSupportedByTwin, ValidationError."""
        if "CustomizedMetricSpecification" in configuration:
            raise NotSupportedByTwin("a scaling policy with CustomizedMetricSpecification")
        metric = configuration.get("PredefinedMetricSpecification", {})
        kind = metric.get("PredefinedMetricType")
        if kind is None:
            raise ValidationError("A scaling policy needs a metric specification")
        if kind != METRIC or "ResourceLabel" in metric:
            raise NotSupportedByTwin(f"a scaling policy on {kind} (only {METRIC})")
        target = float(configuration["TargetValue"])
        if target <= 0.0:
            raise ValidationError("TargetValue must be above 0")
        return cls(
            target,
            float(configuration.get("ScaleOutCooldown", COOLDOWN_S)),
            float(configuration.get("ScaleInCooldown", COOLDOWN_S)),
            not configuration.get("DisableScaleIn", False),
        )

    def wanted_above(self, count: int, per_instance: float) -> int:
        """Return how many instances bring a metric that is above the target down to it."""
        return max(count, math.ceil(count * per_instance / self.target - 1e-9))

    def wanted_below(self, count: int, per_instance: Sequence[float]) -> int:
        """Return how many instances are enough for the busiest of the minutes looked at."""
        return min(count, max(1, math.ceil(count * max(per_instance) / self.target - 1e-9)))


def endpoint_and_variant(resource_id: str) -> tuple[str, str]:
    """Split ``endpoint/<name>/variant/<name>``; raises ValidationError."""
    parts = resource_id.split("/")
    if len(parts) != 4 or parts[0] != "endpoint" or parts[2] != "variant" or not all(parts):
        raise ValidationError(f"Unsupported resource ID: {resource_id}")
    return parts[1], parts[3]


def alarms_of(resource_id: str, policy_arn: str, tracking: Tracking) -> dict[str, Params]:
    """Return PutMetricAlarm's parameters of the policy's alarms, by High and Low.

    Without invocations there is no metric, and both end in INSUFFICIENT_DATA: as on AWS, an
    endpoint that nobody asks is not scaled in.
    """
    endpoint, variant = endpoint_and_variant(resource_id)
    common = {
        "Namespace": "AWS/SageMaker",
        "MetricName": "InvocationsPerInstance",
        "Dimensions": [
            {"Name": "EndpointName", "Value": endpoint},
            {"Name": "VariantName", "Value": variant},
        ],
        "Statistic": "Sum",
        "Period": PERIOD_S,
        "AlarmDescription": "DO NOT EDIT OR DELETE. For TargetTrackingScaling policy "
        f"{policy_arn}.",
    }
    sides = {
        "High": ("GreaterThanThreshold", HIGH_PERIODS, tracking.target),
        "Low": ("LessThanThreshold", LOW_PERIODS, LOW_SHARE * tracking.target),
    }
    return {
        side: {
            "AlarmName": f"TargetTracking-{resource_id}-Alarm{side}-{_id(policy_arn + side)}",
            "ComparisonOperator": comparison,
            "EvaluationPeriods": periods,
            "Threshold": threshold,
            **common,
        }
        for side, (comparison, periods, threshold) in sides.items()
        if side == "High" or tracking.scales_in
    }


def _id(text: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, text))


def policy_arn(region: str, account: str, resource_id: str, name: str) -> str:
    """Return the ARN of a policy, which has a made up but fixed id."""
    owner = f"{SERVICE}/{resource_id}:policyName/{name}"
    return (
        f"arn:aws:autoscaling:{region}:{account}:scalingPolicy:"
        f"{_id(f'{region}/{account}/{owner}')}:resource/{owner}"
    )
