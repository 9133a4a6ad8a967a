"""Histories of whole fleets as files, made in parallel: one device after the other, by anyone.

A device's samples depend on (plan, device id) alone, so one process, eight processes and a Spark
cluster (`history_spark`) write the same rows; processes of this machine the same bytes. Memory
does not grow with the length of a history. The last file is `manifest.json`: without it, a
history is unfinished.
"""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from simulator.errors import SimulatorError
from simulator.fleet.catalogue import sensors_of
from simulator.fleet.files import (
    PARTIAL,
    BurstFiles,
    ReadingFiles,
    Written,
    complete,
    write_whole,
)
from simulator.fleet.life import MachineLife
from simulator.fleet.machine import Block
from simulator.fleet.plant import PlantPlan, Unit, life_of, reacts
from simulator.fleet.truth import told, truth_of
from simulator.fleet.work_orders import write_orders

MANIFEST = "manifest.json"
SAMPLES_AT_ONCE = 21_600
RUL_STEP_S = 600.0


class HistoryError(SimulatorError):
    """A history cannot be made; the message has cause and cure."""


@dataclass(frozen=True)
class HistoryOrder:
    """What to write where. ``format`` of readings: ``parquet`` or ``json``."""

    plan: PlantPlan
    folder: Path
    format: str = "parquet"
    bursts: bool = True


@dataclass(frozen=True)
class DeviceHistory:
    """What one device's history became."""

    device_id: str
    rows: int
    files: tuple[Written, ...]


def prepare(order: HistoryOrder, *, replace: bool) -> None:
    """Check an order and its folder; raises HistoryError."""
    plan, folder = order.plan, order.folder
    if reacts(plan.life) and not plan.decisions:
        raise HistoryError(
            "life.maintenance.policy: condition_based repairs follow the pipeline's alerts, and a "
            "history has no pipeline: give --decisions FILE of an earlier run, or another policy"
        )
    if folder.exists() and any(folder.iterdir()):
        if not replace:
            raise HistoryError(f"{folder}: is not empty; choose another --out or add --force")
        if not (folder / MANIFEST).exists() and not any(folder.rglob(f"*{PARTIAL}")):
            raise HistoryError(f"{folder}: was not made by fleetwin history; choose another --out")
        _remove(folder)
    folder.mkdir(parents=True, exist_ok=True)


def blocks_of(unit: Unit, plan: PlantPlan) -> Iterator[Block]:
    """Yield all samples of a device in blocks of bounded size."""
    block_s = SAMPLES_AT_ONCE / plan.fleet.rate_hz
    for number in range(math.ceil(plan.total_s / block_s)):
        block = unit.until(min(plan.total_s, (number + 1) * block_s))
        if block is not None:
            yield block


def write_device(order: HistoryOrder, device_id: str) -> DeviceHistory:
    """Write the files of one device; nothing is left unfinished when it returns."""
    plan = order.plan
    unit = Unit(plan, device_id, bursts=order.bursts)
    readings = ReadingFiles(order.folder, device_id, sensors_of(plan.fleet), order.format)
    bursts = BurstFiles(order.folder, device_id)
    rows = 0
    for block in blocks_of(unit, plan):
        stamps_ms = unit.stamps_ms(block.times_s)
        readings.write(block.first_seq, stamps_ms, block.values)
        rows += len(stamps_ms)
        for burst, start_ms in zip(
            block.bursts, unit.burst_starts_ms(block, stamps_ms), strict=True
        ):
            bursts.write(burst, start_ms)
    files = [*readings.close(), *bursts.close()]
    if unit.life is not None:
        files.append(_write_rul(order, unit.life, device_id))
    return DeviceHistory(device_id, rows, tuple(files))


def write_local(
    order: HistoryOrder, workers: int, done: Callable[[DeviceHistory], None]
) -> list[DeviceHistory]:
    """Write all devices with processes of this machine; ``done`` is told of each.

    Whatever ends it early, no process and no unfinished file is left.
    """
    devices = list(order.plan.devices)
    histories = []
    try:
        for history in _made(order, devices, min(workers, len(devices))):
            histories.append(history)
            done(history)
    except BaseException:
        for unfinished in order.folder.rglob(f"*{PARTIAL}"):
            unfinished.unlink()
        raise
    return sorted(histories, key=lambda history: devices.index(history.device_id))


def finish(order: HistoryOrder, histories: Sequence[DeviceHistory], about: dict[str, Any]) -> Path:
    """Write truth, work orders and, last, the manifest; return the manifest's path."""
    plan, folder = order.plan, order.folder
    lives = {device: life for device in plan.devices if (life := life_of(plan, device))}
    told(plan, lives)
    truth = truth_of(plan, lives)
    records = truth.records()
    lines = "".join(json.dumps(record, separators=(",", ":")) + "\n" for record in records)
    files = [file for history in histories for file in history.files]
    files.append(write_whole(folder, "truth/faults.jsonl", lines, len(records)))
    stops = [asdict(stop) for stop in truth.stops]
    lines = "".join(json.dumps(stop, separators=(",", ":")) + "\n" for stop in stops)
    files.append(write_whole(folder, "truth/stops.jsonl", lines, len(stops)))
    orders = [order for life in lives.values() for order in life.work_orders]
    for path in write_orders(orders, folder, plan.base_ms):
        os.replace(path, path.with_name(path.name + PARTIAL))
        rows = len(path.with_name(path.name + PARTIAL).read_bytes().splitlines())
        files.append(complete(folder, path, rows))
    body = {
        **about,
        "schema": 1,
        "seed": plan.seed,
        "machines": len(plan.devices),
        "start_ms": plan.base_ms,
        "live_start_ms": plan.base_ms + round(plan.live_start_s * 1_000),
        "end_ms": plan.base_ms + round(plan.total_s * 1_000),
        "format": order.format,
        "readings": sum(history.rows for history in histories),
        "files": [asdict(file) for file in sorted(files, key=lambda file: file.path)],
    }
    write_whole(folder, MANIFEST, json.dumps(body, indent=1) + "\n", len(files))
    return folder / MANIFEST


def _write_rul(order: HistoryOrder, life: MachineLife, device_id: str) -> Written:
    """Write the true remaining useful life, every ten minutes."""
    plan = order.plan
    t = np.arange(0.0, plan.total_s, RUL_STEP_S)
    left_s = life.rul_s(t)
    table = pa.table(
        {
            "device_id": pa.array([device_id] * len(t)),
            "event_time_ms": plan.base_ms + np.rint(t * 1_000).astype(np.int64),
            "rul_s": pa.array(np.where(np.isfinite(left_s), left_s, np.nan), from_pandas=True),
        }
    )
    path = order.folder / "truth" / "rul" / f"{device_id}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path.with_name(path.name + PARTIAL), compression="zstd")
    return complete(order.folder, path, len(t))


def _made(order: HistoryOrder, devices: Sequence[str], workers: int) -> Iterator[DeviceHistory]:
    if workers <= 1:
        for device_id in devices:
            yield write_device(order, device_id)
        return
    # Spawned and not forked: the parent may have threads.
    context = multiprocessing.get_context("spawn")
    with context.Pool(workers, _begin_worker, (order,)) as pool:
        yield from pool.imap_unordered(_work, devices)


_orders: list[HistoryOrder] = []
"""The order of a worker process, given once: a plan may be large."""


def _begin_worker(order: HistoryOrder) -> None:
    # Ctrl-C reaches the whole group; the parent ends the workers and removes what they left.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _orders.append(order)


def _work(device_id: str) -> DeviceHistory:
    return write_device(_orders[0], device_id)


def _remove(folder: Path) -> None:
    """Remove what an earlier history left, and nothing else."""
    for zone in ("telemetry", "bursts", "truth", "maintenance"):
        for path in sorted((folder / zone).rglob("*"), reverse=True):
            if path.is_file():
                path.unlink()
            else:
                path.rmdir()
    (folder / MANIFEST).unlink(missing_ok=True)
