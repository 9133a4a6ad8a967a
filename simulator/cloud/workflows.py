"""AWS Step Functions: state machines and their executions on the run's clock.

The states in use run for real (`asl_interpreter.py`); what a definition uses beyond them
(versions, aliases) is refused by name when the machine is created.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from simulator.cloud import asl_managed_rules
from simulator.cloud.asl_execution import Execution, Machine
from simulator.cloud.asl_notices import Notices, Record
from simulator.cloud.asl_resources import Resource
from simulator.cloud.asl_tasks import Job
from simulator.cloud.asl_validation import diagnostics_of, problems_of, validate
from simulator.cloud.context import Context
from simulator.cloud.errors import AwsError, NotSupportedByTwin
from simulator.cloud.operations import Answer, Call, Operation, Params
from simulator.cloud.workflows_executions import Executions, check_name, one, paged

__all__ = ["Execution", "Workflows"]

_DEFAULTS: dict[str, Any] = {
    "loggingConfiguration": {"level": "OFF", "includeExecutionData": False},
    "tracingConfiguration": {"enabled": False},
}
_MOST_DIAGNOSTICS = 100
"""ValidateStateMachineDefinition API reference."""
_SETTINGS = (*_DEFAULTS, "encryptionConfiguration")


class Workflows:
    """The service's state machines; ``jobs`` says how `.sync` follows what it started."""

    def __init__(
        self,
        context: Context,
        jobs: Mapping[tuple[str, str], Job],
        record: Record | None = None,
    ) -> None:
        self._context = context
        self._machines: dict[str, Machine] = {}
        self._notices = Notices(context, record)
        self._jobs = {("stepfunctions", "StartExecution"): self._nested(), **jobs}
        context.check_task = self._check_resource
        self._executions = Executions(context, self._jobs, self._notices, self._machine)

    def watch(self, on_state: Callable[[str, str, str], None]) -> None:
        """Have ``on_state(execution name, state, "entered" | "exited")`` called from now on."""
        self._executions.on_state = on_state

    def operations(self) -> dict[str, Operation]:
        """Return the operations that run here."""
        machine = one("stateMachineArn")
        role = {"roleArn": "states.amazonaws.com"}
        return {
            "CreateStateMachine": Operation(
                self._create, resources=self._named_machine, passes_role=role
            ),
            "UpdateStateMachine": Operation(self._update, resources=machine, passes_role=role),
            "DescribeStateMachine": Operation(self._describe, resources=machine),
            "DeleteStateMachine": Operation(self._delete, resources=machine),
            "ListStateMachines": Operation(self._list),
            "ValidateStateMachineDefinition": Operation(self._validate),
            **self._executions.operations(),
        }

    def _nested(self) -> Job:
        """Say how a workflow's `.sync` follows another workflow."""
        return Job(
            wait=lambda request, answer: self.execution(answer["executionArn"]).done,
            describe=lambda request, answer: (
                "DescribeExecution",
                {"executionArn": answer["executionArn"]},
            ),
            result=dict,
            succeeded=lambda result: result["status"] == "SUCCEEDED",
            cancel=lambda request, answer: (
                "StopExecution",
                {"executionArn": answer["executionArn"]},
            ),
        )

    def execution(self, arn: str) -> Execution:
        """Return a running or ended execution; raises ExecutionDoesNotExist."""
        return self._executions.find(arn)

    def executions(self) -> list[Execution]:
        """Return all executions in the order of their start."""
        return self._executions.all()

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

    def _validated(self, text: str, kind: str) -> tuple[dict[str, Any], list[Resource]]:
        """Return a definition, and what its tasks do; raises as `validate` does."""
        tasks: list[Resource] = []

        def check(resource: Resource) -> None:
            self._check_resource(resource)
            tasks.append(resource)

        return validate(text, check, kind), tasks

    def _create(self, call: Call) -> Answer:
        params = call.params
        kind = params.get("type", "STANDARD")
        check_request(params)
        definition, tasks = self._validated(params["definition"], kind)
        arn = self._named_machine(params)[0]
        settings = _DEFAULTS | _settings(params)
        asl_managed_rules.check(self._context, params["roleArn"], arn, tasks)
        self._notices.check_logging(settings["loggingConfiguration"], params["roleArn"], arn)
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
                kind,
            )
        # Another role or other tags do not make it another machine (API reference).
        elif (existing.text, existing.settings, existing.kind) != (
            params["definition"],
            settings,
            kind,
        ):
            raise AwsError("StateMachineAlreadyExists", f"State Machine Already Exists: '{arn}'")
        return {"stateMachineArn": arn, "creationDate": existing.created}

    def _validate(self, call: Call) -> Answer:
        params = call.params
        kind = params.get("type", "STANDARD")
        problems = problems_of(params["definition"], self._check_resource, kind)
        most = params.get("maxResults") or _MOST_DIAGNOSTICS
        return {
            "result": "FAIL" if problems else "OK",
            "diagnostics": diagnostics_of(problems[:most]),
            "truncated": len(problems) > most,
        }

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
        role = params.get("roleArn", machine.role_arn)
        settings = machine.settings | _settings(params)
        self._notices.check_logging(settings["loggingConfiguration"], role, machine.arn)
        text = params.get("definition", machine.text)
        definition, tasks = self._validated(text, machine.kind)
        asl_managed_rules.check(self._context, role, machine.arn, tasks)
        machine.definition, machine.text = definition, text
        machine.role_arn = role
        machine.settings = settings
        machine.revision = self._context.engine.new_id()
        machine.updated = self._context.engine.now()
        return {"updateDate": machine.updated, "revisionId": machine.revision}

    def _describe(self, call: Call) -> Answer:
        machine = self._machine(call.params["stateMachineArn"])
        return {
            "stateMachineArn": machine.arn,
            "name": machine.name,
            "status": "ACTIVE",
            "definition": machine.text,
            "roleArn": machine.role_arn,
            "type": machine.kind,
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
                "type": machine.kind,
                "creationDate": machine.created,
            }
            for machine in self._machines.values()
        ]
        return paged("stateMachines", machines, call.params)


def check_request(params: Params) -> None:
    """Raise what CreateStateMachine does of a request, beside what is wrong with its definition."""
    _refuse_versions(params)
    check_name(params["name"])


def _refuse_versions(params: Params) -> None:
    for name in ("publish", "versionDescription"):
        if params.get(name):
            raise NotSupportedByTwin(f"{name} of a state machine (versions)")


def _settings(params: Params) -> dict[str, Any]:
    """Return the settings that are given, with the defaults of what they leave out."""
    given = {key: params[key] for key in _SETTINGS if key in params}
    return {key: {**_DEFAULTS.get(key, {}), **value} for key, value in given.items()}
