"""`fleetwin scenario` and `history`: what they write, and what people read."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from simulator.cli_commands import app
from simulator.errors import ScenarioError
from simulator.scenario import FOLDER, Scenario, list_scenarios
from simulator.scenario_schema import schema
from simulator.timeline import timeline_of
from simulator.timeline_svg import svg_of

GOLDEN = Path(__file__).with_name("golden")
SCHEMA_COPY = Path(__file__).parents[2] / "docs" / "scenario.schema.json"
LIBRARY = (
    *("demo", "drift-only", "healthy", "journey", "mixed", "month", "network-storm"),
    *("run-to-failure", "seasonal", "tiny"),
)


def fleetwin(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(words))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        return 1, str(result.exception)
    return result.exit_code, result.output


def plain(table: Any) -> Any:
    """Return a TOML table as JSON has it: times are text."""
    return json.loads(json.dumps(table, default=lambda value: value.isoformat()))


def test_the_library_has_every_scenario_that_the_documents_name() -> None:
    assert tuple(list_scenarios()) == LIBRARY


@pytest.mark.parametrize("name", LIBRARY)
def test_every_built_in_scenario_fits_the_published_schema(name: str) -> None:
    table = tomllib.loads((FOLDER / f"{name}.toml").read_text())
    wrong = jsonschema.Draft202012Validator(schema()).iter_errors(plain(table))
    assert [error.message for error in wrong] == []


def test_the_published_schema_is_the_one_of_the_code() -> None:
    assert json.loads(SCHEMA_COPY.read_text()) == schema(), (
        "write it anew: fleetwin scenario schema > docs/scenario.schema.json"
    )
    code, printed = fleetwin("scenario", "schema")
    assert code == 0
    assert json.loads(printed) == schema()


values = st.one_of(
    st.integers(-(10**7), 10**7), st.floats(-1e9, 1e9), st.text("abc_", max_size=9), st.booleans()
)


@settings(max_examples=150, deadline=None)
@given(
    section=st.sampled_from(["", "fleet", "network", "network.outages", "life.maintenance"]),
    data=st.data(),
)
def test_the_schema_refuses_what_the_loader_refuses_for_its_type_and_range(
    section: str, data: st.DataObject
) -> None:
    part = schema()
    for key in section.split(".") if section else []:
        part = part["properties"][key]
    key = data.draw(st.sampled_from([*sorted(part["properties"]), "unknown_key"]))
    table: Any = {key: data.draw(values)}
    for name in reversed(section.split(".") if section else []):
        table = {name: table}
    valid = jsonschema.Draft202012Validator(schema()).is_valid(table)
    try:
        Scenario.from_table(table)
    except ScenarioError as error:
        said = str(error)
        about_one_value = re.search("unknown|expected|out of range|missing", said)
        # TOML has times of its own, and tells 1.0 from 1.
        if about_one_value and "time with zone" not in said and "whole number" not in said:
            assert not valid, said
    else:
        assert valid


@pytest.mark.parametrize("name", ["demo", "network-storm", "mixed"])
def test_a_timeline_reads_well(name: str) -> None:
    code, shown = fleetwin("scenario", "show", name, "--width", "100")
    assert code == 0
    golden = GOLDEN / f"timeline_{name}.txt"
    assert shown == golden.read_text(), f"if it reads better now, write {golden.name} anew"


@pytest.mark.parametrize("name", LIBRARY)
def test_every_timeline_fits_its_width_and_draws_as_svg(name: str, tmp_path: Path) -> None:
    picture = tmp_path / "t.svg"
    code, shown = fleetwin("scenario", "show", name, "--width", "80", "--svg", str(picture))
    assert code == 0
    assert max(map(len, shown.splitlines()[3:-2])) <= 80
    root = ElementTree.fromstring(picture.read_text())
    assert root.tag.endswith("svg")


def test_a_run_to_failure_shows_defects_and_stops_when_nobody_waits_for_alerts() -> None:
    table = tomllib.loads((FOLDER / "run-to-failure.toml").read_text())
    table["life"]["maintenance"]["policy"] = "run_to_failure"
    timeline = timeline_of(Scenario.from_table(table))
    assert {"~", "#"} <= set(timeline.legend)
    assert "standstill" not in svg_of(timeline, "x")


def test_a_new_scenario_passes_the_check_and_is_not_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "own" / "mine.toml"
    code, said = fleetwin("scenario", "new", str(file), "--like", "mixed")
    assert code == 0
    assert "fleetwin run" in said
    assert fleetwin("scenario", "check", str(file))[0] == 0
    assert fleetwin("scenario", "new", str(file)) == (
        1,
        f"{file}: is there already; choose another name or add --force",
    )
    assert fleetwin("scenario", "new", str(file), "--force")[0] == 0
    assert fleetwin("scenario", "new", "mine.txt")[0] == 1


def test_a_check_names_every_bad_file_and_fails(tmp_path: Path) -> None:
    bad = tmp_path / "bad.toml"
    bad.write_text("[fleet]\nmachinez = 3\n")
    code, said = fleetwin("scenario", "check", "demo", str(bad), "nowhere")
    assert code == 1
    assert "demo: ok, 20 centrifugal pumps" in said
    assert "fleet.machinez: unknown key; did you mean 'machines'?" in said
    assert "nowhere: no such scenario" in said


def test_a_history_of_a_few_minutes_is_written_and_replaced_only_by_force(tmp_path: Path) -> None:
    out = str(tmp_path / "h")
    words = ("history", "tiny", "--out", out, "--workers", "1", "--days", "0.01", "--no-bursts")
    code, said = fleetwin(*words)
    assert code == 0, said
    assert "readings of 4 machines" in said
    assert fleetwin(*words)[0] == 1
    assert fleetwin(*words, "--force")[0] == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("tiny", "--engine", "flink"), "--engine flink: choose one of local, spark"),
        (("tiny", "--format", "csv"), "--format csv: choose one of parquet, json"),
        (("tiny", "--days", "0"), "--days 0: must be at least a minute (0.0007)"),
        (("tiny", "--engine", "spark"), "add --no-bursts"),
        (("run-to-failure",), "--decisions FILE"),
        (("tiny", "--decisions", "nowhere.jsonl"), "nowhere.jsonl: cannot be read"),
    ],
)
def test_a_history_that_cannot_be_is_refused(
    words: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    code, said = fleetwin("history", *words, "--out", str(tmp_path / "h"))
    assert code == 1
    assert message in said
