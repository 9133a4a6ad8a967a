"""The parameters of the stack that a scenario sets, checked against the template's own.

`simulator.run` asks before it boots, `fleetwin scenario check` and `show` before anybody runs.
Which templates there are it is told; what a value does is the template's.
"""

from __future__ import annotations

from pathlib import Path

from simulator.cloud.assembly import Stack, load_assembly
from simulator.errors import ScenarioError, TemplateError
from simulator.scenario import Scenario
from simulator.scenario_build import suggestion

KEY = "stack.parameters"

ELSEWHERE = {
    "FeatureSpec": "[pipeline.features] and [fleet] say that",
    "TrainingSettings": "[pipeline.training] says that",
    "MaintenanceServer": "a run whose machines wear serves the work orders itself",
    "AgentActivationKey": "a run whose machines wear serves the work orders itself",
}
"""What other tables of a scenario set, with what to write instead."""


def refuse_foreign(assembly: Path) -> None:
    """Raise ScenarioError for an assembly that is no stage of our stack: no scenario fits it."""
    known = {name for stack in load_assembly(assembly).stacks for name in stack.parameters}
    if "FeatureSpec" not in known:
        raise ScenarioError(
            f"{assembly}: no stage of our stack, which is what scenarios run on; "
            f"`fleetwin up --assembly {assembly}` boots it"
        )


def stack_parameters(scenario: Scenario, assembly: Path) -> dict[str, str]:
    """Return the parameters that a scenario sets, as they are passed to the stack.

    Raises ScenarioError for a name that no template of the assembly has, for a value that its
    declaration does not admit, and for what another table of the scenario sets.
    """
    wanted = dict(scenario.stack.parameters)
    if not wanted:
        return {}
    stacks = load_assembly(assembly).stacks
    known = {name for stack in stacks for name in stack.parameters} - ELSEWHERE.keys()
    for name in wanted:
        if name in ELSEWHERE:
            raise ScenarioError(f"{KEY}.{name}: {ELSEWHERE[name]}; remove it here")
        if name not in known:
            raise ScenarioError(
                f"{KEY}.{name}: the stack has no such parameter; {suggestion(name, sorted(known))}"
            )
    for stack in stacks:
        _check(stack, wanted)
    return wanted


def _check(stack: Stack, wanted: dict[str, str]) -> None:
    for name in wanted.keys() & stack.parameters.keys():
        try:
            stack.parameter_values({name: wanted[name]})
        except TemplateError as error:
            _, _, why = str(error).partition(f"Parameters.{name}: ")
            raise ScenarioError(f"{KEY}.{name}: {why or error}; change it") from None
