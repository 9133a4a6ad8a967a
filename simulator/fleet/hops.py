"""What the sequence of a device's messages tells about its way to the broker.

Loss, reordering and travel time, as a subscriber could measure them from sequence numbers and
times of sending. `delivery` gives it every batch.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simulator.fleet.streams import FloatArray

IntArray = npt.NDArray[np.int64]

# A device's numbers stay below it, so that device and number fit into one sortable integer.
NUMBERS = 1 << 40

ROWS_AT_ONCE = 4_096


class HopStatistics(NamedTuple):
    """One device's messages at the broker; repeated copies do not count.

    ``reordered``: arrivals after one that was sent later. ``missing``: numbers below the
    highest that never came. Travel times go from production to broker, in s; 0 without arrivals.
    """

    arrived: int
    reordered: int
    missing: int
    mean_travel_s: float
    most_travel_s: float


class Hops:
    """Follows the arrivals of all devices, which are numbered from 0."""

    def __init__(self) -> None:
        self._arrived = np.zeros(0, dtype=np.int64)
        self._reordered = np.zeros(0, dtype=np.int64)
        self._highest = np.zeros(0, dtype=np.int64)
        self._travel_s = np.zeros(0)
        self._most_s = np.zeros(0)
        self._waiting: list[tuple[IntArray, IntArray, FloatArray]] = []
        self._waiting_rows = 0

    def of(self, device: int) -> HopStatistics:
        """Return the statistics of a device so far."""
        self._look()
        if device >= len(self._arrived) or not self._arrived[device]:
            return HopStatistics(0, 0, 0, 0.0, 0.0)
        arrived = int(self._arrived[device])
        return HopStatistics(
            arrived,
            int(self._reordered[device]),
            int(self._highest[device]) % NUMBERS + 1 - arrived,
            float(self._travel_s[device]) / arrived,
            float(self._most_s[device]),
        )

    def follow(self, devices: IntArray, numbers: IntArray, travel_s: FloatArray) -> None:
        """Take arrivals (n,) in their order, without repeated copies."""
        # Looked at many at once: most batches of a slow fleet are a few messages.
        self._waiting.append((devices, numbers, travel_s))
        self._waiting_rows += len(devices)
        if self._waiting_rows >= ROWS_AT_ONCE:
            self._look()

    def _look(self) -> None:
        """Look at the arrivals that wait for it."""
        waiting, self._waiting, rows = self._waiting, [], self._waiting_rows
        self._waiting_rows = 0
        if not rows:
            return
        devices = np.concatenate([each for each, _, _ in waiting])
        numbers = np.concatenate([each for _, each, _ in waiting])
        travel_s = np.concatenate([each for _, _, each in waiting])
        self._grow(int(devices.max()) + 1)
        known = len(self._arrived)
        self._arrived += np.bincount(devices, minlength=known)
        self._travel_s += np.bincount(devices, travel_s, minlength=known)
        np.maximum.at(self._most_s, devices, travel_s)
        # Sorted by device, a running maximum restarts by itself with every device.
        by_device = np.argsort(devices, kind="stable")
        mine = devices[by_device]
        places = mine * NUMBERS + numbers[by_device]
        before = np.maximum(places, self._highest[mine])
        np.maximum.accumulate(before, out=before)
        np.add.at(self._reordered, mine, places < before)
        # The last of a device's rows holds its maximum.
        last = np.append(np.flatnonzero(mine[1:] != mine[:-1]), len(mine) - 1)
        self._highest[mine[last]] = before[last]

    def _grow(self, devices: int) -> None:
        """Make room for devices; no number was seen of them yet."""
        more = devices - len(self._arrived)
        if more > 0:
            self._arrived = np.append(self._arrived, np.zeros(more, dtype=np.int64))
            self._reordered = np.append(self._reordered, np.zeros(more, dtype=np.int64))
            self._highest = np.append(self._highest, np.full(more, -1, dtype=np.int64))
            self._travel_s = np.append(self._travel_s, np.zeros(more))
            self._most_s = np.append(self._most_s, np.zeros(more))
