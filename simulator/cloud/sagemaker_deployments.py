"""How an endpoint comes to a configuration: created, updated blue/green, reweighed, rolled back.

Called by `sagemaker_endpoints`; everything passes on the run's clock. The old fleet serves until
the new one answers, and each of its processes ends after the last request that it was given.
Source: SageMaker developer guide, "Deployment guardrails"; the times of launching are modelled.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import simpy

from simulator.cloud.context import Context
from simulator.cloud.engine import SimGenerator
from simulator.cloud.errors import AwsError, NotSupportedByTwin
from simulator.cloud.operations import Answer, Params, Principal
from simulator.cloud.sagemaker_fleets import Fleet, Launcher, LaunchFailed, Shares, Variant

CREATE_S = 240.0
UPDATE_S = 240.0
"""Modelled time from the request to InService; AWS takes some minutes for an instance."""
REWEIGH_S = 60.0
ROLLBACK_S = 60.0
ALARM_CHECK_S = 15.0
LONGEST_S = 28_800.0
"""The most that MaximumExecutionTimeoutInSeconds takes (DeploymentConfig API reference)."""
BUSY = ("Creating", "Updating", "RollingBack")


@dataclass
class Endpoint:
    """One endpoint: the fleet in service, and the one that is to replace it."""

    name: str
    arn: str
    config: str
    created: datetime
    modified: datetime
    settled: simpy.Event
    status: str = "Creating"
    failure: str = ""
    fleet: Fleet | None = None
    pending: Fleet | None = None
    pending_config: str = ""
    pending_since: datetime | None = None
    pending_share: float = 0.0
    shares: Shares = field(default_factory=Shares)
    last_deployment: Params | None = None

    def serving(self) -> Fleet | None:
        """Return the fleet that gets the next request; None before the first is up."""
        if self.fleet is None or self.pending is None:
            return self.fleet
        blue, green = self.fleet, self.pending
        turn = self.shares.turn([1.0 - self.pending_share, self.pending_share])
        return (blue, green)[turn]


@dataclass(frozen=True)
class Plan:
    """A DeploymentConfig: the shares of traffic in order, and how long each is watched."""

    steps: tuple[float, ...] = (1.0,)
    bake_s: float = 0.0
    termination_s: float = 0.0
    limit_s: float = LONGEST_S
    alarms: tuple[str, ...] = ()


def plan_of(deployment: Params, instances: int) -> Plan:
    """Read a DeploymentConfig for a fleet of so many instances; raises ValidationException.

    The rules of sizes are those of the API reference: a canary of at most 50 % of the capacity,
    linear steps of 10 to 50 %.
    """
    if "RollingUpdatePolicy" in deployment:
        raise NotSupportedByTwin(
            "sagemaker:UpdateEndpoint with RollingUpdatePolicy (the twin updates blue/green)"
        )
    policy = deployment.get("BlueGreenUpdatePolicy", {})
    routing = policy.get("TrafficRoutingConfiguration", {"Type": "ALL_AT_ONCE"})
    bake_s = float(routing.get("WaitIntervalInSeconds", 0))
    steps = _steps(routing, instances)
    termination_s = float(policy.get("TerminationWaitInSeconds", 0))
    limit_s = float(policy.get("MaximumExecutionTimeoutInSeconds", LONGEST_S))
    if limit_s <= termination_s + bake_s * len(steps):
        raise AwsError(
            "ValidationException",
            "MaximumExecutionTimeoutInSeconds should be larger than the total waiting time "
            "specified in TerminationWaitInSeconds and WaitIntervalInSeconds.",
        )
    alarms = deployment.get("AutoRollbackConfiguration", {}).get("Alarms", [])
    return Plan(
        steps, bake_s, termination_s, limit_s, tuple(alarm["AlarmName"] for alarm in alarms)
    )


def _steps(routing: Params, instances: int) -> tuple[float, ...]:
    kind = routing["Type"]
    if kind == "ALL_AT_ONCE":
        return (1.0,)
    member = {"CANARY": "CanarySize", "LINEAR": "LinearStepSize"}[kind]
    if member not in routing:
        raise AwsError("ValidationException", f"{member} is required for {kind} traffic routing.")
    size = routing[member]
    percent = (
        size["Value"] if size["Type"] == "CAPACITY_PERCENT" else (100.0 * size["Value"] / instances)
    )
    least = 10.0 if kind == "LINEAR" else 0.0
    if not least <= percent <= 50.0:
        raise AwsError(
            "ValidationException",
            f"{member} must be between {least:.0f}% and 50% of the endpoint's capacity, "
            f"not {percent:g}%.",
        )
    if kind == "CANARY":
        return (percent / 100.0, 1.0)
    shares = [percent * number / 100.0 for number in range(1, int(100.0 // percent) + 1)]
    return (*(share for share in shares if share < 1.0), 1.0)


class Deployments:
    """Brings endpoints to configurations; ``told`` hears of every change of a status."""

    def __init__(
        self, context: Context, launcher: Launcher, told: Callable[[Endpoint], None]
    ) -> None:
        self._context = context
        self._engine = context.engine
        self._launcher = launcher
        self._told = told

    def _become(self, endpoint: Endpoint, status: str, failure: str = "") -> None:
        endpoint.status, endpoint.modified = status, self._engine.now()
        endpoint.failure = failure
        self._told(endpoint)

    def _settle(self, endpoint: Endpoint, status: str, failure: str = "") -> None:
        endpoint.pending, endpoint.pending_config = None, ""
        endpoint.pending_since, endpoint.pending_share = None, 0.0
        self._become(endpoint, status, failure)
        endpoint.settled.succeed(status)

    def begin(self, endpoint: Endpoint, config: str = "") -> None:
        """Show an endpoint as changing, to ``config`` where that changes."""
        endpoint.settled = self._engine.env.event()
        endpoint.pending_config = config
        endpoint.pending_since = self._engine.now() if config else None
        self._become(endpoint, "Updating")

    def create(self, endpoint: Endpoint) -> SimGenerator:
        """Bring up the first fleet; one that does not come up leaves the endpoint Failed."""
        yield self._engine.env.timeout(CREATE_S)
        try:
            endpoint.fleet = yield from self._launcher.fleet(endpoint.name, endpoint.config, {})
        except (LaunchFailed, AwsError) as error:
            self._settle(endpoint, "Failed", str(error))
            return
        self._settle(endpoint, "InService")

    def update(
        self,
        endpoint: Endpoint,
        config: str,
        plan: Plan,
        kept: Mapping[str, Params],
        capture: tuple[Params | None] | None,
        caller: Principal,
    ) -> SimGenerator:
        """Replace the fleet blue/green by a plan, or go back to the old one and say why.

        ``capture`` replaces the data capture of the configuration when it is kept.
        """
        until_s = self._engine.env.now + plan.limit_s
        yield self._engine.env.timeout(UPDATE_S)
        try:
            green: Fleet = yield from self._launcher.fleet(endpoint.name, config, kept)
        except (LaunchFailed, AwsError) as error:
            yield from self._roll_back(endpoint, str(error))
            return
        if capture is not None:
            (green.capture,) = capture
        blue, endpoint.pending = endpoint.fleet, green
        for share in plan.steps:
            endpoint.pending_share = share
            why_not = yield from self._bake(plan, caller, until_s)
            if why_not:
                endpoint.pending, endpoint.pending_share = None, 0.0
                green.retire()
                yield from self._roll_back(endpoint, why_not)
                return
        if plan.termination_s and blue is not None:
            yield self._engine.env.timeout(plan.termination_s)
        endpoint.fleet, endpoint.config = green, config
        if blue is not None:
            blue.retire()
        self._settle(endpoint, "InService")

    def _bake(self, plan: Plan, caller: Principal, until_s: float) -> SimGenerator:
        """Watch the alarms for one baking period; return why to roll back, or ""."""
        ends_s = self._engine.env.now + plan.bake_s
        while True:
            raised = self.raised(plan.alarms, caller)
            if raised:
                return f"Alarm {', '.join(raised)} went into ALARM during the deployment."
            left_s = ends_s - self._engine.env.now
            if left_s <= 0.0:
                return ""
            if self._engine.env.now >= until_s:
                return "The deployment exceeded MaximumExecutionTimeoutInSeconds."
            yield self._engine.env.timeout(min(left_s, ALARM_CHECK_S))

    def raised(self, alarms: tuple[str, ...], caller: Principal) -> list[str]:
        """Return which of the alarms are in ALARM, seen with the caller's permissions."""
        if not alarms:
            return []
        found = self.alarms(alarms, caller)
        return [alarm["AlarmName"] for alarm in found if alarm["StateValue"] == "ALARM"]

    def alarms(self, names: tuple[str, ...], caller: Principal) -> list[dict[str, Any]]:
        """Describe alarms; raises AccessDenied."""
        request = {"AlarmNames": list(names), "AlarmTypes": ["MetricAlarm", "CompositeAlarm"]}
        answer = self._context.dispatch(caller, "cloudwatch", "DescribeAlarms", request)
        assert isinstance(answer, dict)
        return [*answer.get("MetricAlarms", []), *answer.get("CompositeAlarms", [])]

    def _roll_back(self, endpoint: Endpoint, why_not: str) -> SimGenerator:
        """Leave the old fleet in service; without one there is nothing to go back to."""
        if endpoint.fleet is None:
            self._settle(endpoint, "Failed", why_not)
            return
        self._become(endpoint, "RollingBack", why_not)
        yield self._engine.env.timeout(ROLLBACK_S)
        self._settle(endpoint, "InService", why_not)

    def reweigh(self, endpoint: Endpoint, desired: Mapping[str, Params]) -> SimGenerator:
        """Bring variants to other weights and numbers of instances, all or none."""
        fleet = endpoint.fleet
        assert fleet is not None
        yield self._engine.env.timeout(REWEIGH_S)
        had: dict[str, int] = {}
        try:
            for variant, wanted in _of(fleet, desired):
                had[variant.name] = len(variant.instances)
                count = wanted.get("DesiredInstanceCount", len(variant.instances))
                yield from self._launcher.scale(endpoint.name, variant, count)
        except (LaunchFailed, AwsError, ValueError) as error:
            for variant in fleet.variants:
                # Only what was added is taken back; what was retired is gone.
                count = min(had.get(variant.name, len(variant.instances)), len(variant.instances))
                yield from self._launcher.scale(endpoint.name, variant, count)
            self._settle(endpoint, "InService", str(error))
            return
        for variant, wanted in _of(fleet, desired):
            variant.weight = wanted.get("DesiredWeight", variant.weight)
        self._settle(endpoint, "InService")


def _of(fleet: Fleet, desired: Mapping[str, Params]) -> list[tuple[Variant, Params]]:
    return [(each, desired[each.name]) for each in fleet.variants if each.name in desired]


def excluded(params: Params) -> set[str]:
    """Return what an update does not retain of its variants."""
    named = params.get("ExcludeRetainedVariantProperties", [])
    return {each["VariantPropertyType"] for each in named}


def kept_of(endpoint: Endpoint, params: Params) -> dict[str, Params]:
    """Return, by variant, what an update keeps of the fleet in service."""
    if not params.get("RetainAllVariantProperties") or endpoint.fleet is None:
        return {}
    left_out = excluded(params)
    kept: dict[str, Params] = {}
    for variant in endpoint.fleet.variants:
        settings = kept.setdefault(variant.name, {})
        if "DesiredWeight" not in left_out:
            settings["InitialVariantWeight"] = variant.weight
        if "DesiredInstanceCount" not in left_out:
            settings["InitialInstanceCount"] = len(variant.instances)
    return kept


def shown(endpoint: Endpoint) -> Answer:
    """Return an endpoint as DescribeEndpoint shows it."""
    answer: Answer = {
        "EndpointName": endpoint.name,
        "EndpointArn": endpoint.arn,
        "EndpointConfigName": endpoint.config,
        "EndpointStatus": endpoint.status,
        "CreationTime": endpoint.created,
        "LastModifiedTime": endpoint.modified,
    }
    fleet = endpoint.fleet
    if fleet is not None:
        answer["ProductionVariants"] = [variant.shown() for variant in fleet.variants]
        if fleet.capture is not None:
            answer["DataCaptureConfig"] = {
                "EnableCapture": fleet.capture.get("EnableCapture", False),
                "CaptureStatus": "Started" if fleet.capture.get("EnableCapture") else "Stopped",
                "CurrentSamplingPercentage": fleet.capture["InitialSamplingPercentage"],
                "DestinationS3Uri": fleet.capture["DestinationS3Uri"],
                "KmsKeyId": fleet.capture.get("KmsKeyId", ""),
            }
    if endpoint.failure:
        answer["FailureReason"] = endpoint.failure
    if endpoint.last_deployment is not None:
        answer["LastDeploymentConfig"] = endpoint.last_deployment
    if endpoint.pending_config:
        answer["PendingDeploymentSummary"] = {
            "EndpointConfigName": endpoint.pending_config,
            "StartTime": endpoint.pending_since,
        }
        if endpoint.pending is not None:
            answer["PendingDeploymentSummary"]["ProductionVariants"] = [
                variant.shown() for variant in endpoint.pending.variants
            ]
    return answer
