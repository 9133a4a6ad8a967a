"""Makes the messages of a fleet, block by block: here, or ahead of time in a process of its own.

Messages depend on (seed, device) alone, not on the clock, so they can be made while others
compute; `fleet` puts them on their way when their time has come. Both ways give the same bytes.
"""

from __future__ import annotations

import os
import pickle
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from pipeline.messages import Burst, Reading, encode_burst, encode_reading
from simulator.errors import InvariantBroken
from simulator.fleet.faults import FaultPlan
from simulator.fleet.machine import Block, MachineSettings, Pump
from simulator.fleet.streams import FloatArray
from simulator.fleet.vibration import SCALE_M_S2

BLOCKS_AHEAD = 60
"""Batches that the process may be ahead: it bounds memory, not results."""


class Order(NamedTuple):
    """What to make: all blocks of ``block_s`` of all devices, up to ``total_s``."""

    seed: int
    settings: MachineSettings
    faults: tuple[FaultPlan, ...]
    devices: tuple[str, ...]
    live_start_s: float
    total_s: float
    block_s: float
    base_ms: int


class Batch(NamedTuple):
    """One device's messages of one block in the order of sending.

    ``sent_s`` (n,) counts from the fleet's start; ``is_reading`` tells readings from bursts.
    """

    device_id: str
    sent_s: FloatArray
    payloads: list[bytes]
    is_reading: list[bool]


def batches(order: Order) -> Iterator[Batch]:
    """Yield every batch, block after block and in each block device after device."""
    pumps = {
        device: Pump(device, order.seed, order.settings, order.live_start_s, order.faults)
        for device in order.devices
    }
    made = dict.fromkeys(order.devices, 0)
    begun = 0
    while begun * order.block_s < order.total_s:
        end_s = min(order.total_s, (begun + 1) * order.block_s)
        for device, pump in pumps.items():
            count = pump.samples_before(end_s) - made[device]
            made[device] += count
            yield _batch(order, device, pump.take(count) if count else None)
        begun += 1


def _batch(order: Order, device_id: str, block: Block | None) -> Batch:
    if block is None:
        return Batch(device_id, np.empty(0), [], [])
    sent_s = np.concatenate([block.times_s, [burst.end_s for burst in block.bursts]])
    # Stable: a burst that ends with a sample is sent after that sample's reading.
    positions = np.argsort(sent_s, kind="stable")
    payloads = [*_readings(order, device_id, block), *_bursts(order, device_id, block)]
    return Batch(
        device_id,
        sent_s[positions],
        [payloads[i] for i in positions.tolist()],
        (positions < len(block.times_s)).tolist(),
    )


def _readings(order: Order, device_id: str, block: Block) -> list[bytes]:
    times_ms = (order.base_ms + np.round(block.times_s * 1000.0).astype(np.int64)).tolist()
    names = tuple(block.values)
    rows = zip(*(block.values[name].tolist() for name in names), strict=True)
    return [
        encode_reading(Reading(device_id, seq, at, dict(zip(names, row, strict=True))))
        for seq, (at, row) in enumerate(zip(times_ms, rows, strict=True), block.first_seq)
    ]


def _bursts(order: Order, device_id: str, block: Block) -> list[bytes]:
    return [
        encode_burst(
            Burst(
                device_id,
                burst.seq,
                order.base_ms + round(burst.start_s * 1000.0),
                order.settings.burst_rate_hz,
                SCALE_M_S2,
                burst.samples,
            )
        )
        for burst in block.bursts
    ]


class Ahead:
    """The same batches, made by a child process that works ahead.

    It ends with its order, with `close`, or when this process is gone and nobody reads its pipe.
    """

    def __init__(self, order: Order) -> None:
        self._process = subprocess.Popen(
            # Not with -m: what is pickled must belong to this module and not to __main__.
            [sys.executable, "-c", "from simulator.fleet import workshop; workshop.main()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert self._process.stdin is not None
        pickle.dump(order, self._process.stdin)
        self._process.stdin.close()
        self._ready: queue.Queue[Batch | None] = queue.Queue(BLOCKS_AHEAD)
        self._closed = False
        threading.Thread(target=self._receive, name="workshop", daemon=True).start()

    def __iter__(self) -> Iterator[Batch]:
        while True:
            batch = self._ready.get()
            if batch is None:
                raise InvariantBroken(
                    f"the process that makes the readings ended early ({self._process.poll()})"
                )
            yield batch

    def close(self) -> None:
        """End the process and wait for it."""
        self._closed = True
        self._process.kill()
        self._process.wait()
        while not self._ready.empty():
            self._ready.get_nowait()

    def _receive(self) -> None:
        pipe = self._process.stdout
        assert pipe is not None
        with pipe:
            while not self._closed:
                try:
                    batch = pickle.load(pipe)
                except Exception:  # whatever it is, whoever waits is told by the None below
                    break
                self._ready.put(batch)
        if not self._closed:
            self._ready.put(None)


def made_of(order: Order, *, apart: bool) -> tuple[Iterator[Batch], Ahead | None]:
    """Return the batches of an order, and what to close when they come from a process."""
    if not apart:
        return batches(order), None
    ahead = Ahead(order)
    return iter(ahead), ahead


def main() -> None:
    """Make an order that comes pickled on standard input; write batches until nobody reads."""
    order = pickle.load(sys.stdin.buffer)
    try:
        for batch in batches(order):
            pickle.dump(batch, sys.stdout.buffer, protocol=pickle.HIGHEST_PROTOCOL)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        # Nobody reads any more; keep Python from flushing into the closed pipe at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
