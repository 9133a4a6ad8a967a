"""Models of hops, fitted from traces: what `--latency FILE` puts on the virtual clock (L4).

`fleetwin parity fit` calls it. Each model says where it is from: recorded (traces of that target),
documented (a number that AWS gives) or assumed. A mixture of up to three lognormal distributions
is taken where it gives the traces' mean and tail; else their quantiles are.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.cloud.latency import Mixture, Quantiles
from simulator.errors import ParityError
from simulator.host_errors import write_file

Floats = NDArray[np.float64]
Traces = Mapping[str, Floats]

FORMAT = 1
AWS_FILE = Path(__file__).with_name("latency_aws.json")
"""What ``--latency aws`` means: documented where AWS says something, assumed elsewhere."""

SOURCES = ("recorded", "documented", "assumed")
TRACES_FILE = "traces.jsonl"
TOTALS = ("wait", "row to alert")
"""Hops of a trace that are sums of others and of the twin's own waiting; never modelled."""

LEAST_SAMPLES = 20
SHARES = (*np.linspace(0.0, 0.98, 50).round(2).tolist(), *np.linspace(0.985, 1.0, 31).tolist())
"""Where a distribution without a mixture is kept: closely at its tail, which makes its mean."""
ROUNDS = 200
CONVERGED = 1e-6
"""Gain of the mean log-likelihood in a round at which EM ends."""
MEAN_OFF, P99_OFF = 0.03, 0.08
"""A mixture that misses its own traces' mean or 99th percentile by more is not taken."""
DRAWS = 20_000


@dataclass(frozen=True)
class HopModel:
    """One hop's model and where it is from; ``samples`` 0 when it was not fitted."""

    draw: Mixture | Quantiles
    source: str
    origin: str
    date: str
    samples: int = 0

    def sample(self, rng: Random) -> float:
        """Return one delay in seconds."""
        return self.draw.sample(rng)

    def to_json(self) -> dict[str, Any]:
        """Return the model as `load_models` reads it."""
        shape: dict[str, Any]
        if isinstance(self.draw, Mixture):
            shape = {"floor_s": self.draw.floor_s, "lognormal": list(self.draw.components)}
        else:
            shape = {"quantiles": list(self.draw.knots)}
        return {
            **shape,
            "source": self.source,
            "origin": self.origin,
            "date": self.date,
            "samples": self.samples,
        }


def load_traces(path: Path) -> dict[str, Floats]:
    """Read the seconds of each hop from a run's `traces.jsonl`, in order; raises ParityError."""
    found: dict[str, list[float]] = defaultdict(list)
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            found[row["hop"]].append(float(row["took_s"]))
    except OSError as error:
        raise ParityError(f"{path}: cannot be read ({error.strerror})") from None
    except (ValueError, KeyError, TypeError) as error:
        raise ParityError(f"{path}: no traces: {error!r}; they are what a run wrote") from None
    return {hop: np.array(values) for hop, values in found.items()}


def together(runs: Sequence[Traces]) -> dict[str, Floats]:
    """Return the traces of several runs as if they were of one."""
    hops = sorted({hop for run in runs for hop in run})
    return {hop: np.concatenate([run[hop] for run in runs if hop in run]) for hop in hops}


def fit(seconds: Floats) -> Mixture | Quantiles:
    """Return the model of a hop's durations (n,), n > 0."""
    if len(seconds) >= 10 * LEAST_SAMPLES and float(seconds.min()) > 0.0:
        best = min(
            (_mixture(seconds, floor, size) for floor in (0.0, 0.5, 0.9) for size in (1, 2, 3)),
            key=lambda found: found[0],
        )[1]
        if _fits(best, seconds):
            return best
    knots = np.quantile(seconds, SHARES)
    return Quantiles(tuple(zip(map(float, SHARES), map(float, knots), strict=True)))


def fit_all(traces: Traces, source: str, origin: str, date: str) -> dict[str, HopModel]:
    """Return a model for each hop that took any time; raises ParityError without one."""
    if source not in SOURCES:
        raise ParityError(f"source {source!r}: choose one of {', '.join(SOURCES)}")
    models = {
        hop: HopModel(fit(seconds), source, origin, date, len(seconds))
        for hop, seconds in sorted(traces.items())
        if hop not in TOTALS and len(seconds) >= LEAST_SAMPLES and float(seconds.max()) > 0.0
    }
    if not models:
        raise ParityError(
            f"{origin}: no hop took any time in {LEAST_SAMPLES} samples or more; "
            "record traces where hops take time"
        )
    return models


def save_models(models: Mapping[str, HopModel], path: Path) -> None:
    """Write models for ``--latency FILE``."""
    hops = {hop: model.to_json() for hop, model in models.items()}
    text = json.dumps({"format": FORMAT, "hops": hops}, indent=1)
    write_file(path, text + "\n")


def load_models(path: Path) -> dict[str, HopModel]:
    """Read models; raises ParityError for a file that has none, or one without a source."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise ParityError(f"{path}: format {content['format']} is not {FORMAT}")
        return {hop: _model(entry) for hop, entry in content["hops"].items()}
    except OSError as error:
        raise ParityError(f"{path}: cannot be read ({error.strerror})") from None
    except (ValueError, KeyError, TypeError) as error:
        raise ParityError(
            f"{path}: no latency models: {error!r}; make them with `fleetwin parity fit`"
        ) from None


def chosen_models(wanted: str) -> dict[str, HopModel]:
    """Return the models of ``--latency``: none, aws, or a file; raises ParityError."""
    if wanted == "none":
        return {}
    return load_models(AWS_FILE if wanted == "aws" else Path(wanted))


def _model(entry: Mapping[str, Any]) -> HopModel:
    draw: Mixture | Quantiles
    if "lognormal" in entry:
        parts = tuple((float(w), float(mu), float(sd)) for w, mu, sd in entry["lognormal"])
        if abs(sum(weight for weight, _, _ in parts) - 1.0) > 1e-6:
            raise ValueError("weights must add up to 1")
        draw = Mixture(float(entry["floor_s"]), parts)
    else:
        draw = Quantiles(tuple((float(share), float(s)) for share, s in entry["quantiles"]))
    if entry["source"] not in SOURCES:
        raise ValueError(f"source {entry['source']!r}")
    return HopModel(draw, entry["source"], entry["origin"], entry["date"], entry.get("samples", 0))


def drawn(draw: Mixture | Quantiles, count: int = DRAWS, seed: int = 0) -> Floats:
    """Return delays drawn from a model, (count,)."""
    rng = Random(seed)
    return np.array([draw.sample(rng) for _ in range(count)])


def _fits(draw: Mixture, seconds: Floats) -> bool:
    made = drawn(draw)
    mean_off = abs(made.mean() / seconds.mean() - 1.0)
    p99_off = abs(np.quantile(made, 0.99) / np.quantile(seconds, 0.99) - 1.0)
    return bool(mean_off <= MEAN_OFF and p99_off <= P99_OFF)


def _mixture(seconds: Floats, floor: float, size: int) -> tuple[float, Mixture]:
    """Fit a mixture above a share of the least duration by EM; return it with its BIC."""
    floor_s = floor * float(seconds.min())
    logs = np.log(seconds - floor_s)
    cuts = np.quantile(logs, (np.arange(size) + 0.5) / size)
    weights, means = np.full(size, 1.0 / size), cuts
    deviations = np.full(size, max(1e-6, float(logs.std()) / size))
    reached = -np.inf
    for _ in range(ROUNDS):
        dense = _densities(logs, weights, means, deviations)
        likelihood = np.log(dense.sum(axis=1)).mean()
        if likelihood - reached < CONVERGED:
            break
        reached = likelihood
        shares = dense / dense.sum(axis=1, keepdims=True)
        totals = shares.sum(axis=0) + 1e-12
        weights = totals / totals.sum()
        means = (shares * logs[:, None]).sum(axis=0) / totals
        spread = (shares * (logs[:, None] - means) ** 2).sum(axis=0) / totals
        # A component must not shrink onto one sample.
        deviations = np.sqrt(np.maximum(spread, 1e-6))
    likelihood = np.log(_densities(logs, weights, means, deviations).sum(axis=1)).sum()
    # The density of seconds, not of logarithms: floors differ.
    likelihood -= logs.sum()
    bic = (3 * size - 1 + (floor > 0.0)) * np.log(len(seconds)) - 2.0 * likelihood
    parts = zip(weights.tolist(), means.tolist(), deviations.tolist(), strict=True)
    return float(bic), Mixture(floor_s, tuple(parts))


def _densities(logs: Floats, weights: Floats, means: Floats, deviations: Floats) -> Floats:
    z = (logs[:, None] - means) / deviations
    dense: Floats = weights * np.exp(-0.5 * z * z) / (deviations * np.sqrt(2.0 * np.pi)) + 1e-300
    return dense
