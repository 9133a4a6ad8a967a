"""The executions of all state machines: started, stopped, redriven, listed, described.

`workflows.py` keeps the machines and registers these operations; the life of one execution is
in `asl_execution.py`.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import simpy

from simulator.cloud import asl_execution
from simulator.cloud.asl_activities import Activities
from simulator.cloud.asl_callbacks import Callbacks
from simulator.cloud.asl_execution import Execution, Machine, redrivable
from simulator.cloud.asl_history import MAX_PAYLOAD_BYTES, History, iso
from simulator.cloud.asl_interpreter import Interpreter, Steps
from simulator.cloud.asl_map_runs import MapRuns
from simulator.cloud.asl_notices import Notices, without_data
from simulator.cloud.asl_tasks import Job, TaskRunner
from simulator.cloud.context import Context
from simulator.cloud.errors import AwsError, NotSupportedByTwin
from simulator.cloud.operations import Answer, Call, Operation, Params
from simulator.cloud.pages import page

_NAME = re.compile(r"[^\s<>{}\[\]?*\"#%\\^|~`$&,;:/\x00-\x1f\x7f-\x9f]{1,80}")
_OTHER_TYPE = "This operation is not supported by this type of state machine"
_BILLED_MB, _BILLED_MS = 64, 100
"""Steps in which Express executions are billed ("Step Functions pricing")."""
_PAGE = 100
_MOST = 1_000
"""Items in an answer by default and at most (ListExecutions, GetExecutionHistory)."""


class Executions:
    """All executions of one twin; ``machine_of`` finds a machine by its ARN."""

    def __init__(
        self,
        context: Context,
        jobs: Mapping[tuple[str, str], Job],
        notices: Notices,
        machine_of: Callable[[str], Machine],
    ) -> None:
        self._context = context
        self._jobs = jobs
        self._notices = notices
        self._machine_of = machine_of
        self._executions: dict[str, Execution] = {}
        self._callbacks = Callbacks(context.engine)
        self._activities = Activities(context, check_name, paged)
        self._map_runs = MapRuns(self.find, paged)
        self._redrives: dict[tuple[str, str], Answer] = {}
        self.on_state: Callable[[str, str, str], None] = lambda execution, state, what: None

    def operations(self) -> dict[str, Operation]:
        """Return the operations that run here."""
        machine, execution = one("stateMachineArn"), one("executionArn")
        return {
            "StartExecution": Operation(self._start, resources=machine),
            "StartSyncExecution": Operation(self._start_sync, resources=machine),
            "StopExecution": Operation(self._stop, resources=execution),
            "RedriveExecution": Operation(self._redrive, resources=execution),
            "DescribeExecution": Operation(self._describe, resources=execution),
            "DescribeStateMachineForExecution": Operation(
                self._describe_machine, resources=execution
            ),
            "ListExecutions": Operation(self._list, resources=machine),
            "GetExecutionHistory": Operation(self._history, resources=execution),
            **self._callbacks.operations(),
            **self._activities.operations(),
            **self._map_runs.operations(),
        }

    def find(self, arn: str) -> Execution:
        """Return a running or ended execution; raises ExecutionDoesNotExist."""
        if arn not in self._executions:
            raise AwsError("ExecutionDoesNotExist", f"Execution Does Not Exist: '{arn}'")
        return self._executions[arn]

    def all(self) -> list[Execution]:
        """Return all executions in the order of their start."""
        return list(self._executions.values())

    def _standard(self, call: Call) -> Execution:
        """Return the execution that is named; those of Express machines cannot be asked for."""
        arn = call.params["executionArn"]
        if ":express:" in arn:
            raise AwsError(
                "InvalidArn", "Invalid Arn: 'Resource type not valid in this context: express'"
            )
        return self.find(arn)

    def _start(self, call: Call) -> Answer:
        execution = self._started(call)
        return {"executionArn": execution.arn, "startDate": execution.started}

    def _start_sync(self, call: Call) -> simpy.Event:
        if self._machine_of(call.params["stateMachineArn"]).kind != "EXPRESS":
            raise AwsError("StateMachineTypeNotSupported", _OTHER_TYPE)
        execution = self._started(call)
        is_told = call.params.get("includedData") != "METADATA_ONLY"
        return self._context.engine.process(_answered(execution, is_told))

    def _started(self, call: Call) -> Execution:
        machine = self._machine_of(call.params["stateMachineArn"])
        text = call.params.get("input", "{}")
        data = _input(text)
        engine = self._context.engine
        name = call.params.get("name") or engine.new_id()
        check_name(name)
        arn = machine.arn.replace(":stateMachine:", ":execution:") + f":{name}"
        if machine.kind == "EXPRESS":
            # Names may come again.
            arn = f"{arn.replace(':execution:', ':express:')}:{engine.new_id()}"
        existing = self._executions.get(arn)
        if existing is not None:
            if existing.status == "RUNNING" and existing.input == text:
                return existing
            raise AwsError("ExecutionAlreadyExists", f"Execution Already Exists: '{arn}'")
        execution = Execution(
            arn,
            name,
            # What is done to the machine from now on does not touch it.
            dataclasses.replace(machine, settings=dict(machine.settings)),
            text,
            data,
            engine.now(),
            History(engine),
            engine.env.event(),
            engine.env.event(),
        )
        execution.history.on_event = lambda event: self._notices.log(execution, event)
        self._executions[arn] = execution
        engine.process(self._run(execution))
        return execution

    def _run(self, execution: Execution) -> Steps:
        if not execution.redrives:
            asl_execution.begin(execution)
        self._notices.began(execution)
        yield from asl_execution.run(
            self._context.engine, execution, lambda: self._interpreter(execution)
        )
        self._notices.ended(execution)

    def _interpreter(self, execution: Execution) -> Interpreter:
        context, machine = self._context, execution.machine
        # What a trust policy against the confused deputy asks for, as the CDK writes it.
        source = {"aws:SourceArn": machine.arn}
        principal = context.iam.principal_for_role(
            machine.role_arn, execution.name[:64], "states.amazonaws.com", source
        )
        tasks = TaskRunner(
            context.engine,
            context.dispatch,
            principal,
            self._jobs,
            context.region,
            self._callbacks,
            self._activities,
        )
        shown: dict[str, Any] = {
            "Id": execution.arn,
            "Input": execution.data,
            "Name": execution.name,
            "RoleArn": machine.role_arn,
            "StartTime": iso(execution.started),
            "RedriveCount": execution.redrives,
        }
        if execution.redriven is not None:
            shown["RedriveTime"] = iso(execution.redriven)
        return Interpreter(
            context.engine,
            machine.definition,
            {"Execution": shown, "StateMachine": {"Id": machine.arn, "Name": machine.name}},
            execution.history,
            tasks,
            lambda state, what: self.on_state(execution.name, state, what),
            self._map_runs.runs,
        )

    def _stop(self, call: Call) -> Answer:
        execution = self._standard(call)
        if execution.status == "RUNNING" and not execution.stop.triggered:
            execution.error = call.params.get("error")
            execution.cause = call.params.get("cause")
            execution.stop.succeed()
        return {"stopDate": execution.stopped or self._context.engine.now()}

    def _redrive(self, call: Call) -> Answer:
        execution = self._standard(call)
        again = execution.arn, call.params.get("clientToken", "")
        if again[1] and again in self._redrives:
            return self._redrives[again]
        engine = self._context.engine
        asl_execution.redrive(engine, execution)
        engine.process(self._run(execution))
        self._redrives[again] = {"redriveDate": execution.redriven}
        return self._redrives[again]

    def _describe(self, call: Call) -> Answer:
        return described(self._standard(call), self._context.engine.now())

    def _describe_machine(self, call: Call) -> Answer:
        machine = self._standard(call).machine
        return {
            "stateMachineArn": machine.arn,
            "name": machine.name,
            "definition": machine.text,
            "roleArn": machine.role_arn,
            "updateDate": machine.updated or machine.created,
            **machine.settings,
            **({"revisionId": machine.revision} if machine.revision else {}),
        }

    def _list(self, call: Call) -> Answer:
        params = call.params
        if "mapRunArn" in params:
            raise NotSupportedByTwin("mapRunArn of ListExecutions")
        if "stateMachineArn" not in params:
            text = "Must provide a StateMachine ARN or MapRun ARN"
            raise AwsError("ValidationException", f"1 validation error detected: {text}")
        if params.get("statusFilter") == "PENDING_REDRIVE":
            raise AwsError("ValidationException", "PENDING_REDRIVE needs a mapRunArn")
        machine = self._machine_of(params["stateMachineArn"])
        if machine.kind == "EXPRESS":
            raise AwsError("StateMachineTypeNotSupported", _OTHER_TYPE)
        status, redriven = params.get("statusFilter"), params.get("redriveFilter")
        chosen = [
            _summary(execution)
            for execution in self._executions.values()
            if execution.machine.arn == machine.arn
            and status in (None, execution.status)
            and redriven in (None, "REDRIVEN" if execution.redrives else "NOT_REDRIVEN")
        ]
        return paged("executions", chosen[::-1], params)

    def _history(self, call: Call) -> Answer:
        events = self._standard(call).history.events
        if call.params.get("reverseOrder"):
            events = events[::-1]
        answer = paged("events", events, call.params)
        if call.params.get("includeExecutionData") is False:
            answer["events"] = [without_data(event) for event in answer["events"]]
        return answer


def _answered(execution: Execution, is_told: bool) -> Steps:
    """Wait for an Express execution; return what StartSyncExecution answers."""
    yield execution.done
    assert execution.stopped is not None
    took_ms = (execution.stopped - execution.started).total_seconds() * 1000
    answer = {
        key: value
        for key, value in described(execution, execution.stopped).items()
        if not key.startswith("redrive")
    }
    if not is_told:
        for key in ("input", "output"):
            answer.pop(key, None)
            answer[f"{key}Details"] = {"included": False}
    billed_ms = max(1, math.ceil(took_ms / _BILLED_MS)) * _BILLED_MS
    billing = {"billedMemoryUsedInMB": _BILLED_MB, "billedDurationInMilliseconds": billed_ms}
    return {**answer, "billingDetails": billing}


def described(execution: Execution, now: datetime) -> Answer:
    """Return an execution as DescribeExecution answers it at a time."""
    status, why = redrivable(execution, now)
    answer: Answer = {
        **_summary(execution),
        "input": execution.input,
        "inputDetails": {"included": True},
        "redriveStatus": status,
        **({"redriveStatusReason": why} if why else {}),
    }
    if execution.output is not None:
        answer |= {"output": execution.output, "outputDetails": {"included": True}}
    if execution.status != "RUNNING":
        texts = {"error": execution.error, "cause": execution.cause}
        answer |= {name: text for name, text in texts.items() if text is not None}
    return answer


def one(name: str) -> Callable[[Params], list[str]]:
    """Return how the resource of an operation is read from its parameters."""
    return lambda params: [params.get(name, "*")]


def check_name(name: str) -> None:
    """Raise InvalidName for what no machine and no execution may be called."""
    if not _NAME.fullmatch(name):
        raise AwsError("InvalidName", f"Invalid Name: '{name}'")


def paged(name: str, items: Sequence[dict[str, Any]], params: Params) -> Answer:
    """Return a page of a list with the token of the next one."""
    # 0 asks for the default (API reference).
    limit = min(params.get("maxResults") or _PAGE, _MOST)
    shown, token = page(items, limit, params.get("nextToken"))
    return {name: shown, **({"nextToken": token} if token else {})}


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
        "redriveCount": execution.redrives,
    }
    times = {"stopDate": execution.stopped, "redriveDate": execution.redriven}
    return summary | {name: at for name, at in times.items() if at}
