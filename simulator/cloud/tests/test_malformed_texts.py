"""What is JSON, but not of the form that a service asks for, is refused, not stumbled over."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.cloud.asl_validation import problems_of
from simulator.cloud.errors import AwsError
from simulator.cloud.event_patterns import compile_pattern
from simulator.cloud.sns_topics import wanted_by

FAILED = {"ErrorEquals": ["States.ALL"], "Next": "F", "ResultPath": "$.e"}
MACHINE = {
    "StartAt": "A",
    "TimeoutSeconds": 5,
    "States": {
        "A": {
            "Type": "Task",
            "Resource": "arn:aws:states:::sqs:sendMessage",
            "Parameters": {"QueueUrl.$": "$.q", "MessageBody": {"a.$": "$.x"}},
            "Retry": [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 1, "BackoffRate": 2}],
            "Catch": [FAILED],
            "ResultSelector": {"b.$": "$.c"},
            "Next": "C",
        },
        "C": {
            "Type": "Choice",
            "Choices": [
                {"Variable": "$.n", "NumericGreaterThan": 3, "Next": "M"},
                {
                    "And": [
                        {"Variable": "$.x", "IsPresent": True},
                        {"Not": {"Variable": "$.y", "StringEquals": "a"}},
                    ],
                    "Next": "W",
                },
            ],
            "Default": "P",
        },
        "M": {
            "Type": "Map",
            "ItemSelector": {"z.$": "$$.Map.Item.Value"},
            "ItemReader": {
                "Resource": "arn:aws:states:::s3:getObject",
                "ReaderConfig": {
                    "InputType": "CSV",
                    "CSVHeaderLocation": "GIVEN",
                    "CSVHeaders": ["a"],
                },
                "Parameters": {"Bucket": "b", "Key": "k"},
            },
            "ItemBatcher": {"MaxItemsPerBatch": 3},
            "ResultWriter": {
                "Resource": "arn:aws:states:::s3:putObject",
                "Parameters": {"Bucket": "b"},
            },
            "ItemProcessor": {
                "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
                "StartAt": "X",
                "States": {"X": {"Type": "Pass", "End": True}},
            },
            "Next": "W",
        },
        "W": {"Type": "Wait", "Seconds": 3, "Next": "P"},
        "P": {
            "Type": "Parallel",
            "Branches": [{"StartAt": "Y", "States": {"Y": {"Type": "Succeed"}}}],
            "Next": "J",
        },
        "J": {
            "Type": "Task",
            "QueryLanguage": "JSONata",
            "Resource": "arn:aws:states:::sns:publish",
            "Arguments": {"TopicArn": "t", "Message": "{% $states.input %}"},
            "Retry": [{"ErrorEquals": ["A"]}],
            "End": True,
        },
        "F": {"Type": "Fail", "Error": "e", "Cause": "c"},
    },
}
PATTERN = {
    "source": ["a"],
    "detail": {
        "x": [
            {"prefix": "a"},
            {"anything-but": ["a"]},
            {"numeric": [">", 1, "<", 3]},
            {"exists": True},
            {"prefix": {"equals-ignore-case": "x"}},
        ],
        "$or": [{"a": ["b"]}, {"c": [{"wildcard": "a*"}]}],
    },
}
RETRIES = {
    "healthyRetryPolicy": {"minDelayTarget": 1, "maxDelayTarget": 2, "numRetries": 3},
    "throttlePolicy": {"maxReceivesPerSecond": 1},
}
others = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.floats(-2, 2) | st.sampled_from(["", "x"]),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text("ab", max_size=1), inner, max_size=2)
    ),
    max_leaves=3,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every value inside."""
    yield path
    inside = enumerate(value) if isinstance(value, list) else ()
    for key, each in value.items() if isinstance(value, dict) else inside:
        yield from places(each, (*path, key))


def changed(base: Any) -> st.SearchStrategy[str]:
    """Return texts in which one value is another."""

    def put(path: tuple[Any, ...], new: Any) -> str:
        whole = {"whole": copy.deepcopy(base)}
        at: Any = whole
        for key in ("whole", *path)[:-1]:
            at = at[key]
        at[("whole", *path)[-1]] = new
        return json.dumps(whole["whole"])

    return st.builds(put, st.sampled_from(list(places(base))), others)


def code_of(check: Callable[[], object]) -> str:
    """Return the code of the error that a check raises, "" for none."""
    try:
        check()
    except AwsError as error:
        return error.code
    return ""


def test_as_they_are_they_are_taken() -> None:
    assert problems_of(json.dumps(MACHINE), lambda resource: None) == []
    compile_pattern(json.dumps(PATTERN))
    assert wanted_by({"DeliveryPolicy": json.dumps(RETRIES)}, "http") is None


@given(changed(MACHINE), st.sampled_from(["STANDARD", "EXPRESS"]))
def test_a_definition_has_problems_or_is_taken(text: str, kind: str) -> None:
    lacking: list[str] = []
    problems = problems_of(text, lambda resource: None, kind, lacking)
    assert all(": " in each and " at " in each for each in problems)


def test_what_is_of_another_type_is_named_with_its_state() -> None:
    text = json.dumps({"StartAt": "A", "States": {"A": {"Type": "Choice", "Choices": [1]}}})
    problems = problems_of(text, lambda resource: None)
    assert problems[0] == (
        "SCHEMA_VALIDATION_FAILED: A field holds a value of another type than its own at /States/A"
    )


@given(changed(PATTERN))
def test_a_pattern_is_refused_or_taken(text: str) -> None:
    assert code_of(lambda: compile_pattern(text)) in ("", "InvalidEventPatternException")


@given(changed(RETRIES))
def test_a_delivery_policy_is_refused_or_taken(text: str) -> None:
    code = code_of(lambda: wanted_by({"DeliveryPolicy": text}, "http"))
    assert code in ("", "InvalidParameter")


@pytest.mark.parametrize("value", [None, "1", 1.5, True, [1]])
def test_a_number_of_retries_is_a_whole_one(value: Any) -> None:
    policy = json.dumps({"healthyRetryPolicy": {"numRetries": value}})
    with pytest.raises(AwsError, match=r"healthyRetryPolicy\.numRetries is invalid"):
        wanted_by({"DeliveryPolicy": policy}, "http")
