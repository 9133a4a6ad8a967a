"""The rows of a loop: one group for all rounds, and none of what happened is left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from xml.etree import ElementTree

from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.cloud.asl_execution import Execution
from simulator.cloud.tests.workflow_bench import THROTTLED, Bench, machine, task
from simulator.cloud.tests.workflow_trees import TREES, Flaky, Grown
from simulator.tests.test_workflow_pictures import GOLDEN, shown
from simulator.workflow_lines import Line, lines_of
from simulator.workflow_runs import Part, StateRun, visits
from simulator.workflow_svg import svg_of
from simulator.workflow_text import text_of

START = datetime(2026, 1, 5, tzinfo=UTC)


def path_of(names: str, status: str = "succeeded") -> list[StateRun]:
    """Return visits of the states with these letters, a second each; ``!`` makes the one before
    a visit that failed and was caught."""
    path: list[StateRun] = []
    for letter in names:
        if letter == "!":
            path[-1].status = "caught"
            continue
        entered = START + timedelta(seconds=len(path))
        path.append(StateRun(letter, "Task", entered, entered + timedelta(seconds=1), status))
    return path


def letters(lines: Sequence[Line]) -> str:
    """Return the rows in short: ``x3(AB)C`` are two of a loop and one."""
    said = ""
    inside = False
    for line in lines:
        if inside and line.depth == 0:
            said, inside = said + ")", False
        if not line.visits:
            said, inside = said + line.label.partition(",")[0] + "(", True
        else:
            said += line.label
    return said + (")" if inside else "")


def polling(rounds: int, throttled: int) -> tuple[Bench, Execution]:
    """Run a loop of three states so many times; one round's task needs a second attempt."""
    bench = Bench()
    answers: list[Any] = [{"MessageId": "not yet"} for _ in range(rounds - 1)]
    answers.insert(throttled, THROTTLED)
    coming = iter([*answers, {"MessageId": "ready"}])
    bench.program["Publish"] = lambda call: bench.later(2, next(coming))
    retry = {"ErrorEquals": ["SNS.ThrottledException"], "IntervalSeconds": 5}
    ready = {"Variable": "$.MessageId", "StringEquals": "ready", "Next": "Done"}
    definition = machine(
        Begin={"Type": "Pass", "Next": "Wait"},
        Wait={"Type": "Wait", "Seconds": 30, "Next": "Ask"},
        Ask=task(Retry=[retry], Next="IsReady"),
        IsReady={"Type": "Choice", "Choices": [ready], "Default": "Wait"},
        Done={"Type": "Succeed"},
    )
    return bench, bench.run(definition, {})


def test_the_rounds_of_a_loop_are_one_group_of_rows() -> None:
    for path, rows in {
        "ABCABCABC": "x3(ABC)",
        "XABABY": "Xx2(AB)Y",
        "AAAB": "x3(A)B",
        "AA": "AA",  # a heading and a row are no fewer
        "ABCABCA": "x2(ABC)A",
        "ABACABAC": "ABACABAC",  # a round that visits a state twice is not looked for
        "ABA!BABABAB": "ABAx3(BA)B",  # a round that failed is by itself
    }.items():
        assert letters(list(lines_of(path_of(path)))) == rows, path


@settings(max_examples=200, deadline=None)
@given(names=st.text("ABC!", max_size=40).map(lambda text: text.lstrip("!")))
def test_every_visit_of_any_path_is_in_one_row_and_in_its_order(names: str) -> None:
    path = path_of(names)
    lines = list(lines_of(path))
    drawn = [state for line in lines for state in line.visits]
    assert sorted(map(id, drawn)) == sorted(map(id, path))
    assert len(lines) <= len(path)
    assert all(state.name == line.label for line in lines for state in line.visits)
    grouped = [state for line in lines if line.depth for state in line.visits]
    assert {state.status for state in grouped} <= {"succeeded"}
    firsts = [line.visits[0].entered for line in lines if line.visits]
    assert firsts == sorted(firsts)


@settings(max_examples=20, deadline=None)
@given(tree=TREES)
def test_every_visit_of_a_workflow_with_parts_is_in_one_row(tree: Any) -> None:
    bench, grown = Bench(), Grown(tree)
    Flaky(bench, grown.failures)
    run = shown(bench, bench.run(grown.definition, {}))
    drawn = [state for line in lines_of(run.states) for state in line.visits]
    assert sorted(map(id, drawn)) == sorted(map(id, visits(run.states)))


def test_a_state_with_parts_is_never_grouped() -> None:
    path = path_of("ABABAB")
    path[2].parts.append(Part("[0]", path_of("C")))
    rows = [line.label for line in lines_of(path)]
    assert rows == ["A", "B", "A", "[0]", "C", "B", "A", "B"]


def test_a_loop_over_midnight_names_the_days() -> None:
    path = path_of("ABABAB")
    for state in path[3:]:
        state.entered += timedelta(days=1)
        assert state.left is not None
        state.left += timedelta(days=1)
    assert next(lines_of(path)).label == "x3, 01-05 00:00 - 01-06 00:00"


def test_the_pictures_of_a_loop_are_the_golden_files() -> None:
    bench, execution = polling(rounds=9, throttled=5)
    run = replace(shown(bench, execution), name="an-execution")
    assert f"{text_of(run)}\n" == (GOLDEN / "workflow_loop.txt").read_text("utf-8")
    assert svg_of(run) == (GOLDEN / "workflow_loop.svg").read_text("utf-8")


def test_every_round_has_its_bar_in_the_svg() -> None:
    bench, execution = polling(rounds=9, throttled=5)
    root = ElementTree.fromstring(svg_of(shown(bench, execution)))
    titles = [element.text or "" for element in root.iter() if element.tag.endswith("title")]
    assert sum(title.startswith("Wait (Wait): succeeded, 30 s") for title in titles) == 9
