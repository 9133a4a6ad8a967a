"""Loss in bursts has the share and the runs that its formula promises, however it is asked."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import ScenarioError
from simulator.fleet.loss import BoolArray, LossChain, bad_share
from simulator.fleet.settings import NetworkSettings


def chain(network: NetworkSettings, device: str = "pump-001") -> LossChain:
    return LossChain(1, device, network)


def runs(lost: BoolArray) -> float:
    """Return the mean length of runs of losses."""
    starts = np.count_nonzero(lost[1:] & ~lost[:-1]) + int(lost[0])
    return float(lost.sum() / starts)


@pytest.mark.parametrize(
    ("loss", "loss_run", "in_bad", "in_good"),
    [
        (0.01, 1.5, 1.0, 0.0),
        (0.05, 4.0, 1.0, 0.0),
        (0.2, 2.0, 1.0, 0.0),
        (0.0333, 5.0, 0.7, 0.0),
        (0.1, 10.0, 0.5, 0.02),
        (0.3, 1.2, 0.6, 0.1),  # so many short bad states that the chain must alternate
    ],
)
def test_loss_has_the_share_and_the_runs_that_were_asked_for(
    loss: float, loss_run: float, in_bad: float, in_good: float
) -> None:
    network = NetworkSettings(
        loss=loss, loss_run=loss_run, loss_in_bad=in_bad, loss_in_good=in_good
    )
    lost = chain(network).lost(400_000)
    assert lost.mean() == pytest.approx(loss, rel=0.06)
    if in_good == 0.0:
        run = 1.0 / (1.0 - (1.0 - 1.0 / loss_run) * in_bad)
        assert runs(lost) == pytest.approx(run, rel=0.05)


def test_a_bad_state_that_loses_seven_of_ten_has_shorter_runs_than_the_state_lasts() -> None:
    share = 0.01 / (0.01 + 0.2)
    network = NetworkSettings(loss=share * 0.7, loss_run=5.0, loss_in_bad=0.7)
    assert bad_share(network) == pytest.approx(share)
    assert runs(chain(network).lost(400_000)) == pytest.approx(2.27, rel=0.05)


@settings(max_examples=40, deadline=None)
@given(
    cut=st.lists(st.integers(0, 60), min_size=1, max_size=8),
    loss=st.floats(0.01, 0.4),
    loss_run=st.floats(1.0, 6.0),
)
def test_losses_do_not_depend_on_how_packets_are_grouped(
    cut: list[int], loss: float, loss_run: float
) -> None:
    network = NetworkSettings(loss=loss, loss_run=loss_run)
    pieces = chain(network)
    grouped = [pieces.lost(count) for count in cut]
    assert np.array_equal(chain(network).lost(sum(cut)), np.concatenate(grouped))


def test_connections_lose_independently_of_each_other() -> None:
    network = NetworkSettings(loss=0.3, loss_run=3.0)
    one, other = (chain(network, device).lost(50_000) for device in ("a", "b"))
    assert np.mean(one & other) == pytest.approx(0.09, rel=0.1)


@pytest.mark.parametrize(
    ("network", "key"),
    [
        (NetworkSettings(loss=0.8, loss_in_bad=0.7), "network.loss:"),
        (NetworkSettings(loss=0.01, loss_in_good=0.02), "network.loss:"),
        (NetworkSettings(loss=0.9, loss_run=2.0), "network.loss_run:"),
    ],
)
def test_a_loss_that_no_chain_can_have_is_refused(network: NetworkSettings, key: str) -> None:
    with pytest.raises(ScenarioError, match=key):
        chain(network)


def test_the_shortest_run_that_is_named_is_accepted() -> None:
    with pytest.raises(ScenarioError, match="make it 9 or longer"):
        bad_share(NetworkSettings(loss=0.9))
    assert bad_share(NetworkSettings(loss=0.9, loss_run=9.0)) == pytest.approx(0.9)
