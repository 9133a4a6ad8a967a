"""What each state makes of its input: the five paths of data, choices, variables, the end."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.cloud.tests.workflow_bench import Bench, kinds, machine, output, task


@pytest.fixture
def bench() -> Bench:
    return Bench()


FIELDS: dict[str, Any] = {
    "InputPath": "$.in",
    "Parameters": {"Name.$": "$.name", "WithDecryption": True},
    "ResultSelector": {"v.$": "$.Parameter.Value"},
    "ResultPath": "$.result.deep",
    "OutputPath": "$.result",
}


@settings(max_examples=32, deadline=None)
@given(st.sets(st.sampled_from(sorted(FIELDS))))
def test_each_path_does_its_own_part_whichever_others_are_there(given_fields: set[str]) -> None:
    bench = Bench()
    bench.program["GetParameter"] = {"Parameter": {"Name": "n", "Value": "v"}}
    # What is not there lets the data through, so the input has the same members at both depths.
    data = {"name": "outer", "in": {"name": "inner"}, "result": {"old": 1}}
    fields = {name: FIELDS[name] for name in given_fields}
    if "Parameters" not in fields:
        fields["Parameters"] = {"Name.$": "$.name"}
    if fields.get("OutputPath") and "ResultPath" not in fields:
        fields["OutputPath"] = "$"
    execution = bench.run_states(
        data, Get=task("arn:aws:states:::aws-sdk:ssm:getParameter", **fields)
    )
    name = "inner" if "InputPath" in given_fields else "outer"
    sent = {"Name": name, **({"WithDecryption": True} if "Parameters" in given_fields else {})}
    assert bench.calls == [(0.0, "GetParameter", sent)]
    result: Any = {"Parameter": {"Name": "n", "Value": "v"}}
    if "ResultSelector" in given_fields:
        result = {"v": "v"}
    if "ResultPath" in given_fields:
        result = {**data, "result": {"old": 1, "deep": result}}
        if "OutputPath" in given_fields:
            result = result["result"]
    assert output(execution) == result


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ({"InputPath": None}, {}),
        ({"ResultPath": None}, {"a": 1}),
        ({"OutputPath": None}, {}),
        ({"Parameters": {"b.$": "$.a", "c": ["$.a"]}}, {"b": 1, "c": ["$.a"]}),
        ({"Result": {"x.$": "$.a"}}, {"x.$": "$.a"}),
        ({}, {"a": 1}),
    ],
    ids=str,
)
def test_a_pass_state_makes_of_its_input_what_its_fields_say(
    bench: Bench, field: dict[str, Any], expected: Any
) -> None:
    assert output(bench.run_states({"a": 1}, Go={"Type": "Pass", "End": True, **field})) == expected


@pytest.mark.parametrize("field", ["InputPath", "OutputPath"])
def test_a_path_of_data_that_leads_nowhere_ends_the_execution_in_awss_words(
    bench: Bench, field: str
) -> None:
    execution = bench.run_states({"a": {}}, Go={"Type": "Pass", "End": True, field: "$.a.b.c"})
    assert execution.error == "States.Runtime"
    assert execution.cause == (
        "An error occurred while executing the state 'Go' (entered at the event id #2). "
        "Invalid path '$.a.b.c' : Missing property in path $['a']['b']"
    )


CHOICES = [
    {"Variable": "$.n", "NumericLessThan": 10, "Next": "Small"},
    {"Variable": "$.n", "NumericLessThan": 100, "Next": "Large"},
]


@pytest.mark.parametrize(("number", "taken"), [(3, "Small"), (30, "Large"), (300, "Other")])
def test_a_choice_takes_the_first_rule_that_matches_or_its_default(
    bench: Bench, number: int, taken: str
) -> None:
    states = {
        name: {"Type": "Pass", "Result": name, "End": True} for name in ("Small", "Large", "Other")
    }
    which = {"Type": "Choice", "Choices": CHOICES, "Default": "Other"}
    execution = bench.run_states({"n": number}, Which=which, **states)
    assert output(execution) == taken
    assert kinds(execution).count("PassStateEntered") == 1


def test_a_choice_without_a_match_and_a_default_fails_by_its_name(bench: Bench) -> None:
    which = {"Type": "Choice", "Choices": [{**CHOICES[0], "Next": "End"}]}
    states: dict[str, dict[str, Any]] = {"Which": which, "End": {"Type": "Succeed"}}
    assert output(bench.run_states({"n": 1}, **states)) == {"n": 1}
    assert bench.run_states({"n": 10}, **states).error == "States.NoChoiceMatched"
    # Of a variable that is not there AWS says that the path is wrong.
    assert bench.run_states({}, **states).error == "States.Runtime"


def test_a_succeed_state_ends_a_branch_and_not_the_execution_around_it(bench: Bench) -> None:
    branch = machine(Stop={"Type": "Succeed", "InputPath": "$.a", "OutputPath": "$.b"})
    states: dict[str, dict[str, Any]] = {
        "Both": {"Type": "Parallel", "Branches": [branch, branch], "Next": "Last"},
        "Last": {"Type": "Pass", "ResultPath": None, "End": True},
    }
    assert output(bench.run_states({"a": {"b": 5}}, **states)) == [5, 5]


def test_variables_are_seen_by_later_states_and_a_branchs_own_stay_its_own(bench: Bench) -> None:
    inner = machine(
        Set={"Type": "Pass", "Assign": {"x.$": "States.MathAdd($x, 1)"}, "Next": "Get"},
        Get={"Type": "Pass", "Parameters": {"x.$": "$x"}, "End": True},
    )
    states: dict[str, dict[str, Any]] = {
        "First": {"Type": "Pass", "Assign": {"x.$": "$.n"}, "Next": "Both"},
        "Both": {
            "Type": "Parallel",
            "Branches": [inner, inner],
            "ResultPath": "$.inner",
            "Next": "Last",
        },
        "Last": {"Type": "Pass", "Parameters": {"outer.$": "$x", "i.$": "$.inner"}, "End": True},
    }
    execution = bench.run_states({"n": 1}, **states)
    assert output(execution) == {"outer": 1, "i": [{"x": 2}, {"x": 2}]}


def test_an_intrinsic_function_that_fails_is_an_error_that_can_be_caught(bench: Bench) -> None:
    parameters = {"Message.$": "States.ArrayGetItem($.a, 7)", "TopicArn": "t"}
    catch = [{"ErrorEquals": ["States.IntrinsicFailure"], "Next": "Caught"}]
    states: dict[str, dict[str, Any]] = {
        "Send": task(Parameters=parameters, Catch=catch),
        "Caught": {"Type": "Pass", "End": True},
    }
    assert output(bench.run_states({"a": [1]}, **states))["Error"] == "States.IntrinsicFailure"
    assert bench.called("Publish") == []
