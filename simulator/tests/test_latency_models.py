"""Models of hops: drawn, fitted, kept; and `--latency none` adds nothing."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import numpy as np
import pytest
import simpy
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from simulator.cli_commands import app
from simulator.cloud.engine import Engine
from simulator.cloud.latency import Latency, Mixture, Quantiles
from simulator.errors import ParityError
from simulator.parity.latency_fit import (
    AWS_FILE,
    HopModel,
    chosen_models,
    drawn,
    fit,
    fit_all,
    load_models,
    save_models,
)

START = datetime(2026, 1, 5, tzinfo=UTC)


@st.composite
def quantiles(draw: st.DrawFn) -> Quantiles:
    shares = sorted({0.0, 1.0, *draw(st.lists(st.floats(0.001, 0.999), max_size=8))})
    seconds = sorted(
        draw(st.lists(st.floats(0.0, 100.0), min_size=len(shares), max_size=len(shares)))
    )
    return Quantiles(tuple(zip(shares, seconds, strict=True)))


@st.composite
def mixtures(draw: st.DrawFn) -> Mixture:
    raw = draw(st.lists(st.floats(0.1, 1.0), min_size=1, max_size=3))
    parts = [
        (weight / sum(raw), draw(st.floats(-6.0, 2.0)), draw(st.floats(0.01, 1.0)))
        for weight in raw
    ]
    return Mixture(draw(st.floats(0.0, 1.0)), tuple(parts))


@given(quantiles(), st.integers(0, 2**32))
def test_what_is_drawn_from_quantiles_lies_between_the_first_and_the_last(
    model: Quantiles, seed: int
) -> None:
    values = drawn(model, 50, seed)
    assert values.min() >= model.knots[0][1]
    assert values.max() <= model.knots[-1][1]


@given(mixtures(), st.integers(0, 2**32))
def test_what_is_drawn_from_a_mixture_is_above_its_floor_and_repeats_with_the_seed(
    model: Mixture, seed: int
) -> None:
    values = drawn(model, 50, seed)
    assert (values >= model.floor_s).all()
    assert np.isfinite(values).all()
    assert (values == drawn(model, 50, seed)).all()


@given(st.dictionaries(st.sampled_from(["rule", "read", "s3:PutObject"]), mixtures() | quantiles()))
def test_models_survive_their_file(
    tmp_path_factory: pytest.TempPathFactory, found: dict[str, Mixture | Quantiles]
) -> None:
    models = {
        hop: HopModel(draw, "assumed", "a guess", "2026-11", 7) for hop, draw in found.items()
    }
    path = tmp_path_factory.mktemp("models") / "m.json"
    save_models(models, path)
    assert load_models(path) == models


@settings(deadline=None, max_examples=8)
@given(mixtures(), st.integers(0, 100))
def test_a_fit_has_the_mean_and_the_tail_of_its_samples(model: Mixture, seed: int) -> None:
    seconds = drawn(model, 2_000, seed)
    made = drawn(fit(seconds))
    assert made.mean() == pytest.approx(seconds.mean(), rel=0.1)
    assert np.quantile(made, 0.99) == pytest.approx(np.quantile(seconds, 0.99), rel=0.2)


def test_few_samples_and_samples_of_zero_are_fitted_by_their_quantiles() -> None:
    assert isinstance(fit(np.array([0.0, 0.5])), Quantiles)
    assert isinstance(fit(np.zeros(500)), Quantiles)


def test_totals_are_compared_and_never_fitted() -> None:
    seconds = np.linspace(0.1, 0.2, 300)
    models = fit_all({"read": seconds, "wait": seconds, "row to alert": seconds}, "assumed", "", "")
    assert set(models) == {"read"}
    with pytest.raises(ParityError, match="no hop took any time"):
        fit_all({"read": np.zeros(300)}, "assumed", "nothing", "")


# -- on the clock


def test_without_a_model_nothing_is_added_and_the_answer_is_there_at_once() -> None:
    engine = Engine(START)
    latency = Latency(engine, seed=1)
    assert latency.draw("read") == 0.0
    assert latency.call("s3:PutObject", lambda: {"ETag": "x"}) == {"ETag": "x"}
    assert latency.samples == [("s3:PutObject", 0.0, 0.0)]
    assert chosen_models("none") == {}


def test_a_call_is_done_after_its_delay_and_its_error_too() -> None:
    engine = Engine(START)
    latency = Latency(engine, seed=1)
    latency.install({"a:B": Quantiles(((0.0, 2.0), (1.0, 2.0)))})
    done: list[float] = []

    def works() -> dict[str, object]:
        done.append(engine.env.now)
        return {}

    answer = latency.call("a:B", works)
    assert isinstance(answer, simpy.Event)
    assert engine.run(answer) == {}
    assert done == [2.0]

    def fails() -> None:
        raise ValueError("refused")

    with pytest.raises(ValueError, match="refused"):
        engine.run(latency.call("a:B", fails))
    assert [sample.took_s for sample in latency.samples] == [2.0, 2.0]


@given(st.floats(0.001, 5.0), st.floats(0.0, 5.0))
def test_what_an_endpoint_takes_in_real_time_is_the_hops_and_moves_no_clock(
    waited_s: float, delay_s: float
) -> None:
    engine = Engine(START)
    latency = Latency(engine, seed=1)
    latency.install({"s3:PutObject": Quantiles(((0.0, delay_s), (1.0, delay_s)))})
    latency.waited(7.0)  # By something else, before.
    answer = latency.call("s3:PutObject", lambda: latency.waited(waited_s))
    if isinstance(answer, simpy.Event):
        engine.run(answer)
    assert engine.env.now == delay_s
    (sample,) = latency.samples
    assert sample.took_s == pytest.approx(waited_s + delay_s)


def test_each_hop_draws_from_a_stream_of_its_own() -> None:
    def draws(busy: bool) -> list[float]:
        latency = Latency(Engine(START), seed=3)
        model = Mixture(0.0, ((1.0, -2.0, 0.5),))
        latency.install({"read": model, "rule": model})
        found = []
        for _ in range(20):
            found.append(latency.draw("read"))
            if busy:
                latency.draw("rule")
        return found

    assert draws(busy=False) == draws(busy=True)
    assert len(set(draws(busy=False))) == 20


# -- what is shipped


def test_the_models_called_aws_claim_no_recording_that_nobody_made() -> None:
    models = load_models(AWS_FILE)
    assert {model.source for model in models.values()} <= {"documented", "assumed"}
    assert all(model.origin and model.date for model in models.values())
    assert {"rule", "read", "start"} <= set(models)
    assert all(0.0 < model.sample(Random(1)) < 10.0 for model in models.values())


@pytest.mark.parametrize(
    "content",
    [
        "{",
        '{"format": 2, "hops": {}}',
        '{"format": 1, "hops": {"read": {"quantiles": [[0, 1]]}}}',
        '{"format": 1, "hops": {"read": {"floor_s": 0, "lognormal": [[0.5, 0, 1]], "source": '
        '"assumed", "origin": "", "date": ""}}}',
        '{"format": 1, "hops": {"read": {"quantiles": [[0, 1]], "source": "rumour", "origin": "", '
        '"date": ""}}}',
    ],
)
def test_a_file_without_usable_models_is_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    path.write_text(content)
    with pytest.raises(ParityError, match=str(path)):
        chosen_models(str(path))


# -- the commands


def test_the_commands_fit_and_compare_what_runs_wrote(tmp_path: Path) -> None:
    for name, factor in (("a", 1.0), ("b", 3.0)):
        (tmp_path / name).mkdir()
        rows = [
            {"hop": "read", "began_s": 0.0, "took_s": factor * value}
            for value in drawn(Mixture(0.0, ((1.0, -3.0, 0.5),)), 300).tolist()
        ]
        text = "\n".join(json.dumps(row) for row in rows)
        (tmp_path / name / "traces.jsonl").write_text(text)
    here, there = str(tmp_path / "a"), str(tmp_path / "b")
    apart = CliRunner().invoke(app, ["parity", "latency", here, there])
    assert apart.exit_code == 1
    assert "DIFFERENT by more than 10%: read" in apart.output
    assert CliRunner().invoke(app, ["parity", "latency", here, here]).exit_code == 0
    models = tmp_path / "m.json"
    words = ["parity", "fit", f"{here}/traces.jsonl", str(models), "--source", "recorded"]
    assert CliRunner().invoke(app, [*words, "--date", "2026-11-29"]).exit_code == 0
    assert load_models(models)["read"].source == "recorded"
    refused = CliRunner().invoke(app, [*words, "--source", "rumour"])
    assert isinstance(refused.exception, ParityError)
