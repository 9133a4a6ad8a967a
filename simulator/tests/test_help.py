"""What `--help` teaches: every command has an example, and the example is one that parses."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from simulator import cli_help
from simulator.cli_commands import app
from simulator.tests.command import fleetwin, parse_fleetwin

HEADINGS = {cli_help.RUN, cli_help.LOOK, cli_help.CHANGE, cli_help.DATA, cli_help.PLAN}


def commands(command: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every command that does something, below ``command``, with its name."""
    if not hasattr(command, "commands"):
        yield name, command
        return
    for word, below in command.commands.items():
        yield from commands(below, f"{name} {word}".strip())


COMMANDS = dict(commands(typer.main.get_command(app)))


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_ends_with_examples_that_parse(name: str) -> None:
    last = COMMANDS[name].help.split("\n\n")[-1]
    assert last.startswith(cli_help.EXAMPLE + ": ")
    told = [
        text.partition(" > ")[0]
        for line in last.splitlines()
        for text in re.split(r", then: |: ", line)
        if text.startswith("fleetwin ")
    ]
    for line in told:
        parse_fleetwin(shlex.split(line)[1:])
    assert any(line.startswith(f"fleetwin {name}") for line in told)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_paragraphs_of_a_help_do_not_keep_the_line_breaks_of_the_source(name: str) -> None:
    *paragraphs, _ = COMMANDS[name].help.split("\n\n")
    assert all("\n" not in each for each in paragraphs)


def test_every_command_stands_under_a_heading() -> None:
    infos: list[Any] = [*app.registered_commands, *app.registered_groups]
    assert {info.rich_help_panel for info in infos} == HEADINGS


def test_the_first_thing_that_help_shows_is_how_to_run_a_fleet() -> None:
    said = fleetwin("-h").stdout
    places = [said.index(f" {name} ──") for name in (cli_help.RUN, cli_help.LOOK)]
    assert places == sorted(places)
    assert said.index("fleetwin run tiny") > places[-1]


def test_the_version_is_that_of_the_distribution() -> None:
    done = fleetwin("--version")
    assert done.returncode == 0
    assert re.fullmatch(r"fleetwin \d+\.\d+\.\d+, Python 3\.11\.\d+\n", done.stdout)


def test_a_port_that_is_none_is_refused_as_any_other_value() -> None:
    done = fleetwin("run", "tiny", "--port", "99999")
    assert done.returncode == 2
    assert "Invalid value for '--port'" in done.stderr
    assert "Traceback" not in done.stderr
