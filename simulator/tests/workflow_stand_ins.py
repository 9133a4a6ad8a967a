"""One Task state of a real definition over stand-in services that fail when a test says so.

A definition of `pipeline/workflow` is cut down to the state, the states that its catchers lead to
and an end for each other way out; its input holds something at every path that these read. The
services answer what the state's ResultSelector wants to see. Everything is on the virtual clock.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from simulator.cloud.asl_execution import Execution
from simulator.cloud.asl_history import StateFailure
from simulator.cloud.asl_resources import Resource, parse_resource
from simulator.cloud.asl_tasks import Job
from simulator.cloud.context import Context
from simulator.cloud.dispatch import Dispatch
from simulator.cloud.engine import Engine
from simulator.cloud.iam import Iam
from simulator.cloud.operations import Call, Operation
from simulator.cloud.quotas import Quotas
from simulator.cloud.tests.fakes import START
from simulator.cloud.tests.workflow_bench import ALL, ROLE, TRUST
from simulator.cloud.validation import operation_model
from simulator.cloud.workflows import Workflows
from simulator.targets import ROOT

FOLDER = ROOT / "pipeline" / "workflow"
JOB_S = 10.0
"""How long a job of a stand-in runs."""
NAMED = "workflow-of-a-test"
_STEPS = r"((?:\.[A-Za-z_]\w*|\[\d+\]|\[\*\])+)"
NUMBERS = {
    "EndpointInstances": "2",
    "EndpointMostInstances": "4",
    "RequestsPerInstance": "600",
}
"""What the stack gives as a number."""
_PATH = re.compile(rf"(?<!\$)\${_STEPS}")
_INPUT = re.compile(rf"\$states\.input{_STEPS}")
_COUNTS = re.compile(rf"\$states\.context\.Execution\.Input{_STEPS}")
"""What a definition reads of the execution's own input: how many of something."""
_STEP = re.compile(r"\w+|\*")
_OBJECTS = re.compile(
    r"(?:States\.JsonMerge\(\$|\$merge\(\[\$states\.input)((?:\.\w+)+)"
    r", \$(?:states\.input)?((?:\.\w+)+)"
)
_DESCRIBES = {
    ("glue", "StartJobRun"): ("GetJobRun", {"JobName": "j", "RunId": "r"}, "JobRun"),
    ("stepfunctions", "StartExecution"): ("DescribeExecution", {"executionArn": "e"}, ""),
}
_ENDED = "It went on"
_EMPTY: dict[str, Any] = {
    "blob": b"{}",
    "integer": 0,
    "long": 0,
    "double": 0.0,
    "float": 0.0,
    "list": [],
    "map": {},
    "structure": {},
    "boolean": True,
}
_GIVEN = "What was assigned before"
_VARIABLE = re.compile(r"(?<![$\w])\$([A-Za-z_]\w*)\b(?!\()")


def definition_of(file: Path) -> dict[str, Any]:
    """Return a definition with something in the place of every name of a stack."""
    text = re.sub(
        r"\$\{(\w+)\}",
        lambda match: NUMBERS.get(match[1], f"the-{match[1]}-of-the-stack"),
        file.read_text("utf-8"),
    )
    found: dict[str, Any] = json.loads(text)
    return found


def machines_in(definition: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the states of a machine and of the branches and processors within it."""
    yield definition["States"]
    for state in definition["States"].values():
        inner = [*state.get("Branches", []), state.get("ItemProcessor"), state.get("Iterator")]
        for part in inner:
            if part is not None:
                yield from machines_in(part)


def chain_of(states: Mapping[str, Any], name: str) -> list[str]:
    """Return the states from one on, as long as there is one way."""
    chain = [name]
    while "Next" in states[chain[-1]] and states[chain[-1]]["Next"] not in chain:
        chain.append(states[chain[-1]]["Next"])
    return chain


def is_handler(states: Mapping[str, Any], name: str) -> bool:
    """Tell whether a state is where failures are told: its one way on ends in a Fail state."""
    return bool(states[chain_of(states, name)[-1]]["Type"] == "Fail")


def cut(states: Mapping[str, Any], name: str, language: str) -> dict[str, Any]:
    """Return a machine of one state, with the handlers that its catchers lead to."""
    kept: dict[str, Any] = {}
    wanted = [name]
    caught = {catcher["Next"] for catcher in states[name].get("Catch", [])}
    deciding = {each for each in caught if states[each]["Type"] == "Choice"}
    while wanted:
        at = wanted.pop()
        if at in kept:
            continue
        if at in deciding:
            kept[at] = dict(states[at])
            wanted += [*(rule["Next"] for rule in states[at]["Choices"]), states[at]["Default"]]
            continue
        if at != name and not is_handler(states, at):
            kept[at] = {"Type": "Succeed"}
            continue
        kept[at] = dict(states[at])
        wanted += [catcher["Next"] for catcher in states[at].get("Catch", [])]
        following = states[at].get("Next")
        if following is not None:
            wanted.append(following)
    if states[name].get("Next") is None and not is_handler(states, name):
        kept[name] = {key: value for key, value in kept[name].items() if key != "End"}
        kept[name]["Next"] = _ENDED
        kept[_ENDED] = {"Type": "Succeed"}
    machine = {"StartAt": name, "States": kept, "QueryLanguage": language}
    variables = set(_VARIABLE.findall(json.dumps(states[name])))
    if variables:
        given = {"Type": "Pass", "Assign": dict.fromkeys(variables, "x"), "Next": name}
        machine |= {"StartAt": _GIVEN, "States": {_GIVEN: given, **kept}}
    return machine


def input_for(machine: Mapping[str, Any]) -> dict[str, Any]:
    """Return an input that has something at every path that the states read."""
    own = {
        name: {key: value for key, value in state.items() if key != "ResultSelector"}
        for name, state in machine["States"].items()
    }
    text = json.dumps(own)
    objects = {path for pair in _OBJECTS.findall(text) for path in pair}
    data: dict[str, Any] = {}
    for path in sorted({*_PATH.findall(text), *_INPUT.findall(text)}, key=len):
        data = _with(data, _STEP.findall(path), {} if path in objects else "x")
    for path in sorted(set(_COUNTS.findall(text)), key=len):
        data = _with(data, _STEP.findall(path), 1)
    return data


def _with(data: Any, steps: list[str], value: Any) -> Any:
    """Return data that has something at a path: a value where there was nothing."""
    if not steps:
        return value if data is None else data
    step, rest = steps[0], steps[1:]
    if step.isdigit() or step == "*":
        items = list(data) if isinstance(data, list) else []
        index = int(step) if step.isdigit() else 0
        items += [None] * (index + 1 - len(items))
        return [*items[:index], _with(items[index], rest, value), *items[index + 1 :]]
    found = dict(data) if isinstance(data, dict) else {}
    return {**found, step: _with(found.get(step), rest, value)}


def answer_for(state: Mapping[str, Any], shape: Any) -> dict[str, Any]:
    """Return an answer of an operation with something at every path of the ResultSelector."""
    found: dict[str, Any] = {}
    text = json.dumps([state.get("ResultSelector"), state.get("Output"), state.get("Assign")])
    for path in sorted(set(_PATH.findall(text)), key=len):
        found = _filled(found, shape, _STEP.findall(path))
    return found


def _filled(found: Any, shape: Any, steps: list[str]) -> Any:
    """Return an answer with something of the model's type at a path."""
    kind = shape.type_name if shape is not None else "structure"
    if not steps:
        return _EMPTY.get(kind, "{}") if found is None else found
    if kind == "structure":
        known = {name.lower(): name for name in (shape.members if shape is not None else ())}
        name = known.get(steps[0].lower())
        given = found or {}
        if name is None:
            return given
        return {**given, name: _filled(given.get(name), shape.members[name], steps[1:])}
    if kind == "map":
        given = found or {}
        return {**given, steps[0]: _filled(given.get(steps[0]), shape.value, steps[1:])}
    if kind == "list":
        items = found or []
        index = int(steps[0]) if steps[0].isdigit() else 0
        items = [*items, *[None] * (index + 1 - len(items))]
        return [_filled(each, shape.member, steps[1:]) for each in items]
    return _EMPTY.get(kind, "{}")


@dataclass
class Injected:
    """What goes wrong in a state, and how often: an error's name, a job that fails or hangs."""

    error: str
    how: str = "raised"
    times: int = 1_000_000
    cause: str = "injected"


@dataclass
class StandIns:
    """Runs one state with a failure; ``calls`` has when each state called, and with what."""

    states: Mapping[str, Any]
    name: str
    failure: Injected
    language: str = "JSONPath"
    calls: list[tuple[float, str, dict[str, Any]]] = field(default_factory=list)
    entered: list[str] = field(default_factory=list)

    def run(self) -> Execution:
        """Run the cut machine to its end."""
        self.machine = cut(self.states, self.name, self.language)
        self.engine = Engine(START)
        iam = Iam("000000000000")
        iam.put_role(ROLE, TRUST, {"all": ALL})
        self.dispatch = Dispatch(iam, Quotas(self.engine, {}))
        jobs = self._register()
        context = Context(self.engine, self.dispatch, iam, cast(Any, None), Path("unused"))
        workflows = Workflows(context, jobs)
        self._operations = workflows.operations()
        workflows.watch(lambda execution, state, what: self._watch(state, what))
        made = self._do(
            "CreateStateMachine", name=NAMED, definition=json.dumps(self.machine), roleArn=ROLE
        )
        arn, data = made["stateMachineArn"], json.dumps(input_for(self.machine))
        started = self._do("StartExecution", stateMachineArn=arn, input=data)
        execution = workflows.execution(started["executionArn"])
        self.engine.run(execution.done)
        return execution

    def called(self) -> list[float]:
        """Return when the state called its service."""
        return [at_s for at_s, state, _ in self.calls if state == self.name]

    def told(self) -> list[dict[str, Any]]:
        """Return the messages that handlers have published."""
        return [
            json.loads(params["Message"])
            for _, state, params in self.calls
            if state != self.name and "TopicArn" in params
        ]

    def records(self) -> list[tuple[str, dict[str, Any]]]:
        """Return (key, body) of what handlers have kept."""
        return [
            (params["Key"], json.loads(params["Body"]))
            for _, state, params in self.calls
            if state != self.name and params.get("Key", "").startswith("failures/")
        ]

    def _do(self, operation: str, **params: Any) -> dict[str, Any]:
        # Not through dispatch, where a state that calls Step Functions finds a stand-in.
        answer = self._operations[operation].execute(Call(self.dispatch.root, params))
        assert isinstance(answer, dict)
        return answer

    def _watch(self, state: str, what: str) -> None:
        if what == "entered" and state != _GIVEN:
            self.entered.append(state)

    def _register(self) -> dict[tuple[str, str], Job]:
        """Register what the states call, and say how `.sync` follows it."""
        jobs = {}
        for state in self.machine["States"].values():
            if state["Type"] != "Task":
                continue
            resource = parse_resource(state["Resource"])
            key = resource.service, resource.operation
            if key not in self.dispatch.supported():
                self.dispatch.register(key[0], {key[1]: Operation(self._called)})
            if resource.sync:
                jobs[key] = self._job(resource)
        return jobs

    def _called(self, call: Call) -> Any:
        state = self.entered[-1]
        self.calls.append((self.engine.env.now, state, call.params))
        if state == self.name and self.failure.times > 0 and self.failure.how == "raised":
            self.failure.times -= 1
            raise StateFailure(self.failure.error, self.failure.cause)
        resource = parse_resource(self.machine["States"][state]["Resource"])
        shape = operation_model(resource.service, resource.operation).output_shape
        if resource.service == "lambda" and not resource.sdk:
            return {"StatusCode": 200, "Payload": b"{}"}
        return answer_for({} if resource.sync else self.machine["States"][state], shape)

    def _job(self, resource: Resource) -> Job:
        """Follow a job that ends well after a while, unless it is to fail or to hang."""
        stem = resource.operation.removeprefix("Create")
        plain = (f"Describe{stem}", {f"{stem}Name": "the-job"}, "")
        key = resource.service, resource.operation
        operation, params, member = _DESCRIBES.get(key, plain)
        ended_well: list[bool] = []

        def wait(request: dict[str, Any], answer: dict[str, Any]) -> Any:
            fails = self.failure.how != "raised" and self.failure.times > 0
            self.failure.times -= fails
            ended_well.append(not fails)
            hangs = fails and self.failure.how == "hangs"
            return self.engine.env.event() if hangs else self.engine.env.timeout(JOB_S)

        def describe(call: Call) -> dict[str, Any]:
            shape = operation_model(resource.service, operation).output_shape
            shape = cast(Any, shape).members[member] if member else shape
            found = answer_for(self.machine["States"][self.name], shape)
            return {member: found} if member else found

        self.dispatch.register(resource.service, {operation: Operation(describe)})
        return Job(
            wait=wait,
            describe=lambda request, answer: (operation, params),
            result=lambda answer: dict(answer[member] if member else answer),
            succeeded=lambda result: ended_well[-1],
        )
