"""Changes of a function that exists: configuration, code, permissions taken back.

Part of `simulator.cloud.functions`. Its process ends with a change and starts afresh, with the
new code and settings, for the next event. Versions and revision ids to compare with are refused.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol

import orjson

from simulator.cloud.context import Context
from simulator.cloud.errors import AwsError, NotSupportedByTwin
from simulator.cloud.function_code import Code
from simulator.cloud.invocations import Function, Invocations
from simulator.cloud.operations import Answer, Call, Operation, Params

MAX_ENVIRONMENT_BYTES = 4096
RECORDED: dict[str, Any] = {
    "TracingConfig": {"Mode": "PassThrough"},
    "EphemeralStorage": {"Size": 512},
}
"""Settings that a description repeats, with Lambda's defaults; they change nothing here."""
_CONFIGURATION = {
    "FunctionName", "Role", "Handler", "Timeout", "MemorySize", "Environment", "Description",
    "Runtime", "LoggingConfig", *RECORDED,
}  # fmt: skip
_CODE = {"FunctionName", "S3Bucket", "S3Key", "Architectures"}


class _Functions(Protocol):
    """What is needed of `Functions`."""

    policies: dict[str, dict[str, Any]]
    invocations: Invocations

    def named(self, name: str) -> Function: ...
    def resources(self, params: Params) -> Sequence[str]: ...
    def code(self, code: Params) -> Code: ...
    def configuration(self, function: Function) -> Answer: ...
    def modified(self) -> str: ...


def sha_text(code: Code) -> str:
    """Return CodeSha256 of a description."""
    return b64encode(code.sha256).decode()


def log_stream_of(name: str, code: Code, now: datetime) -> str:
    """Return the log stream of a function's process: each code has one of its own."""
    instance = hashlib.md5(f"{name}/{code.key}".encode(), usedforsecurity=False).hexdigest()
    return f"{now:%Y/%m/%d}/[$LATEST]{instance}"


def environment_of(params: Params) -> dict[str, str]:
    """Return the variables of a request; raises what Lambda says of more than 4 KB."""
    variables = dict(params.get("Environment", {}).get("Variables", {}))
    size = len(orjson.dumps(variables))
    if size > MAX_ENVIRONMENT_BYTES:
        raise AwsError(
            "InvalidParameterValueException",
            "Lambda was unable to configure your environment variables because the environment "
            f"variables you have provided exceeded the 4KB limit. String measured: "
            f"{orjson.dumps(variables).decode()}",
        )
    return variables


def log_group_of(name: str, params: Params) -> str:
    """Return the log group of a request, or the one that Lambda names itself."""
    return str(params.get("LoggingConfig", {}).get("LogGroup", f"/aws/lambda/{name}"))


def check_runtime(runtime: str | None) -> None:
    """Refuse a runtime that this machine's Python is not."""
    if not (runtime or "").startswith("python"):
        raise NotSupportedByTwin(f"lambda runtime {runtime}")


class FunctionUpdates:
    """The operations that change a function."""

    def __init__(self, functions: _Functions, context: Context) -> None:
        self._functions = functions
        self._context = context

    def operations(self) -> dict[str, Operation]:
        """Return the operations, keyed by botocore's names."""
        one = self._functions.resources
        role = {"Role": "lambda.amazonaws.com"}
        return {
            "UpdateFunctionConfiguration": Operation(self._configure, one, passes_role=role),
            "UpdateFunctionCode": Operation(self._code, one),
            "RemovePermission": Operation(self._remove_permission, one),
        }

    def _configure(self, call: Call) -> Answer:
        params = call.params
        function = self._functions.named(params["FunctionName"])
        if unknown := set(params) - _CONFIGURATION:
            raise NotSupportedByTwin(f"lambda:UpdateFunctionConfiguration {min(unknown)}")
        check_runtime(params.get("Runtime", function.runtime))
        if "Environment" in params:
            function.environment = environment_of(params)
        if "LoggingConfig" in params:
            function.log_group = log_group_of(function.name, params)
        function.runtime = params.get("Runtime", function.runtime)
        function.role = params.get("Role", function.role)
        function.handler = params.get("Handler", function.handler)
        function.timeout_s = params.get("Timeout", function.timeout_s)
        function.memory_mb = params.get("MemorySize", function.memory_mb)
        function.description = params.get("Description", function.description)
        function.recorded |= {name: params[name] for name in RECORDED if name in params}
        return self._changed(function)

    def _code(self, call: Call) -> Answer:
        params = call.params
        function = self._functions.named(params["FunctionName"])
        if unknown := set(params) - _CODE:
            raise NotSupportedByTwin(f"lambda:UpdateFunctionCode {min(unknown)}")
        code = self._functions.code(params)
        function.folder, function.code_sha = code.folder, sha_text(code)
        function.code_size = code.size_b
        function.log_stream = log_stream_of(function.name, code, self._context.engine.now())
        function.self_contained = code.key in self._context.self_contained
        function.architectures = list(params.get("Architectures", function.architectures))
        return self._changed(function)

    def _changed(self, function: Function) -> Answer:
        function.last_modified = self._functions.modified()
        self._functions.invocations.forget(function)
        return self._functions.configuration(function)

    def _remove_permission(self, call: Call) -> Answer:
        function, sid = (
            self._functions.named(call.params["FunctionName"]),
            call.params["StatementId"],
        )
        if "Qualifier" in call.params or "RevisionId" in call.params:
            raise NotSupportedByTwin("lambda:RemovePermission with Qualifier or RevisionId")
        policy = self._functions.policies.get(function.name, {"Statement": []})
        left = [statement for statement in policy["Statement"] if statement["Sid"] != sid]
        if len(left) == len(policy["Statement"]):
            raise AwsError(
                "ResourceNotFoundException",
                f"Statement {sid} is not found in resource policy.",
                status=404,
            )
        if left:
            policy["Statement"] = left
        else:
            del self._functions.policies[function.name]
        self._context.iam.remove_resource_policy(function.arn, sid)
        return {}
