"""The stack's parameters in a scenario: passed on, or refused before anything starts."""

from __future__ import annotations

import pytest

from simulator.cloud.assembly import load_assembly
from simulator.errors import ScenarioError
from simulator.scenario import Scenario
from simulator.stack_parameters import ELSEWHERE, stack_parameters
from simulator.targets import ROOT, SNAPSHOT


def asked(**values: object) -> dict[str, str]:
    scenario = Scenario.from_table({"stack": {"parameters": values}})
    return stack_parameters(scenario, SNAPSHOT)


def test_values_are_passed_on_as_text_as_parameters_are() -> None:
    assert asked(MappingWindowS=120, NightlyState="ENABLED") == {
        "MappingWindowS": "120",
        "NightlyState": "ENABLED",
    }
    assert asked() == {}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"MappingWindow": 120},
            "stack.parameters.MappingWindow: the stack has no such parameter; did you mean "
            "'MappingWindowS'?",
        ),
        (
            {"MappingWindowS": 301},
            "stack.parameters.MappingWindowS: 301 is outside MinValue and MaxValue; change it",
        ),
        (
            {"MappingWindowS": "soon"},
            "stack.parameters.MappingWindowS: 'soon' is not a number; change it",
        ),
        (
            {"NightlyState": "on"},
            "stack.parameters.NightlyState: 'on' is not one of ENABLED, DISABLED; change it",
        ),
        (
            {"FeatureSpec": "{}"},
            "stack.parameters.FeatureSpec: [pipeline.features] and [fleet] say that; remove it "
            "here",
        ),
    ],
)
def test_what_the_template_does_not_admit_is_refused_with_path_cause_and_cure(
    values: dict[str, object], message: str
) -> None:
    with pytest.raises(ScenarioError) as caught:
        asked(**values)
    assert str(caught.value) == message


def test_the_names_are_those_of_the_assembly_that_is_booted() -> None:
    other = ROOT / "examples" / "cold-store" / "synthesized"
    scenario = Scenario.from_table({"stack": {"parameters": {"MappingWindowS": 20}}})
    with pytest.raises(ScenarioError, match="no such parameter"):
        stack_parameters(scenario, other)


def test_what_is_set_elsewhere_are_parameters_of_the_stack() -> None:
    (stack,) = load_assembly(SNAPSHOT).stacks
    assert ELSEWHERE.keys() <= stack.parameters.keys()
