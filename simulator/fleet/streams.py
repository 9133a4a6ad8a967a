"""Random streams and recursions that the fleet is made of.

Every (seed, device, channel) has its own stream, found by name: adding a device, a channel or
a fault moves no other stream. Every recursion carries its state from block to block, so that
a signal is the same whatever the block length. Used by all of `simulator.fleet`.
"""

from __future__ import annotations

import hashlib
import math

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter

FloatArray = npt.NDArray[np.float64]


def stable_words(name: str) -> tuple[int, int]:
    """Return two 32-bit words that depend on nothing but ``name``.

    Python's own ``hash`` differs from process to process.
    """
    digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
    return int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:], "little")


def stream(seed: int, *names: str) -> np.random.Generator:
    """Return the generator that belongs to ``seed`` and this path of names."""
    key = tuple(word for name in names for word in stable_words(name))
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=key)))


class Lag:
    """Follow an input with a first-order lag, exactly for an input constant over each step.

    dy/dt = (x - y) / tau becomes y[k] = a y[k-1] + (1 - a) x[k] with a = exp(-step / tau).
    Starts in the steady state of ``initial``, or of the first input when none is given.
    """

    def __init__(self, tau_s: float, step_s: float, initial: float | None = None) -> None:
        self._a = math.exp(-step_s / tau_s)
        self._state = None if initial is None else np.array([self._a * initial])

    def follow(self, target: FloatArray) -> FloatArray:
        """Return the response to the next ``target`` samples; shape as given."""
        if self._state is None:
            self._state = np.array([self._a * target[0]])
        response, self._state = lfilter([1.0 - self._a], [1.0, -self._a], target, zi=self._state)
        return np.asarray(response, dtype=np.float64)


class Wander:
    """Produce slow variation: a stationary AR(1) process with a given deviation.

    The first value is drawn from the stationary distribution, so there is no settling.
    """

    def __init__(self, rng: np.random.Generator, sigma: float, tau_s: float, step_s: float) -> None:
        self._rng = rng
        self._a = math.exp(-step_s / tau_s)
        self._kick = sigma * math.sqrt(1.0 - self._a * self._a)
        self._state = np.array([self._a * sigma * float(rng.standard_normal())])

    def take(self, count: int) -> FloatArray:
        """Return the next ``count`` samples."""
        kicks = self._rng.standard_normal(count) * self._kick
        samples, self._state = lfilter([1.0], [1.0, -self._a], kicks, zi=self._state)
        return np.asarray(samples, dtype=np.float64)
