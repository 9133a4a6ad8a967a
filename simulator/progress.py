"""What a person sees while a run works: the stage, a bar on a terminal, a line per stage.

Where there is no terminal, a stage that takes long says from time to time how far it is.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Generator
from typing import Any, TextIO

import simpy

from simulator.report import Stage

WIDTH = 28

PAUSE_S = 15.0
"""Real seconds between two lines about one stage, where there is no bar."""


class Progress:
    """Prints to ``stream``; ``None`` says nothing (tests, libraries)."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream
        self._bar = stream is not None and stream.isatty()
        self._stage = ""
        self._note = ""
        self._share = 0.0
        self._over = False
        self._said_s = time.monotonic()

    @classmethod
    def to_stderr(cls) -> Progress:
        """Return one for the command line."""
        return cls(sys.stderr)

    def stage(self, name: str) -> None:
        """Say what begins."""
        self._stage, self._note = name, ""
        self._draw()

    def note(self, text: str) -> None:
        """Say what the stage is at."""
        self._note = text
        self._draw()

    def stage_done(self, stage: Stage) -> None:
        """Leave one line behind."""
        if self._stream is None:
            return
        self._clear()
        virtual = f"{stage.virtual_s / 60:7.1f} min on the clock" if stage.virtual_s else " " * 24
        print(
            f"  {stage.name:<10} {stage.wall_s:6.1f} s {virtual}  {stage.result}",
            file=self._stream,
            flush=True,
        )
        self._said_s = time.monotonic()

    def watch(self, env: simpy.Environment, total_s: float) -> None:
        """Follow the clock up to ``total_s`` from now."""
        if self._stream is not None:
            env.process(self._follow(env, total_s))

    def finish(self) -> None:
        """Take the bar away."""
        self._over = True
        self._clear()

    def _follow(self, env: simpy.Environment, total_s: float) -> Generator[simpy.Event, Any, None]:
        start = env.now
        while not self._over and env.now - start < total_s:
            self._share = (env.now - start) / total_s
            self._draw()
            self._say(env.now - start)
            yield env.timeout(total_s / 200)

    def _say(self, gone_s: float) -> None:
        """Leave a line, where there is no bar, when nothing was said for long."""
        if self._bar or self._stream is None or time.monotonic() - self._said_s < PAUSE_S:
            return
        self._said_s = time.monotonic()
        words = f"{self._share:.0%} of the run, {gone_s / 3600:.1f} h on the clock"
        print(f"... {self._stage}: {words}", file=self._stream, flush=True)

    def _draw(self) -> None:
        if not self._bar or self._stream is None:
            return
        filled = int(self._share * WIDTH)
        bar = "#" * filled + "." * (WIDTH - filled)
        text = f"[{bar}] {self._share:4.0%} {self._stage} {self._note}"
        # A line that wraps cannot be cleared: in a narrow window each would stay.
        text = text[: shutil.get_terminal_size().columns - 1]
        print(f"\r\033[K{text}", end="", file=self._stream, flush=True)

    def _clear(self) -> None:
        if self._bar:
            print("\r\033[K", end="", file=self._stream, flush=True)
