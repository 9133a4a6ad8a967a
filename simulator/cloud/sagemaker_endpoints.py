"""SageMaker endpoints and invoking them.

Called by `dispatch`. An endpoint is a fleet of real processes of the models' containers
(`sagemaker_fleets`); its states pass on the run's clock (`sagemaker_deployments`).
"""

from __future__ import annotations

import re
from collections.abc import Generator, Sequence
from functools import partial
from typing import Any

import simpy

from simulator.cloud.context import Context
from simulator.cloud.endpoint_server import INVOKE_TIMEOUT_S, Reply
from simulator.cloud.errors import AwsError, NotSupportedByTwin
from simulator.cloud.operations import Answer, Call, Operation, Params
from simulator.cloud.sagemaker_capture import Capture
from simulator.cloud.sagemaker_deployments import (
    BUSY,
    CREATE_S,
    UPDATE_S,
    Deployments,
    Endpoint,
    excluded,
    kept_of,
    plan_of,
    shown,
)
from simulator.cloud.sagemaker_fleets import Fleet, Launcher, Variant
from simulator.cloud.sagemaker_listing import listed
from simulator.cloud.sagemaker_models import MOST_INSTANCES, Models
from simulator.cloud.sagemaker_packages import Packages

__all__ = ["BODY_LIMIT_B", "CREATE_S", "UPDATE_S", "Endpoints"]

BODY_LIMIT_B = 6_291_456
LENGTH_SLACK_B = 4_096
"""The limit in the 413's message is this much above the body's (recorded 2018, at 5 MiB)."""
ORIGINAL_CHARS = 1_024
MODEL_US, MODEL_US_PER_KIB = 324.0, 4.0
"""Modelled ModelLatency: a small model behind our server took 0.32 ms for one row as JSON and
1.5 ms for 256 rows (some 300 KiB)."""
OVERHEAD_US = 5_000.0
"""Modelled OverheadLatency: what AWS adds around a container, taken as constant."""
_REFUSED = ("TargetModel", "InferenceComponentName", "TargetContainerHostname", "SessionId")
_UPDATES = {
    "EndpointName",
    "EndpointConfigName",
    "DeploymentConfig",
    "RetainAllVariantProperties",
    "ExcludeRetainedVariantProperties",
    "RetainDeploymentConfig",
}


class Endpoints:
    """Endpoints of SageMaker and its runtime. Used on the engine's thread only."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._engine = context.engine
        self._packages = Packages(context)
        self.models = Models(context, self._packages.container)
        self._launcher = Launcher(context, self.models)
        self._deployments = Deployments(context, self._launcher, self._tell)
        self._capture = Capture(context)
        self._endpoints: dict[str, Endpoint] = {}

    def operations(self) -> dict[str, Operation]:
        """Return the operations of ``sagemaker``, keyed by botocore's name."""
        return {
            **self.models.operations(),
            **self._packages.operations(),
            "CreateEndpoint": Operation(self._create, self._both_arns),
            "UpdateEndpoint": Operation(self._update, self._both_arns),
            "UpdateEndpointWeightsAndCapacities": Operation(self._reweigh, self._arns),
            "DescribeEndpoint": Operation(
                lambda call: shown(self._endpoint(call.params["EndpointName"])), self._arns
            ),
            "ListEndpoints": Operation(self._list),
            "DeleteEndpoint": Operation(self._delete, self._arns),
        }

    def runtime_operations(self) -> dict[str, Operation]:
        """Return the operations of ``sagemaker-runtime``."""
        return {"InvokeEndpoint": Operation(self._invoke, self._arns, commutes=self._commutes)}

    def wait_event(self, name: str) -> simpy.Event:
        """Return the event of the end of the creation or update under way."""
        return self._endpoint(name).settled

    def fleet(self, name: str) -> Fleet | None:
        """Return the fleet in service; None where there is no endpoint, or none is up."""
        endpoint = self._endpoints.get(name)
        return None if endpoint is None else endpoint.fleet

    def is_idle(self, name: str) -> bool:
        """Tell whether an endpoint is there and nothing changes it."""
        return name in self._endpoints and self._endpoints[name].status not in BUSY

    def failure(self, name: str) -> str:
        """Return why an endpoint's last change failed, or ""."""
        return self._endpoints[name].failure if name in self._endpoints else "it was deleted"

    def close(self) -> None:
        """Write what was captured and end every server; of no use afterwards."""
        self._capture.close()
        for endpoint in self._endpoints.values():
            for fleet in (endpoint.fleet, endpoint.pending):
                if fleet is not None:
                    fleet.close()
        self._endpoints.clear()
        self._packages.close()

    # -- requests

    def _arns(self, params: Params) -> Sequence[str]:
        return (self._context.arn("sagemaker", f"endpoint/{params['EndpointName'].lower()}"),)

    def _both_arns(self, params: Params) -> Sequence[str]:
        """An endpoint is created on two resources (service authorization reference)."""
        return (*self._arns(params), self.models.config_arn(params["EndpointConfigName"]))

    def _endpoint(self, name: str) -> Endpoint:
        endpoint = self._endpoints.get(name)
        if endpoint is None:
            (arn,) = self._arns({"EndpointName": name})
            raise AwsError("ValidationException", f'Could not find endpoint "{arn}".')
        return endpoint

    def _idle(self, name: str) -> Endpoint:
        endpoint = self._endpoint(name)
        if endpoint.status in BUSY:
            raise AwsError(
                "ValidationException", f'Cannot update in-progress endpoint "{endpoint.arn}".'
            )
        return endpoint

    def _create(self, call: Call) -> Answer:
        name, now = call.params["EndpointName"], self._engine.now()
        (arn,) = self._arns(call.params)
        if "DeploymentConfig" in call.params:
            raise NotSupportedByTwin("sagemaker:CreateEndpoint with DeploymentConfig")
        config = self.models.config(call.params["EndpointConfigName"])["EndpointConfigName"]
        if name in self._endpoints:
            raise AwsError(
                "ValidationException", f'Cannot create already existing endpoint "{arn}".'
            )
        endpoint = Endpoint(name, arn, config, now, now, self._engine.env.event())
        self._endpoints[name] = endpoint
        self._tell(endpoint)
        self._engine.process(self._deployments.create(endpoint))
        return {"EndpointArn": arn}

    def _update(self, call: Call) -> Answer:
        params = call.params
        self._endpoint(params["EndpointName"])
        if extra := set(params) - _UPDATES:
            raise NotSupportedByTwin(f"sagemaker:UpdateEndpoint with {', '.join(sorted(extra))}")
        config = self.models.config(params["EndpointConfigName"])
        endpoint = self._idle(params["EndpointName"])
        deployment = params.get("DeploymentConfig")
        if deployment is None and params.get("RetainDeploymentConfig"):
            deployment = endpoint.last_deployment
        kept = kept_of(endpoint, params)
        instances = sum(
            {**variant, **kept.get(variant["VariantName"], {})}.get("InitialInstanceCount", 1)
            for variant in config["ProductionVariants"]
        )
        plan = plan_of(deployment or {}, instances)
        self._check_alarms(plan.alarms, call)
        endpoint.last_deployment = deployment
        name = config["EndpointConfigName"]
        self._deployments.begin(endpoint, name)
        keeps_capture = params.get("RetainAllVariantProperties") and "DataCaptureConfig" not in (
            excluded(params)
        )
        capture = (endpoint.fleet.capture,) if keeps_capture and endpoint.fleet else None
        self._engine.process(
            self._deployments.update(endpoint, name, plan, kept, capture, call.principal)
        )
        return {"EndpointArn": endpoint.arn}

    def _check_alarms(self, alarms: tuple[str, ...], call: Call) -> None:
        """Refuse alarms that are not there; the caller needs cloudwatch:DescribeAlarms."""
        if not alarms:
            return
        known = {alarm["AlarmName"] for alarm in self._deployments.alarms(alarms, call.principal)}
        if missing := [name for name in alarms if name not in known]:
            raise AwsError(
                "ValidationException", f"Could not find CloudWatch alarm {', '.join(missing)}."
            )

    def _reweigh(self, call: Call) -> Answer:
        endpoint = self._idle(call.params["EndpointName"])
        wanted = {each["VariantName"]: each for each in call.params["DesiredWeightsAndCapacities"]}
        if any("ServerlessUpdateConfig" in each for each in wanted.values()):
            raise NotSupportedByTwin(
                "sagemaker:UpdateEndpointWeightsAndCapacities with ServerlessUpdateConfig"
            )
        variants = endpoint.fleet.variants if endpoint.fleet is not None else []
        if unknown := sorted(set(wanted) - {variant.name for variant in variants}):
            raise AwsError(
                "ValidationException",
                f'The variant name(s) "{", ".join(unknown)}" is/are not present within endpoint '
                f'configuration "{endpoint.config}".',
            )
        counts, weights = [], []
        for variant in variants:
            desired = wanted.get(variant.name, {})
            counts.append(desired.get("DesiredInstanceCount", len(variant.instances)))
            weights.append(desired.get("DesiredWeight", variant.weight))
        if min(counts) < 1 or sum(counts) > MOST_INSTANCES:
            raise NotSupportedByTwin(
                f"a variant without instances, or more than {MOST_INSTANCES} of an endpoint"
            )
        if not any(weight > 0.0 for weight in weights):
            raise NotSupportedByTwin("an endpoint with no variant of a weight above 0")
        self._deployments.begin(endpoint)
        self._engine.process(self._deployments.reweigh(endpoint, wanted))
        return {"EndpointArn": endpoint.arn}

    def _list(self, call: Call) -> Answer:
        members = ("EndpointName", "EndpointArn", "CreationTime", "LastModifiedTime")
        status = call.params.get("StatusEquals")
        items = [
            {each: described[each] for each in (*members, "EndpointStatus")}
            for described in map(shown, self._endpoints.values())
            if status in (None, described["EndpointStatus"])
        ]
        return listed("Endpoints", items, call.params, "EndpointName")

    def _delete(self, call: Call) -> Answer:
        endpoint = self._idle(call.params["EndpointName"])
        del self._endpoints[endpoint.name]
        endpoint.status, endpoint.modified = "Deleting", self._engine.now()
        self._tell(endpoint)
        if endpoint.fleet is not None:
            endpoint.fleet.retire()
        return {}

    def _tell(self, endpoint: Endpoint) -> None:
        """Tell EventBridge a status, which is spelled IN_SERVICE there."""
        described = shown(endpoint)
        detail = {
            "EndpointName": endpoint.name,
            "EndpointArn": endpoint.arn,
            "EndpointConfigName": endpoint.config,
            "EndpointStatus": re.sub(r"(?<=[a-z])(?=[A-Z])", "_", endpoint.status).upper(),
            "CreationTime": endpoint.created.timestamp() * 1000.0,
            "LastModifiedTime": endpoint.modified.timestamp() * 1000.0,
            "ProductionVariants": [
                {name: value for name, value in variant.items() if name != "DeployedImages"}
                for variant in described.get("ProductionVariants", [])
            ],
            "Tags": {},
        }
        if endpoint.failure:
            detail["FailureReason"] = endpoint.failure
        self._context.emit(
            "aws.sagemaker", "SageMaker Endpoint State Change", detail, [endpoint.arn]
        )

    # -- the runtime

    def _invoke(self, call: Call) -> simpy.Event:
        params = call.params
        if len(params["Body"]) > BODY_LIMIT_B:
            limit = BODY_LIMIT_B + LENGTH_SLACK_B
            raise AwsError("413", f"HTTP content length exceeded {limit} bytes.", 413)
        self._in_service(params["EndpointName"])
        for name in _REFUSED:
            if name in params:
                raise NotSupportedByTwin(f"sagemaker-runtime:InvokeEndpoint with {name}")
        return self._engine.process(self._answer(params, call.principal.worker))

    def _commutes(self, params: Params) -> bool:
        endpoint = self._endpoints.get(params["EndpointName"])
        if endpoint is None or endpoint.fleet is None:
            return True  # Refused, whoever is first.
        return endpoint.pending is None and endpoint.fleet.takes_any_order

    def _in_service(self, name: str) -> Endpoint:
        endpoint = self._endpoints.get(name)
        if endpoint is None or endpoint.fleet is None:
            raise AwsError(
                "ValidationError",
                f"Endpoint {name} of account {self._context.account} not found.",
            )
        return endpoint

    def _answer(self, params: Params, worker: str | None) -> Generator[simpy.Event, Any, Answer]:
        endpoint = self._in_service(params["EndpointName"])
        fleet = endpoint.serving()
        assert fleet is not None
        target = params.get("TargetVariant")
        variant = fleet.choose() if target is None else fleet.variant(target)
        if variant is None:
            raise AwsError(
                "ValidationError", f"Variant {target} of endpoint {endpoint.name} not found."
            )
        began_s = self._engine.env.now
        reply = yield from variant.instance().ask(params["Body"], _headers(params))
        if reply.hung and (left_s := began_s + INVOKE_TIMEOUT_S - self._engine.env.now) > 0.0:
            # It computes: the clock stood meanwhile, and the caller has waited all the same.
            yield self._engine.env.timeout(left_s)
        waited_s = self._engine.env.now - began_s
        if waited_s > INVOKE_TIMEOUT_S:
            # The container waited on the run's clock, where its real answer came in time.
            reply = Reply(0, b"", {})
        keep = partial(self._keep, endpoint.name, fleet, variant, params, reply, waited_s)
        self._engine.order.after(worker, keep)
        if not 200 <= reply.status < 300:
            raise self._model_error(endpoint.name, reply)
        answer: Answer = {
            "Body": reply.body,
            "ContentType": reply.headers.get("content-type", ""),
            "InvokedProductionVariant": variant.name,
        }
        if custom := reply.headers.get("x-amzn-sagemaker-custom-attributes"):
            answer["CustomAttributes"] = custom
        return answer

    def _keep(
        self,
        endpoint: str,
        fleet: Fleet,
        variant: Variant,
        params: Params,
        reply: Reply,
        waited_s: float,
    ) -> None:
        """Keep what an invocation leaves: its metrics and, if it went well, its capture."""
        self._measure(endpoint, variant, len(params["Body"]), reply, waited_s)
        if fleet.capture is not None and 200 <= reply.status < 300:
            self._capture.offer(fleet.capture, endpoint, variant.name, variant.role, params, reply)

    def _measure(
        self, endpoint: str, variant: Variant, size_b: int, reply: Reply, waited_s: float
    ) -> None:
        """Record the invocation metrics of AWS/SageMaker; times are modelled, not measured."""
        dimensions = {"EndpointName": endpoint, "VariantName": variant.name}
        record = partial(self._context.cloudwatch.record, "AWS/SageMaker")
        record("Invocations", dimensions, 1.0, "None")
        record("InvocationsPerInstance", dimensions, 1.0 / len(variant.instances), "None")
        client = 400 <= reply.status < 500
        server = not client and not 200 <= reply.status < 300
        record("Invocation4XXErrors", dimensions, float(client), "None")
        record("Invocation5XXErrors", dimensions, float(server), "None")
        record("InvocationModelErrors", dimensions, float(client or server), "None")
        model_us = MODEL_US + MODEL_US_PER_KIB * size_b / 1024.0 + waited_s * 1e6
        record("ModelLatency", dimensions, model_us, "Microseconds")
        record("OverheadLatency", dimensions, OVERHEAD_US, "Microseconds")

    def _model_error(self, name: str, reply: Reply) -> AwsError:
        """Return the 424 in AWS's words (recorded)."""
        context = self._context
        text = reply.body.decode("utf-8", "replace")
        if reply.status == 0:
            text = (
                "Your invocation timed out while waiting for a response from container primary. "
                "Review the latency metrics for each container in Amazon CloudWatch, resolve the "
                "issue, and try again."
            )
        side = "client" if 400 <= reply.status < 500 else "server"
        group = f"/aws/sagemaker/Endpoints/{name}"
        return AwsError(
            "ModelError",
            f'Received {side} error ({reply.status}) from primary with message "'
            f'{text[:ORIGINAL_CHARS]}". See https://{context.region}.console.aws.amazon.com/'
            f"cloudwatch/home?region={context.region}#logEventViewer:group={group} in account "
            f"{context.account} for more information.",
            424,
            {
                "OriginalStatusCode": reply.status,
                "OriginalMessage": text,
                "LogStreamArn": context.arn("logs", f"log-group:{group}"),
            },
        )


def _headers(params: Params) -> dict[str, str]:
    """Return what SageMaker passes on; everything else a client sends is stripped."""
    passed = {
        "Content-Type": params.get("ContentType"),
        "Accept": params.get("Accept"),
        "X-Amzn-SageMaker-Custom-Attributes": params.get("CustomAttributes"),
        "X-Amzn-SageMaker-Inference-Id": params.get("InferenceId"),
    }
    return {name: value for name, value in passed.items() if value is not None}
