"""Random streams and recursions that the fleet is made of.

Every (seed, device, channel) has its own stream, found by name: adding a device, a channel or
a fault moves no other stream. Every recursion carries its state from block to block, so that
a signal is the same whatever the block length. Used by all of `simulator.fleet`.
"""

from __future__ import annotations

import hashlib
import math
import sys
from collections.abc import Callable
from functools import cache, lru_cache
from importlib import import_module
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.random.bit_generator import ISeedSequence

FloatArray = npt.NDArray[np.float64]

_ONE = np.array([1.0])


@cache
def _linear_filter() -> Callable[..., Any]:
    """Return what `lfilter` calls after a second look at its arguments.

    For a block of some hundred samples that look costs three times as much as the filter itself;
    the bits are the same either way. Its module alone is loaded, when the first signal is made: all
    of `scipy.signal` would take longer than the rest of a run's imports.
    """
    name = "scipy.signal._sigtools"
    try:
        module: Any = sys.modules.get(name) or _extension(name)
        made: Callable[..., Any] = module._linear_filter
    except (ImportError, AttributeError):  # A SciPy that is arranged in another way.
        made = import_module("scipy.signal").lfilter
    return made


def _extension(name: str) -> Any:
    """Load one compiled module of a package without the package; raises ImportError."""
    package, *folders = name.split(".")[:-1]
    whole = find_spec(package)
    places = whole.submodule_search_locations if whole is not None else None
    inside = [str(Path(place, *folders)) for place in places or ()]
    spec = PathFinder.find_spec(name, inside)
    if spec is None or spec.loader is None:
        raise ImportError(f"no module {name}", name=name)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    # So that the package, should it be imported later, takes this one.
    return sys.modules.setdefault(name, module)


@lru_cache(maxsize=4_096)
def stable_words(name: str) -> tuple[int, int]:
    """Return two 32-bit words that depend on nothing but ``name``.

    Python's own ``hash`` differs from process to process.
    """
    digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
    return int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:], "little")


class HashSeed(ISeedSequence):
    """Seeds a generator with the BLAKE2b hash of a path of names.

    NumPy's `SeedSequence` mixes a key as well, but takes eight times as long, and a machine has
    more than twenty streams and every burst some.
    """

    def __init__(self, path: bytes) -> None:
        self._path = path

    def generate_state(self, n_words: int, dtype: Any = np.uint32) -> npt.NDArray[Any]:
        """Return up to 64 bytes as ``n_words`` words: SFC64 asks for three of 64 bits."""
        size = n_words * np.dtype(dtype).itemsize
        words = np.frombuffer(hashlib.blake2b(self._path, digest_size=size).digest(), dtype)
        return words.copy()


def stream(seed: int, *names: str) -> np.random.Generator:
    """Return the generator that belongs to ``seed`` and this path of names.

    SFC64 makes normal numbers about a quarter faster than PCG64, and the normal numbers are
    the largest part of what a sample costs.
    """
    path = "\0".join((str(seed), *names)).encode()
    # NumPy takes every `ISeedSequence`; its type stubs know its own class alone.
    return np.random.Generator(np.random.SFC64(HashSeed(path)))  # type: ignore[arg-type]


def first_order(
    gain: FloatArray, poles: FloatArray, values: FloatArray, state: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return the response of y[k] = gain x[k] - poles[1] y[k-1] and the new state (1,)."""
    response: FloatArray
    response, state = _linear_filter()(gain, poles, values, -1, state)
    return response, state


class Lag:
    """Follow an input with a first-order lag, exactly for an input constant over each step.

    dy/dt = (x - y) / tau becomes y[k] = a y[k-1] + (1 - a) x[k] with a = exp(-step / tau).
    Starts in the steady state of ``initial``, or of the first input when none is given.
    """

    def __init__(self, tau_s: float, step_s: float, initial: float | None = None) -> None:
        self._a = math.exp(-step_s / tau_s)
        self._gain = np.array([1.0 - self._a])
        self._poles = np.array([1.0, -self._a])
        self._state = None if initial is None else np.array([self._a * initial])

    @property
    def at_rest(self) -> bool:
        """Say whether the response to a zero input is exactly zero, so that it can be left out."""
        return self._state is not None and not self._state[0]

    def follow(self, target: FloatArray) -> FloatArray:
        """Return the response to the next ``target`` samples; shape as given."""
        if self._state is None:
            self._state = np.array([self._a * target[0]])
        response, self._state = first_order(self._gain, self._poles, target, self._state)
        return response


class Wander:
    """Produce slow variation: a stationary AR(1) process with a given deviation.

    The first value is drawn from the stationary distribution, so there is no settling.
    """

    def __init__(self, rng: np.random.Generator, sigma: float, tau_s: float, step_s: float) -> None:
        self._rng = rng
        a = math.exp(-step_s / tau_s)
        self._kick = sigma * math.sqrt(1.0 - a * a)
        self._poles = np.array([1.0, -a])
        self._state = np.array([a * sigma * float(rng.standard_normal())])

    def take(self, count: int) -> FloatArray:
        """Return the next ``count`` samples, in an array of their own."""
        kicks = self._rng.standard_normal(count)
        kicks *= self._kick
        samples, self._state = first_order(_ONE, self._poles, kicks, self._state)
        return samples


class RunningSum:
    """Sum up an input from the beginning on, however it is cut into blocks.

    NumPy adds cumulative sums strictly one after the other, so the bits do not depend on it.
    """

    def __init__(self) -> None:
        self._total = 0.0

    def follow(self, steps: FloatArray) -> FloatArray:
        """Return the sum after each of the next ``steps``; shape as given."""
        total = steps.copy()
        total[0] += self._total
        np.cumsum(total, out=total)
        self._total = float(total[-1])
        return total
