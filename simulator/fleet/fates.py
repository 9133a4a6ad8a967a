"""What chance has in store for a device's messages, drawn when they are produced.

One random stream per device and decision. A message takes as many numbers from each as any
other, so that its fate does not depend on how messages are grouped; a decision that the
settings rule out takes none. `network` asks once for every call of `send`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from simulator.fleet.loss import BoolArray, LossChain
from simulator.fleet.settings import NetworkSettings
from simulator.fleet.streams import FloatArray, stream

RETRY_S = 2.0
"""Mean time after which a QoS 1 client repeats a publish whose acknowledgement it missed."""


class Repeats(NamedTuple):
    """Which messages are sent ``twice``, how long after the first copy's arrival, and how long
    the second copy travels; arrays (n,).
    """

    twice: BoolArray
    wait_s: FloatArray
    delay_s: FloatArray


class Fates(NamedTuple):
    """The fates of messages; arrays (n,), None where nothing can happen.

    ``delay_s``: travel time, of which ``plain_delay_s`` is left when the message is sent anew
    over another connection. ``lost``: it never arrives.
    """

    delay_s: FloatArray
    plain_delay_s: FloatArray
    lost: BoolArray | None
    repeats: Repeats | None

    def part(self, begin: int, end: int) -> Fates:
        """Return those of some of the messages."""
        repeats = self.repeats
        if repeats is not None:
            repeats = Repeats(
                repeats.twice[begin:end], repeats.wait_s[begin:end], repeats.delay_s[begin:end]
            )
        return Fates(
            self.delay_s[begin:end],
            self.plain_delay_s[begin:end],
            None if self.lost is None else self.lost[begin:end],
            repeats,
        )


class Chances:
    """Draws the fates of one device's messages in the order of production."""

    def __init__(self, seed: int, device_id: str, settings: NetworkSettings) -> None:
        """Raise ScenarioError if no loss chain has these settings."""
        self._settings = settings
        lossy = settings.loss > 0.0
        self._loss = LossChain(seed, device_id, settings) if lossy else None
        names = ["delay"]
        if settings.straggle > 0.0:
            names += ["straggle", "straggle_s"]
        if settings.duplicate > 0.0:
            names += ["duplicate", "retry_s", "retry_delay"]
        self._streams = {name: stream(seed, device_id, f"network.{name}") for name in names}

    def draw(self, count: int) -> Fates:
        """Return the fates of the next ``count`` messages."""
        settings, streams = self._settings, self._streams
        plain_delay_s = delay_s = self._delay("delay", count)
        if settings.straggle > 0.0:
            straggles = streams["straggle"].random(count) < settings.straggle
            extra_s = streams["straggle_s"].standard_exponential(count) * settings.straggle_s
            delay_s = np.where(straggles, plain_delay_s + extra_s, plain_delay_s)
        lost = None if self._loss is None else self._loss.lost(count)
        repeats = None
        if settings.duplicate > 0.0:
            repeats = Repeats(
                streams["duplicate"].random(count) < settings.duplicate,
                streams["retry_s"].standard_exponential(count) * RETRY_S,
                self._delay("retry_delay", count),
            )
        return Fates(delay_s, plain_delay_s, lost, repeats)

    def _delay(self, name: str, count: int) -> FloatArray:
        """Return lognormal delays."""
        delay_s = self._streams[name].standard_normal(count)
        delay_s *= self._settings.delay_sigma
        np.exp(delay_s, out=delay_s)
        delay_s *= self._settings.delay_s
        return delay_s
