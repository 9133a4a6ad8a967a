"""The life of a state whose query language is JSONata: Arguments, Output, Assign.

The other half of `asl_interpreter`, which calls `work` where a state (or its whole machine)
says ``"QueryLanguage": "JSONata"``. Source: "Transforming data with JSONata" in the Step
Functions developer guide, and the executions in `parity_tests/behaviour`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from simulator.cloud.asl_choice import timestamp
from simulator.cloud.asl_history import StateFailure
from simulator.cloud.asl_jsonata import QueryFailure, Scope, kind_of

if TYPE_CHECKING:
    from simulator.cloud.asl_interpreter import Frame, Steps

NOTHING = object()
"""Stands for a result or an error that the state has not got (yet)."""


def value(
    frame: Frame,
    name: str,
    template: Any,
    *,
    result: Any = NOTHING,
    error: Any = NOTHING,
    expected: tuple[str, ...] = (),
) -> Any:
    """Evaluate a field of the frame's state; raises StateFailure in AWS's words."""
    states = {"input": frame.raw_input, "context": frame.context}
    if result is not NOTHING:
        states["result"] = result
    if error is not NOTHING:
        states["errorOutput"] = error
    engine = frame.interpreter.engine
    scope = Scope(states, frame.thread.variables, engine.now(), engine.new_id)
    try:
        return scope.value(template, name, expected=expected)
    except QueryFailure as failure:
        raise failed(frame, failure.detail, failure.field) from failure


def failed(frame: Frame, detail: str, field: str | None = None) -> StateFailure:
    """Write EvaluationFailed and return the failure that Retry and Catch see."""
    where = f"'{frame.name}' (entered at the event id #{frame.entered_id})"
    failure = StateFailure(
        "States.QueryEvaluationError",
        f"An error occurred while executing the state {where}. {detail}",
    )
    details = {**failure.details(), "state": frame.name}
    if field is not None:
        details["location"] = field
    frame.interpreter.history.evaluation_failed(frame.thread, frame.entered_id, details)
    return failure


def work(frame: Frame, kind: str) -> Steps:
    """Do the state's own work; return (next state, output, assigned variables)."""
    state, data = frame.state, frame.raw_input
    next_name = state.get("Next")
    if kind == "Fail":
        texts = [
            value(frame, name, state[name], expected=("string",)) if name in state else None
            for name in ("Error", "Cause")
        ]
        raise StateFailure(*texts)
    if kind == "Choice":
        rule = _chosen(frame)
        output = value(frame, "Output", rule["Output"]) if "Output" in rule else data
        return rule["Next"], output, value(frame, "Assign", rule.get("Assign", {}))
    result = NOTHING
    if kind == "Wait":
        yield frame.interpreter.engine.env.timeout(_wait_s(frame))
    elif kind in ("Task", "Parallel", "Map"):
        arguments = value(frame, "Arguments", state["Arguments"]) if "Arguments" in state else data
        result = yield from frame.interpreter.performed(frame, kind, arguments)
    output = data if result is NOTHING else result
    if "Output" in state:
        output = value(frame, "Output", state["Output"], result=result)
    assigned = value(frame, "Assign", state.get("Assign", {}), result=result)
    return next_name, output, assigned


def caught(
    frame: Frame, catcher: dict[str, Any], error: dict[str, Any]
) -> tuple[str, Any, dict[str, Any]]:
    """Return where a catcher leads, with what it makes of ``$states.errorOutput``."""
    output = error
    if "Output" in catcher:
        output = value(frame, "Output", catcher["Output"], error=error)
    assigned = value(frame, "Assign", catcher.get("Assign", {}), error=error)
    return catcher["Next"], output, assigned


def map_items(frame: Frame) -> list[Any]:
    """Return the items of a Map state: its Items, or its input."""
    state = frame.state
    if "Items" in state:
        found = value(frame, "Items", state["Items"], expected=("array",))
        return list(found)
    if not isinstance(frame.raw_input, list):
        from simulator.cloud.asl_payload import dumps

        shown = dumps(frame.raw_input)
        raise failed(frame, f"Map state input must be an array but was: {shown}")
    return frame.raw_input


def number(frame: Frame, name: str) -> int | float | None:
    """Return a field that holds a number or an expression for one; ``None`` when absent."""
    if name not in frame.state:
        return None
    found = value(frame, name, frame.state[name], expected=("number",))
    if isinstance(found, float) and found.is_integer():
        return int(found)
    assert isinstance(found, (int, float))
    return found


def _chosen(frame: Frame) -> dict[str, Any]:
    state = frame.state
    for index, rule in enumerate(state["Choices"]):
        name = f"Choices[{index}]/Condition"
        if value(frame, name, rule["Condition"], expected=("boolean",)):
            return dict(rule)
    if "Default" not in state:
        raise StateFailure(
            "States.NoChoiceMatched",
            f"No choice rule of the state '{frame.name}' matched, and it has no Default.",
        )
    # Output and Assign of the state itself are those of its Default.
    return {**state, "Next": state["Default"]}


def _wait_s(frame: Frame) -> float:
    if "Seconds" in frame.state:
        seconds = number(frame, "Seconds")
        if not isinstance(seconds, int) or seconds < 0:
            raise failed(frame, f"Seconds must be a whole number, 0 or more: {seconds}", "Seconds")
        return float(seconds)
    text = value(frame, "Timestamp", frame.state["Timestamp"], expected=("string",))
    at = timestamp(text)
    if at is None:
        detail = f"Timestamp is not an ISO-8601 time with an offset: {text} ({kind_of(text)})"
        raise failed(frame, detail, "Timestamp")
    return max(0.0, at.timestamp() - frame.interpreter.engine.epoch_s())
