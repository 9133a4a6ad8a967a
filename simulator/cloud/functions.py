"""Lambda functions: their configuration, permissions and the Invoke operation.

Code comes from the assets that the template names (`function_code`); it runs in `invocations`.
Layers, images, versions, aliases, VPCs and destinations of asynchronous calls are not here
and are refused by name.
"""

from __future__ import annotations

import hashlib
import logging
import uuid
from base64 import b64encode
from collections.abc import Generator, Sequence
from typing import Any

import orjson
import simpy

from simulator.cloud.context import Context
from simulator.cloud.errors import AwsError, NotSupportedByTwin
from simulator.cloud.function_code import Code, code_of
from simulator.cloud.function_policies import permission_statement
from simulator.cloud.function_updates import (
    RECORDED,
    FunctionUpdates,
    check_runtime,
    environment_of,
    log_group_of,
    log_stream_of,
    sha_text,
)
from simulator.cloud.invocations import Durations, Function, Invocation, Invocations
from simulator.cloud.operations import Answer, Call, Execute, Operation, Params

MAX_SYNC_BYTES = 6_291_456
MAX_ASYNC_BYTES = 1_048_576
LOG_TAIL_BYTES = 4096
"""The end of the log that an answer carries when asked for (Invoke API reference, LogType)."""
ASYNC_RETRY_AFTER_S = (60.0, 120.0)
"""Lambda tries an asynchronous event again after one and after two minutes."""

TAKEN = {"Publish", "PackageType"}
USED = {
    "FunctionName", "Runtime", "Role", "Handler", "Code", "Description", "Timeout",
    "MemorySize", "Environment", "Tags", "Architectures", "LoggingConfig",
}  # fmt: skip

log = logging.getLogger(__name__)


class Functions:
    """The service's functions; mappings live in `event_source_mappings`."""

    def __init__(
        self,
        context: Context,
        durations: Durations | None = None,
        wall_floor_s: float = 60.0,
    ) -> None:
        self._context = context
        self._engine = context.engine
        self._by_name: dict[str, Function] = {}
        self.policies: dict[str, dict[str, Any]] = {}
        self._pending = 0
        self.invocations = Invocations(context, durations, wall_floor_s)

    def operations(self) -> dict[str, Operation]:
        """Return the operations that run here, keyed by botocore's names."""

        def on_function(
            execute: Execute, action: str | None = None, *, passes: bool = False
        ) -> Operation:
            role = {"Role": "lambda.amazonaws.com"} if passes else None
            return Operation(execute, self.resources, action, role)

        return {
            "CreateFunction": on_function(self._create, passes=True),
            "GetFunction": on_function(self._get),
            "GetFunctionConfiguration": on_function(self._get_configuration),
            "DeleteFunction": on_function(self._delete),
            "ListFunctions": Operation(self._list),
            "Invoke": on_function(self._invoke, "lambda:InvokeFunction"),
            "AddPermission": on_function(self._add_permission),
            "GetPolicy": on_function(self._get_policy),
            **FunctionUpdates(self, self._context).operations(),
        }

    # -- in process

    def prewarm(self) -> simpy.Process:
        """Start the processes of all functions in parallel; the clock stands meanwhile."""
        return self.invocations.prewarm(self._by_name.values())

    def find(self, name: str) -> Function | None:
        """Return a function by name, partial or whole ARN; None when there is none."""
        return self._by_name.get(_bare(name))

    def named(self, name: str) -> Function:
        """Return a function.

        Raises:
            AwsError: ResourceNotFoundException.
        """
        function = self.find(name)
        if function is None:
            arn = self._arn(name)
            raise AwsError(
                "ResourceNotFoundException",
                f"Function not found: {arn}:$LATEST",
                status=404,
            )
        return function

    def invoke_later(self, name: str, event: bytes) -> None:
        """Invoke asynchronously: Lambda tries a failed event twice more, then drops it."""
        self._engine.process(self._event(self.named(name), event))

    def idle(self) -> bool:
        """Tell whether no asynchronous event is on its way."""
        return self._pending == 0

    def resources(self, params: Params) -> Sequence[str]:
        """Return what IAM checks for an operation on one function."""
        return (self._arn(params["FunctionName"]),)

    def _arn(self, name: str) -> str:
        return self._context.arn("lambda", f"function:{_bare(name)}")

    # -- control plane

    def _create(self, call: Call) -> Answer:
        params = call.params
        name = _bare(params["FunctionName"])
        if name in self._by_name:
            raise AwsError(
                "ResourceConflictException",
                f"Function already exist: {name}",
                status=409,
            )
        if unknown := set(params) - USED - TAKEN - set(RECORDED):
            raise NotSupportedByTwin(f"lambda:CreateFunction {min(unknown)}")
        if params.get("PackageType", "Zip") != "Zip":
            raise NotSupportedByTwin("lambda:CreateFunction PackageType Image")
        check_runtime(params.get("Runtime"))
        code = self.code(params["Code"])
        function = Function(
            name=name,
            arn=self._arn(name),
            role=params["Role"],
            handler=params["Handler"],
            runtime=params["Runtime"],
            folder=code.folder,
            code_sha=sha_text(code),
            code_size=code.size_b,
            log_group=log_group_of(name, params),
            log_stream=log_stream_of(name, code, self._engine.now()),
            last_modified=self.modified(),
            timeout_s=params.get("Timeout", 3),
            memory_mb=params.get("MemorySize", 128),
            environment=environment_of(params),
            description=params.get("Description", ""),
            tags=dict(params.get("Tags", {})),
            architectures=list(params.get("Architectures", ["x86_64"])),
            self_contained=code.key in self._context.self_contained,
            recorded={key: params.get(key, default) for key, default in RECORDED.items()},
        )
        self._by_name[name] = function
        return self.configuration(function)

    def code(self, code: Params) -> Code:
        """Return the code behind an asset's key."""
        if "S3Key" not in code:
            raise NotSupportedByTwin(f"lambda code given as {', '.join(sorted(code))}")
        key = code["S3Key"].rpartition("/")[2].removesuffix(".zip")
        found = self._context.assets.get(key)
        if found is None:
            raise AwsError(
                "InvalidParameterValueException",
                "Error occurred while GetObject. S3 Error Code: NoSuchKey. "
                f"S3 Error Message: The specified key does not exist: {code['S3Key']}",
            )
        return code_of(key, found, self._context.state / "functions" / key)

    def _get(self, call: Call) -> Answer:
        function = self.named(call.params["FunctionName"])
        return {
            "Configuration": self.configuration(function),
            "Code": {"RepositoryType": "S3", "Location": function.folder.as_uri()},
            "Tags": dict(function.tags),
        }

    def _get_configuration(self, call: Call) -> Answer:
        return self.configuration(self.named(call.params["FunctionName"]))

    def _delete(self, call: Call) -> Answer:
        function = self.named(call.params["FunctionName"])
        del self._by_name[function.name]
        self.policies.pop(function.name, None)
        self.invocations.forget(function)
        return {"StatusCode": 204}

    def _list(self, call: Call) -> Answer:
        after, limit = call.params.get("Marker", ""), call.params.get("MaxItems", 50)
        names = sorted(name for name in self._by_name if name > after)
        shown = names[:limit]
        answer: Answer = {"Functions": [self.configuration(self._by_name[n]) for n in shown]}
        return answer | ({"NextMarker": shown[-1]} if len(names) > limit else {})

    def _add_permission(self, call: Call) -> Answer:
        params = call.params
        function = self.named(params["FunctionName"])
        policy = self.policies.setdefault(
            function.name, {"Version": "2012-10-17", "Id": "default", "Statement": []}
        )
        sid = params["StatementId"]
        if any(statement["Sid"] == sid for statement in policy["Statement"]):
            raise AwsError(
                "ResourceConflictException",
                f"The statement id ({sid}) provided already exists. Please provide a new "
                "statement id, or remove the existing statement.",
                status=409,
            )
        statement = permission_statement(params, function.arn)
        policy["Statement"].append(statement)
        decided = {**statement, "Resource": [function.arn, f"{function.arn}:*"]}
        document = {"Version": "2012-10-17", "Statement": decided}
        self._context.iam.put_resource_policy(function.arn, document, sid)
        return {"Statement": orjson.dumps(statement).decode()}

    def _get_policy(self, call: Call) -> Answer:
        function = self.named(call.params["FunctionName"])
        if function.name not in self.policies:
            raise AwsError(
                "ResourceNotFoundException",
                "The resource you requested does not exist.",
                status=404,
            )
        policy = self.policies[function.name]
        return {"Policy": orjson.dumps(policy).decode(), "RevisionId": _revision(policy)}

    def modified(self) -> str:
        """Return what LastModified says for a change now."""
        return f"{self._engine.now():%Y-%m-%dT%H:%M:%S}.000+0000"

    def configuration(self, function: Function) -> Answer:
        """Return a function as descriptions show it."""
        answer: Answer = {
            "FunctionName": function.name,
            "FunctionArn": function.arn,
            "Runtime": function.runtime,
            "Role": function.role,
            "Handler": function.handler,
            "CodeSize": function.code_size,
            "CodeSha256": function.code_sha,
            "Description": function.description,
            "Timeout": function.timeout_s,
            "MemorySize": function.memory_mb,
            "LastModified": function.last_modified,
            "Version": "$LATEST",
            "State": "Active",
            "LastUpdateStatus": "Successful",
            "PackageType": "Zip",
            "Architectures": function.architectures,
            "LoggingConfig": {"LogFormat": "Text", "LogGroup": function.log_group},
        }
        if function.environment:
            answer["Environment"] = {"Variables": dict(function.environment)}
        return answer | {**function.recorded, "RevisionId": _revision(answer)}

    # -- Invoke

    def _invoke(self, call: Call) -> Any:
        params = call.params
        function = self.named(params["FunctionName"])
        if params.get("Qualifier", "$LATEST") != "$LATEST":
            raise NotSupportedByTwin("lambda:Invoke of a version or alias")
        kind = params.get("InvocationType", "RequestResponse")
        payload = _payload(params.get("Payload", b"{}"), kind)
        if kind == "DryRun":
            return {"StatusCode": 204, "Payload": b""}
        if kind == "Event":
            self._engine.process(self._event(function, payload))
            return {"StatusCode": 202, "Payload": b""}
        tail = params.get("LogType") == "Tail"
        return self._engine.process(
            self._request(function, payload, call.principal.worker, tail=tail)
        )

    def _request(
        self, function: Function, payload: bytes, caller: str | None, *, tail: bool
    ) -> Generator[simpy.Event, Any, Answer]:
        outcome: Invocation = yield self.invocations.invoke(function, payload, caller=caller)
        answer: Answer = {
            "StatusCode": 200,
            "ExecutedVersion": "$LATEST",
            "Payload": outcome.payload,
        }
        if tail:
            text = "".join(f"{line}\n" for line in outcome.log).encode()
            answer["LogResult"] = b64encode(text[-LOG_TAIL_BYTES:]).decode()
        return answer | ({} if outcome.ok else {"FunctionError": "Unhandled"})

    def _event(self, function: Function, payload: bytes) -> Generator[simpy.Event, Any, None]:
        self._pending += 1
        for pause_s in (*ASYNC_RETRY_AFTER_S, None):
            outcome: Invocation = yield self.invocations.invoke(function, payload)
            if outcome.ok:
                break
            if pause_s is None:
                log.warning("%s: event dropped after three attempts", function.name)
                dimensions = {"FunctionName": function.name}
                self._context.cloudwatch.record(
                    "AWS/Lambda", "AsyncEventsDropped", dimensions, 1, "Count"
                )
            else:
                yield self._engine.env.timeout(pause_s)
        self._pending -= 1


def _bare(name: str) -> str:
    """Return a function's name from its name, ``account:function:name`` or ARN."""
    parts = name.split(":")
    if "function" in parts:
        return parts[parts.index("function") + 1]
    return parts[0]


def _revision(described: Params) -> str:
    """Return an id that changes whenever what is described does."""
    digest = hashlib.md5(orjson.dumps(described), usedforsecurity=False)
    return str(uuid.UUID(bytes=digest.digest(), version=4))


def _payload(payload: Any, kind: str) -> bytes:
    """Return an event as bytes once its size and its JSON are what Lambda accepts."""
    if hasattr(payload, "read"):
        payload = payload.read()
    event = payload.encode() if isinstance(payload, str) else bytes(payload) or b"{}"
    limit = MAX_ASYNC_BYTES if kind == "Event" else MAX_SYNC_BYTES
    if len(event) > limit:
        raise AwsError(
            "RequestTooLargeException",
            f"{len(event)} byte payload is too large for the {kind} invocation type "
            f"(service limit {limit} bytes)",
            status=413,
        )
    try:
        orjson.loads(event)
    except orjson.JSONDecodeError as error:
        raise AwsError(
            "InvalidRequestContentException",
            f"Could not parse request body into json: Could not parse payload into json: {error}",
        ) from None
    return event
