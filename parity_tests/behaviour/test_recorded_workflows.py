"""Executions recorded on AWS, run again here: status, output, error and sequence of events.

The recordings are pure state machines (no Task), in JSONPath and in JSONata.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from simulator.cloud.asl_history import History, StateFailure, Thread
from simulator.cloud.asl_interpreter import Frame, Interpreter, Steps
from simulator.cloud.asl_payload import dumps
from simulator.cloud.asl_validation import validate
from simulator.cloud.engine import Engine
from simulator.cloud.errors import AwsError

PLACE = "shared/data/aws-recorded/stepfunctions.jsonl"
"""Beside the repository or further up, where the recordings are kept; they are not part of it."""
RECORDED = next(
    (above / PLACE for above in Path(__file__).parents[3:] if (above / PLACE).exists()),
    Path(__file__).parents[3] / PLACE,
)
ROLE = "snf_role_arn"
DETAILS = (
    "stateEnteredEventDetails",
    "stateExitedEventDetails",
    "mapStateStartedEventDetails",
    "mapIterationStartedEventDetails",
    "mapIterationFailedEventDetails",
    "evaluationFailedEventDetails",
)
TIMES = ("date", "timestamp", "entered-time")
"""What the recorder wrote for a time, beside tokens in angle brackets."""
TIMES_IN_OUTPUT = {
    "test_wait_timestamp_jsonata[NANOSECONDS]",
    "test_wait_timestamppath[.000000Z]",
    "test_wait_timestamppath[.00Z]",
    "test_wait_timestamppath[Z]",
}
"""Cases whose output holds a time, for which the recorder wrote a token."""
NAMES_IN_OUTPUT = {
    "test_input_path[$$]",
    "test_output_path[$$]",
    "test_query_context_object_values",
}
"""Cases whose output holds the context object: ARNs, names and times are tokens."""

DROPPED = ("ParallelStateSucceeded", "ParallelStateExited")
"""Events that recordings of concurrent branches lack, but for the exit of the outermost state."""


def _cases() -> list[Any]:
    if not RECORDED.exists():
        reason = "the recorded executions (../shared/data/aws-recorded) are not there"
        return [pytest.param(None, marks=pytest.mark.skip(reason=reason))]
    cases = [json.loads(line) for line in RECORDED.read_text().splitlines()]
    return [pytest.param(case, id=f"{n}-{case['name'][-50:]}") for n, case in enumerate(cases)]


class _NoTasks:
    def attempt(self, frame: Frame) -> dict[str, Any]:
        """Begin nothing."""
        return {}

    def call(self, service: str, operation: str, parameters: dict[str, Any]) -> Steps:
        raise AssertionError("the recordings read and write nothing")

    def run(self, frame: Frame, parameters: Any) -> Steps:
        raise AssertionError("the recordings have no Task states")


def _replayed(case: dict[str, Any]) -> tuple[str, Any, list[dict[str, Any]]]:
    engine = Engine(datetime(2026, 11, 23, tzinfo=UTC))
    definition = validate(json.dumps(case["definition"]))
    history = History(engine)
    history.add(Thread(), "ExecutionStarted")
    context = {
        "Execution": {
            "Id": "execution",
            "Input": case["input"],
            "Name": "name",
            "RoleArn": ROLE,
            "StartTime": "start-time",
            "RedriveCount": 0,
        },
        "StateMachine": {"Id": "machine", "Name": "machine-name"},
    }
    interpreter = Interpreter(engine, definition, context, history, _NoTasks())

    def execution() -> Steps:
        try:
            return "ExecutionSucceeded", (yield from interpreter.run(case["input"]))
        except StateFailure as failure:
            return "ExecutionFailed", failure.details()

    process = engine.process(execution())
    status, result = engine.run(process)
    return status, result, history.events


def _plain(value: Any) -> Any:
    """Parse JSON in strings and take out what the recorder replaced by tokens."""
    if isinstance(value, str) and (value[:1] in '[{"' or value.isdecimal()):
        try:
            return _plain(json.loads(value))
        except ValueError:
            return value
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_plain(v) for v in value]
    return value


def _without_tokens(here: Any, there: Any) -> tuple[Any, Any, int]:
    """Return both without the values that are tokens in the recording, and how many those are."""
    if isinstance(there, str) and (there in TIMES or "<" in there):
        return None, None, 1
    if isinstance(there, dict) and isinstance(here, dict) and here.keys() == there.keys():
        pairs = {name: _without_tokens(here[name], there[name]) for name in there}
        ours, theirs = ({name: pair[n] for name, pair in pairs.items()} for n in (0, 1))
        return ours, theirs, sum(pair[2] for pair in pairs.values())
    if isinstance(there, list) and isinstance(here, list) and len(here) == len(there):
        triples = [_without_tokens(*pair) for pair in zip(here, there, strict=True)]
        return [t[0] for t in triples], [t[1] for t in triples], sum(t[2] for t in triples)
    return here, there, 0


def _previous(events: list[dict[str, Any]], case: dict[str, Any]) -> list[int]:
    """Return the ids of the events before; AWS changed one of them in the second half of 2024."""
    recorded_on = datetime.strptime(case["recorded"] + " +0000", "%d-%m-%Y, %H:%M:%S %z")
    change = datetime(2024, 9, 1, tzinfo=UTC)
    changed = "DISTRIBUTED" in json.dumps(case["definition"]) and recorded_on < change
    return [e["previousEventId"] for e in events if not (changed and e["type"] == "MapStateExited")]


def _tokens(text: str) -> str:
    text = re.sub(r"in the input '.*'", "in the input ''", text, flags=re.DOTALL)
    return re.sub(r"== .*$", "== ", text)


def _assert_branches_go_as_recorded(
    events: list[dict[str, Any]], recorded: list[dict[str, Any]]
) -> None:
    """Compare each branch's own events, and those outside with their numbers and what precedes.

    The recorder has taken the numbers out of the events of concurrent branches, also of what
    precedes them, and sorted them: their order is compared for each state, and that a branch is a
    chain of its own is looked for in ours alone.
    """
    ours = {event["id"]: event for event in events}
    numbered = [event for event in recorded if isinstance(event["id"], int)]
    for asked in numbered:
        event = ours.pop(asked["id"])
        assert (event["type"], event["previousEventId"]) == (
            asked["type"],
            asked["previousEventId"],
        )
        _assert_details(event, asked)
    of_branches = [event for event in recorded if isinstance(event["id"], list)]
    names = dict.fromkeys(_state(event) for event in of_branches)
    left = {number: event for number, event in ours.items() if event["type"] not in DROPPED}
    for name in names:
        there = [event for event in of_branches if _state(event) == name]
        here = [event for event in left.values() if _state(event) == name]
        assert [event["type"] for event in here] == [event["type"] for event in there]
        for event, asked in zip(here, there, strict=True):
            _assert_details(event, asked)
            del left[event["id"]]
    assert left == {}
    began = {event["id"] for event in events if event["type"] == "ParallelStateStarted"}
    for event in events:
        before = event["previousEventId"]
        if event["type"].endswith("StateEntered") and before > 0:
            assert before in began
        elif event["type"] == "PassStateExited":
            assert _state(events[before - 1]) == _state(event)


def _state(event: dict[str, Any]) -> str:
    """Return the name of the state that an event is about, or nothing."""
    found = event.get("stateEnteredEventDetails") or event.get("stateExitedEventDetails") or {}
    return str(found.get("name", ""))


def _assert_details(event: dict[str, Any], asked: dict[str, Any]) -> None:
    for key in asked.keys() & set(DETAILS):
        here, there, _ = _without_tokens(_plain(event[key]), _plain(asked[key]))
        assert here == there


@pytest.mark.parametrize("case", _cases())
def test_a_recorded_execution_goes_as_it_went_on_aws(case: dict[str, Any]) -> None:
    recorded = case["history"]
    status, result, events = _replayed(case)
    ended = recorded[-1]["type"].startswith(("ExecutionSucceeded", "ExecutionFailed"))
    if not ended:
        pytest.skip("the recording stops before the execution's end")
    assert status == recorded[-1]["type"]
    if any(isinstance(e["id"], list) for e in recorded):
        _assert_branches_go_as_recorded(events, recorded[:-1])
        return
    assert [e["type"] for e in events] == [e["type"] for e in recorded[:-1]]
    assert _previous(events, case) == _previous(recorded[:-1], case)
    if status == "ExecutionFailed":
        expected = recorded[-1]["executionFailedEventDetails"]
        assert result.get("error") == expected.get("error")
        if "<ArnPart" not in expected.get("cause", ""):
            assert _tokens(result.get("cause", "")) == _tokens(expected.get("cause", ""))
    else:
        output = _plain(recorded[-1]["executionSucceededEventDetails"]["output"])
        here, there, hidden = _without_tokens(_plain(dumps(result)), output)
        assert here == there
        named = any(case["name"].endswith(name) for name in TIMES_IN_OUTPUT | NAMES_IN_OUTPUT)
        assert bool(hidden) == named
    for event, asked in zip(events, recorded[:-1], strict=True):
        _assert_details(event, asked)


def test_a_definition_with_a_missing_target_is_refused_in_awss_words() -> None:
    definition = {"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "B"}}}
    with pytest.raises(AwsError, match="MISSING_TRANSITION_TARGET"):
        validate(json.dumps(definition))


def test_a_negative_tolerance_ends_the_execution_before_the_map_run() -> None:
    step = {"StartAt": "One", "States": {"One": {"Type": "Pass", "End": True}}}
    distributed = {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}
    state = {
        "Type": "Map",
        "ItemsPath": "$.items",
        "ItemProcessor": {"ProcessorConfig": distributed, **step},
        "ToleratedFailureCountPath": "$.tolerated",
        "End": True,
    }
    definition = {"StartAt": "All", "States": {"All": state}}
    case = {"definition": definition, "input": {"items": [0], "tolerated": -1}}
    status, result, events = _replayed(case)
    assert (status, result["error"]) == ("ExecutionFailed", "States.Runtime")
    kinds = [event["type"] for event in events]
    assert kinds == ["ExecutionStarted", "MapStateEntered", "MapStateStarted"]
