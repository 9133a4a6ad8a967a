"""Application Auto Scaling of SageMaker's endpoint variants: targets, policies, activities.

Called by `dispatch`; what a policy does each minute is in `autoscaling_activities`. The caller
needs what the service's user guide lists: the endpoint's own operations, the policy's alarms and,
for the first target, the service-linked role. The service itself acts as that role, which may do
what it needs. Source of shapes: Application Auto Scaling API reference. Of the words of errors
those for a target that is not registered, and for an endpoint that cannot be deleted, are recorded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from simulator.cloud.alarms import Alarms
from simulator.cloud.autoscaling_activities import Policy, Scaler, Target
from simulator.cloud.autoscaling_rules import (
    DIMENSION,
    SERVICE,
    Tracking,
    alarms_of,
    endpoint_and_variant,
    policy_arn,
)
from simulator.cloud.context import Context
from simulator.cloud.errors import AccessDenied, AwsError, NotSupportedByTwin, ValidationError
from simulator.cloud.operations import Answer, Call, Operation, Params, Principal
from simulator.cloud.pages import page
from simulator.cloud.sagemaker_endpoints import Endpoints
from simulator.cloud.sagemaker_models import MOST_INSTANCES

LINKED_ROLE = (
    "role/aws-service-role/sagemaker.application-autoscaling.amazonaws.com/"
    "AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint"
)
LINKED_SERVICE = "sagemaker.application-autoscaling.amazonaws.com"
_REFUSED = ("RoleARN", "Tags")
_PAGE = 50


class AutoScaling:
    """The account's scalable targets. Used on the engine's thread only."""

    def __init__(self, context: Context, alarms: Alarms, endpoints: Endpoints) -> None:
        self._context = context
        self._alarms = alarms
        self._endpoints = endpoints
        self._targets: dict[str, Target] = {}
        self._has_linked_role = False
        self._scaler = Scaler(context, alarms, endpoints)
        alarms.on_evaluated.append(self._evaluate)

    def operations(self) -> dict[str, Operation]:
        """Return the operations of ``application-autoscaling``, keyed by botocore's name."""
        return {
            "RegisterScalableTarget": Operation(self._register, self._arns),
            "DescribeScalableTargets": Operation(self._describe_targets),
            "DeregisterScalableTarget": Operation(self._deregister, self._arns),
            "PutScalingPolicy": Operation(self._put, self._arns),
            "DescribeScalingPolicies": Operation(self._describe_policies),
            "DeleteScalingPolicy": Operation(self._delete_policy, self._arns),
            "DescribeScalingActivities": Operation(self._describe_activities),
        }

    def guarding(self, operations: Mapping[str, Operation]) -> dict[str, Operation]:
        """Return SageMaker's operations; updates and deletions look at what is scaled."""
        guards = {"UpdateEndpoint": self._may_update, "DeleteEndpoint": self._may_delete}
        return {
            name: replace(operation, execute=_after(guards[name], operation.execute))
            if name in guards
            else operation
            for name, operation in operations.items()
        }

    # -- targets

    def _arn(self, resource_id: str) -> str:
        digest = hashlib.sha256(f"{SERVICE}/{resource_id}/{DIMENSION}".encode()).hexdigest()
        return self._context.arn("application-autoscaling", f"scalable-target/{digest[:36]}")

    def _arns(self, params: Params) -> Sequence[str]:
        return (self._arn(params["ResourceId"]),)

    def _target(self, params: Params) -> Target:
        _check_place(params)
        target = self._targets.get(params["ResourceId"])
        if target is None:
            raise AwsError(
                "ObjectNotFoundException",
                "No scalable target registered for service namespace: "
                f"{params['ServiceNamespace']}, resource ID: {params['ResourceId']}, scalable "
                f"dimension: {params['ScalableDimension']}",
            )
        return target

    def _register(self, call: Call) -> Answer:
        params = call.params
        _check_place(params)
        for name in _REFUSED:
            if name in params:
                raise NotSupportedByTwin(f"RegisterScalableTarget with {name}")
        endpoint, variant = endpoint_and_variant(params["ResourceId"])
        self._check_endpoint(endpoint, variant, call.principal)
        known = self._targets.get(params["ResourceId"])
        low = params.get("MinCapacity", None if known is None else known.minimum)
        high = params.get("MaxCapacity", None if known is None else known.maximum)
        if low is None or high is None:
            raise ValidationError("MinCapacity and MaxCapacity are required for a new target")
        if low > high:
            raise ValidationError("MinCapacity must not be above MaxCapacity")
        if low < 1 or high > MOST_INSTANCES:
            raise NotSupportedByTwin(
                f"a variant scaled below one instance, or to more than {MOST_INSTANCES}"
            )
        if known is None:
            self._link(call.principal)
            now = self._context.engine.now()
            known = Target(params["ResourceId"], self._arn(params["ResourceId"]), now, low, high)
            self._targets[known.resource_id] = known
        known.minimum, known.maximum = low, high
        known.suspended |= params.get("SuspendedState", {})
        self._scaler.keep_within(known)
        return {"ScalableTargetARN": known.arn}

    def _check_endpoint(self, endpoint: str, variant: str, caller: Principal) -> None:
        """Look at the endpoint with the caller's permissions, who must be allowed to scale it."""
        answer = self._context.dispatch(
            caller, "sagemaker", "DescribeEndpoint", {"EndpointName": endpoint}
        )
        arn = self._context.arn("sagemaker", f"endpoint/{endpoint.lower()}")
        self._context.iam.authorise(caller, "sagemaker:UpdateEndpointWeightsAndCapacities", arn)
        assert isinstance(answer, dict)
        variants = [each["VariantName"] for each in answer.get("ProductionVariants", [])]
        if variant not in variants:
            raise ValidationError(f"The endpoint {endpoint} has no variant {variant} in service")

    def _link(self, caller: Principal) -> None:
        """Have the service-linked role made for the account's first target, as its caller."""
        if not self._has_linked_role:
            self._context.iam.authorise(
                caller,
                "iam:CreateServiceLinkedRole",
                self._context.arn("iam", LINKED_ROLE, regional=False),
                {"iam:AWSServiceName": LINKED_SERVICE},
            )
            self._has_linked_role = True

    def _describe_targets(self, call: Call) -> Answer:
        role = self._context.arn("iam", LINKED_ROLE, regional=False)
        found = [
            {**target.shown(), "RoleARN": role}
            for target in self._chosen(call.params, "ResourceIds")
        ]
        return _paged("ScalableTargets", found, call.params)

    def _deregister(self, call: Call) -> Answer:
        self._forget(self._target(call.params))
        return {}

    def _forget(self, target: Target) -> None:
        if target.policy is not None:
            self._alarms.remove(target.policy.alarms.values())
        del self._targets[target.resource_id]

    def _chosen(self, params: Params, member: str = "ResourceId") -> list[Target]:
        wanted = params.get(member)
        names = [wanted] if isinstance(wanted, str) else wanted
        if names is None and "ScalableDimension" in params and member == "ResourceId":
            raise ValidationError("A ScalableDimension needs a ResourceId")
        in_namespace = params["ServiceNamespace"] == SERVICE
        return [
            target
            for name, target in sorted(self._targets.items())
            if in_namespace
            and (names is None or name in names)
            and params.get("ScalableDimension", DIMENSION) == DIMENSION
        ]

    # -- policies

    def _put(self, call: Call) -> Answer:
        params = call.params
        target = self._target(params)
        kind = params.get("PolicyType", "StepScaling")
        if kind != "TargetTrackingScaling":
            raise NotSupportedByTwin(f"a scaling policy of the type {kind}")
        configuration = params.get("TargetTrackingScalingPolicyConfiguration")
        if configuration is None:
            raise ValidationError("TargetTrackingScalingPolicyConfiguration is required")
        tracking = Tracking.of(configuration)
        if target.policy is not None and target.policy.name != params["PolicyName"]:
            raise NotSupportedByTwin("a second scaling policy of a target")
        context = self._context
        name = params["PolicyName"]
        arn = policy_arn(context.region, context.account, target.resource_id, name)
        definitions = alarms_of(target.resource_id, arn, tracking)
        self._may(call.principal, "PutMetricAlarm", [d["AlarmName"] for d in definitions.values()])
        alarms = {side: str(each["AlarmName"]) for side, each in definitions.items()}
        if target.policy is not None:
            self._alarms.remove(set(target.policy.alarms.values()) - set(alarms.values()))
        created = context.engine.now() if target.policy is None else target.policy.created
        target.policy = Policy(name, arn, configuration, tracking, created, alarms)
        for definition in definitions.values():
            self._alarms.put_tracking(definition, arn)
        return {"PolicyARN": arn, "Alarms": self._shown_alarms(target.policy)}

    def _may(self, caller: Principal, operation: str, alarms: Sequence[str]) -> None:
        for name in alarms:
            arn = self._context.arn("cloudwatch", f"alarm:{name}")
            self._context.iam.authorise(caller, f"cloudwatch:{operation}", arn)

    def _shown_alarms(self, policy: Policy) -> list[Answer]:
        return [
            {"AlarmName": name, "AlarmARN": self._context.arn("cloudwatch", f"alarm:{name}")}
            for name in policy.alarms.values()
        ]

    def _describe_policies(self, call: Call) -> Answer:
        names = call.params.get("PolicyNames")
        found = [
            {**policy.shown(target.resource_id), "Alarms": self._shown_alarms(policy)}
            for target in self._chosen(call.params)
            if (policy := target.policy) is not None and (names is None or policy.name in names)
        ]
        return _paged("ScalingPolicies", found, call.params)

    def _delete_policy(self, call: Call) -> Answer:
        target, name = self._target(call.params), call.params["PolicyName"]
        if target.policy is None or target.policy.name != name:
            raise AwsError(
                "ObjectNotFoundException",
                f"No scaling policy found for service namespace: {SERVICE}, resource ID: "
                f"{target.resource_id}, scalable dimension: {DIMENSION}, policy name: {name}",
            )
        alarms = list(target.policy.alarms.values())
        self._may(call.principal, "DeleteAlarms", alarms)
        self._alarms.remove(alarms)
        target.policy = None
        return {}

    def _describe_activities(self, call: Call) -> Answer:
        if call.params.get("IncludeNotScaledActivities"):
            raise NotSupportedByTwin("DescribeScalingActivities with IncludeNotScaledActivities")
        wanted = call.params.get("ResourceId")
        found = [
            activity.shown()
            for activity in reversed(self._scaler.activities)
            if call.params["ServiceNamespace"] == SERVICE
            and wanted in (None, activity.resource_id)
            and call.params.get("ScalableDimension", DIMENSION) == DIMENSION
        ]
        return _paged("ScalingActivities", found, call.params)

    # -- the minute, and what happens to endpoints

    def _evaluate(self) -> None:
        for _, target in sorted(self._targets.items()):
            self._scaler.evaluate(target)

    def _of(self, endpoint: str) -> list[Target]:
        prefix = f"endpoint/{endpoint}/"
        return [each for name, each in sorted(self._targets.items()) if name.startswith(prefix)]

    def _may_update(self, call: Call) -> None:
        """Refuse another instance type of what is scaled (developer guide; words our own)."""
        targets = self._of(call.params["EndpointName"])
        if not targets:
            return
        config = self._endpoints.models.config(call.params["EndpointConfigName"])
        types = {each["VariantName"]: each["InstanceType"] for each in config["ProductionVariants"]}
        for target in targets:
            _, variant = endpoint_and_variant(target.resource_id)
            fleet = self._endpoints.fleet(call.params["EndpointName"])
            served = None if fleet is None else fleet.variant(variant)
            if variant not in types:
                self._may_drop([target], call.principal, "UpdateEndpoint")
            elif served is not None and types[variant] != served.settings["InstanceType"]:
                raise AwsError(
                    "ValidationException",
                    f"The variant {variant} is a scalable target of Application Auto Scaling: "
                    "deregister it before its instance type is changed.",
                )

    def _may_delete(self, call: Call) -> None:
        self._may_drop(self._of(call.params["EndpointName"]), call.principal, "DeleteEndpoint")

    def _may_drop(self, targets: Sequence[Target], caller: Principal, operation: str) -> None:
        """Deregister targets whose variants go, if the caller may."""
        try:
            for target in targets:
                self._context.iam.authorise(
                    caller, "application-autoscaling:DeregisterScalableTarget", target.arn
                )
        except AccessDenied as denied:
            raise AwsError(
                "ValidationException",
                "An Application AutoScaling scalable target exists for a variant being deleted, "
                f"and the IAM identity used to invoke {operation} does not have "
                "application-autoscaling:DeregisterScalableTarget permission to deregister the "
                "scalable target.",
            ) from denied
        for target in targets:
            self._forget(target)


def _after(guard: Callable[[Call], None], execute: Callable[[Call], Any]) -> Callable[[Call], Any]:
    def guarded(call: Call) -> Any:
        guard(call)
        return execute(call)

    return guarded


def _check_place(params: Params) -> None:
    """Refuse what is scaled elsewhere on AWS."""
    namespace, dimension = params["ServiceNamespace"], params["ScalableDimension"]
    if (namespace, dimension) != (SERVICE, DIMENSION):
        raise NotSupportedByTwin(f"Application Auto Scaling of {namespace}, {dimension}")


def _paged(member: str, found: list[Answer], params: Params) -> Answer:
    limit = min(params.get("MaxResults", _PAGE), _PAGE)
    shown, token = page(found, limit, params.get("NextToken"), "InvalidNextTokenException")
    return {member: shown, **({} if token is None else {"NextToken": token})}
