"""Loss in bursts: the model of Gilbert and Elliott, one step of its chain a packet.

A connection is in a good or a bad state (p: chance to go from good to bad, r: from bad to
good) and loses the share h_G or h_B of its packets there. With pi = p / (p + r), the share of
time in the bad state, the loss is pi h_B + (1 - pi) h_G, the bad state lasts 1 / r packets on
average, and for h_G = 0 the mean run of losses is 1 / (1 - (1 - r) h_B): it equals 1 / r only
if the bad state loses everything (Gilbert, Bell Syst. Tech. J. 39, 1960; Elliott, 42, 1963).

`network` draws from it once for every message that a device produces.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from simulator.errors import ScenarioError
from simulator.fleet.settings import NetworkSettings
from simulator.fleet.streams import FloatArray, stream

BoolArray = npt.NDArray[np.bool_]


def bad_share(settings: NetworkSettings) -> float:
    """Return the share of packets that meet the bad state, so that ``loss`` comes out.

    Raises ScenarioError if the states cannot give this loss, or no chain has this share with
    bad states as short as ``loss_run``.
    """
    low, high = settings.loss_in_good, settings.loss_in_bad
    if settings.loss == low:
        return 0.0
    if not low < settings.loss < high:
        raise ScenarioError(
            f"network.loss: {settings.loss:g} is not between loss_in_good ({low:g}) and "
            f"loss_in_bad ({high:g}); move it between them"
        )
    share = (settings.loss - low) / (high - low)
    # A good state lasts at least one packet: share <= run / (run + 1).
    if share > settings.loss_run / (settings.loss_run + 1.0):
        least = share / (1.0 - share)
        raise ScenarioError(
            f"network.loss_run: {settings.loss_run:g} is too short for a loss of "
            f"{settings.loss:g}; make it {least:.3g} or longer"
        )
    return share


class LossChain:
    """Decides which packets of one connection are lost.

    The state and the loss in it have streams of their own; the chain starts in a state drawn
    from its stationary distribution.
    """

    def __init__(self, seed: int, device_id: str, settings: NetworkSettings) -> None:
        """Raise ScenarioError if no chain has these settings."""
        share = bad_share(settings)
        leave = 1.0 / settings.loss_run
        enter = leave * share / (1.0 - share)
        self._low, self._high = sorted((enter, 1.0 - leave))
        self._swaps = enter > 1.0 - leave
        self._in_good, self._in_bad = settings.loss_in_good, settings.loss_in_bad
        self._states = stream(seed, device_id, "network.loss_state")
        self._losses = stream(seed, device_id, "network.loss")
        self._bad = bool(self._states.random() < share)

    def lost(self, count: int) -> BoolArray:
        """Return which of the next ``count`` packets are lost; (count,)."""
        bad = self._next_states(self._states.random(count))
        return np.asarray(
            self._losses.random(count) < np.where(bad, self._in_bad, self._in_good), dtype=np.bool_
        )

    def _next_states(self, uniform: FloatArray) -> BoolArray:
        """Return whether the state is bad after each step; one uniform number decides a step.

        Below both p and 1 - r either state goes to bad, above both either goes to good. Between
        them the state stays, or, where p > 1 - r, it changes for certain. So the last decisive
        number before a packet, and how many came since, tell its state.
        """
        steps = np.arange(len(uniform))
        decisive = (uniform < self._low) | (uniform >= self._high)
        latest = np.maximum.accumulate(np.where(decisive, steps, -1))
        bad = np.where(latest >= 0, uniform[latest] < self._low, self._bad)
        if self._swaps:
            bad ^= (steps - latest) % 2 == 1
        if len(bad):
            self._bad = bool(bad[-1])
        return np.asarray(bad, dtype=np.bool_)
