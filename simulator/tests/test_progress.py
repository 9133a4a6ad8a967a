"""What a person sees while a run works."""

from __future__ import annotations

import io

import pytest

from simulator.progress import Progress


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("columns", [20, 40, 80])
def test_the_bar_fits_the_window(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    terminal = Terminal()
    progress = Progress(terminal)
    progress.stage("workflow")
    progress.note("IsThereSomethingToCompare, and a name that is longer than most windows are")
    drawn = terminal.getvalue().split("\r\033[K")
    assert drawn[-1].startswith("[")
    assert all(len(line) < columns for line in drawn)


def test_a_stream_that_is_no_terminal_gets_no_bar() -> None:
    stream = io.StringIO()
    progress = Progress(stream)
    progress.stage("workflow")
    progress.finish()
    assert stream.getvalue() == ""
