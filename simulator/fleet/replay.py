"""Replay: recorded runs publish as if they were machines, on the simulation's clock.

Same interface as `fleet.Fleet`. Event times are those of the recording. The history is
published at its own pace; then delivery holds until `resume`, when the model is in service,
and the live part follows at its own pace: later arrival, unchanged event times.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from typing import Any

import simpy

from pipeline.messages import Reading, burst_topic, encode_reading, telemetry_topic
from simulator.errors import InvariantBroken
from simulator.fleet.delivery import Delivery, FleetCounters, Publish, Unnoticed
from simulator.fleet.ground_truth import GroundTruth
from simulator.fleet.network import Connection
from simulator.fleet.recording import Recording, Run
from simulator.fleet.settings import NetworkSettings

QUIET_NETWORK = NetworkSettings(delay_s=0.05, delay_sigma=0.3, buffer=10**9)
"""A recording is replayed completely and in order: its own gaps are the only ones."""


class Replay:
    """All runs of a recording as devices.

    ``start_epoch_s`` is the epoch time of ``env.now == 0``. Event times begin at the whole
    second at which `start` is called, which is the recording's own start when the clock
    begins there.
    """

    def __init__(
        self,
        recording: Recording,
        env: simpy.Environment,
        start_epoch_s: float,
        publish: Publish,
        seed: int = 0,
        *,
        network: NetworkSettings = QUIET_NETWORK,
    ) -> None:
        self.recording = recording
        self.devices = recording.devices
        self.finished = env.event()
        """Succeeds when every message has reached its end."""
        self.history_over = env.event()
        """Succeeds when the history has been handed over; then `resume` is awaited."""
        self._resumed = env.event()
        self._env = env
        self._start_epoch_s = start_epoch_s
        self._seed = seed
        self._network = network
        self._delivery = Delivery(env, publish)
        self._origin_s: float | None = None

    @property
    def counters(self) -> FleetCounters:
        """Return the books so far."""
        return self._delivery.counters

    @property
    def truth(self) -> GroundTruth:
        """Return the recorded labels; known from `start` on."""
        return self.recording.truth(self._epoch_ms(self._origin()))

    def start(self) -> None:
        """Begin to publish the history."""
        if self._origin_s is not None:
            raise InvariantBroken("the replay was started twice")
        self._origin_s = float(math.ceil(self._env.now))
        self._env.process(self._run())

    def look_ahead(self, unnoticed: Unnoticed) -> Callable[[float], None]:
        """Let messages of several seconds go together where nobody could tell: see `Delivery`."""
        return self._delivery.look_ahead(unnoticed)

    def resume(self) -> None:
        """Let the live part flow; at once if the history is over, else as soon as it is."""
        if not self._resumed.triggered:
            self._resumed.succeed()

    def _run(self) -> Generator[simpy.Event, Any, None]:
        delivering = self._env.process(self._delivery.run())
        yield self._env.timeout(self._origin() - self._env.now)
        connections = {
            device: Connection(device, self._seed, self._network) for device in self.devices
        }
        for run in self.recording.runs:
            rows = slice(0, run.history_rows)
            self._send(run, rows, self._origin(), connections[run.device_id])
        yield self._delivery.emptied()
        self.history_over.succeed()
        yield self._resumed
        shift_s = float(math.ceil(self._env.now)) - self.recording.live_from_s
        for run in self.recording.runs:
            rows = slice(run.history_rows, len(run.times_ms))
            self._send(run, rows, shift_s, connections[run.device_id])
        self._delivery.close()
        yield delivering
        self.finished.succeed()

    def _send(self, run: Run, rows: slice, shift_s: float, connection: Connection) -> None:
        """Put rows of a run on their way at their recorded times plus ``shift_s``."""
        names = [channel.name for channel in self.recording.format.channels]
        base_ms = self._epoch_ms(self._origin())
        times_ms = run.times_ms[rows]
        payloads = [
            encode_reading(
                Reading(
                    run.device_id, seq, base_ms + time_ms, dict(zip(names, values, strict=True))
                )
            )
            for seq, (time_ms, values) in enumerate(
                zip(times_ms.tolist(), run.values[rows].tolist(), strict=True), rows.start
            )
        ]
        topics = telemetry_topic(run.device_id), burst_topic(run.device_id)
        sent_s = times_ms / 1000.0 + shift_s
        for sent in (
            connection.send(sent_s, payloads, [True] * len(payloads)),
            # What is still with the client is sent before the live part is waited for.
            connection.finish(),
        ):
            self._delivery.put(run.device_id, topics, sent)

    def _origin(self) -> float:
        if self._origin_s is None:
            raise InvariantBroken("the replay has not been started")
        return self._origin_s

    def _epoch_ms(self, clock_s: float) -> int:
        return round((self._start_epoch_s + clock_s) * 1000.0)
