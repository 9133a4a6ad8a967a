"""When a device has no connection: networks that fail, brokers that hang up, and the return.

Three things end a connection: a planned period without a network, a network that fails at
random, and the broker, which disconnects everybody at once (a storm). The client then tries to
connect again after "full jitter": before attempt n it waits a uniformly distributed time up to
min(most, first 2^n) (M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog,
2015), and at least a second, since AWS IoT Core takes one CONNECT a second of a client. An
attempt while there is no network fails.

IoT Core also takes no more than 500 CONNECTs a second of an account. That depends on everybody,
and no device may depend on another here, so attempts above it are not refused: whoever plans a
storm spreads it. `least_backoff_s` says how widely, and `attempts_per_s` measures it.

`connection` asks for a device's absences once, before its first message.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simulator.fleet.settings import NetworkSettings, OutageSettings
from simulator.fleet.streams import stream

CONNECTS_PER_S = 500
"""CONNECT requests a second that an account may send (AWS IoT Core quotas)."""

CONNECT_SPACING_S = 1.0
"""Least time between two CONNECTs of one client (AWS IoT Core quotas)."""

DAY_S = 86_400.0


class Absence(NamedTuple):
    """A time without a connection, from its loss to the attempt that succeeds.

    ``attempts_s`` are the times of all attempts; the last one is ``end_s``.
    """

    start_s: float
    end_s: float
    attempts_s: tuple[float, ...]


def absences(
    device_id: str,
    seed: int,
    settings: NetworkSettings,
    *,
    live_start_s: float,
    horizon_s: float,
) -> list[Absence]:
    """Return when a device is not connected, in order and without overlap.

    Planned periods and storms count from ``live_start_s``; networks fail at random from second
    0 to ``horizon_s``. An absence that has begun by then lasts until the client is back.
    """
    outages = settings.outages
    planned = [
        (live_start_s + period.onset_s, live_start_s + period.onset_s + period.duration_s)
        for period in settings.offline
        if period.device == device_id
    ]
    down = _united([*planned, *_failures(device_id, seed, outages, horizon_s)])
    storms = [(live_start_s + at, live_start_s + at) for at in outages.storms]
    breaks = sorted([*down, *storms])
    if not breaks:
        return []
    rng = stream(seed, device_id, "network.backoff")
    found: list[Absence] = []
    back_s = float("-inf")
    for start_s, _ in breaks:
        if start_s < back_s:
            continue  # nothing was connected that could break
        attempts = _attempts(start_s, back_s, down, outages, rng)
        back_s = attempts[-1]
        found.append(Absence(start_s, back_s, tuple(attempts)))
    return found


def least_backoff_s(machines: int) -> float:
    """Return the first back-off that spreads a storm of ``machines`` to 500 CONNECTs a second.

    That is the mean: first attempts are uniform over the back-off. With a quarter more the
    busiest second stays below 500 too (a mean of 400 with Poisson's deviation of 20).
    """
    return machines / CONNECTS_PER_S


def attempts_per_s(absent: Iterable[Absence]) -> npt.NDArray[np.int64]:
    """Return how many CONNECTs fall into each second from that of the first one on; (n,)."""
    times = [at for absence in absent for at in absence.attempts_s]
    if not times:
        return np.zeros(0, dtype=np.int64)
    seconds = np.floor(times).astype(np.int64)
    return np.bincount(seconds - seconds.min())


def _failures(
    device_id: str, seed: int, outages: OutageSettings, horizon_s: float
) -> list[tuple[float, float]]:
    """Return when the network fails by itself: a Poisson process, exponential durations."""
    if outages.per_machine_day <= 0.0:
        return []
    gaps = stream(seed, device_id, "network.outage")
    lengths = stream(seed, device_id, "network.outage_s")
    mean_gap_s = DAY_S / outages.per_machine_day
    found = []
    start_s = gaps.standard_exponential() * mean_gap_s
    while start_s < horizon_s:
        found.append((start_s, start_s + lengths.standard_exponential() * outages.mean_s))
        start_s += gaps.standard_exponential() * mean_gap_s
    return found


def _united(spans: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the spans in order, those that touch as one."""
    united: list[tuple[float, float]] = []
    for start_s, end_s in sorted(spans):
        if united and start_s <= united[-1][1]:
            united[-1] = (united[-1][0], max(united[-1][1], end_s))
        else:
            united.append((start_s, end_s))
    return united


def _attempts(
    lost_s: float,
    last_connect_s: float,
    down: Sequence[tuple[float, float]],
    outages: OutageSettings,
    rng: np.random.Generator,
) -> list[float]:
    """Return the times of the attempts to connect after ``lost_s``; only the last succeeds."""
    attempts: list[float] = []
    at_s, most_s = lost_s, outages.backoff_first_s
    while True:
        wait_s = rng.random() * min(outages.backoff_most_s, most_s)
        at_s = max(at_s + wait_s, last_connect_s + CONNECT_SPACING_S)
        attempts.append(at_s)
        # Any end lies above every start, so this finds the last span that began by then.
        span = bisect_right(down, (at_s, float("inf"))) - 1
        if span < 0 or at_s >= down[span][1]:
            return attempts
        last_connect_s = at_s
        most_s *= 2.0
