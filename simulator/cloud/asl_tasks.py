"""Task states: Step Functions' service integrations, through `dispatch` as the machine's role.

Optimised integrations (`glue:startJobRun.sync`, `sagemaker:createTrainingJob.sync`,
`sns:publish`, ...), AWS SDK integrations (`aws-sdk:service:action`) and plain function ARNs.
`.sync` waits for the job itself, `.waitForTaskToken` for its token; nothing is polled.
Names: `asl_resources.py`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import simpy

from simulator.cloud import asl_jsonata_states, model_names
from simulator.cloud.asl_activities import Activities
from simulator.cloud.asl_callbacks import Callback, Callbacks
from simulator.cloud.asl_history import MAX_PAYLOAD_BYTES, StateFailure
from simulator.cloud.asl_interpreter import Frame, Steps
from simulator.cloud.asl_payload import dumps
from simulator.cloud.asl_resources import Resource, failure_of, parse_resource
from simulator.cloud.dispatch import Dispatch
from simulator.cloud.engine import Engine
from simulator.cloud.errors import AwsError, NotSupportedByTwin
from simulator.cloud.operations import Principal


@dataclass(frozen=True)
class Job:
    """How `.sync` follows the work that an operation starts.

    ``wait`` gives the event of its end from (request, answer); ``describe`` the operation and
    parameters whose answer is the state's result; ``succeeded`` judges that result; ``cancel``
    the operation and parameters that stop the work when the state ends before it.
    """

    wait: Callable[[dict[str, Any], dict[str, Any]], simpy.Event]
    describe: Callable[[dict[str, Any], dict[str, Any]], tuple[str, dict[str, Any]]]
    result: Callable[[dict[str, Any]], dict[str, Any]]
    succeeded: Callable[[dict[str, Any]], bool]
    cancel: Callable[[dict[str, Any], dict[str, Any]], tuple[str, dict[str, Any]]] | None = None


class TaskRunner:
    """Runs the Task states of one execution as the state machine's role."""

    def __init__(
        self,
        engine: Engine,
        dispatch: Dispatch,
        principal: Principal,
        jobs: Mapping[tuple[str, str], Job],
        region: str,
        callbacks: Callbacks,
        activities: Activities,
    ) -> None:
        self._engine = engine
        self._callbacks = callbacks
        self._activities = activities
        self._dispatch = dispatch
        self._principal = principal
        self._jobs = jobs
        self._region = region

    def attempt(self, frame: Frame) -> dict[str, Any]:
        """Begin an attempt: with `.waitForTaskToken`, each has a token of its own."""
        frame.callback = None
        resource = parse_resource(frame.state["Resource"])
        if not resource.callback:
            return {}
        frame.callback = self._callbacks.issue()
        if resource.activity:
            frame.callback.begun = self._engine.env.event()
        return {"Task": {"Token": frame.callback.token}}

    def run(self, frame: Frame, parameters: Any) -> Steps:
        """Call the integration; return its result, or raise StateFailure in AWS's words."""
        resource = parse_resource(frame.state["Resource"])
        words = _Words(frame, resource)
        request = _request(frame, resource, parameters)
        limits = {"timeoutInSeconds": _seconds(frame, "TimeoutSeconds")}
        if resource.callback:
            limits["heartbeatInSeconds"] = _seconds(frame, "HeartbeatSeconds")
        words.scheduled(parameters, self._region, limits)
        work = self._engine.process(self._guarded(resource, words, request, frame.callback))
        ends, late = self._ends(work, frame.callback, limits)
        try:
            yield self._engine.env.any_of(ends)
        except simpy.Interrupt:
            yield from _ended(work)
            raise
        finally:
            if frame.callback is not None:
                frame.callback.is_open = False
        if work.is_alive:
            yield from _ended(work)
            words.timed_out()
            raise StateFailure("States.Timeout", late=late is not None and late.triggered)
        outcome = work.value
        if isinstance(outcome, StateFailure):
            words.failed(outcome)
            raise outcome
        words.succeeded(outcome)
        return outcome

    def _ends(
        self,
        work: simpy.Process,
        callback: Callback | None,
        limits: Mapping[str, int | float | None],
    ) -> tuple[list[simpy.Event], simpy.Event | None]:
        """Return the events that end a task, and of them that of a missed heartbeat."""
        ends: list[simpy.Event] = [work]
        timeout_s, heartbeat_s = limits["timeoutInSeconds"], limits.get("heartbeatInSeconds")
        if timeout_s is not None:
            ends.append(self._engine.env.timeout(timeout_s))
        if callback is None or heartbeat_s is None:
            return ends, None
        late = callback.silence(heartbeat_s)
        return [*ends, late], late

    def _guarded(
        self,
        resource: Resource,
        words: _Words,
        request: dict[str, Any],
        callback: Callback | None,
    ) -> Steps:
        """Return the result or the failure; ``None`` when the state ended before."""
        try:
            outcome = yield from self._work(resource, words, request, callback)
        except NotSupportedByTwin as error:
            # Nothing that a Catch may hide.
            return StateFailure("States.Runtime", error.message, fatal=True)
        except AwsError as error:
            return failure_of(resource, error)
        except StateFailure as failure:
            return failure
        except simpy.Interrupt:
            return None
        if len(dumps(outcome).encode()) > MAX_PAYLOAD_BYTES:
            is_named = resource.plain or resource.activity
            name = resource.text if is_named else resource.shown_service
            return StateFailure(
                "States.DataLimitExceeded",
                f"The state/task '{name}' returned a result with a size exceeding the maximum "
                "number of bytes service limit.",
            )
        return outcome

    def _work(
        self,
        resource: Resource,
        words: _Words,
        request: dict[str, Any],
        callback: Callback | None,
    ) -> Steps:
        service, operation = resource.service, resource.operation
        if resource.activity and callback is not None:
            perform = self._activities.perform
            return (yield from perform(resource.text, callback, request["input"], words.started))
        answer = yield from self.call(service, operation, request, words.state)
        shown = self._shown(resource, answer)
        if callback is not None:
            words.submitted(shown)
            result = yield callback.outcome
            if isinstance(result, StateFailure):
                raise result
            return result
        if not resource.sync:
            return shown
        words.submitted(shown)
        job = self._jobs[service, operation]
        try:
            yield _observed(job.wait(request, answer))
        except simpy.Interrupt:
            self._cancel(resource, job, request, answer, words.state)
            raise
        described_by, parameters = job.describe(request, answer)
        described = yield from self.call(service, described_by, parameters, words.state)
        result = job.result(described)
        shown = model_names.to_workflow_names(service, described_by, result)
        if resource.text.endswith(".sync:2"):
            # Of a nested execution as the JSON that it is, with .sync as text.
            shown |= {key: json.loads(shown[key]) for key in ("Input", "Output") if key in shown}
        if not job.succeeded(result):
            raise StateFailure("States.TaskFailed", dumps(shown))
        return shown

    def _shown(self, resource: Resource, answer: dict[str, Any]) -> Any:
        """Return an answer as the state's result; raises StateFailure for a function's failure."""
        service, operation = resource.service, resource.operation
        if service == "lambda" and not resource.sdk:
            return self._function_result(answer, resource.plain)
        spelled = model_names.to_workflow_names(service, operation, answer, iso_times=resource.sdk)
        return spelled if resource.sdk else {**spelled, **self._metadata()}

    def call(
        self, service: str, operation: str, parameters: dict[str, Any], state: str = ""
    ) -> Steps:
        """Do one operation as the machine's role; return its answer, or raise AwsError.

        ``state`` is named where the role's calls are looked at (`Iam.observed`).
        """
        principal = replace(self._principal, step=state)
        answer = self._dispatch(principal, service, operation, parameters)
        if isinstance(answer, simpy.Event):
            answer = yield _observed(answer)
        return {k: v for k, v in answer.items() if k != "ResponseMetadata"}

    def _cancel(
        self,
        resource: Resource,
        job: Job,
        request: dict[str, Any],
        answer: dict[str, Any],
        state: str,
    ) -> None:
        """Stop what `.sync` started, as far as the role may: AWS's best effort, without a word."""
        if job.cancel is None:
            return
        operation, parameters = job.cancel(request, answer)
        try:
            principal = replace(self._principal, step=state)
            stopping = self._dispatch(principal, resource.service, operation, parameters)
        except AwsError:
            return
        if isinstance(stopping, simpy.Event):
            _observed(stopping)

    def _metadata(self) -> dict[str, Any]:
        """Return what optimised integrations add to an answer; no HTTP happened here."""
        return {
            "SdkHttpMetadata": {"AllHttpHeaders": {}, "HttpHeaders": {}, "HttpStatusCode": 200},
            "SdkResponseMetadata": {"RequestId": self._engine.new_id()},
        }

    def _function_result(self, answer: dict[str, Any], plain: bool) -> Any:
        payload = answer.get("Payload") or b"null"
        text = payload.decode() if isinstance(payload, bytes) else str(payload)
        value = json.loads(text)
        if answer.get("FunctionError"):
            named = value if isinstance(value, dict) else {}
            raise StateFailure(str(named.get("errorType", "Unhandled")), text)
        if plain:
            return value
        head = {"ExecutedVersion": "$LATEST", "Payload": value, "StatusCode": answer["StatusCode"]}
        return {**head, **self._metadata()}


def _seconds(frame: Frame, name: str) -> int | float | None:
    """Return TimeoutSeconds or HeartbeatSeconds: a number, a path or an expression for one."""
    if frame.jsonata:
        return asl_jsonata_states.number(frame, name)
    if f"{name}Path" not in frame.state:
        seconds: int | float | None = frame.state.get(name)
        return seconds
    path = frame.state[f"{name}Path"]
    value = frame.path(path, frame.path(frame.state.get("InputPath", "$"), frame.raw_input))
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise frame.runtime_error(
            f"The {name}Path parameter does not reference a positive whole number: "
            f"{path} == {dumps(value)}"
        )
    return value


def _observed(event: simpy.Event) -> simpy.Event:
    """Keep SimPy from raising the event's failure when the one who waits has been interrupted."""

    def defuse(done: simpy.Event) -> None:
        done.defused = True

    if event.callbacks is not None:
        event.callbacks.append(defuse)
    return event


def _ended(work: simpy.Process) -> Steps:
    """Interrupt a process that may just have ended, and wait until it has."""
    if work.is_alive:
        work.interrupt()
        yield work


def _request(frame: Frame, resource: Resource, parameters: Any) -> dict[str, Any]:
    """Return the parameters as botocore's model of the operation spells them."""
    if resource.plain:
        return {"FunctionName": resource.text, "Payload": dumps(parameters).encode()}
    if resource.activity:
        return {"input": dumps(parameters)}
    if not isinstance(parameters, dict):
        raise frame.runtime_error("The Parameters of a service integration must be an object.")
    if resource.service == "lambda" and not resource.sdk and "Payload" in parameters:
        parameters = {**parameters, "Payload": dumps(parameters["Payload"]).encode()}
    try:
        return model_names.to_model_names(resource.service, resource.operation, parameters)
    except KeyError as error:
        raise frame.runtime_error(
            f"The field {error} is not supported by Step Functions for {resource.service}:"
            f"{resource.operation}."
        ) from error


class _Words:
    """The events of one task in the execution's history."""

    def __init__(self, frame: Frame, resource: Resource) -> None:
        self.state = frame.name
        self._history = frame.interpreter.history
        self._thread = frame.thread
        self._resource = resource
        self._kind = "Task"
        self._head = {"resourceType": resource.shown_service, "resource": resource.shown_resource}
        if resource.plain or resource.activity:
            self._kind = "LambdaFunction" if resource.plain else "Activity"
            self._head = {}

    def scheduled(
        self, parameters: Any, region: str, limits: Mapping[str, int | float | None]
    ) -> None:
        given = {name: value for name, value in limits.items() if value is not None}
        details: dict[str, Any]
        if self._kind == "Task":
            details = {**self._head, "region": region, "parameters": dumps(parameters), **given}
            self._history.add(self._thread, "TaskScheduled", details)
            self._history.add(self._thread, "TaskStarted", dict(self._head))
            return
        details = {
            "resource": self._resource.text,
            "input": dumps(parameters),
            "inputDetails": {"truncated": False},
        }
        if self._kind == "Activity":
            self._history.add(self._thread, "ActivityScheduled", {**details, **given})
            return
        self._history.add(self._thread, "LambdaFunctionScheduled", details)
        self._history.add(self._thread, "LambdaFunctionStarted")

    def started(self, worker: str) -> None:
        self._ended("Started", {"workerName": worker} if worker else {})

    def submitted(self, answer: Any) -> None:
        self._ended("Submitted", {"output": dumps(answer), "outputDetails": {"truncated": False}})

    def succeeded(self, result: Any) -> None:
        self._ended("Succeeded", {"output": dumps(result), "outputDetails": {"truncated": False}})

    def failed(self, failure: StateFailure) -> None:
        self._ended("Failed", dict(failure.details()))

    def timed_out(self) -> None:
        self._ended("TimedOut", {"error": "States.Timeout"})

    def _ended(self, what: str, details: dict[str, Any]) -> None:
        self._history.add(self._thread, f"{self._kind}{what}", {**self._head, **details})
