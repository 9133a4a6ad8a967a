"""Task states: the service integrations of Step Functions, through `dispatch` as the machine's role.

Optimised integrations (`glue:startJobRun.sync`, `sagemaker:createTrainingJob.sync`,
`sns:publish`, ...), AWS SDK integrations (`aws-sdk:service:action`) and plain function ARNs.
`.sync` waits for the job itself; nothing is polled. Error names carry the prefixes that AWS
gives them: SDK v1 style for optimised integrations, SDK v2 style for `aws-sdk`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import simpy

from simulator.cloud import model_names
from simulator.cloud.asl_history import StateFailure
from simulator.cloud.asl_interpreter import Frame, Steps
from simulator.cloud.asl_payload import dumps
from simulator.cloud.dispatch import Dispatch
from simulator.cloud.engine import Engine
from simulator.cloud.errors import AwsError, NotSupportedByTwin
from simulator.cloud.operations import Principal


@dataclass(frozen=True)
class Job:
    """How `.sync` follows the work that an operation starts.

    ``wait`` gives the event of its end from (request, answer); ``describe`` the operation and
    parameters whose answer is the state's result; ``succeeded`` judges that result.
    """

    wait: Callable[[dict[str, Any], dict[str, Any]], simpy.Event]
    describe: Callable[[dict[str, Any], dict[str, Any]], tuple[str, dict[str, Any]]]
    result: Callable[[dict[str, Any]], dict[str, Any]]
    succeeded: Callable[[dict[str, Any]], bool]


_SERVICES = {
    "sfn": "stepfunctions",
    "states": "stepfunctions",
    "sagemakerruntime": "sagemaker-runtime",
    "eventbridge": "events",
    "cloudwatchlogs": "logs",
}
_OPTIMISED = {"glue", "sagemaker", "sns", "sqs", "lambda", "dynamodb", "states", "events"}
_V2_NAMES = {
    "dynamodb": "DynamoDb",
    "sagemaker": "SageMaker",
    "s3": "S3",
    "sns": "Sns",
    "sqs": "Sqs",
    "glue": "Glue",
    "stepfunctions": "Sfn",
    "ssm": "Ssm",
    "cloudwatch": "CloudWatch",
    "lambda": "Lambda",
    "kinesis": "Kinesis",
}
_V1_NAMES = {
    "sagemaker": "SageMaker",
    "glue": "Glue",
    "sns": "SNS",
    "sqs": "SQS",
    "lambda": "Lambda",
    "dynamodb": "DynamoDB",
    "stepfunctions": "StepFunctions",
}
_V1_BASE = {
    "sagemaker": "AmazonSageMakerException",
    "glue": "AWSGlueException",
    "sns": "AmazonSNSException",
    "sqs": "AmazonSQSException",
    "lambda": "AWSLambdaException",
    "dynamodb": "AmazonDynamoDBException",
    "stepfunctions": "AWSStepFunctionsException",
}
_RESOURCE = re.compile(
    r"arn:aws:states:::(?:(?P<sdk>aws-sdk):)?(?P<service>[a-z0-9]+):(?P<action>\w+)"
    r"(?:\.(?P<pattern>sync(?::2)?|waitForTaskToken))?"
)


@dataclass(frozen=True)
class Resource:
    """A parsed Resource: botocore's service and operation, and how it is integrated."""

    service: str
    operation: str
    sdk: bool
    sync: bool
    shown_service: str
    shown_resource: str


def parse_resource(text: str) -> Resource:
    """Parse a Task's Resource; raises NotSupportedByTwin for patterns that are not there."""
    if re.match(r"arn:aws:lambda:[^:]*:\d*:function:", text):
        return Resource("lambda", "Invoke", False, False, "lambda", "function")
    match = _RESOURCE.fullmatch(text)
    if match is None or match["pattern"] in ("waitForTaskToken", "sync:2"):
        raise NotSupportedByTwin(f"the Task resource {text}")
    if not match["sdk"] and match["service"] not in _OPTIMISED:
        raise NotSupportedByTwin(f"the optimised integration {text}")
    service = _SERVICES.get(match["service"], match["service"])
    action = match["action"]
    operation = (
        "Invoke" if (service, action) == ("lambda", "invoke") else (action[0].upper() + action[1:])
    )
    sync = match["pattern"] == "sync"
    shown = f"{action}.sync" if sync else action
    prefix = "aws-sdk:" if match["sdk"] else ""
    return Resource(service, operation, bool(match["sdk"]), sync, prefix + match["service"], shown)


class TaskRunner:
    """Runs the Task states of one execution as the state machine's role."""

    def __init__(
        self,
        engine: Engine,
        dispatch: Dispatch,
        principal: Principal,
        jobs: Mapping[tuple[str, str], Job],
        region: str,
    ) -> None:
        self._engine = engine
        self._dispatch = dispatch
        self._principal = principal
        self._jobs = jobs
        self._region = region

    def run(self, frame: Frame, parameters: Any) -> Steps:
        """Call the integration; return its result, or raise StateFailure in AWS's words."""
        resource = parse_resource(frame.state["Resource"])
        plain = resource.shown_resource == "function" and resource.service == "lambda"
        words = _Words(frame, resource, plain)
        request = self._request(frame, resource, parameters, plain)
        words.scheduled(parameters, self._region)
        work = self._engine.process(self._guarded(resource, words, request, plain))
        timeout_s = frame.state.get("TimeoutSeconds")
        if timeout_s is None:
            yield work
        else:
            yield self._engine.env.any_of([work, self._engine.env.timeout(timeout_s)])
            if not work.processed:
                work.interrupt("States.Timeout")
                words.timed_out()
                raise StateFailure("States.Timeout")
        outcome = work.value
        if isinstance(outcome, StateFailure):
            words.failed(outcome)
            raise outcome
        words.succeeded(outcome)
        return outcome

    def _guarded(
        self, resource: Resource, words: _Words, request: dict[str, Any], plain: bool
    ) -> Steps:
        try:
            return (yield from self._work(resource, words, request, plain))
        except AwsError as error:
            return _named(resource, error)
        except StateFailure as failure:
            return failure
        except simpy.Interrupt:
            return None

    def _work(
        self, resource: Resource, words: _Words, request: dict[str, Any], plain: bool
    ) -> Steps:
        answer = yield from self._call(resource.service, resource.operation, request)
        if resource.service == "lambda":
            return _function_result(answer, plain)
        if not resource.sync:
            return model_names.to_workflow_names(
                resource.service, resource.operation, answer, iso_times=resource.sdk
            )
        job = self._jobs.get((resource.service, resource.operation))
        if job is None:
            raise NotSupportedByTwin(f"{resource.shown_service}:{resource.shown_resource}")
        words.submitted(model_names.to_workflow_names(resource.service, resource.operation, answer))
        yield job.wait(request, answer)
        operation, parameters = job.describe(request, answer)
        described = yield from self._call(resource.service, operation, parameters)
        result = job.result(described)
        spelled = model_names.to_workflow_names(resource.service, operation, result)
        if not job.succeeded(result):
            raise StateFailure("States.TaskFailed", dumps(spelled))
        return spelled

    def _call(self, service: str, operation: str, parameters: dict[str, Any]) -> Steps:
        answer = self._dispatch(self._principal, service, operation, parameters)
        if isinstance(answer, simpy.Event):
            answer = yield answer
        return {k: v for k, v in answer.items() if k != "ResponseMetadata"}

    def _request(
        self, frame: Frame, resource: Resource, parameters: Any, plain: bool
    ) -> dict[str, Any]:
        if plain:
            return {"FunctionName": frame.state["Resource"], "Payload": dumps(parameters).encode()}
        if not isinstance(parameters, dict):
            raise frame.runtime_error("The Parameters of a service integration must be an object.")
        if resource.service == "lambda" and "Payload" in parameters:
            payload = parameters["Payload"]
            parameters = {**parameters, "Payload": dumps(payload).encode()}
        try:
            return model_names.to_model_names(resource.service, resource.operation, parameters)
        except KeyError as error:
            raise frame.runtime_error(
                f"The field {error} is not supported by Step Functions for {resource.service}:"
                f"{resource.operation}."
            ) from error


class _Words:
    """The events of one task in the execution's history."""

    def __init__(self, frame: Frame, resource: Resource, plain: bool) -> None:
        self._history = frame.interpreter.history
        self._thread = frame.thread
        self._frame = frame
        self._plain = plain
        self._head = {"resourceType": resource.shown_service, "resource": resource.shown_resource}

    def scheduled(self, parameters: Any, region: str) -> None:
        if self._plain:
            details = {
                "resource": self._frame.state["Resource"],
                "input": dumps(parameters),
                "inputDetails": {"truncated": False},
            }
            self._history.add(self._thread, "LambdaFunctionScheduled", details)
            self._history.add(self._thread, "LambdaFunctionStarted")
            return
        details = {**self._head, "region": region, "parameters": dumps(parameters)}
        if "TimeoutSeconds" in self._frame.state:
            details["timeoutInSeconds"] = self._frame.state["TimeoutSeconds"]
        self._history.add(self._thread, "TaskScheduled", details)
        self._history.add(self._thread, "TaskStarted", dict(self._head))

    def submitted(self, answer: Any) -> None:
        self._ended(
            "TaskSubmitted", {"output": dumps(answer), "outputDetails": {"truncated": False}}
        )

    def succeeded(self, result: Any) -> None:
        kind = "LambdaFunctionSucceeded" if self._plain else "TaskSucceeded"
        self._ended(kind, {"output": dumps(result), "outputDetails": {"truncated": False}})

    def failed(self, failure: StateFailure) -> None:
        kind = "LambdaFunctionFailed" if self._plain else "TaskFailed"
        self._ended(kind, dict(failure.details()))

    def timed_out(self) -> None:
        kind = "LambdaFunctionTimedOut" if self._plain else "TaskTimedOut"
        self._ended(kind, {"error": "States.Timeout"})

    def _ended(self, kind: str, details: dict[str, Any]) -> None:
        head = {} if self._plain else self._head
        self._history.add(self._thread, kind, {**head, **details})


def _named(resource: Resource, error: AwsError) -> StateFailure:
    """Give an AWS error the name and cause that a Catch sees."""
    modelled = model_names.is_modelled_error(resource.service, error.code)
    short = error.code.removesuffix("Exception")
    if resource.sdk:
        service = _V2_NAMES.get(resource.service, resource.service.capitalize())
        name = f"{short}Exception" if modelled else f"{service}Exception"
        cause = f"{error.message} (Service: {service}, Status Code: {error.status}, Request ID: 0)"
        return StateFailure(f"{service}.{name}", cause)
    service = _V1_NAMES.get(resource.service, resource.service.capitalize())
    base = _V1_BASE.get(resource.service, f"{service}Exception")
    name = f"{short}Exception" if modelled else base
    cause = (
        f"{error.message} (Service: Amazon{service}; Status Code: {error.status}; "
        f"Error Code: {error.code}; Request ID: 0; Proxy: null)"
    )
    return StateFailure(f"{service}.{name}", cause)


def _function_result(answer: dict[str, Any], plain: bool) -> Any:
    payload = answer.get("Payload") or b"null"
    text = payload.decode() if isinstance(payload, bytes) else str(payload)
    value = json.loads(text)
    if answer.get("FunctionError"):
        raise StateFailure(str(value.get("errorType", "Unhandled")), text)
    if plain:
        return value
    return {"ExecutedVersion": "$LATEST", "Payload": value, "StatusCode": answer["StatusCode"]}
