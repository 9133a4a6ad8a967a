"""Batches through a pipe: the same in whatever pieces, and nothing else is taken for one."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from typing import IO, Any

import numpy as np
import pytest

from simulator.errors import InvariantBroken
from simulator.fleet.plant import Batch, PlantPlan
from simulator.fleet.settings import FleetSettings
from simulator.fleet.workshop import Ahead, Order, batches, received, units_of

PLAN = PlantPlan(3, FleetSettings(machines=2, burst_period_s=60.0), 120.0, 240.0, 0)
ORDER = Order(PLAN, 60.0)
LONG = Order(replace(PLAN, total_s=86_400.0), 60.0)
"""More batches than a process may be ahead, so that it cannot have ended."""


def made() -> list[Batch]:
    """Return the batches of the order, made here."""
    return list(batches(ORDER, units_of(PLAN)))


def assert_same(found: Batch, expected: Batch) -> None:
    """Compare two batches."""
    assert found.device_id == expected.device_id
    np.testing.assert_array_equal(found.sent_s, expected.sent_s)
    assert (found.payloads, found.is_reading) == (expected.payloads, expected.is_reading)


@contextmanager
def pipe_of(data: bytes, piece: int) -> Iterator[IO[bytes]]:
    """Yield the end of a pipe into which somebody writes ``data`` piece by piece."""
    reader, writer = os.pipe()

    def write() -> None:
        with os.fdopen(writer, "wb", buffering=0) as pipe:
            for begin in range(0, len(data), piece):
                pipe.write(data[begin : begin + piece])

    thread = threading.Thread(target=write)
    thread.start()
    with os.fdopen(reader, "rb") as pipe:
        yield pipe
    thread.join()


@pytest.mark.parametrize("piece", [1, 7, 4_099])
def test_batches_that_come_in_pieces_are_the_batches(piece: int) -> None:
    short = [batch._replace(payloads=batch.payloads[:40]) for batch in made()[:2]]
    sent = b"".join(pickle.dumps(batch, pickle.HIGHEST_PROTOCOL) for batch in short)
    with pipe_of(sent, piece) as pipe:
        for batch in short:
            assert_same(received(pipe), batch)
        with pytest.raises(EOFError):
            received(pipe)


@pytest.mark.parametrize("strange", [b"bytes", "text", ("pump-001", [], [], []), None])
def test_what_is_no_batch_is_not_taken_for_one(strange: Any) -> None:
    with pipe_of(pickle.dumps(strange), 100) as pipe, pytest.raises(TypeError, match="was due"):
        received(pipe)


def test_a_process_that_is_stopped_now_and_then_makes_the_same_batches() -> None:
    expected_ones = batches(LONG, units_of(LONG.plan))
    ahead = Ahead(LONG)
    try:
        for found, expected in islice(zip(ahead, expected_ones, strict=True), 90):
            ahead._process.send_signal(signal.SIGSTOP)
            time.sleep(0.002)
            ahead._process.send_signal(signal.SIGCONT)
            assert_same(found, expected)
    finally:
        ahead.close()


def test_a_process_that_ends_early_is_told_with_what_it_left() -> None:
    ahead = Ahead(LONG)
    try:
        batches_of = iter(ahead)
        next(batches_of)
        ahead._process.kill()
        with pytest.raises(InvariantBroken, match=r"exit status -9; (EOFError|Unpickl)"):
            list(batches_of)
    finally:
        ahead.close()


def test_what_else_the_process_prints_does_not_come_among_the_batches() -> None:
    program = (
        "from simulator.fleet import workshop; real = workshop.units_of;"
        "workshop.units_of = lambda plan: (print('a profiler says', flush=True), real(plan))[1];"
        "workshop.main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=pickle.dumps(ORDER),
        capture_output=True,
        check=True,
        timeout=120,
    )
    assert b"a profiler says" in done.stderr
    with pipe_of(done.stdout, 65_536) as pipe:
        for expected in made():
            assert_same(received(pipe), expected)
