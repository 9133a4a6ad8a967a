"""How `fleetwin --help` is laid out: which commands belong together, what flows and what does not.

`cli` registers its commands under these headings and has the texts laid out at the end. It says
nothing itself: the words stand in each command's docstring, whose last paragraph is an example.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import typer

RUN = "Run a fleet"
LOOK = "Look at a run that is over"
CHANGE = "Change and check a twin that is up"
DATA = "Data of your own, data for elsewhere"
PLAN = "Before anything runs"

FIRST_STEPS = (
    "First: fleetwin run tiny, which takes about a minute. "
    "fleetwin COMMAND --help shows an example of each."
)

EXAMPLE = "Example"
"""How the paragraph begins whose lines stay as they are."""


def flowed(text: str) -> str:
    """Return a docstring whose paragraphs are a line each; Typer would keep the source's breaks."""
    paragraphs = inspect.cleandoc(text).split("\n\n")
    return "\n\n".join(
        each if each.startswith(EXAMPLE) else " ".join(each.split()) for each in paragraphs
    )


def lay_out(app: typer.Typer) -> None:
    """Have the help of every command below ``app`` flow."""
    for command in app.registered_commands:
        callback: Callable[..., Any] | None = command.callback
        command.help = flowed(command.help or inspect.getdoc(callback) or "")
    for group in app.registered_groups:
        if group.typer_instance is not None:
            lay_out(group.typer_instance)
