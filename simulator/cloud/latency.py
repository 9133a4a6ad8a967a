"""How long the hops between services take on the run's clock, and how long they took.

Services ask `draw` for a hop's delay and `note` what a hop took. Without models nothing is added:
what takes time then is only what the twin itself models (batching windows, polls, durations).
Fitting is not done here: `simulator.parity.latency_fit` makes `HopModel`s of traces.

The hops: ``rule`` (a message from the broker to its stream), ``read`` (one GetRecords of a
mapping), ``start`` (a batch handed to its function until the handler begins), and each call of a
worker by its name, such as ``sns:Publish``. Only noted, never delayed: ``wait``, from the arrival
of a batch's oldest record at its stream until its function is called.

The run's clock stands while an endpoint behind the twin executes something. What it took there, in
real time, is added to what the hop took: `waited` is told of it, and moves no clock.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from random import Random
from statistics import NormalDist
from typing import Any, NamedTuple, Protocol

import simpy

from simulator.cloud.engine import Engine

RULE, READ, START, WAIT = "rule", "read", "start", "wait"
_NORMAL = NormalDist()


class Draw(Protocol):
    """What `Latency` needs of a model."""

    def sample(self, rng: Random) -> float:
        """Return one delay in seconds, not negative."""
        ...


@dataclass(frozen=True)
class Mixture:
    """A mixture of shifted lognormal distributions: (weight, mu, sigma) of the part above a floor.

    Seconds are ``floor_s + exp(mu + sigma * z)``; the weights add up to 1.
    """

    floor_s: float
    components: tuple[tuple[float, float, float], ...]

    def sample(self, rng: Random) -> float:
        """Return one delay in seconds."""
        left = rng.random()
        mu, sigma = self.components[-1][1:]
        for weight, *shape in self.components:
            left -= weight
            if left < 0.0:
                mu, sigma = shape
                break
        # Open at both ends, where the inverse is infinite.
        return self.floor_s + math.exp(mu + sigma * _NORMAL.inv_cdf(_inside(rng.random())))


@dataclass(frozen=True)
class Quantiles:
    """A distribution by its quantiles: (share, seconds), both rising, linear in between."""

    knots: tuple[tuple[float, float], ...]

    def sample(self, rng: Random) -> float:
        """Return one delay in seconds."""
        return self.at(rng.random())

    def at(self, share: float) -> float:
        """Return the quantile of a share."""
        above = bisect_left(self.knots, (share, -math.inf))
        if above == 0:
            return self.knots[0][1]
        if above == len(self.knots):
            return self.knots[-1][1]
        (low, low_s), (high, high_s) = self.knots[above - 1], self.knots[above]
        return low_s + (high_s - low_s) * (share - low) / (high - low)


class Sample(NamedTuple):
    """One hop that was gone: when it began, on the run's clock, and how long it took."""

    hop: str
    began_s: float
    took_s: float


class Latency:
    """The delays of one twin.

    Each hop draws from a stream of its own, so none disturbs another, and so does each worker that
    calls: which of two that compute at one moment is quicker changes no delay.
    """

    def __init__(self, engine: Engine, seed: int) -> None:
        self.samples: list[Sample] = []
        self._engine = engine
        self._seed = seed
        self._models: dict[str, Draw] = {}
        self._rngs: dict[str, Random] = {}
        self._waited_s = 0.0

    def install(self, models: Mapping[str, Draw]) -> None:
        """Have these hops take time from now on."""
        self._models.update(models)

    @property
    def takes_time(self) -> bool:
        """Tell whether any hop does."""
        return bool(self._models)

    def draw(self, hop: str, worker: str = "") -> float:
        """Return what a hop takes this time, in seconds; 0 without a model."""
        model = self._models.get(hop)
        if model is None:
            return 0.0
        stream = f"{hop}/{worker}" if worker else hop
        if stream not in self._rngs:
            self._rngs[stream] = Random(f"{self._seed}/latency/{stream}")
        return max(0.0, model.sample(self._rngs[stream]))

    def note(self, hop: str, began_s: float, waited_s: float = 0.0) -> None:
        """Keep what a hop took that ends now; ``waited_s`` is real time at an endpoint."""
        self.samples.append(Sample(hop, began_s, self._engine.env.now - began_s + waited_s))

    def waited(self, seconds: float) -> None:
        """Be told that an endpoint behind the twin has taken so much real time."""
        self._waited_s += seconds

    def during(self, work: Callable[[], Any]) -> tuple[Any, float]:
        """Return what work returns, and the real time that an endpoint took for it in seconds."""
        before_s = self._waited_s
        answer = work()
        return answer, self._waited_s - before_s

    def call(self, hop: str, work: Callable[[], Any], worker: str = "") -> Any:
        """Do a worker's call after its delay; return the answer, or an event that has it.

        Errors are raised at once without a delay, else by the event.
        """
        began_s, delay_s = self._engine.env.now, self.draw(hop, worker)
        if delay_s > 0.0:
            return self._engine.process(self._delayed(hop, began_s, delay_s, work))
        answer, waited_s = self.during(work)
        if isinstance(answer, simpy.Event) and answer.callbacks is not None:
            answer.callbacks.append(lambda _: self.note(hop, began_s, waited_s))
        else:
            self.note(hop, began_s, waited_s)
        return answer

    def _delayed(
        self, hop: str, began_s: float, delay_s: float, work: Callable[[], Any]
    ) -> Generator[simpy.Event, Any, Any]:
        yield self._engine.env.timeout(delay_s)
        waited_s = 0.0
        try:
            answer, waited_s = self.during(work)
            if isinstance(answer, simpy.Event):
                answer = yield answer
        finally:
            self.note(hop, began_s, waited_s)
        return answer


def _inside(share: float) -> float:
    return min(1.0 - 1e-12, max(1e-12, share))
