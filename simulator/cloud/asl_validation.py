"""Checks a state machine's definition when it is created: AWS's errors, and what the twin lacks.

Fields, transitions, error handlers, choice operators, payload templates and integrations are
checked here, so that an execution never meets a definition that it cannot follow.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from simulator.cloud import asl_items
from simulator.cloud.asl_choice import operator_of, timestamp
from simulator.cloud.asl_jsonata import expression_of, syntax_errors
from simulator.cloud.asl_resources import Resource, parse_resource
from simulator.cloud.errors import AwsError, NotSupportedByTwin

MAX_DEFINITION_BYTES = 1_048_576
"""CreateStateMachine API reference: length of definition."""

_TYPES = {"Pass", "Task", "Choice", "Wait", "Succeed", "Fail", "Parallel", "Map"}
_ENDLESS = {"Choice", "Succeed", "Fail"}
_MACHINE = {"Comment", "StartAt", "States", "TimeoutSeconds", "Version", "QueryLanguage"}
_COMMON = {"Type", "Comment", "InputPath", "OutputPath", "Next", "End", "QueryLanguage", "Assign"}
_RESULT = {"Parameters", "ResultSelector", "ResultPath", "Retry", "Catch"}
_LIMITS = {"TimeoutSeconds", "HeartbeatSeconds"}
_DISTRIBUTED = {"ItemReader", "ItemBatcher", "ResultWriter"}
_WAITS = {"Seconds", "SecondsPath", "Timestamp", "TimestampPath"}
_FIELDS: dict[str, set[str]] = {
    "Pass": {"Parameters", "ResultPath", "Result"},
    "Task": _RESULT | _LIMITS | {f"{name}Path" for name in _LIMITS} | {"Resource"},
    "Choice": {"Choices", "Default"},
    "Wait": _WAITS,
    "Succeed": set(),
    "Fail": {"Error", "ErrorPath", "Cause", "CausePath"},
    "Parallel": _RESULT | {"Branches"},
    "Map": _RESULT
    | {
        "ItemProcessor",
        "Iterator",
        "ItemsPath",
        "ItemSelector",
        "MaxConcurrency",
        "MaxConcurrencyPath",
        "ToleratedFailureCount",
        "ToleratedFailureCountPath",
        "ToleratedFailurePercentage",
        "ToleratedFailurePercentagePath",
        "Label",
        *_DISTRIBUTED,
    },
}
_JSONATA_COMMON = {"Type", "Comment", "Next", "End", "QueryLanguage", "Assign", "Output"}
_JSONATA_RESULT = {"Arguments", "Retry", "Catch"}
_JSONATA_FIELDS: dict[str, set[str]] = {
    "Pass": set(),
    "Task": _JSONATA_RESULT | _LIMITS | {"Resource"},
    "Choice": {"Choices", "Default"},
    "Wait": {"Seconds", "Timestamp"},
    "Succeed": set(),
    "Fail": {"Error", "Cause"},
    "Parallel": _JSONATA_RESULT | {"Branches"},
    "Map": {"Retry", "Catch", "ItemProcessor", "Items", "ItemSelector", "MaxConcurrency", "Label"}
    | {"ToleratedFailureCount", "ToleratedFailurePercentage", *_DISTRIBUTED},
}
"""What each state has with JSONata: "Transforming data with JSONata" in the guide."""
_REQUIRED = {"Task": "Resource", "Choice": "Choices", "Parallel": "Branches"}
_RETRIER = {
    "IntervalSeconds": 1,
    "BackoffRate": 1.0,
    "MaxAttempts": 0,
    "MaxDelaySeconds": 1,
}
"""Numbers of a retrier and the least that each may be: "Error handling" in the guide."""
_TEMPLATES = ("Parameters", "ResultSelector", "ItemSelector", "Assign")
_SCHEMA = "SCHEMA_VALIDATION_FAILED: "


def validate(
    text: str,
    check_resource: Callable[[Resource], None] = lambda resource: None,
    kind: str = "STANDARD",
) -> dict[str, Any]:
    """Return the parsed definition; ``check_resource`` may refuse a task's integration.

    Raises:
        AwsError: InvalidDefinition, with every problem found, as AWS words it.
        NotSupportedByTwin: a state type, field or integration that the twin does not run.
    """
    problems = problems_of(text, check_resource, kind)
    if problems:
        raise AwsError(
            "InvalidDefinition", f"Invalid State Machine Definition: '{', '.join(problems)}'"
        )
    definition: dict[str, Any] = json.loads(text)
    return definition


def problems_of(
    text: str,
    check_resource: Callable[[Resource], None],
    kind: str = "STANDARD",
    lacking: list[str] | None = None,
) -> list[str]:
    """Return what is wrong with a definition: code, text and place of each problem.

    What the twin does not run raises NotSupportedByTwin, unless ``lacking`` is there to take what
    of each state that is.
    """
    if len(text.encode()) > MAX_DEFINITION_BYTES:
        return [f"{_SCHEMA}the definition is over {MAX_DEFINITION_BYTES} bytes"]
    try:
        definition = json.loads(text)
    except ValueError as error:
        return [f"INVALID_JSON_DESCRIPTION: {error}"]
    return list(_Check(check_resource, kind, lacking).machine(definition, "", _MACHINE))


def diagnostics_of(problems: list[str]) -> list[dict[str, str]]:
    """Return problems as ValidateStateMachineDefinition answers them."""
    diagnostics = []
    for problem in problems:
        code, _, text = problem.partition(": ")
        found = {"severity": "ERROR", "code": code, "message": text}
        message, at, location = text.rpartition(" at ")
        if at and location.startswith("/"):
            found |= {"message": message, "location": location}
        diagnostics.append(found)
    return diagnostics


def _required(names: list[str], where: str) -> str:
    return f"{_SCHEMA}These fields are required: [{', '.join(names)}] at {where or '/'}"


class _Check:
    """Yields the problems of a definition, part by part."""

    def __init__(
        self, check_resource: Callable[[Resource], None], kind: str, lacking: list[str] | None
    ) -> None:
        self._check_resource = check_resource
        self._lacking = lacking
        self._is_express = kind == "EXPRESS"
        self._language = "JSONPath"

    def machine(self, definition: Any, where: str, fields: set[str]) -> Iterator[str]:
        """Check a whole machine, a branch or an item processor."""
        if not isinstance(definition, dict):
            yield f"{_SCHEMA}Expected an object at {where or '/'}"
            return
        missing = [name for name in ("StartAt", "States") if name not in definition]
        if missing:
            yield _required(missing, where)
            return
        for name in sorted(set(definition) - fields):
            yield f"{_SCHEMA}Field is not supported at {where}/{name}"
        if not where:
            self._language = definition.get("QueryLanguage", "JSONPath")
        yield from _language(definition, where)
        states = definition["States"]
        if not isinstance(states, dict) or not all(isinstance(s, dict) for s in states.values()):
            yield f"{_SCHEMA}Expected an object at {where}/States"
            return
        for name, state in states.items():
            try:
                here = f"{where}/States/{name}"
                yield from _of_the_form(self._state(state, here), here)
            except NotSupportedByTwin as error:
                if self._lacking is None:
                    raise
                self._lacking.append(str(error.args[0]))
        targets = _transitions(definition["StartAt"], states, where)
        yield from _of_the_form(targets, f"{where}/States")

    def _state(self, state: dict[str, Any], where: str) -> Iterator[str]:
        kind = state.get("Type")
        if kind not in _TYPES:
            yield f"{_SCHEMA}Value is not a valid state Type at {where}/Type"
            return
        yield from _language(state, where)
        jsonata = state.get("QueryLanguage", self._language) == "JSONata"
        known = _JSONATA_COMMON | _JSONATA_FIELDS[kind] if jsonata else _COMMON | _FIELDS[kind]
        unknown = sorted(set(state) - known)
        if unknown:
            raise NotSupportedByTwin(f"the field {unknown[0]} of the {kind} state at {where}")
        if kind not in _ENDLESS and ("Next" in state) == (state.get("End") is True):
            yield _required(["Next or End"], where)
        if kind in _REQUIRED and _REQUIRED[kind] not in state:
            yield _required([_REQUIRED[kind]], where)
            return
        if jsonata:
            inner = {"Branches", "ItemProcessor"}
            own = {name: part for name, part in state.items() if name not in inner}
            yield from syntax_errors(own, where)
        else:
            for name in _TEMPLATES:
                yield from _template(state.get(name), f"{where}/{name}")
        for name in ("Retry", "Catch"):
            yield from _handlers(state.get(name, []), f"{where}/{name}", jsonata=jsonata)
        yield from self._own(state, kind, where, jsonata=jsonata)

    def _own(self, state: dict[str, Any], kind: str, where: str, *, jsonata: bool) -> Iterator[str]:
        """Check what only one type of state has."""
        if kind == "Task":
            yield from self._task(state, where)
        elif kind == "Choice":
            for number, rule in enumerate(state["Choices"]):
                here = f"{where}/Choices[{number}]"
                if jsonata:
                    missing = [name for name in ("Condition", "Next") if name not in rule]
                    yield from [_required(missing, here)] if missing else []
                else:
                    yield from _rule(rule, here, top=True)
        elif kind == "Wait":
            yield from _wait(state, where)
        elif kind == "Parallel":
            for number, branch in enumerate(state["Branches"]):
                yield from self.machine(branch, f"{where}/Branches[{number}]", _MACHINE)
        elif kind == "Map":
            yield from self._map(state, where, "Arguments" if jsonata else "Parameters")

    def _task(self, state: dict[str, Any], where: str) -> Iterator[str]:
        resource = parse_resource(state["Resource"])
        yield from _limits(state, resource, where)
        pattern = resource.shown_resource.partition(".")[2]
        if self._is_express and pattern:
            yield (
                f"{_SCHEMA}Express state machine does not support '.{pattern}' service "
                f"integration at {where}/Resource"
            )
        if self._is_express and resource.activity:
            yield f"{_SCHEMA}Express state machine does not support activities at {where}/Resource"
        self._check_resource(resource)

    def _map(self, state: dict[str, Any], where: str, parameters: str) -> Iterator[str]:
        name = "ItemProcessor" if "ItemProcessor" in state else "Iterator"
        if name not in state:
            yield _required(["ItemProcessor"], where)
            return
        given = sorted(_DISTRIBUTED & set(state))
        mode = state[name].get("ProcessorConfig", {}).get("Mode")
        if self._is_express and mode == "DISTRIBUTED":
            yield f"{_SCHEMA}Express state machine does not support DISTRIBUTED at {where}"
        if given and mode != "DISTRIBUTED":
            yield f"{_SCHEMA}Field needs the Mode DISTRIBUTED at {where}/{given[0]}"
        yield from (_SCHEMA + each for each in asl_items.problems(state, where, parameters))
        yield from self.machine(state[name], f"{where}/{name}", _MACHINE | {"ProcessorConfig"})


def _of_the_form(problems: Iterator[str], where: str) -> Iterator[str]:
    """Yield problems; one more where a part is not of the JSON type that its checks look into."""
    try:
        yield from problems
    except (AttributeError, LookupError, TypeError):
        yield f"{_SCHEMA}A field holds a value of another type than its own at {where}"


def _limits(state: dict[str, Any], resource: Resource, where: str) -> Iterator[str]:
    """Check a task's time-out and heartbeat."""
    heartbeat = sorted({"HeartbeatSeconds", "HeartbeatSecondsPath"} & set(state))
    if heartbeat and not resource.callback:
        raise NotSupportedByTwin(f"{heartbeat[0]} at {where} of a task that sends no token")
    numbers = {}
    for name in sorted(_LIMITS):
        if name in state and f"{name}Path" in state:
            yield f"{_SCHEMA}Only one of {name} and {name}Path is allowed at {where}"
        value = state.get(name)
        if value is None or expression_of(value) is not None:
            continue
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            yield f"{_SCHEMA}Value must be a whole number, 1 or more at {where}/{name}"
        else:
            numbers[name] = value
    if len(numbers) == 2 and numbers["HeartbeatSeconds"] >= numbers["TimeoutSeconds"]:
        yield f"{_SCHEMA}HeartbeatSeconds must be below TimeoutSeconds at {where}"


def _language(part: dict[str, Any], where: str) -> Iterator[str]:
    if part.get("QueryLanguage", "JSONPath") not in ("JSONPath", "JSONata"):
        yield f"{_SCHEMA}Value is not JSONPath or JSONata at {where}/QueryLanguage"


def _transitions(start: str, states: dict[str, Any], where: str) -> Iterator[str]:
    """Find targets that are not there, and states that nothing leads to."""
    targets = {start: f"{where}/StartAt"}
    for name, state in states.items():
        path = f"{where}/States/{name}"
        for key in ("Next", "Default"):
            if key in state:
                targets.setdefault(state[key], f"{path}/{key}")
        for key in ("Choices", "Catch"):
            for number, rule in enumerate(state.get(key, [])):
                if "Next" in rule:
                    targets.setdefault(rule["Next"], f"{path}/{key}[{number}]/Next")
    for target in sorted(set(targets) - set(states)):
        yield f"MISSING_TRANSITION_TARGET: Missing 'Next' target: {target} at {targets[target]}"
    for name in sorted(set(states) - set(targets)):
        yield (
            f'MISSING_TRANSITION_TARGET: State "{name}" is not reachable. at {where}/States/{name}'
        )


def _template(template: Any, where: str) -> Iterator[str]:
    """Find fields ``x.$`` that hold neither a path nor an intrinsic function."""
    if isinstance(template, dict):
        for key, value in template.items():
            if not key.endswith(".$"):
                yield from _template(value, f"{where}/{key}")
            elif not (isinstance(value, str) and value.startswith(("$", "States."))):
                yield (
                    f"{_SCHEMA}The value for the field '{key}' must be a valid JSONPath or a "
                    f"valid intrinsic function call at {where}/{key}"
                )
    elif isinstance(template, list):
        for number, item in enumerate(template):
            yield from _template(item, f"{where}[{number}]")


def _handlers(handlers: list[dict[str, Any]], where: str, *, jsonata: bool) -> Iterator[str]:
    """Check retriers and catchers."""
    for number, handler in enumerate(handlers):
        here = f"{where}[{number}]"
        wanted = ["ErrorEquals"] + (["Next"] if where.endswith("/Catch") else [])
        missing = [name for name in wanted if name not in handler]
        if missing:
            yield _required(missing, here)
            continue
        names = handler["ErrorEquals"]
        if not names:
            yield f"{_SCHEMA}ErrorEquals must not be empty at {here}/ErrorEquals"
        if "States.ALL" in names and (len(names) > 1 or number < len(handlers) - 1):
            yield (
                f"{_SCHEMA}States.ALL must appear alone and in the last element at "
                f"{here}/ErrorEquals"
            )
        for name, least in _RETRIER.items():
            value = handler.get(name, least)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or value < least:
                yield f"{_SCHEMA}Value must be {least} or more at {here}/{name}"
        if handler.get("JitterStrategy", "NONE") not in ("NONE", "FULL"):
            yield f"{_SCHEMA}Value is not NONE or FULL at {here}/JitterStrategy"
        if not jsonata:
            yield from _template(handler.get("Assign"), f"{here}/Assign")


def _rule(rule: dict[str, Any], where: str, *, top: bool = False) -> Iterator[str]:
    """Check a rule of a Choice state, and those within it."""
    if "Condition" in rule:
        yield f"{_SCHEMA}Condition needs the QueryLanguage JSONata at {where}"
        return
    if top and "Next" not in rule:
        yield _required(["Next"], where)
    name = operator_of(rule)
    if name in ("And", "Or"):
        for number, part in enumerate(rule[name]):
            yield from _rule(part, f"{where}/{name}[{number}]")
    elif name == "Not":
        yield from _rule(rule[name], f"{where}/Not")
    elif "Variable" not in rule:
        yield _required(["Variable"], where)


def _wait(state: dict[str, Any], where: str) -> Iterator[str]:
    given = sorted(_WAITS & set(state))
    if len(given) != 1:
        yield f"{_SCHEMA}Exactly one of {', '.join(sorted(_WAITS))} is required at {where}"
    seconds = state.get("Seconds", 0)
    if expression_of(seconds) is not None or expression_of(state.get("Timestamp")) is not None:
        return
    if isinstance(seconds, bool) or not isinstance(seconds, int) or seconds < 0:
        yield f"{_SCHEMA}Seconds must be a whole number, 0 or more at {where}/Seconds"
    if "Timestamp" in state and timestamp(state["Timestamp"]) is None:
        yield f"{_SCHEMA}Timestamp must be an ISO-8601 time with an offset at {where}/Timestamp"
