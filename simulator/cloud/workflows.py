"""AWS Step Functions: state machines and their executions on the run's clock.

The states in use run for real (`asl_interpreter.py`); what a definition uses beyond them
(JSONata, callbacks, activities, Express) is refused by name when the machine is created.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import simpy

from simulator.cloud.asl_history import MAX_PAYLOAD_BYTES, History, StateFailure, Thread, iso
from simulator.cloud.asl_interpreter import Interpreter, Steps
from simulator.cloud.asl_payload import dumps
from simulator.cloud.asl_tasks import Job, TaskRunner
from simulator.cloud.asl_validation import validate
from simulator.cloud.context import Context
from simulator.cloud.errors import AwsError, NotSupportedByTwin
from simulator.cloud.operations import Answer, Call, Operation, Params

_NAME = re.compile(r"[^\s<>{}\[\]?*\"#%\\^|~`$&,;:/\x00-\x1f]{1,80}")


@dataclass
class Machine:
    """A state machine as it was created or last updated."""

    arn: str
    name: str
    role_arn: str
    text: str
    definition: dict[str, Any]
    created: datetime
    logging: dict[str, Any]
    executions: int = 0


@dataclass
class Execution:
    """One execution: status, history, and the event that succeeds with it when it has ended."""

    arn: str
    name: str
    machine: Machine
    input: str
    started: datetime
    history: History
    done: simpy.Event
    status: str = "RUNNING"
    stopped: datetime | None = None
    output: str | None = None
    error: str | None = None
    cause: str | None = None
    process: simpy.Process | None = None
    states: list[tuple[str, str, float]] = field(default_factory=list)


class Workflows:
    """The service's state machines; ``jobs`` says how `.sync` follows what it started.

    ``on_state(execution name, state, "entered" | "exited")`` lets a person watch.
    """

    def __init__(
        self,
        context: Context,
        jobs: Mapping[tuple[str, str], Job],
        record: Callable[[str, str, Mapping[str, str]], None] | None = None,
    ) -> None:
        self._context = context
        self._jobs = jobs
        self._record = record or (lambda namespace, name, dimensions: None)
        self._machines: dict[str, Machine] = {}
        self._executions: dict[str, Execution] = {}
        self.on_state: Callable[[str, str, str], None] = lambda execution, state, what: None

    def operations(self) -> dict[str, Operation]:
        """Return the operations that run here."""
        machine = _one("stateMachineArn")
        execution = _one("executionArn")
        return {
            "CreateStateMachine": Operation(
                self._create,
                resources=self._named_machine,
                passes_role={"roleArn": "states.amazonaws.com"},
            ),
            "UpdateStateMachine": Operation(self._update, resources=machine),
            "DescribeStateMachine": Operation(self._describe, resources=machine),
            "DeleteStateMachine": Operation(self._delete, resources=machine),
            "ListStateMachines": Operation(self._list),
            "StartExecution": Operation(self._start, resources=machine),
            "StopExecution": Operation(self._stop, resources=execution),
            "DescribeExecution": Operation(self._describe_execution, resources=execution),
            "ListExecutions": Operation(self._list_executions, resources=machine),
            "GetExecutionHistory": Operation(self._history, resources=execution),
        }

    def execution(self, arn: str) -> Execution:
        """Return a running or ended execution; raises ExecutionDoesNotExist."""
        if arn not in self._executions:
            raise AwsError("ExecutionDoesNotExist", f"Execution Does Not Exist: '{arn}'")
        return self._executions[arn]

    # -- state machines

    def _named_machine(self, params: Params) -> list[str]:
        return [self._context.arn("states", f"stateMachine:{params['name']}")]

    def _machine(self, arn: str) -> Machine:
        if arn not in self._machines:
            raise AwsError("StateMachineDoesNotExist", f"State Machine Does Not Exist: '{arn}'")
        return self._machines[arn]

    def _create(self, call: Call) -> Answer:
        params = call.params
        if params.get("type", "STANDARD") != "STANDARD":
            raise NotSupportedByTwin("an EXPRESS state machine")
        if not _NAME.fullmatch(params["name"]):
            raise AwsError("InvalidName", f"Invalid Name: '{params['name']}'")
        definition = validate(params["definition"])
        arn = self._named_machine(params)[0]
        existing = self._machines.get(arn)
        if existing and (existing.text, existing.role_arn) != (
            params["definition"],
            params["roleArn"],
        ):
            raise AwsError("StateMachineAlreadyExists", f"State Machine Already Exists: '{arn}'")
        if existing is None:
            self._machines[arn] = Machine(
                arn,
                params["name"],
                params["roleArn"],
                params["definition"],
                definition,
                self._context.engine.now(),
                params.get("loggingConfiguration", {"level": "OFF"}),
            )
        return {"stateMachineArn": arn, "creationDate": self._machines[arn].created}

    def _update(self, call: Call) -> Answer:
        machine = self._machine(call.params["stateMachineArn"])
        if "definition" in call.params:
            machine.definition = validate(call.params["definition"])
            machine.text = call.params["definition"]
        machine.role_arn = call.params.get("roleArn", machine.role_arn)
        return {"updateDate": self._context.engine.now()}

    def _describe(self, call: Call) -> Answer:
        machine = self._machine(call.params["stateMachineArn"])
        return {
            "stateMachineArn": machine.arn,
            "name": machine.name,
            "status": "ACTIVE",
            "definition": machine.text,
            "roleArn": machine.role_arn,
            "type": "STANDARD",
            "creationDate": machine.created,
            "loggingConfiguration": machine.logging,
            "tracingConfiguration": {"enabled": False},
        }

    def _delete(self, call: Call) -> Answer:
        self._machines.pop(call.params["stateMachineArn"], None)
        return {}

    def _list(self, call: Call) -> Answer:
        return {
            "stateMachines": [
                {
                    "stateMachineArn": m.arn,
                    "name": m.name,
                    "type": "STANDARD",
                    "creationDate": m.created,
                }
                for m in self._machines.values()
            ]
        }

    # -- executions

    def _start(self, call: Call) -> Answer:
        machine = self._machine(call.params["stateMachineArn"])
        text = call.params.get("input", "{}")
        try:
            data = json.loads(text)
        except ValueError as error:
            raise AwsError(
                "InvalidExecutionInput", f"Invalid State Machine Execution Input: '{error}'"
            ) from error
        if len(text.encode()) > MAX_PAYLOAD_BYTES:
            raise AwsError(
                "InvalidExecutionInput",
                "Invalid State Machine Execution Input: "
                f"'the input is over {MAX_PAYLOAD_BYTES} bytes'",
            )
        name = call.params.get("name") or self._context.engine.new_id()
        arn = machine.arn.replace(":stateMachine:", ":execution:") + f":{name}"
        existing = self._executions.get(arn)
        if existing is not None:
            if existing.status == "RUNNING" and existing.input == text:
                return {"executionArn": arn, "startDate": existing.started}
            raise AwsError("ExecutionAlreadyExists", f"Execution Already Exists: '{arn}'")
        engine = self._context.engine
        execution = Execution(
            arn, name, machine, text, engine.now(), History(engine), engine.env.event()
        )
        self._executions[arn] = execution
        execution.process = engine.process(self._run(execution, data))
        return {"executionArn": arn, "startDate": execution.started}

    def _run(self, execution: Execution, data: Any) -> Steps:
        engine, machine = self._context.engine, execution.machine
        execution.history.add(
            Thread(),
            "ExecutionStarted",
            {
                "input": execution.input,
                "inputDetails": {"truncated": False},
                "roleArn": machine.role_arn,
            },
        )
        main = Thread()
        timeout_s = machine.definition.get("TimeoutSeconds")
        try:
            interpreter = self._interpreter(execution, data)
            work = engine.process(_outcome(interpreter, data, main))
            if timeout_s is None:
                yield work
            else:
                yield engine.env.any_of([work, engine.env.timeout(timeout_s)])
                if not work.processed:
                    work.interrupt()
                    self._end(execution, main, "TIMED_OUT", None)
                    return
            outcome = work.value
        except AwsError as error:
            outcome = StateFailure("States.Runtime", error.message, fatal=True)
        except simpy.Interrupt as stop:
            work.interrupt()
            execution.error, execution.cause = stop.cause
            self._end(execution, main, "ABORTED", None)
            return
        if isinstance(outcome, StateFailure):
            self._end(execution, main, "FAILED", outcome)
        else:
            execution.output = dumps(outcome)
            self._end(execution, main, "SUCCEEDED", None)

    def _interpreter(self, execution: Execution, data: Any) -> Interpreter:
        context, machine = self._context, execution.machine
        principal = context.iam.principal_for_role(
            machine.role_arn, execution.name[:64], "states.amazonaws.com"
        )
        tasks = TaskRunner(context.engine, context.dispatch, principal, self._jobs, context.region)
        return Interpreter(
            context.engine,
            machine.definition,
            {
                "Execution": {
                    "Id": execution.arn,
                    "Input": data,
                    "Name": execution.name,
                    "RoleArn": machine.role_arn,
                    "StartTime": iso(execution.started),
                    "RedriveCount": 0,
                },
                "StateMachine": {"Id": machine.arn, "Name": machine.name},
            },
            execution.history,
            tasks,
            lambda state, what: self.on_state(execution.name, state, what),
        )

    def _end(
        self, execution: Execution, thread: Thread, status: str, failure: StateFailure | None
    ) -> None:
        execution.status = status
        execution.stopped = self._context.engine.now()
        kind, details = {
            "SUCCEEDED": (
                "ExecutionSucceeded",
                {"output": execution.output, "outputDetails": {"truncated": False}},
            ),
            "FAILED": ("ExecutionFailed", failure.details() if failure else {}),
            "TIMED_OUT": ("ExecutionTimedOut", {}),
            "ABORTED": (
                "ExecutionAborted",
                {k: v for k, v in (("error", execution.error), ("cause", execution.cause)) if v},
            ),
        }[status]
        if failure is not None:
            execution.error, execution.cause = failure.error, failure.cause
        last = len(execution.history.events)
        thread.last_id = last if last > 1 else 1
        execution.history.add(thread, kind, dict(details))
        metric = {
            "SUCCEEDED": "ExecutionsSucceeded",
            "FAILED": "ExecutionsFailed",
            "TIMED_OUT": "ExecutionsTimedOut",
            "ABORTED": "ExecutionsAborted",
        }[status]
        self._record("AWS/States", metric, {"StateMachineArn": execution.machine.arn})
        execution.done.succeed(execution)

    def _stop(self, call: Call) -> Answer:
        execution = self.execution(call.params["executionArn"])
        if execution.status == "RUNNING" and execution.process is not None:
            execution.process.interrupt((call.params.get("error"), call.params.get("cause")))
        return {"stopDate": self._context.engine.now()}

    def _describe_execution(self, call: Call) -> Answer:
        execution = self.execution(call.params["executionArn"])
        answer: Answer = {
            "executionArn": execution.arn,
            "stateMachineArn": execution.machine.arn,
            "name": execution.name,
            "status": execution.status,
            "startDate": execution.started,
            "input": execution.input,
            "inputDetails": {"included": True},
            "redriveCount": 0,
        }
        for key, value in (
            ("stopDate", execution.stopped),
            ("output", execution.output),
            ("error", execution.error),
            ("cause", execution.cause),
        ):
            if value is not None:
                answer[key] = value
        return answer

    def _list_executions(self, call: Call) -> Answer:
        wanted = call.params.get("statusFilter")
        chosen = [
            e
            for e in self._executions.values()
            if e.machine.arn == call.params["stateMachineArn"] and wanted in (None, e.status)
        ]
        return {
            "executions": [
                {
                    "executionArn": e.arn,
                    "stateMachineArn": e.machine.arn,
                    "name": e.name,
                    "status": e.status,
                    "startDate": e.started,
                    **({"stopDate": e.stopped} if e.stopped else {}),
                }
                for e in reversed(chosen)
            ]
        }

    def _history(self, call: Call) -> Answer:
        events = self.execution(call.params["executionArn"]).history.events
        if call.params.get("reverseOrder"):
            events = events[::-1]
        first = int(call.params.get("nextToken", "0"))
        last = first + (call.params.get("maxResults") or 100)
        answer: Answer = {"events": events[first:last]}
        if last < len(events):
            answer["nextToken"] = str(last)
        return answer


def _outcome(interpreter: Interpreter, data: Any, main: Thread) -> Steps:
    """Return the output or the failure; an interrupted execution returns nothing."""
    try:
        return (yield from interpreter.run(data))
    except StateFailure as failure:
        return failure
    except AwsError as error:
        return StateFailure("States.Runtime", error.message, fatal=True)
    except simpy.Interrupt:
        return None


def _one(name: str) -> Callable[[Params], list[str]]:
    return lambda params: [params[name]]
