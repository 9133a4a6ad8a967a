"""Each Task state of each workflow with each failure: tried again, caught and told as defined.

Generated from `pipeline/workflow/*.asl.json`; what is expected is read from the definition here,
apart from the interpreter.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from simulator.cloud.asl_resources import failure_of, parse_resource
from simulator.cloud.assembly import load_assembly
from simulator.cloud.errors import AwsError
from simulator.cloud.validation import service_model
from simulator.targets import SNAPSHOT
from simulator.tests.workflow_stand_ins import (
    FOLDER,
    JOB_S,
    NAMED,
    Injected,
    StandIns,
    chain_of,
    definition_of,
    is_handler,
    machines_in,
)

TOLD = "Alerted: "
"""What the rule on status events knows an execution by that has told of itself."""
TELLS, RECORDS = "NotifyFailure", "RecordFailure"
CONSOLE = "https://us-east-1.console.aws.amazon.com/states/home?region=us-east-1"
UNHEARD = "Nobody.ExpectsThisException"
OF_CLIENTS = {"SdkClientException"}
"""What the SDK behind an integration throws without having got an answer."""
STATES_ERRORS = {
    "States.ALL",
    "States.TaskFailed",
    "States.Timeout",
    "States.HeartbeatTimeout",
    "States.Permissions",
    "States.DataLimitExceeded",
}
Case = tuple[str, str, str, str]


def machines() -> Iterator[tuple[str, Mapping[str, Any], str]]:
    """Yield (file, states, query language) of every machine in every definition."""
    for file in sorted(FOLDER.glob("*.asl.json")):
        definition = definition_of(file)
        language = definition.get("QueryLanguage", "JSONPath")
        for states in machines_in(definition):
            yield file.name.partition(".")[0], states, language


def tasks() -> Iterator[tuple[str, Mapping[str, Any], str, str]]:
    """Yield (file, states, name of a Task state, query language)."""
    for file, states, language in machines():
        for name, state in states.items():
            if state["Type"] == "Task":
                yield file, states, name, language


def names_of(state: Mapping[str, Any]) -> list[str]:
    """Return the errors that a state's retriers and catchers name."""
    handlers = [*state.get("Retry", []), *state.get("Catch", [])]
    return list(dict.fromkeys(name for handler in handlers for name in handler["ErrorEquals"]))


def failures(state: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (error, how) of everything that a state is tried with."""
    for name in [*names_of(state), UNHEARD]:
        if not name.startswith("States."):
            yield name, "raised"
    resource = parse_resource(state["Resource"])
    if resource.sync:
        yield "States.TaskFailed", "fails"
        if "TimeoutSeconds" in state:
            yield "States.Timeout", "hangs"


FILES = {(file, name): (states, language) for file, states, name, language in tasks()}
CASES: list[Case] = [
    (file, name, error, how)
    for file, states, name, _ in tasks()
    for error, how in failures(states[name])
]


def matches(names: list[str], error: str) -> bool:
    """Tell whether a handler takes an error ("Error handling" in the developer guide)."""
    wild = "States.TaskFailed" in names and error != "States.Timeout"
    return error in names or "States.ALL" in names or wild


def waits(state: Mapping[str, Any], error: str) -> list[float]:
    """Return how long each retry waits."""
    for retrier in state.get("Retry", []):
        if matches(retrier["ErrorEquals"], error):
            return [
                min(
                    retrier.get("IntervalSeconds", 1) * retrier.get("BackoffRate", 2.0) ** number,
                    retrier.get("MaxDelaySeconds", float("inf")),
                )
                for number in range(retrier.get("MaxAttempts", 3))
            ]
    return []


def catcher(state: Mapping[str, Any], error: str) -> Mapping[str, Any] | None:
    """Return the first catcher that takes an error."""
    fit = (each for each in state.get("Catch", []) if matches(each["ErrorEquals"], error))
    return next(fit, None)


def check_waits(state: Mapping[str, Any], times: list[float], lost_s: float, error: str) -> None:
    """Assert that attempts came as the retrier says; with jitter, at most so late."""
    jitter = any(retrier.get("JitterStrategy") == "FULL" for retrier in state.get("Retry", []))
    for (sooner, later), wait_s in zip(itertools.pairwise(times), waits(state, error), strict=True):
        assert later - sooner - lost_s <= wait_s + 1e-6
        assert jitter or later - sooner - lost_s == pytest.approx(wait_s)


def deployed() -> Iterator[tuple[str, str]]:
    """Yield (workflow, name of a Task state) of every machine in the stack's template."""
    for stack in load_assembly(SNAPSHOT).stacks:
        for body in stack.resources.values():
            if body["Type"] == "AWS::StepFunctions::StateMachine":
                properties = body["Properties"]
                for states in machines_in(json.loads(properties["DefinitionString"])):
                    for name, state in states.items():
                        if state["Type"] == "Task":
                            yield properties["StateMachineName"].rpartition("-")[2], name


def test_every_task_of_every_workflow_that_the_stack_deploys_is_tried_with_failures() -> None:
    found = list(deployed())
    assert len(found) > 30
    # A name that comes twice in a workflow would be tried once.
    assert sorted(found) == sorted((file, name) for file, _, name, _ in tasks())
    assert len(set(found)) == len(found)
    tried = {(file, name) for file, name, _, _ in CASES}
    assert tried == set(found)
    assert len(CASES) > 150


@pytest.mark.parametrize(("file", "name", "error", "how"), CASES)
def test_a_task_that_keeps_failing_is_tried_as_often_as_defined_and_then_told_of(
    file: str, name: str, error: str, how: str
) -> None:
    states, language = FILES[file, name]
    state = states[name]
    bench = StandIns(states, name, Injected(error, how), language)
    execution = bench.run()
    lost_s = {"raised": 0.0, "fails": JOB_S, "hangs": state.get("TimeoutSeconds", 0.0)}[how]
    check_waits(state, bench.called(), lost_s, error)
    found = catcher(state, error)
    if found is None:
        assert (execution.status, execution.error) == ("FAILED", error)
        return
    assert bench.entered[: len(bench.called())][0] == name
    way = [found["Next"]]
    if states[way[0]]["Type"] == "Choice":
        # It decides by the cause, and knows nothing of this one.
        way.append(states[way[0]]["Default"])
    assert is_handler(states, way[-1]), "nothing that keeps failing passes for a success"
    assert execution.status == "FAILED"
    assert bench.entered[1:] == way[:-1] + chain_of(states, way[-1])
    link = f"{CONSOLE}#/v2/executions/details/{execution.arn}"
    kept = [] if name == RECORDS else [(f"failures/{NAMED}/{execution.name}.json", link)]
    if name == TELLS:
        assert bench.told() == [], "what tells has failed"
        assert not str(execution.cause).startswith(TOLD), "so the rule on status events tells"
        return
    assert str(execution.cause).startswith(TOLD), "so the rule on status events does not"
    (message,) = bench.told()
    records = bench.records()
    assert [(key, body["link"]) for key, body in records] == kept
    if name == RECORDS:
        assert message["record"] == "not recorded", "and the alert has gone out"
        return
    ((key, record),) = records
    assert message["record"].endswith(f"/{key}")
    shared = ("workflow", "execution", "state", "error", "cause")
    assert [record[each] for each in shared] == [message[each] for each in shared]
    assert record["started"] <= record["failed"]
    assert message["kind"] == "workflow_failed"
    assert (message["workflow"], message["execution"]) == (NAMED, execution.name)
    assert (message["state"], message["error"]) == (name, error)
    assert "cause" in message
    assert message["link"] == link


@pytest.mark.parametrize(
    ("file", "name", "error", "how"),
    [case for case in CASES if waits(FILES[case[:2]][0][case[1]], case[2])],
)
def test_a_task_that_works_at_its_last_attempt_goes_on_and_nobody_is_told(
    file: str, name: str, error: str, how: str
) -> None:
    states, language = FILES[file, name]
    retries = len(waits(states[name], error))
    bench = StandIns(states, name, Injected(error, how, times=retries), language)
    execution = bench.run()
    assert len(bench.called()) == retries + 1
    if name == RECORDS:
        (message,) = bench.told()
        assert message["record"].endswith(f"/failures/{NAMED}/{execution.name}.json")
    else:
        assert bench.told() == []
    if is_handler(states, name):
        assert bench.entered == chain_of(states, name)
    else:
        assert execution.status == "SUCCEEDED", (execution.error, execution.cause)
        assert bench.entered[1:] == [states[name].get("Next", "It went on")]


MISSING = [
    (file, name, found)
    for (file, name), (states, _) in FILES.items()
    for found in states[name].get("Catch", [])
    if "$.error.Cause" in json.dumps(states[found["Next"]])
    and states[found["Next"]]["Type"] == "Choice"
]


@pytest.mark.parametrize(("file", "name", "found"), MISSING)
def test_an_endpoint_that_is_not_there_is_no_failure_and_throttling_is_one(
    file: str, name: str, found: Mapping[str, Any]
) -> None:
    states, language = FILES[file, name]
    resource = parse_resource(states[name]["Resource"])
    arn = "arn:aws:sagemaker:us-east-1:000000000000:endpoint/e"
    missing = AwsError("ValidationException", f'Could not find endpoint "{arn}".')
    throttled = AwsError("ThrottlingException", "Rate exceeded")
    (rule,) = states[found["Next"]]["Choices"]
    for error, status, told in ((missing, "SUCCEEDED", 0), (throttled, "FAILED", 1)):
        failure = failure_of(resource, error)
        assert found["ErrorEquals"] == [failure.error], "one name for both"
        bench = StandIns(
            states, name, Injected(str(failure.error), cause=str(failure.cause)), language
        )
        assert bench.run().status == status
        assert len(bench.told()) == told
        assert bench.entered[1] == found["Next"]
        assert (bench.entered[2] == rule["Next"]) is (told == 0)


def test_both_workflows_that_look_for_the_endpoint_are_among_these() -> None:
    assert [(file, name) for file, name, _ in MISSING] == [
        ("monitoring", "FindEndpoint"),
        ("training", "FindEndpoint"),
    ]


@pytest.mark.parametrize(("file", "name"), FILES)
def test_every_task_is_tried_again_with_patience_on_errors_that_aws_names(
    file: str, name: str
) -> None:
    retriers = FILES[file, name][0][name].get("Retry", [])
    assert retriers
    for retrier in retriers:
        assert retrier["BackoffRate"] > 1
        assert 0 < retrier["MaxAttempts"] < 10
        assert not STATES_ERRORS & set(retrier["ErrorEquals"])


@pytest.mark.parametrize("code", ["ThrottlingException", "InternalFailure", "ServiceUnavailable"])
@pytest.mark.parametrize(("file", "name"), FILES)
def test_errors_common_to_all_services_that_pass_by_themselves_are_tried_again(
    file: str, name: str, code: str
) -> None:
    state = FILES[file, name][0][name]
    failure = failure_of(parse_resource(state["Resource"]), AwsError(code, "text"))
    assert waits(state, str(failure.error)), failure.error


@pytest.mark.parametrize(("file", "name"), FILES)
def test_every_error_that_a_task_names_is_one_that_aws_gives(file: str, name: str) -> None:
    state = FILES[file, name][0][name]
    resource = parse_resource(state["Resource"])
    codes = [shape.name for shape in service_model(resource.service).error_shapes]
    shapes = [service_model(resource.service).shape_for(code) for code in codes]
    codes += [dict(shape.metadata.get("error", {})).get("code", shape.name) for shape in shapes]
    given = {failure_of(resource, AwsError(code, "text")).error for code in [*codes, "Unnamed"]}
    for error in names_of(state):
        is_own = resource.service == "lambda"
        of_client = error.partition(".")[2] in OF_CLIENTS
        assert error in given | STATES_ERRORS or of_client or is_own, error


@pytest.mark.parametrize(("file", "name"), FILES)
def test_no_task_at_the_top_of_a_workflow_fails_unheard(file: str, name: str) -> None:
    states, _ = FILES[file, name]
    if states is not next(found for name_, found, _ in machines() if name_ == file):
        return
    last = states[name]["Catch"][-1]
    assert last["ErrorEquals"] == ["States.ALL"]
    assert is_handler(states, last["Next"])
