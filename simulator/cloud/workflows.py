"""AWS Step Functions: state machines and their executions on the run's clock.

The states in use run for real (`asl_interpreter.py`); what a definition uses beyond them
(activities, Express) is refused by name when the machine is created.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from simulator.cloud import asl_execution
from simulator.cloud.asl_callbacks import Callbacks
from simulator.cloud.asl_execution import METRICS, Execution, Machine
from simulator.cloud.asl_history import MAX_PAYLOAD_BYTES, History, iso
from simulator.cloud.asl_interpreter import Interpreter, Steps
from simulator.cloud.asl_resources import Resource
from simulator.cloud.asl_tasks import Job, TaskRunner
from simulator.cloud.asl_validation import validate
from simulator.cloud.context import Context
from simulator.cloud.errors import AwsError, NotSupportedByTwin
from simulator.cloud.operations import Answer, Call, Operation, Params
from simulator.cloud.pages import page

__all__ = ["Execution", "Workflows"]

_NAME = re.compile(r"[^\s<>{}\[\]?*\"#%\\^|~`$&,;:/\x00-\x1f\x7f-\x9f]{1,80}")
_PAGE = 100
_MOST = 1_000
"""Items in an answer by default and at most (ListExecutions, GetExecutionHistory)."""

_DEFAULTS: dict[str, Any] = {
    "loggingConfiguration": {"level": "OFF", "includeExecutionData": False},
    "tracingConfiguration": {"enabled": False},
}
_SETTINGS = (*_DEFAULTS, "encryptionConfiguration")


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
        self._callbacks = Callbacks(context.engine)
        self.on_state: Callable[[str, str, str], None] = lambda execution, state, what: None

    def operations(self) -> dict[str, Operation]:
        """Return the operations that run here."""
        machine = _one("stateMachineArn")
        execution = _one("executionArn")
        role = {"roleArn": "states.amazonaws.com"}
        return {
            "CreateStateMachine": Operation(
                self._create, resources=self._named_machine, passes_role=role
            ),
            "UpdateStateMachine": Operation(self._update, resources=machine, passes_role=role),
            "DescribeStateMachine": Operation(self._describe, resources=machine),
            "DeleteStateMachine": Operation(self._delete, resources=machine),
            "ListStateMachines": Operation(self._list),
            "StartExecution": Operation(self._start, resources=machine),
            "StopExecution": Operation(self._stop, resources=execution),
            "DescribeExecution": Operation(self._describe_execution, resources=execution),
            "ListExecutions": Operation(self._list_executions, resources=machine),
            "GetExecutionHistory": Operation(self._history, resources=execution),
            **self._callbacks.operations(),
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

    def _check_resource(self, resource: Resource) -> None:
        """Refuse by name, when a machine is created, a task that could not run."""
        key = resource.service, resource.operation
        if key not in self._context.dispatch.supported():
            raise NotSupportedByTwin(f"{':'.join(key)} (the Task resource {resource.text})")
        if resource.sync and key not in self._jobs:
            raise NotSupportedByTwin(f"the Task resource {resource.text}")

    def _create(self, call: Call) -> Answer:
        params = call.params
        if params.get("type", "STANDARD") != "STANDARD":
            raise NotSupportedByTwin("an EXPRESS state machine")
        _refuse_versions(params)
        _check_name(params["name"])
        definition = validate(params["definition"], self._check_resource)
        arn = self._named_machine(params)[0]
        settings = _DEFAULTS | {key: params[key] for key in _SETTINGS if key in params}
        existing = self._machines.get(arn)
        if existing is None:
            existing = self._machines[arn] = Machine(
                arn,
                params["name"],
                params["roleArn"],
                params["definition"],
                definition,
                self._context.engine.now(),
                settings,
            )
        # Another role or other tags do not make it another machine (API reference).
        elif (existing.text, existing.settings) != (params["definition"], settings):
            raise AwsError("StateMachineAlreadyExists", f"State Machine Already Exists: '{arn}'")
        return {"stateMachineArn": arn, "creationDate": existing.created}

    def _update(self, call: Call) -> Answer:
        params = call.params
        _refuse_versions(params)
        machine = self._machine(params["stateMachineArn"])
        if set(params) <= {"stateMachineArn"}:
            raise AwsError(
                "MissingRequiredParameter",
                "Either the definition, the role ARN, the LoggingConfiguration, or the "
                "TracingConfiguration must be specified",
            )
        if "definition" in params:
            machine.definition = validate(params["definition"], self._check_resource)
            machine.text = params["definition"]
        machine.role_arn = params.get("roleArn", machine.role_arn)
        machine.settings |= {key: params[key] for key in _SETTINGS if key in params}
        machine.revision = self._context.engine.new_id()
        return {"updateDate": self._context.engine.now(), "revisionId": machine.revision}

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
            **machine.settings,
            # A machine that was never updated has none yet.
            **({"revisionId": machine.revision} if machine.revision else {}),
        }

    def _delete(self, call: Call) -> Answer:
        # Executions that run go on with what they began with.
        self._machines.pop(call.params["stateMachineArn"], None)
        return {}

    def _list(self, call: Call) -> Answer:
        machines = [
            {
                "stateMachineArn": machine.arn,
                "name": machine.name,
                "type": "STANDARD",
                "creationDate": machine.created,
            }
            for machine in self._machines.values()
        ]
        return _paged("stateMachines", machines, call.params)

    # -- executions

    def _start(self, call: Call) -> Answer:
        machine = self._machine(call.params["stateMachineArn"])
        text = call.params.get("input", "{}")
        data = _input(text)
        engine = self._context.engine
        name = call.params.get("name") or engine.new_id()
        _check_name(name)
        arn = machine.arn.replace(":stateMachine:", ":execution:") + f":{name}"
        existing = self._executions.get(arn)
        if existing is not None:
            if existing.status == "RUNNING" and existing.input == text:
                return {"executionArn": arn, "startDate": existing.started}
            raise AwsError("ExecutionAlreadyExists", f"Execution Already Exists: '{arn}'")
        execution = Execution(
            arn,
            name,
            machine,
            text,
            engine.now(),
            History(engine),
            engine.env.event(),
            engine.env.event(),
        )
        self._executions[arn] = execution
        engine.process(self._run(execution, data))
        return {"executionArn": arn, "startDate": execution.started}

    def _run(self, execution: Execution, data: Any) -> Steps:
        dimensions = {"StateMachineArn": execution.machine.arn}
        self._record("AWS/States", "ExecutionsStarted", dimensions)
        yield from asl_execution.run(
            self._context.engine, execution, data, lambda: self._interpreter(execution, data)
        )
        self._record("AWS/States", METRICS[execution.status], dimensions)

    def _interpreter(self, execution: Execution, data: Any) -> Interpreter:
        context, machine = self._context, execution.machine
        principal = context.iam.principal_for_role(
            machine.role_arn, execution.name[:64], "states.amazonaws.com"
        )
        tasks = TaskRunner(
            context.engine,
            context.dispatch,
            principal,
            self._jobs,
            context.region,
            self._callbacks,
        )
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

    def _stop(self, call: Call) -> Answer:
        execution = self.execution(call.params["executionArn"])
        if execution.status == "RUNNING" and not execution.stop.triggered:
            execution.error = call.params.get("error")
            execution.cause = call.params.get("cause")
            execution.stop.succeed()
        return {"stopDate": execution.stopped or self._context.engine.now()}

    def _describe_execution(self, call: Call) -> Answer:
        execution = self.execution(call.params["executionArn"])
        answer: Answer = {
            **_summary(execution),
            "input": execution.input,
            "inputDetails": {"included": True},
            **_redrive(execution),
        }
        if execution.output is not None:
            answer |= {"output": execution.output, "outputDetails": {"included": True}}
        if execution.status != "RUNNING":
            texts = {"error": execution.error, "cause": execution.cause}
            answer |= {name: text for name, text in texts.items() if text is not None}
        return answer

    def _list_executions(self, call: Call) -> Answer:
        params = call.params
        for name in ("mapRunArn", "redriveFilter"):
            if name in params:
                raise NotSupportedByTwin(f"{name} of ListExecutions")
        machine, wanted = (
            self._machine(params.get("stateMachineArn", "")),
            params.get("statusFilter"),
        )
        chosen = [
            _summary(execution)
            for execution in self._executions.values()
            if execution.machine.arn == machine.arn and wanted in (None, execution.status)
        ]
        return _paged("executions", chosen[::-1], params)

    def _history(self, call: Call) -> Answer:
        if call.params.get("includeExecutionData") is False:
            raise NotSupportedByTwin("a history without execution data")
        events = self.execution(call.params["executionArn"]).history.events
        if call.params.get("reverseOrder"):
            events = events[::-1]
        return _paged("events", events, call.params)


def _one(name: str) -> Callable[[Params], list[str]]:
    return lambda params: [params.get(name, "*")]


def _refuse_versions(params: Params) -> None:
    for name in ("publish", "versionDescription"):
        if params.get(name):
            raise NotSupportedByTwin(f"{name} of a state machine (versions)")


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise AwsError("InvalidName", f"Invalid Name: '{name}'")


def _input(text: str) -> Any:
    if len(text.encode()) > MAX_PAYLOAD_BYTES:
        problem = f"the input is over {MAX_PAYLOAD_BYTES} bytes"
    else:
        try:
            return json.loads(text)
        except ValueError as error:
            problem = str(error)
    raise AwsError("InvalidExecutionInput", f"Invalid State Machine Execution Input: '{problem}'")


def _summary(execution: Execution) -> dict[str, Any]:
    summary = {
        "executionArn": execution.arn,
        "stateMachineArn": execution.machine.arn,
        "name": execution.name,
        "status": execution.status,
        "startDate": execution.started,
        "redriveCount": 0,
    }
    return summary | ({"stopDate": execution.stopped} if execution.stopped else {})


def _redrive(execution: Execution) -> dict[str, Any]:
    """Return what AWS says about starting an execution again where it failed."""
    if execution.status in ("FAILED", "ABORTED", "TIMED_OUT"):
        return {"redriveStatus": "REDRIVABLE"}
    why = f"Execution is {execution.status} and cannot be redriven"
    return {"redriveStatus": "NOT_REDRIVABLE", "redriveStatusReason": why}


def _paged(name: str, items: Sequence[dict[str, Any]], params: Params) -> Answer:
    # 0 asks for the default (API reference).
    limit = min(params.get("maxResults") or _PAGE, _MOST)
    shown, token = page(items, limit, params.get("nextToken"))
    return {name: shown, **({"nextToken": token} if token else {})}
