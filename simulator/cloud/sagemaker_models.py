"""SageMaker's records of models and endpoint configurations, checked when they are made.

Used by `sagemaker_endpoints`, which runs what they describe. Source of shapes: SageMaker API
reference, CreateModel and CreateEndpointConfig.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from simulator.cloud import containers
from simulator.cloud.context import Context
from simulator.cloud.errors import AwsError, NotSupportedByTwin
from simulator.cloud.job_files import split_uri
from simulator.cloud.job_s3 import session_of
from simulator.cloud.operations import Answer, Call, Operation, Params
from simulator.cloud.sagemaker_listing import listed

_MODEL_MEMBERS = frozenset({"ModelName", "PrimaryContainer", "ExecutionRoleArn", "Tags"})
_CONTAINER_MEMBERS = frozenset({"Image", "ModelDataUrl", "Environment", "Mode", "ModelPackageName"})
_CONFIG_MEMBERS = frozenset(
    {"EndpointConfigName", "ProductionVariants", "DataCaptureConfig", "Tags"}
)
MOST_VARIANTS = 10
"""Production variants of one configuration (CreateEndpointConfig API reference)."""
MOST_INSTANCES = 8
"""Processes of one endpoint: the twin's own limit, since they share one machine."""
_VARIANT_MEMBERS = frozenset(
    {
        "VariantName",
        "ModelName",
        "InitialInstanceCount",
        "InstanceType",
        "InitialVariantWeight",
        "ContainerStartupHealthCheckTimeoutInSeconds",
        "ModelDataDownloadTimeoutInSeconds",
    }
)


class Models:
    """Models and endpoint configurations by name.

    ``package`` returns the container of an approved model package by its name or ARN.
    """

    def __init__(self, context: Context, package: Callable[[str], Params]) -> None:
        self._context = context
        self._package = package
        self._models: dict[str, Answer] = {}
        self._running: dict[str, Params] = {}
        self._configs: dict[str, Answer] = {}

    def operations(self) -> dict[str, Operation]:
        """Return the operations, keyed by botocore's name."""
        return {
            "CreateModel": Operation(
                self._create_model,
                self._model_arns,
                passes_role={"ExecutionRoleArn": "sagemaker.amazonaws.com"},
            ),
            "DescribeModel": Operation(
                lambda call: self.model(call.params["ModelName"]), self._model_arns
            ),
            "ListModels": Operation(self._list_models),
            "DeleteModel": Operation(self._delete_model, self._model_arns),
            "CreateEndpointConfig": Operation(self._create_config, self._config_arns),
            "DescribeEndpointConfig": Operation(
                lambda call: self.config(call.params["EndpointConfigName"]), self._config_arns
            ),
            "ListEndpointConfigs": Operation(self._list_configs),
            "DeleteEndpointConfig": Operation(self._delete_config, self._config_arns),
        }

    def model(self, name: str) -> Answer:
        """Return a model's description; raises ValidationException for an unknown one."""
        if name not in self._models:
            raise AwsError(
                "ValidationException", f'Could not find model "{self._model_arn(name)}".'
            )
        return self._models[name]

    def container(self, name: str) -> Params:
        """Return Image, ModelDataUrl and Environment of a model, its package looked up."""
        self.model(name)
        return self._running[name]

    def config(self, name: str) -> Answer:
        """Return a configuration; raises ValidationException for an unknown one."""
        if name not in self._configs:
            raise AwsError(
                "ValidationException",
                f'Could not find endpoint configuration "{self.config_arn(name)}".',
            )
        return self._configs[name]

    def config_arn(self, name: str) -> str:
        """Return the ARN of a configuration, which may not exist."""
        return self._context.arn("sagemaker", f"endpoint-config/{name.lower()}")

    def _model_arn(self, name: str) -> str:
        return self._context.arn("sagemaker", f"model/{name.lower()}")

    def _model_arns(self, params: Params) -> Sequence[str]:
        return (self._model_arn(params["ModelName"]),)

    def _config_arns(self, params: Params) -> Sequence[str]:
        return (self.config_arn(params["EndpointConfigName"]),)

    def _create_model(self, call: Call) -> Answer:
        params = call.params
        name, arn = params["ModelName"], self._model_arn(params["ModelName"])
        if name in self._models:
            raise AwsError("ValidationException", f'Cannot create already existing model "{arn}".')
        _refuse("CreateModel", set(params) - _MODEL_MEMBERS)
        container = params.get("PrimaryContainer")
        if container is None or "ExecutionRoleArn" not in params:
            raise AwsError(
                "ValidationException", "PrimaryContainer and ExecutionRoleArn are required."
            )
        _refuse("CreateModel", set(container) - _CONTAINER_MEMBERS)
        if container.get("Mode", "SingleModel") != "SingleModel":
            _refuse("CreateModel", {"Mode MultiModel"})
        if ("Image" in container) == ("ModelPackageName" in container):
            raise AwsError(
                "ValidationException",
                "Exactly one of Image and ModelPackageName is required in a container.",
            )
        named = "ModelPackageName" in container
        running = self._package(container["ModelPackageName"]) if named else container
        environment = {**running.get("Environment", {}), **container.get("Environment", {})}
        containers.image(self._context, running["Image"])
        if "ModelDataUrl" in running:
            self._check_model_data(running["ModelDataUrl"], params["ExecutionRoleArn"])
        self._models[name] = {
            "ModelName": name,
            "PrimaryContainer": {"Mode": "SingleModel", "Environment": {}, **container},
            "ExecutionRoleArn": params["ExecutionRoleArn"],
            "ModelArn": arn,
            "CreationTime": self._context.engine.now(),
            "EnableNetworkIsolation": False,
        }
        # Read once: what becomes of the package later does not change the model.
        self._running[name] = {**running, "Environment": environment}
        return {"ModelArn": arn}

    def _check_model_data(self, uri: str, role: str) -> None:
        """Check, as CreateModel does, that the archive is there for the role to read."""
        principal = session_of(self._context, role)
        bucket, key = split_uri(uri)
        try:
            self._context.dispatch(principal, "s3", "HeadObject", {"Bucket": bucket, "Key": key})
        except AwsError as error:
            raise AwsError(
                "ValidationException",
                f"Could not access model data at {uri}. Please ensure that the role "
                f'"{role}" exists and that its trust relationship policy allows the action '
                '"sts:AssumeRole" for the service principal "sagemaker.amazonaws.com". Also '
                'ensure that the role has "s3:GetObject" permissions and that the object is '
                f"located in {self._context.region}. ({error.message})",
            ) from error

    def _delete_model(self, call: Call) -> Answer:
        self.model(call.params["ModelName"])
        del self._models[call.params["ModelName"]]
        return {}

    def _create_config(self, call: Call) -> Answer:
        params = call.params
        name, arn = params["EndpointConfigName"], self.config_arn(params["EndpointConfigName"])
        if name in self._configs:
            raise AwsError(
                "ValidationException",
                f'Cannot create already existing endpoint configuration "{arn}".',
            )
        _refuse("CreateEndpointConfig", set(params) - _CONFIG_MEMBERS)
        self._check_variants(params["ProductionVariants"])
        if "KmsKeyId" in params.get("DataCaptureConfig", {}):
            _refuse("CreateEndpointConfig", {"DataCaptureConfig.KmsKeyId"})
        kept = {each: params[each] for each in ("DataCaptureConfig",) if each in params}
        self._configs[name] = {
            "EndpointConfigName": name,
            "EndpointConfigArn": arn,
            "ProductionVariants": params["ProductionVariants"],
            **kept,
            "CreationTime": self._context.engine.now(),
        }
        return {"EndpointConfigArn": arn}

    def _check_variants(self, variants: Sequence[Params]) -> None:
        for variant in variants:
            _refuse("CreateEndpointConfig", set(variant) - _VARIANT_MEMBERS)
            if "ModelName" not in variant:
                _refuse("CreateEndpointConfig", {"a variant without ModelName"})
            self.model(variant["ModelName"])
        names = [variant["VariantName"] for variant in variants]
        if len(set(names)) < len(names):
            raise AwsError("ValidationException", "The variant names must be unique.")
        instances = sum(variant.get("InitialInstanceCount", 1) for variant in variants)
        if instances > MOST_INSTANCES:
            _refuse(
                "CreateEndpointConfig",
                {f"{instances} instances (at most {MOST_INSTANCES} processes of an endpoint)"},
            )
        if not any(variant.get("InitialVariantWeight", 1.0) > 0.0 for variant in variants):
            _refuse("CreateEndpointConfig", {"no variant with a weight above 0"})

    def _list_models(self, call: Call) -> Answer:
        members = ("ModelName", "ModelArn", "CreationTime")
        items = [{each: model[each] for each in members} for model in self._models.values()]
        return listed("Models", items, call.params, "ModelName")

    def _list_configs(self, call: Call) -> Answer:
        members = ("EndpointConfigName", "EndpointConfigArn", "CreationTime")
        items = [{each: config[each] for each in members} for config in self._configs.values()]
        return listed("EndpointConfigs", items, call.params, "EndpointConfigName")

    def _delete_config(self, call: Call) -> Answer:
        self.config(call.params["EndpointConfigName"])
        del self._configs[call.params["EndpointConfigName"]]
        return {}


def _refuse(operation: str, members: set[str]) -> None:
    if members:
        raise NotSupportedByTwin(f"sagemaker:{operation} with {', '.join(sorted(members))}")
