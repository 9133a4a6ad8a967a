"""SageMaker models, endpoint configurations and endpoints, and invoking them.

Called by `dispatch`. An endpoint is a real process of the model's container
(`endpoint_server`); its states pass on the run's clock. One production variant, one instance.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

import simpy

from simulator.cloud import containers
from simulator.cloud.context import Context
from simulator.cloud.endpoint_server import EndpointServer, Reply
from simulator.cloud.errors import AwsError, NotSupportedByTwin
from simulator.cloud.function_workers import Watchdog
from simulator.cloud.job_s3 import RoleS3, extract
from simulator.cloud.operations import Answer, Call, Operation, Params
from simulator.cloud.sagemaker_models import Models

CREATE_S = 240.0
UPDATE_S = 240.0
"""Modelled time from the request to InService; AWS takes some minutes for an instance."""
BODY_LIMIT_B = 6_291_456
LENGTH_SLACK_B = 4_096
"""The limit in the 413's message is this much above the body's (recorded 2018, at 5 MiB)."""
ORIGINAL_CHARS = 1_024


@dataclass
class _Endpoint:
    name: str
    arn: str
    config: str
    created: datetime
    modified: datetime
    settled: simpy.Event
    status: str = "Creating"
    failure: str = ""
    server: EndpointServer | None = None
    restarting: simpy.Event | None = None
    launches: int = 0
    variant: Params = field(default_factory=dict)


class Endpoints:
    """Endpoints of SageMaker and its runtime. Used on the engine's thread only."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._engine = context.engine
        self._models = Models(context)
        self._watchdog = Watchdog(context.engine)
        self._endpoints: dict[str, _Endpoint] = {}

    def operations(self) -> dict[str, Operation]:
        """Return the operations of ``sagemaker``, keyed by botocore's name."""
        return {
            **self._models.operations(),
            "CreateEndpoint": Operation(self._create, self._both_arns),
            "UpdateEndpoint": Operation(self._update, self._both_arns),
            "DescribeEndpoint": Operation(self._describe, self._arns),
            "DeleteEndpoint": Operation(self._delete, self._arns),
        }

    def runtime_operations(self) -> dict[str, Operation]:
        """Return the operations of ``sagemaker-runtime``."""
        return {"InvokeEndpoint": Operation(self._invoke, self._arns)}

    def wait_event(self, name: str) -> simpy.Event:
        """Return the event of the end of the creation or update under way."""
        return self._endpoint(name).settled

    def close(self) -> None:
        """End every server; the service is of no use afterwards."""
        for endpoint in self._endpoints.values():
            if endpoint.server is not None:
                endpoint.server.close()
        self._endpoints.clear()

    # -- requests

    def _arns(self, params: Params) -> Sequence[str]:
        return (self._context.arn("sagemaker", f"endpoint/{params['EndpointName'].lower()}"),)

    def _both_arns(self, params: Params) -> Sequence[str]:
        """An endpoint is created on two resources (service authorization reference)."""
        return (*self._arns(params), self._models.config_arn(params["EndpointConfigName"]))

    def _endpoint(self, name: str) -> _Endpoint:
        endpoint = self._endpoints.get(name)
        if endpoint is None:
            (arn,) = self._arns({"EndpointName": name})
            raise AwsError("ValidationException", f'Could not find endpoint "{arn}".')
        return endpoint

    def _create(self, call: Call) -> Answer:
        name, now = call.params["EndpointName"], self._engine.now()
        (arn,) = self._arns(call.params)
        if "DeploymentConfig" in call.params:
            raise NotSupportedByTwin("sagemaker:CreateEndpoint with DeploymentConfig")
        config = self._models.config(call.params["EndpointConfigName"])["EndpointConfigName"]
        if name in self._endpoints:
            raise AwsError(
                "ValidationException", f'Cannot create already existing endpoint "{arn}".'
            )
        endpoint = _Endpoint(name, arn, config, now, now, self._engine.env.event())
        self._endpoints[name] = endpoint
        self._engine.process(self._deploy(endpoint, config, CREATE_S))
        return {"EndpointArn": arn}

    def _update(self, call: Call) -> Answer:
        endpoint = self._endpoint(call.params["EndpointName"])
        extra = set(call.params) - {"EndpointName", "EndpointConfigName"}
        if extra:
            raise NotSupportedByTwin(f"sagemaker:UpdateEndpoint with {', '.join(sorted(extra))}")
        config = self._models.config(call.params["EndpointConfigName"])["EndpointConfigName"]
        if endpoint.status not in ("InService", "Failed"):
            raise AwsError(
                "ValidationException",
                f'Cannot update in-progress endpoint "{endpoint.arn}".',
            )
        endpoint.status, endpoint.modified = "Updating", self._engine.now()
        endpoint.settled = self._engine.env.event()
        self._engine.process(self._deploy(endpoint, config, UPDATE_S))
        return {"EndpointArn": endpoint.arn}

    def _describe(self, call: Call) -> Answer:
        endpoint = self._endpoint(call.params["EndpointName"])
        answer: Answer = {
            "EndpointName": endpoint.name,
            "EndpointArn": endpoint.arn,
            "EndpointConfigName": endpoint.config,
            "EndpointStatus": endpoint.status,
            "CreationTime": endpoint.created,
            "LastModifiedTime": endpoint.modified,
        }
        if endpoint.variant:
            answer["ProductionVariants"] = [endpoint.variant]
        if endpoint.failure:
            answer["FailureReason"] = endpoint.failure
        return answer

    def _delete(self, call: Call) -> Answer:
        endpoint = self._endpoint(call.params["EndpointName"])
        if endpoint.status in ("Creating", "Updating"):
            raise AwsError(
                "ValidationException", f'Cannot update in-progress endpoint "{endpoint.arn}".'
            )
        del self._endpoints[endpoint.name]
        if endpoint.server is not None:
            endpoint.server.stop()
        return {}

    # -- deployment

    def _deploy(
        self, endpoint: _Endpoint, config: str, modelled_s: float
    ) -> Generator[simpy.Event, Any, None]:
        """Start the new server, and only when it answers end the old one."""
        yield self._engine.env.timeout(modelled_s)
        variant = self._models.config(config)["ProductionVariants"][0]
        image = ""
        try:
            image = self._models.model(variant["ModelName"])["PrimaryContainer"]["Image"]
            server = yield from self._server(endpoint, variant)
            why_not: str = yield server.start()
        except (AwsError, ValueError) as error:
            why_not = str(error)
        else:
            if why_not:
                server.stop()
                why_not = (
                    f"The primary container for production variant {variant['VariantName']} did "
                    "not pass the ping health check. Please check CloudWatch logs for this "
                    f"endpoint. ({why_not})"
                )
        endpoint.modified = self._engine.now()
        if not why_not:
            if endpoint.server is not None:
                endpoint.server.stop()
            endpoint.server, endpoint.config, endpoint.status = server, config, "InService"
            endpoint.variant = _shown(variant, image, endpoint.modified)
            endpoint.failure = ""
        else:
            # A failed update rolls back to the server that still runs.
            endpoint.status = "InService" if endpoint.server is not None else "Failed"
            endpoint.failure = why_not
        endpoint.settled.succeed(endpoint.status)

    def _server(
        self, endpoint: _Endpoint, variant: Params
    ) -> Generator[simpy.Event, Any, EndpointServer]:
        """Fetch and unpack the model as its role, and prepare the container."""
        model = self._models.model(variant["ModelName"])
        container, role = model["PrimaryContainer"], model["ExecutionRoleArn"]
        principal = self._context.iam.principal_for_role(
            role, "SageMaker", service="sagemaker.amazonaws.com"
        )
        endpoint.launches += 1
        folder = (
            self._context.state / "sagemaker" / "endpoints" / f"{endpoint.name}-{endpoint.launches}"
        )
        (folder / "model").mkdir(parents=True, exist_ok=True)
        if uri := container.get("ModelDataUrl"):
            body = yield from RoleS3(self._context, principal).get(uri)
            extract(body, folder / "model")
        image = containers.image(self._context, container["Image"])

        def environ(worker: str) -> dict[str, str]:
            base = self._context.child_environment(role, "SageMaker", worker)
            own = {**container.get("Environment", {}), "SAGEMAKER_BASE_DIR": str(folder)}
            return image.environ(base, own)

        group, stream = f"/aws/sagemaker/Endpoints/{endpoint.name}", variant["VariantName"]
        return EndpointServer(
            self._context,
            self._watchdog,
            endpoint.name,
            image,
            environ,
            lambda line: self._context.logs.append(group, stream, [line]),
        )

    # -- the runtime

    def _invoke(self, call: Call) -> simpy.Event:
        params = call.params
        body = params["Body"]
        if len(body) > BODY_LIMIT_B:
            limit = BODY_LIMIT_B + LENGTH_SLACK_B
            raise AwsError("413", f"HTTP content length exceeded {limit} bytes.", 413)
        endpoint = self._endpoints.get(params["EndpointName"])
        if endpoint is None or endpoint.server is None:
            raise AwsError(
                "ValidationError",
                f"Endpoint {params['EndpointName']} of account {self._context.account} not found.",
            )
        for name in ("TargetModel", "InferenceComponentName", "TargetContainerHostname"):
            if name in params:
                raise NotSupportedByTwin(f"sagemaker-runtime:InvokeEndpoint with {name}")
        return self._engine.process(self._answer(endpoint, endpoint.server, params))

    def _answer(
        self, endpoint: _Endpoint, server: EndpointServer, params: Params
    ) -> Generator[simpy.Event, Any, Answer]:
        if not server.running:
            yield from self._restart(endpoint, server)
        reply: Reply = yield server.invoke(params["Body"], _headers(params))
        variant = endpoint.variant["VariantName"]
        dimensions = {"EndpointName": endpoint.name, "VariantName": variant}
        record = partial(self._context.cloudwatch.record, "AWS/SageMaker")
        record("Invocations", dimensions, 1.0, "Count")
        if not 200 <= reply.status < 300:
            kind = "4XX" if 400 <= reply.status < 500 else "5XX"
            record(f"Invocation{kind}Errors", dimensions, 1.0, "Count")
            raise self._model_error(endpoint.name, reply)
        answer: Answer = {
            "Body": reply.body,
            "ContentType": reply.headers.get("content-type", ""),
            "InvokedProductionVariant": variant,
        }
        if custom := reply.headers.get("x-amzn-sagemaker-custom-attributes"):
            answer["CustomAttributes"] = custom
        return answer

    def _restart(
        self, endpoint: _Endpoint, server: EndpointServer
    ) -> Generator[simpy.Event, Any, None]:
        """Start a server that died again, as SageMaker does; once for all callers that wait."""
        if endpoint.restarting is None:
            endpoint.restarting = server.start()
        why_not: str = yield endpoint.restarting
        endpoint.restarting = None
        if why_not:
            raise AwsError("ServiceUnavailable", f"The container cannot be started: {why_not}", 503)

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


def _shown(variant: Params, image: str, resolved: datetime) -> Params:
    """Return a variant as DescribeEndpoint shows it."""
    count, weight = variant.get("InitialInstanceCount", 1), variant.get("InitialVariantWeight", 1.0)
    return {
        "VariantName": variant["VariantName"],
        "DeployedImages": [{"SpecifiedImage": image, "ResolutionTime": resolved}],
        "CurrentWeight": weight,
        "DesiredWeight": weight,
        "CurrentInstanceCount": count,
        "DesiredInstanceCount": count,
    }
