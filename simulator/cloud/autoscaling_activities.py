"""What Application Auto Scaling does: it looks at a target's alarms and sets its instances.

Used by `autoscaling`, each minute after the alarms were evaluated. A change goes through
UpdateEndpointWeightsAndCapacities, so processes are really started and ended; while the endpoint
changes nothing is set. Source of cooldowns: API reference, ScaleOutCooldown and ScaleInCooldown;
words of activities as recorded in public deployments.
"""

from __future__ import annotations

import uuid
from collections.abc import Generator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import simpy

from simulator.cloud.alarms import Alarms
from simulator.cloud.autoscaling_rules import (
    DIMENSION,
    LOW_PERIODS,
    SERVICE,
    Tracking,
    endpoint_and_variant,
)
from simulator.cloud.context import Context
from simulator.cloud.errors import AwsError, NotSupportedByTwin
from simulator.cloud.operations import Answer, Params
from simulator.cloud.sagemaker_endpoints import Endpoints

NEVER_S = float("-inf")


@dataclass
class Policy:
    """A target tracking policy; ``alarms`` are names by High and Low."""

    name: str
    arn: str
    configuration: Params
    tracking: Tracking
    created: datetime
    alarms: dict[str, str]

    def shown(self, resource_id: str) -> Answer:
        """Return the policy as DescribeScalingPolicies shows it, without its alarms."""
        return {
            "PolicyARN": self.arn,
            "PolicyName": self.name,
            "ServiceNamespace": SERVICE,
            "ResourceId": resource_id,
            "ScalableDimension": DIMENSION,
            "PolicyType": "TargetTrackingScaling",
            "TargetTrackingScalingPolicyConfiguration": self.configuration,
            "CreationTime": self.created,
        }


@dataclass
class Target:
    """One variant that is scaled, and when it last was (seconds on the run's clock)."""

    resource_id: str
    arn: str
    created: datetime
    minimum: int
    maximum: int
    policy: Policy | None = None
    suspended: dict[str, bool] = field(default_factory=dict)
    scaled_out_s: float = NEVER_S
    scaled_in_s: float = NEVER_S

    def shown(self) -> Answer:
        """Return the target as DescribeScalableTargets shows it, without its role."""
        names = ("DynamicScalingIn", "DynamicScalingOut", "ScheduledScaling")
        return {
            "ServiceNamespace": SERVICE,
            "ResourceId": self.resource_id,
            "ScalableDimension": DIMENSION,
            "MinCapacity": self.minimum,
            "MaxCapacity": self.maximum,
            "CreationTime": self.created,
            "ScalableTargetARN": self.arn,
            "SuspendedState": {
                f"{name}Suspended": self.suspended.get(f"{name}Suspended", False) for name in names
            },
        }


@dataclass
class Activity:
    """One change of a number of instances, and what became of it."""

    number: int
    resource_id: str
    count: int
    cause: str
    started: datetime
    ended: datetime | None = None
    status: str = "InProgress"
    message: str = ""

    def shown(self) -> Answer:
        """Return the activity as DescribeScalingActivities shows it."""
        name = f"{self.resource_id}/{self.number}"
        return {
            "ActivityId": str(uuid.uuid5(uuid.NAMESPACE_URL, name)),
            "ServiceNamespace": SERVICE,
            "ResourceId": self.resource_id,
            "ScalableDimension": DIMENSION,
            "Description": f"Setting desired instance count to {self.count}.",
            "Cause": self.cause,
            "StartTime": self.started,
            "StatusCode": self.status,
            "StatusMessage": self.message,
            **({} if self.ended is None else {"EndTime": self.ended}),
        }


class Scaler:
    """Sets numbers of instances, and remembers that it did."""

    def __init__(self, context: Context, alarms: Alarms, endpoints: Endpoints) -> None:
        self._context = context
        self._alarms = alarms
        self._endpoints = endpoints
        self.activities: list[Activity] = []

    def keep_within(self, target: Target) -> None:
        """Bring a variant into its target's limits, where it is outside."""
        count = self._count(target)
        if count is not None and count < target.minimum:
            cause = f"minimum capacity was set to {target.minimum}"
            self._set(target, target.minimum, cause, NEVER_S)
        elif count is not None and count > target.maximum:
            cause = f"maximum capacity was set to {target.maximum}"
            self._set(target, target.maximum, cause, NEVER_S)

    def evaluate(self, target: Target) -> None:
        """Follow a target's policy, one minute's worth."""
        count = self._count(target)
        if count is None:
            return
        if not target.minimum <= count <= target.maximum:
            self.keep_within(target)
            return
        policy = target.policy
        if policy is None:
            return
        for side, follow in (("High", self._out), ("Low", self._in)):
            name = policy.alarms.get(side)
            if name is not None and self._alarms.state(name) == "ALARM":
                follow(target, policy, count, f"{_cause(name)} {policy.name}")
                return

    def _out(self, target: Target, policy: Policy, count: int, cause: str) -> None:
        """Add instances; in the cooldown of earlier ones nothing is added.

        AWS adds more there, too, if the metric asks for more than what was added before.
        """
        tracking = policy.tracking
        if count >= target.maximum or target.suspended.get("DynamicScalingOutSuspended"):
            return
        if self._now_s() - target.scaled_out_s < tracking.out_cooldown_s:
            return
        (value,) = self._alarms.recent(policy.alarms["High"], 1) or (0.0,)
        wanted = min(target.maximum, tracking.wanted_above(count, value))
        if wanted > count:
            self._set(target, wanted, cause, self._now_s())

    def _in(self, target: Target, policy: Policy, count: int, cause: str) -> None:
        """Take instances away, unless some were taken in the cooldown before."""
        tracking = policy.tracking
        if count <= target.minimum or target.suspended.get("DynamicScalingInSuspended"):
            return
        if self._now_s() - target.scaled_in_s < tracking.in_cooldown_s:
            return
        values = self._alarms.recent(policy.alarms["Low"], LOW_PERIODS)
        if not values:
            return
        wanted = max(target.minimum, tracking.wanted_below(count, values))
        if wanted < count:
            self._set(target, wanted, cause, self._now_s())

    def _now_s(self) -> float:
        return self._context.engine.env.now

    def _count(self, target: Target) -> int | None:
        """Return a variant's instances; None while it changes, and where it is no more."""
        endpoint, variant = endpoint_and_variant(target.resource_id)
        fleet = self._endpoints.fleet(endpoint)
        found = None if fleet is None else fleet.variant(variant)
        if found is None or not self._endpoints.is_idle(endpoint):
            return None
        return len(found.instances)

    def _set(self, target: Target, count: int, cause: str, at_s: float) -> None:
        engine = self._context.engine
        activity = Activity(
            len(self.activities) + 1, target.resource_id, count, cause, engine.now()
        )
        self.activities.append(activity)
        endpoint, variant = endpoint_and_variant(target.resource_id)
        wanted = [{"VariantName": variant, "DesiredInstanceCount": count}]
        request = {"EndpointName": endpoint, "DesiredWeightsAndCapacities": wanted}
        before = self._count(target)
        dispatch = self._context.dispatch
        try:
            # As the service-linked role, of which the account's owner decides nothing.
            dispatch(dispatch.root, "sagemaker", "UpdateEndpointWeightsAndCapacities", request)
        except (AwsError, NotSupportedByTwin) as error:
            activity.status, activity.ended = "Failed", engine.now()
            activity.message = f"Failed to set desired instance count to {count}. Reason: {error}"
            return
        activity.message = (
            f"Successfully set desired instance count to {count}. Waiting for change to be "
            "fulfilled by sagemaker."
        )
        engine.process(self._follow(target, activity, before or 0, at_s))

    def _follow(
        self, target: Target, activity: Activity, before: int, at_s: float
    ) -> Generator[simpy.Event, Any, None]:
        """Wait for the change's end, from which on a cooldown counts."""
        endpoint, _ = endpoint_and_variant(target.resource_id)
        yield self._endpoints.wait_event(endpoint)
        activity.ended = self._context.engine.now()
        if self._count(target) != activity.count:
            activity.status = "Failed"
            activity.message = (
                f"Failed to set desired instance count to {activity.count}. Reason: "
                f"{self._endpoints.failure(endpoint)}"
            )
            return
        activity.status = "Successful"
        activity.message = (
            f"Successfully set desired instance count to {activity.count}. Change successfully "
            "fulfilled by sagemaker."
        )
        if at_s == NEVER_S:
            return
        if activity.count > before:
            target.scaled_out_s = self._now_s()
        else:
            target.scaled_in_s = self._now_s()


def _cause(alarm: str) -> str:
    return f"monitor alarm {alarm} in state ALARM triggered policy"
