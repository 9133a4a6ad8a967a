"""The documents: every command, link, name and figure in them is true."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from simulator.report import Episode, Fault, Readings, RunReport
from simulator.report_text import summary
from simulator.scenario import list_scenarios
from simulator.targets import ROOT
from simulator.tests.command import parse_fleetwin

GOLDEN = Path(__file__).with_name("golden")
PAGES = [
    *(ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
MAKE_TARGETS = set(re.findall(r"^([a-z-]+):", MAKEFILE, flags=re.MULTILINE))
MAKE_VARIABLES = {"SCENARIO", "ARGS", "PYTHON"}


def commands() -> Iterator[tuple[str, str]]:
    """Yield (page, command) of every `sh` block and of every inline make, fleetwin or python."""
    for page in PAGES:
        text = page.read_text("utf-8")
        for block in re.findall(r"^```sh\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE):
            yield from ((page.name, line) for line in block.splitlines() if line.strip())
        for line in re.findall(r"`((?:make|fleetwin|python -m) [^`\n]+)`", text):
            yield page.name, line


def milliseconds(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def report_of(values: dict[str, Any]) -> RunReport:
    """Return the report that a `report.json` was written from.

    Of the rule without a model the file has only what it found; its episodes are made up.
    """
    faults = [
        Fault(
            item["device_id"],
            item["kind"],
            milliseconds(item["onset"]),
            milliseconds(item["end"]),
            item["severity"],
        )
        for item in values["truth"]
    ]
    episodes = [
        Episode(
            item["device_id"],
            "model",
            milliseconds(item["started"]),
            item["ended"] and milliseconds(item["ended"]),
            item["score"],
            item["contributions"],
            item["detection_id"],
        )
        for item in values["detections"]
    ]
    found = [
        f for f, item in zip(faults, values["truth"], strict=True) if item["found_by_no_model"]
    ]
    no_model = [Episode(f.device_id, "no_model", f.onset_ms, f.end_ms, 1.0, {}) for f in found]
    no_model += [
        Episode("nowhere", "no_model", number, None, 1.0, {})
        for number in range(values["no_model"]["false_alarm_episodes"])
    ]
    return RunReport(
        scenario=values["scenario"],
        seed=values["seed"],
        target=values["target"],
        virtual_s=values["virtual_s"],
        wall_s=values["wall_s"],
        readings=Readings(**values["readings"]),
        faults=faults,
        episodes=episodes + no_model,
        machine_days=values["machine_days"],
        stages=[],
        started=datetime.fromisoformat(values["started"]),
        alerts=values["alerts"],
    )


@pytest.fixture(scope="module")
def demo() -> dict[str, Any]:
    body: dict[str, Any] = json.loads((GOLDEN / "demo_report.json").read_text("utf-8"))
    return body


def test_the_summary_of_a_fixed_report_is_the_golden_file(demo: dict[str, Any]) -> None:
    said = summary(report_of(demo), Path("out")).strip("\n") + "\n"
    assert said == (GOLDEN / "demo_summary.txt").read_text("utf-8")


def test_what_readme_shows_of_a_run_is_the_summary_of_the_committed_report() -> None:
    golden = (GOLDEN / "demo_summary.txt").read_text("utf-8")
    assert f"```text\n{golden}```" in (ROOT / "README.md").read_text("utf-8")


def test_the_reading_that_readme_follows_was_sent_while_an_episode_was_open(
    demo: dict[str, Any],
) -> None:
    """The pumps of the demo publish once a second from its start on."""
    readme = (ROOT / "README.md").read_text("utf-8")
    [(device, seq)] = re.findall(r"fleetwin trace (pump-\d+)#(\d+)", readme)
    sent_ms = milliseconds(demo["started"]) + 1_000 * int(seq)
    assert any(
        milliseconds(each["started"]) <= sent_ms <= milliseconds(each["ended"])
        for each in demo["detections"]
        if each["device_id"] == device and each["ended"]
    )


def test_a_fault_that_was_missed_and_a_run_without_delays_are_said_in_the_summary(
    demo: dict[str, Any],
) -> None:
    report = report_of(demo)
    report.episodes = []
    said = summary(report, Path("out"))
    assert f"0 of {len(report.faults)} found\n" in said
    assert said.count("NOT FOUND") == len(report.faults)


@pytest.mark.parametrize(("page", "line"), sorted(set(commands())))
def test_a_command_in_the_documents_exists(page: str, line: str) -> None:
    words = shlex.split(line, comments=True)
    program, arguments = words[0].rpartition("/")[2], words[1:]
    if program == "make":
        for word in arguments:
            variable, is_variable, _ = word.partition("=")
            assert variable in (MAKE_VARIABLES if is_variable else MAKE_TARGETS), (page, line)
            if variable == "SCENARIO":
                assert word.partition("=")[2] in list_scenarios(), (page, line)
    elif program == "fleetwin":
        parse_fleetwin(arguments)
    elif program == "python":
        assert arguments[0] == "-m", (page, line)
        module = ROOT.joinpath(*arguments[1].split("."))
        main = module / "__main__.py"
        assert main.exists() or module.with_suffix(".py").exists(), (page, line)
    else:
        raise AssertionError(f"{page} has a command that no test knows: {line}")


def test_every_make_target_is_explained_by_help_and_needs_no_file() -> None:
    phony = re.search(r"^\.PHONY: (.*)$", MAKEFILE, flags=re.MULTILINE)
    assert phony
    assert set(phony[1].split()) == MAKE_TARGETS
    printed = "\n".join(line for line in MAKEFILE.splitlines() if line.startswith("\t@echo"))
    for target in MAKE_TARGETS - {"help"}:
        assert f"make {target}" in printed, target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_a_file_and_every_name_in_a_link_is_defined_there(page: Path) -> None:
    for label, target in re.findall(r"\[([^\]]+)\]\(([^)#]+)[^)]*\)", page.read_text("utf-8")):
        assert not target.startswith("http"), f"{target}: the documents stand on their own"
        file = page.parent / target
        assert file.exists(), f"{page.name}: {target}"
        if file.suffix == ".py":
            source = file.read_text("utf-8")
            for name in label.strip("`").split("."):
                defined = rf"^\s*(?:def|class) {name}\b|^{name}\b.* ="
                assert re.search(defined, source, flags=re.MULTILINE), f"{name} in {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_path_in_the_documents_exists(page: Path) -> None:
    roots = r"(?:simulator|pipeline|infra_cdk|parity_tests|benchmarks|docs)"
    for path in re.findall(rf"`({roots}/[\w./-]*)`", page.read_text("utf-8")):
        assert (ROOT / path).exists(), f"{page.name}: {path}"


def test_every_folder_of_code_is_on_readmes_map() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    for package in ROOT.glob("*/__init__.py"):
        assert f"`{package.parent.name}/`" in text


def test_every_field_of_the_report_is_explained(demo: dict[str, Any]) -> None:
    text = (ROOT / "docs" / "report.md").read_text("utf-8")
    explained = {name for words in re.findall(r"`([^`]+)`", text) for name in words.split(".")}
    # The keys of these are sensors of the machine and resource types.
    open_ended = {"contributions", "recorded_only"}
    for name in names_in(demo, open_ended):
        assert name in explained, name


def names_in(value: Any, open_ended: set[str]) -> set[str]:
    """Return the keys at any depth."""
    if isinstance(value, list):
        return set().union(*(names_in(each, open_ended) for each in value))
    if not isinstance(value, dict):
        return set()
    inner = [names_in(each, open_ended) for key, each in value.items() if key not in open_ended]
    return set(value).union(*inner)
