"""Workflows over services that a test programs: each answers, fails or takes its time."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import simpy

from simulator.cloud.asl_execution import Execution
from simulator.cloud.asl_tasks import Job
from simulator.cloud.context import Context
from simulator.cloud.dispatch import Dispatch
from simulator.cloud.engine import Engine, SimGenerator
from simulator.cloud.errors import AwsError
from simulator.cloud.iam import Iam
from simulator.cloud.logs import Logs
from simulator.cloud.operations import Call, Operation
from simulator.cloud.quotas import Quotas
from simulator.cloud.tests.fakes import START
from simulator.cloud.validation import validate_answer
from simulator.cloud.workflows import Workflows

ROLE = "arn:aws:iam::000000000000:role/machine"
MACHINES = "arn:aws:states:us-east-1:000000000000:stateMachine"
PUBLISH = "arn:aws:states:::sns:publish"
RUN_JOB = "arn:aws:states:::glue:startJobRun.sync"
FUNCTION = "arn:aws:lambda:us-east-1:000000000000:function:f"
OPERATIONS = [
    ("sns", "Publish"),
    ("lambda", "Invoke"),
    ("ssm", "GetParameter"),
    ("s3", "GetObject"),
    ("s3", "ListObjectsV2"),
    ("s3", "PutObject"),
    ("dynamodb", "PutItem"),
    ("sqs", "SendMessage"),
    ("glue", "GetJobRun"),
    ("glue", "BatchStopJobRun"),
]
TRUST = {
    "Version": "2012-10-17",
    "Statement": {
        "Effect": "Allow",
        "Principal": {"Service": "states.amazonaws.com"},
        "Action": "sts:AssumeRole",
    },
}
ALL = {
    "Version": "2012-10-17",
    "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"},
}
THROTTLED = AwsError("Throttled", "slow down", 429)
SECONDS = {"Type": "Wait", "SecondsPath": "$.s", "End": True}
"""A state that waits as long as its input says."""
Outcome = dict[str, Any] | BaseException | Callable[[Call], Any]


class Bench:
    """``program`` says what an operation answers, ``calls`` who called when."""

    def __init__(self, state: Path = Path("unused")) -> None:
        iam, self.engine = Iam("000000000000"), Engine(START)
        iam.put_role(ROLE, TRUST, {"all": ALL})
        self.dispatch = Dispatch(iam, Quotas(self.engine, {}))
        context = Context(self.engine, self.dispatch, iam, cast(Any, None), state)
        context.logs = Logs(context)
        self.context = context
        self.iam = iam
        self.calls: list[tuple[float, str, dict[str, Any]]] = []
        self.counted: list[str] = []
        self.program: dict[str, Outcome] = {}
        self.jobs: dict[str, simpy.Event] = {}
        self.job_states: dict[str, str] = {}
        for service, operation in OPERATIONS:
            self.dispatch.register(service, {operation: self._operation(operation)})
        self.dispatch.register("glue", {"StartJobRun": Operation(self._start_job)})
        self.workflows = Workflows(
            context, self._job_table(), lambda _, name, *value: self.counted.append(name)
        )
        self.dispatch.register("stepfunctions", self.workflows.operations())
        self._names = itertools.count()

    # -- the services

    def _operation(self, name: str) -> Operation:
        def execute(call: Call) -> Any:
            self.calls.append((self.engine.env.now, name, call.params))
            outcome = self.program.get(name, {})
            if callable(outcome):
                outcome = outcome(call)
            if isinstance(outcome, BaseException):
                raise outcome
            return outcome

        return Operation(execute)

    def later(self, delay_s: float, outcome: dict[str, Any] | Exception) -> simpy.Process:
        """Return an event that answers, or fails, after a while."""

        def wait() -> SimGenerator:
            yield self.engine.env.timeout(delay_s)
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

        return self.engine.process(wait())

    def _start_job(self, call: Call) -> dict[str, Any]:
        """Start a job that runs ``--seconds`` and ends as ``--state``."""
        run_id = f"jr_{len(self.jobs)}"
        self.calls.append((self.engine.env.now, "StartJobRun", call.params))
        arguments = call.params.get("Arguments", {})
        self.jobs[run_id] = self.engine.env.timeout(float(arguments.get("--seconds", "10")))
        self.job_states[run_id] = arguments.get("--state", "SUCCEEDED")
        self.program["GetJobRun"] = lambda get: {
            "JobRun": {
                "Id": get.params["RunId"],
                "JobName": get.params["JobName"],
                "JobRunState": self.job_states[get.params["RunId"]],
                "CompletedOn": self.engine.now(),
            }
        }
        return {"JobRunId": run_id}

    def _job_table(self) -> dict[tuple[str, str], Job]:
        return {
            ("glue", "StartJobRun"): Job(
                wait=lambda request, answer: self.jobs[answer["JobRunId"]],
                describe=lambda request, answer: (
                    "GetJobRun",
                    {"JobName": request["JobName"], "RunId": answer["JobRunId"]},
                ),
                result=lambda described: dict(described["JobRun"]),
                succeeded=lambda result: result["JobRunState"] == "SUCCEEDED",
                cancel=lambda request, answer: (
                    "BatchStopJobRun",
                    {"JobName": request["JobName"], "JobRunIds": [answer["JobRunId"]]},
                ),
            )
        }

    # -- workflows

    def do(self, operation: str, **params: Any) -> dict[str, Any]:
        """Do an operation of Step Functions as root, and check its answer against the model."""
        answer = self.dispatch(self.dispatch.root, "stepfunctions", operation, params)
        assert isinstance(answer, dict)
        validate_answer("stepfunctions", operation, answer)
        return answer

    def create(self, definition: dict[str, Any], name: str | None = None) -> str:
        """Create a state machine; return its ARN."""
        arn: str = self.do(
            "CreateStateMachine",
            name=name or f"m{next(self._names)}",
            definition=json.dumps(definition),
            roleArn=ROLE,
        )["stateMachineArn"]
        return arn

    def start(self, definition: dict[str, Any], data: Any = None) -> Execution:
        """Create a machine and start it; nothing has run yet."""
        data = {} if data is None else data
        answer = self.do(
            "StartExecution", stateMachineArn=self.create(definition), input=json.dumps(data)
        )
        return self.workflows.execution(answer["executionArn"])

    def run(self, definition: dict[str, Any], data: Any = None) -> Execution:
        """Run a definition to its end, and check its history."""
        execution = self.start(definition, data)
        self.engine.run(execution.done)
        check_history(execution)
        return execution

    def run_states(self, data: Any = None, **states: dict[str, Any]) -> Execution:
        """Run states by name; the first is where it starts."""
        return self.run(machine(**states), data)

    def called(self, operation: str) -> list[float]:
        """Return when an operation was called, in seconds since the start."""
        return [at_s for at_s, name, _ in self.calls if name == operation]


def machine(**states: dict[str, Any]) -> dict[str, Any]:
    """Return a definition of states by name; the first is where it starts."""
    return {"StartAt": next(iter(states)), "States": states}


def task(resource: str = PUBLISH, **more: Any) -> dict[str, Any]:
    """Return a Task state that ends, unless it says where it goes."""
    parameters: dict[str, Any] = {"Message": "hello", "TopicArn": "t"}
    if resource == RUN_JOB:
        parameters = {"JobName": "j", "Arguments": {"--seconds.$": "States.Format('{}', $.s)"}}
    end = {} if "Next" in more else {"End": True}
    return {"Type": "Task", "Resource": resource, "Parameters": parameters, **end, **more}


def output(execution: Execution) -> Any:
    """Return the parsed output of an execution that succeeded."""
    assert execution.status == "SUCCEEDED", (execution.error, execution.cause)
    assert execution.output is not None
    return json.loads(execution.output)


def kinds(execution: Execution) -> list[str]:
    """Return the types of an execution's events."""
    return [event["type"] for event in execution.history.events]


def check_history(execution: Execution) -> None:
    """Assert what every history keeps: AWS's shape, numbers, order, one last event that ends it."""
    events = execution.history.events
    validate_answer("stepfunctions", "GetExecutionHistory", {"events": events})
    assert [event["id"] for event in events] == list(range(1, len(events) + 1))
    assert all(event["previousEventId"] < event["id"] for event in events)
    times = [event["timestamp"] for event in events]
    assert times == sorted(times)
    ends = {
        "SUCCEEDED": "ExecutionSucceeded",
        "FAILED": "ExecutionFailed",
        "TIMED_OUT": "ExecutionTimedOut",
        "ABORTED": "ExecutionAborted",
    }
    last = [event["type"] for event in events if event["type"] in ends.values()]
    assert len(last) == execution.redrives + 1
    assert events[-1]["type"] == last[-1] == ends[execution.status]
