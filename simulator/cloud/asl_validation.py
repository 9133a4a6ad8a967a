"""Checks a state machine's definition when it is created: AWS's errors, and what the twin lacks.

Reachability of every state and the completeness of each state are checked here, so that an
execution never meets a definition that it cannot follow.
"""

from __future__ import annotations

import json
from typing import Any

from simulator.cloud.asl_tasks import parse_resource
from simulator.cloud.errors import AwsError, NotSupportedByTwin

_TYPES = {"Pass", "Task", "Choice", "Wait", "Succeed", "Fail", "Parallel", "Map"}
_ENDLESS = {"Choice", "Succeed", "Fail"}
_COMMON = {"Type", "Comment", "InputPath", "OutputPath", "Next", "End", "QueryLanguage", "Assign"}
_RESULT = {"Parameters", "ResultSelector", "ResultPath", "Retry", "Catch"}
_FIELDS: dict[str, set[str]] = {
    "Pass": {"Parameters", "ResultPath", "Result"},
    "Task": _RESULT | {"Resource", "TimeoutSeconds", "Credentials"},
    "Choice": {"Choices", "Default"},
    "Wait": {"Seconds", "SecondsPath", "Timestamp", "TimestampPath"},
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
    },
}


def validate(text: str) -> dict[str, Any]:
    """Return the parsed definition.

    Raises:
        AwsError: InvalidDefinition, with every problem found, as AWS words it.
        NotSupportedByTwin: a state type, field or integration that the twin does not run.
    """
    try:
        definition = json.loads(text)
    except ValueError as error:
        raise _invalid([f"INVALID_JSON_DESCRIPTION: {error}"]) from error
    problems: list[str] = []
    _machine(definition, "", problems)
    if problems:
        raise _invalid([f"SCHEMA_VALIDATION_FAILED: {problem}" for problem in problems])
    result: dict[str, Any] = definition
    return result


def _invalid(problems: list[str]) -> AwsError:
    return AwsError(
        "InvalidDefinition", f"Invalid State Machine Definition: '{', '.join(problems)}'"
    )


def _machine(definition: Any, where: str, problems: list[str]) -> None:
    missing = [name for name in ("StartAt", "States") if name not in definition]
    if missing:
        problems.append(f"These fields are required: [{', '.join(missing)}] at {where or '/'}")
        return
    if definition.get("QueryLanguage", "JSONPath") != "JSONPath":
        raise NotSupportedByTwin("QueryLanguage JSONata in a state machine")
    states = definition["States"]
    targets = {definition["StartAt"]}
    for name, state in states.items():
        path = f"{where}/States/{name}"
        _state(state, path, problems)
        targets.update(_next_states(state))
    for target in sorted(targets - set(states)):
        problems.append(f"MISSING_TRANSITION_TARGET: Missing 'Next' target: {target} at {where}/")
    for name in sorted(set(states) - targets):
        problems.append(f'MISSING_TRANSITION_TARGET: State "{name}" is not reachable at {where}/')


def _state(state: dict[str, Any], where: str, problems: list[str]) -> None:
    kind = state.get("Type")
    if kind not in _TYPES:
        problems.append(f"Value is not a valid state Type at {where}/Type")
        return
    if state.get("QueryLanguage", "JSONPath") != "JSONPath":
        raise NotSupportedByTwin(f"QueryLanguage JSONata at {where}")
    unknown = sorted(set(state) - _COMMON - _FIELDS[kind])
    if unknown:
        raise NotSupportedByTwin(f"the field {unknown[0]} of the {kind} state at {where}")
    if kind not in _ENDLESS and ("Next" in state) == (state.get("End") is True):
        problems.append(f"These fields are required: [Next or End] at {where}")
    required = {"Task": "Resource", "Choice": "Choices", "Parallel": "Branches"}.get(kind)
    if required and required not in state:
        problems.append(f"These fields are required: [{required}] at {where}")
        return
    if kind == "Task":
        parse_resource(state["Resource"])
    for retrier in state.get("Retry", []):
        if retrier.get("JitterStrategy", "NONE") != "NONE":
            raise NotSupportedByTwin(f"JitterStrategy FULL at {where} (it is not repeatable)")
    for number, branch in enumerate(state.get("Branches", [])):
        _machine(branch, f"{where}/Branches[{number}]", problems)
    if kind == "Map":
        processor = state.get("ItemProcessor") or state.get("Iterator")
        if processor is None:
            problems.append(f"These fields are required: [ItemProcessor] at {where}")
            return
        _machine(processor, f"{where}/ItemProcessor", problems)


def _next_states(state: dict[str, Any]) -> set[str]:
    found = {state.get("Next"), state.get("Default")}
    for rule in state.get("Choices", []) + state.get("Catch", []):
        found.add(rule.get("Next"))
    return {name for name in found if name}
