"""The batch path of a run: the maintenance system's files, which DataSync brings into the lake.

What a crew has finished is written to a folder, a file for each day, as a maintenance system
exports it to a file server; the stack's DataSync task moves it every hour to ``maintenance/`` of
the raw zone. Used by `run`; the fleet makes the orders, the target has the task.
"""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any, ClassVar

import simpy

from simulator.fleet.fleet import Fleet
from simulator.fleet.replay import Replay
from simulator.fleet.work_orders import write_orders
from simulator.target import Target

BATCH_FOLDER = "batch"
"""What goes the batch path, below the output folder."""

HOUR_S = 3_600.0
EXPORT_S = 300.0
"""Seconds after the full hour at which the maintenance system writes its files: before the task."""


class BatchPath:
    """Writes the work orders of a fleet while it runs, and has them moved at the end."""

    HOST = "maintenance"
    PARAMETERS: ClassVar[dict[str, str]] = {
        "MaintenanceServer": HOST,
        "AgentActivationKey": "LOCAL-LOCAL-LOCAL-LOCAL-LOCAL",
    }
    """The template's parameters with which the stack has the task."""

    def __init__(self, target: Target, machines: Fleet | Replay, out: Path) -> None:
        assert isinstance(machines, Fleet), "recorded machines are not worked on"
        self._target = target
        self._machines = machines
        self._folder = out / BATCH_FOLDER
        (self._folder / "maintenance").mkdir(parents=True, exist_ok=True)
        target.serve_files(self.HOST, self._folder)
        target.clock.process(self._export_hourly())

    def export(self) -> None:
        """Write what is finished by now: of what is still to come nobody has a record."""
        base_ms = self._machines.plan.base_ms
        now_s = self._target.epoch_s() - base_ms / 1_000
        done = [order for order in self._machines.work_orders if order.finished_s <= now_s]
        write_orders(done, self._folder, base_ms)

    def deliver(self) -> None:
        """Write and move everything up to now; raises TransferFailed."""
        self.export()
        self._target.transfer("maintenance")

    def _export_hourly(self) -> Generator[simpy.Event, Any, None]:
        env = self._target.clock
        while True:
            epoch_s = self._target.epoch_s()
            yield env.timeout(HOUR_S - (epoch_s - EXPORT_S) % HOUR_S)
            self.export()
