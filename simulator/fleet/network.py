"""The way from a device to the broker: delay, loss, repetition, reordering, being offline.

One `Connection` per device. It decides what becomes of each message in the order in which
the device produced it, with one random stream per decision, so that the outcome depends
neither on block lengths nor on other devices. `delivery` hands the result over in time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simulator.fleet.streams import FloatArray, stream

RETRY_S = 2.0
"""Mean time after which a QoS 1 client repeats a publish whose acknowledgement it missed."""


@dataclass(frozen=True)
class OfflinePeriod:
    """A device without a connection; ``onset_s`` counts from the start of the live part."""

    device: str
    onset_s: float
    duration_s: float


@dataclass(frozen=True)
class NetworkSettings:
    """Conditions of every connection.

    ``delay_s`` and ``delay_sigma``: median and log-deviation of a lognormal delay. ``loss``:
    share of messages that never arrive, in runs of mean length ``loss_run`` (Gilbert-Elliott
    with every message of the bad state lost; 1 / (1 - loss) is independent loss).
    ``duplicate``: share delivered twice. ``straggle``: share delayed by a further
    exponential time of mean ``straggle_s``, which is what reorders. ``backlog_per_s``: pace of
    a connection that catches up; IoT Core discards above 100 publishes a second.
    """

    delay_s: float = 0.15
    delay_sigma: float = 0.5
    loss: float = 0.0
    loss_run: float = 2.0
    duplicate: float = 0.0
    straggle: float = 0.0
    straggle_s: float = 3.0
    backlog_per_s: float = 50.0
    offline: tuple[OfflinePeriod, ...] = ()


class Fate(NamedTuple):
    """What becomes of one message: arrival times (seconds) of its copies, none if lost."""

    arrivals_s: tuple[float, ...]


LOST = Fate(())


class Connection:
    """The connection of one device.

    ``offline`` holds (start, end) in the same seconds as the times given to `send`.
    """

    def __init__(
        self,
        device_id: str,
        seed: int,
        settings: NetworkSettings,
        offline: Sequence[tuple[float, float]] = (),
    ) -> None:
        self._settings = settings
        self._offline = sorted(offline)
        self._free_s = float("-inf")
        self._bad = False
        names = ("loss", "delay", "straggle", "straggle_s", "duplicate", "retry_s", "retry_delay")
        self._streams = {name: stream(seed, device_id, f"network.{name}") for name in names}

    def send(self, sent_s: FloatArray) -> list[Fate]:
        """Return the fate of each message produced at ``sent_s`` (non-decreasing)."""
        settings, count = self._settings, len(sent_s)
        uniform = {
            name: self._streams[name].random(count) for name in ("loss", "straggle", "duplicate")
        }
        arrival_s = self._released(sent_s) + self._delay("delay", count)
        extra_s = self._streams["straggle_s"].standard_exponential(count) * settings.straggle_s
        straggles = uniform["straggle"] < settings.straggle
        arrival_s = np.where(straggles, arrival_s + extra_s, arrival_s)
        retry_s = self._streams["retry_s"].standard_exponential(count) * RETRY_S
        again_s = arrival_s + retry_s + self._delay("retry_delay", count)
        repeated = uniform["duplicate"] < settings.duplicate
        lost = self._lost(uniform["loss"])
        return [
            LOST if gone else Fate((at, again) if twice else (at,))
            for gone, twice, at, again in zip(
                lost.tolist(), repeated.tolist(), arrival_s.tolist(), again_s.tolist(), strict=True
            )
        ]

    def _delay(self, name: str, count: int) -> FloatArray:
        normal = self._streams[name].standard_normal(count)
        return np.asarray(self._settings.delay_s * np.exp(self._settings.delay_sigma * normal))

    def _released(self, sent_s: FloatArray) -> FloatArray:
        """Return when the client publishes each message: now, or paced after being offline.

        What is produced while the backlog drains queues behind it: a client sends in order.
        """
        spacing_s = 1.0 / self._settings.backlog_per_s
        released = []
        for produced in sent_s.tolist():
            online = produced
            for start, end in self._offline:
                if start <= online < end:
                    online = end
            publish_s = max(online, self._free_s)
            self._free_s = publish_s + spacing_s
            released.append(publish_s)
        return np.array(released)

    def _lost(self, uniform: FloatArray) -> npt.NDArray[np.bool_]:
        """Return which messages meet the bad state of a two-state chain, one step a message.

        With r = 1 / run the chance to leave the bad state and p = r loss / (1 - loss) to enter
        it, the stationary share of bad is ``loss``. One uniform number decides each step:
        below p both states go to bad, from 1 - r on both go to good, between them the state
        stays; so the last decisive number before a message tells its state.
        """
        loss = self._settings.loss
        if loss <= 0.0:
            return np.zeros(len(uniform), dtype=np.bool_)
        leave = 1.0 / self._settings.loss_run
        enter = leave * loss / (1.0 - loss)
        decisive = (uniform < enter) | (uniform >= 1.0 - leave)
        latest = np.maximum.accumulate(np.where(decisive, np.arange(len(uniform)), -1))
        bad = np.where(latest >= 0, uniform[latest] < enter, self._bad)
        self._bad = bool(bad[-1])
        return bad
