"""JSONata in state machines: values, what fails and is caught, tasks, the run's clock."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.cloud.errors import AwsError
from simulator.cloud.tests.workflow_bench import PUBLISH, Bench, kinds, machine, output

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=12,
)


def _jsonata(**states: dict[str, Any]) -> dict[str, Any]:
    return {**machine(**states), "QueryLanguage": "JSONata"}


@settings(deadline=None, max_examples=60)
@given(data=JSON)
def test_a_value_goes_through_expressions_and_variables_as_it_is(data: Any) -> None:
    keep = {"Type": "Pass", "Assign": {"kept": "{% $states.input.v %}"}, "Next": "Give"}
    give = {"Type": "Pass", "Output": {"a": "{% $kept %}"}, "End": True}
    assert output(Bench().run(_jsonata(Keep=keep, Give=give), {"v": data})) == {"a": data}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("$partition([1, 2, 3], 2)", [[1, 2], [3]]),
        ("$range(0, 4, 2)", [0, 2, 4]),
        ("$parse('{\"a\": null}')", {"a": None}),
        ("$hash('x', 'MD5')", "9dd4e461268c8034f5c8564e155c67a6"),
        ("$random(7) = $random(7)", True),
        ("$sum([1, 2, 3])", 6),
    ],
)
def test_the_functions_that_step_functions_adds_are_there(expression: str, expected: Any) -> None:
    state = {"Type": "Pass", "Output": f"{{% {expression} %}}", "End": True}
    assert output(Bench().run(_jsonata(One=state))) == expected


def test_an_expression_for_the_time_or_an_id_is_the_runs_own() -> None:
    parts = {"at": "{% $now() %}", "ms": "{% $millis() %}", "id": "{% $uuid() %}"}
    state = {"Type": "Pass", "Output": {**parts, "r": "{% $random() %}"}, "End": True}
    assert output(Bench().run(_jsonata(One=state))) == output(Bench().run(_jsonata(One=state)))


def test_an_expression_that_returns_nothing_is_caught_with_its_cause() -> None:
    catcher = {
        "ErrorEquals": ["States.QueryEvaluationError"],
        "Output": "{% $states.errorOutput.Cause %}",
        "Next": "End",
    }
    task = {
        "Type": "Task",
        "Resource": PUBLISH,
        "Arguments": {"Message": "{% $states.input.none %}"},
        "Catch": [catcher],
        "End": True,
    }
    execution = Bench().run(_jsonata(Send=task, End={"Type": "Succeed"}))
    assert output(execution).endswith(
        "The JSONata expression '$states.input.none' specified for the field 'Arguments/Message' "
        "returned nothing (undefined)."
    )
    assert kinds(execution)[1:4] == ["TaskStateEntered", "EvaluationFailed", "TaskStateExited"]


def test_a_tasks_result_is_in_states_result_and_a_jsonpath_state_beside_it_works() -> None:
    bench = Bench()
    bench.program["Publish"] = {"MessageId": "m"}
    send = {
        "Type": "Task",
        "QueryLanguage": "JSONata",
        "Resource": PUBLISH,
        "Arguments": {"Message": "{% 'n=' & $string($states.input.n) %}", "TopicArn": "t"},
        "Output": {"id": "{% $states.result.MessageId %}"},
        "Next": "Old",
    }
    old = {"Type": "Pass", "Parameters": {"got.$": "$.id"}, "End": True}
    assert output(bench.run(machine(Send=send, Old=old), {"n": 3})) == {"got": "m"}
    assert bench.calls[0][2]["Message"] == "n=3"


def test_an_expression_that_cannot_be_parsed_is_refused_when_the_machine_is_created() -> None:
    definition = _jsonata(One={"Type": "Pass", "Output": "{% 1 + %}", "End": True})
    with pytest.raises(AwsError, match=r"INVALID_JSONATA.*at /States/One/Output"):
        Bench().do("CreateStateMachine", name="m", definition=json.dumps(definition), roleArn="r")
