"""The stand-in for AWS is an endpoint: delays hidden behind it are recovered from a run's traces.

A small journey runs in real time on the target that asks an endpoint. Its traces, written and read
as those of `fleetwin run`, are divided: models are fitted to one half and held against the other,
both as distributions and on the clock of a twin that has no endpoint. Both halves are of the same
seconds, so a busy machine makes both slower. Answers for which it had no time at all, by the
endpoint's own account of what it injected, are left out of both.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from parity_tests.latency.slow_endpoint import HIDDEN, slow_endpoint
from parity_tests.latency.test_hidden_delays import MEAN_WITHIN, P99_WITHIN, off
from parity_tests.mutations import small_world
from parity_tests.mutations.small_world import SmallWorld, trained_model
from simulator import evidence
from simulator.cloud.remote_endpoint import RemoteEndpoint
from simulator.parity.latency_diff import LEAST_P99
from simulator.parity.latency_fit import (
    TRACES_FILE,
    Floats,
    Traces,
    drawn,
    fit_all,
    load_models,
    load_traces,
    save_models,
)
from simulator.scenario import Scenario
from simulator.targets import remote_of

HOPS = {
    "rule": "kinesis:PutRecords",
    "read": "kinesis:GetRecords",
    **{hop: hop for hop in HIDDEN if not hop.startswith("kinesis:")},
}
"""The hops of a run that the endpoint makes slow, and the operation that each asks it for."""

FORWARDED = ("s3", "kinesis", "sns", "sqs", "ssm", "dynamodb")
"""What the twin behind the endpoint is asked for; it has no roles to keep for another's."""
LATE = 3.0
LIVE = Scenario.from_table(
    {
        "name": "slow endpoint",
        "seed": 5,
        "history_s": 60.0,
        # So long that of `rule` and `read` half of the traces have a 99th percentile.
        "live_s": 540.0,
        "fleet": small_world.FLEET,
    }
)


def run_of(
    out: Path,
    patches: pytest.MonkeyPatch,
    model: bytes,
    remote: RemoteEndpoint | None = None,
    models: Path | None = None,
) -> Traces:
    """Run the journey and return its traces, as `fleetwin parity` reads them from a file."""
    world = SmallWorld(out / "state", model, model, patches, remote)
    try:
        if models is not None:
            world.cloud.latency.install(load_models(models))
        world.run()
        (out / TRACES_FILE).write_bytes(b"".join(evidence.trace_lines(world.twin.target)))
    finally:
        world.close()
    return load_traces(out / TRACES_FILE)


def undisturbed(seconds: Floats, injected: Floats) -> Floats:
    """Return the traces (n,) without those in which this machine was late, not the endpoint.

    What an answer takes beyond its injected delay does not depend on the delay: where it is several
    times the usual, something else ran. The endpoint was asked before the run, too.
    """
    beyond = seconds - injected[-len(seconds) :]
    assert beyond.min() > 0.0, "an answer came before its delay was over"
    return seconds[beyond <= LATE * np.median(beyond)]


def beyond_bounds(wanted: Floats, got: Floats) -> bool:
    """Tell whether a hop is not recovered; its p99 counts from `LEAST_P99` held-out samples on."""
    if off(float(wanted.mean()), float(got.mean())) > MEAN_WITHIN:
        return True
    p99 = (float(np.quantile(each, 0.99)) for each in (wanted, got))
    return len(wanted) >= LEAST_P99 and off(*p99) > P99_WITHIN


def test_delays_hidden_behind_an_endpoint_are_recovered_on_held_out_traces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(small_world, "LIVE", LIVE)
    model = trained_model(tmp_path / "model")
    with slow_endpoint(seed=1) as (url, injected):
        remote = remote_of("localstack", url)
        assert remote is not None
        remote.services = FORWARDED
        measured = run_of(tmp_path, monkeypatch, model, remote)
    traces = {
        hop: undisturbed(measured[hop], np.array(injected.seconds[operation]))
        for hop, operation in HOPS.items()
    }
    assert all(len(traces[hop]) > len(measured[hop]) / 2 for hop in HOPS)
    seen = {hop: traces[hop][::2] for hop in HOPS}
    held_out = {hop: traces[hop][1::2] for hop in HOPS}
    fitted = fit_all(seen, "recorded", "the endpoint", "2026-11-30")
    assert set(fitted) == set(HOPS)
    models = tmp_path / "models.json"
    save_models(fitted, models)
    recovered = {hop: drawn(each.draw) for hop, each in fitted.items()}
    assert not [hop for hop in HOPS if beyond_bounds(held_out[hop], recovered[hop])]
    assert len(held_out["rule"]) >= LEAST_P99
    # A model of another hop would have been found.
    exchanged = {hop: recovered["read" if hop == "rule" else "rule"] for hop in HOPS}
    assert len([hop for hop in HOPS if beyond_bounds(held_out[hop], exchanged[hop])]) == len(HOPS)

    # On the clock of a twin that has no endpoint they take as long.
    (tmp_path / "again").mkdir()
    again = run_of(tmp_path / "again", monkeypatch, model, models=models)
    assert not [hop for hop in HOPS if beyond_bounds(held_out[hop], again[hop])]
