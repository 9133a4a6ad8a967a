"""Latencies of two runs compared: identical, slower, symmetric, and the interval keeps its word."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from simulator.cli_commands import app
from simulator.parity.journey import Journey, Tolerance, difference
from simulator.parity.journey_page import page
from simulator.parity.journey_words import words
from simulator.parity.latency_diff import (
    DIFFERENT,
    LEAST,
    LEAST_P99,
    SAME,
    TOO_FEW,
    UNCLEAR,
    latencies,
    latency_differences,
)
from simulator.parity.latency_distance import distance_of
from simulator.parity.latency_fit import Floats, Traces
from simulator.parity.latency_page import latency_section
from simulator.parity.latency_words import explained, latency_words
from simulator.tests.test_parity_diff import sample, written
from simulator.tests.test_run import Page

GOLDEN = Path(__file__).with_name("golden")
REPEATS, SIZE = 100, 50
COVERED = 0.90
"""Share of intervals that must hold the known distance."""

counts = st.integers(LEAST, 150)
seeds = st.integers(0, 1_000)


def exponential(count: int, seed: int, mean_s: float = 0.1) -> Floats:
    """Return seconds of a hop, (count,)."""
    return np.random.default_rng(seed).exponential(mean_s, count)


@st.composite
def samples(draw: st.DrawFn) -> Floats:
    """Seconds as traces have them: rounded, often equal, sometimes all zero."""
    digits = draw(st.integers(0, 6))
    spread = draw(st.sampled_from([0.0, 0.01, 1.0, 30.0]))
    return np.round(exponential(draw(counts), draw(seeds), 1.0) * spread, digits)


@settings(deadline=None, max_examples=30)
@given(samples())
def test_identical_traces_are_no_distance_apart_and_the_same(seconds: Floats) -> None:
    (found,) = latency_differences({"read": seconds}, {"read": seconds[::-1].copy()})
    assert found.distance is not None
    assert (found.distance.seconds, found.distance.interval) == (0.0, (0.0, 0.0))
    assert found.verdict(0.0) == SAME


@settings(deadline=None, max_examples=30)
@given(samples(), samples())
def test_the_sides_may_be_exchanged(here: Floats, there: Floats) -> None:
    assert distance_of(here, there, 3) == distance_of(there, here, 3)


@settings(deadline=None, max_examples=30)
@given(samples(), samples())
def test_the_distance_is_the_mean_gap_of_the_quantiles_and_lies_in_its_interval(
    here: Floats, there: Floats
) -> None:
    found = distance_of(here, there)
    # As often as the other has samples, each side has as many: sorted, they pair up.
    ours, theirs = np.repeat(np.sort(here), len(there)), np.repeat(np.sort(there), len(here))
    assert found.seconds == pytest.approx(np.abs(ours - theirs).mean(), abs=1e-9)
    assert 0.0 <= found.low_s <= found.seconds <= found.high_s
    assert found.scale_s == pytest.approx((here.mean() + there.mean()) / 2)


@settings(deadline=None, max_examples=20)
@given(st.integers(100, 300), seeds, st.floats(0.001, 10.0))
def test_a_doubled_delay_is_found_and_a_sample_of_the_same_is_not(
    count: int, seed: int, mean_s: float
) -> None:
    # A delay that does not vary by more than its mean, as a doubled constant one would not.
    here = mean_s + exponential(count, seed, mean_s)
    again = mean_s + exponential(count, seed + 5_000, mean_s)
    found = latencies({"read": here, "rule": here}, {"read": 2 * again, "rule": again}, 0.25)
    assert found.different == ("read",)
    assert found.hops[1].verdict(0.25) in (SAME, UNCLEAR)


@pytest.mark.parametrize("factor", [1.0, 2.0])
def test_the_interval_holds_a_known_distance_as_often_as_it_says(factor: float) -> None:
    """Exponential delays of means 1 and ``factor`` are ``factor - 1`` apart, by integration."""
    held = 0
    for number in range(REPEATS):
        here = exponential(SIZE, 2 * number, 1.0)
        there = exponential(SIZE, 2 * number + 1, factor)
        found = distance_of(here, there, number)
        held += found.low_s <= factor - 1.0 <= found.high_s
    assert held >= COVERED * REPEATS


def runs_apart(number: int) -> list[Floats]:
    """Return four runs of one target, whose means differ by a fifth from run to run."""
    rng = np.random.default_rng(number)
    return [rng.exponential(1.0, 80) * rng.lognormal(0.0, 0.2) for _ in range(4)]


def test_what_differs_from_run_to_run_is_in_the_interval_of_several_runs_only() -> None:
    """The two sides are of one target: they are 0 apart, however far their runs are."""
    held, pooled = 0, 0
    for number in range(REPEATS):
        here, there = runs_apart(2 * number), runs_apart(2 * number + 1)
        held += distance_of(here, there, number).low_s == 0.0
        as_one = distance_of(np.concatenate(here), np.concatenate(there), number)
        pooled += as_one.low_s == 0.0
    assert held >= COVERED * REPEATS
    assert pooled < 0.75 * REPEATS


@settings(deadline=None, max_examples=20)
@given(st.lists(samples(), min_size=1, max_size=4), st.lists(samples(), min_size=1, max_size=4))
def test_runs_are_compared_by_all_their_samples_and_the_sides_may_be_exchanged(
    here: list[Floats], there: list[Floats]
) -> None:
    found = distance_of(here, there)
    assert found == distance_of(there, here)
    alone = distance_of(np.concatenate(here), np.concatenate(there))
    assert found.seconds == pytest.approx(alone.seconds, abs=1e-12)
    assert found.low_s <= found.seconds <= found.high_s + 1e-12


def test_of_one_run_a_side_it_is_said_that_the_interval_is_within_it() -> None:
    traces = {"read": exponential(50, 1)}
    alone = latencies(traces, [traces, traces])
    assert (alone.runs, alone.within_a_run) == ((1, 2), True)
    assert "one run here: intervals are within a run, and no verdict on the target" in explained(
        alone
    )
    several = latencies([traces, traces, {}], [traces, traces])
    assert not several.within_a_run
    assert "of 3 runs here and 2 there" in explained(several)
    assert (several.hops[0].runs, several.hops[0].samples) == ((2, 2), (100, 100))
    assert several.to_json()["hops"][0]["runs"] == [2, 2]


@pytest.mark.parametrize("here", [0, 1, LEAST - 1])
def test_of_too_few_samples_nothing_is_said(here: int) -> None:
    traces = {"read": exponential(here, 1), "rule": exponential(500, 1)}
    if here == 0:
        del traces["read"]
    found = latencies(traces, {"read": exponential(500, 2) * 50})
    if here == 0:
        assert (found.only_here, found.only_there) == (("rule",), ("read",))
        assert "no hop has traces on both sides" in latency_words(found)
        return
    (hop,) = found.hops
    assert hop.verdict(0.1) == TOO_FEW
    assert not hop.beyond(0.0)
    values = hop.to_json(0.1)
    assert values["wasserstein_1_s"] is values["p50_s"] is values["interval_s"] is None
    row = next(line for line in latency_words(found).splitlines() if "read" in line)
    assert row.endswith("too few")
    assert row.count(" -") == 8
    assert latency_words(found).endswith(f"fewer than {LEAST} samples of every hop")
    more = latencies(traces, {**traces, "read": exponential(500, 2)})
    assert latency_words(more).endswith(f"apart; 1 with fewer than {LEAST} samples")


def test_a_99th_percentile_needs_a_hundred_samples() -> None:
    for count in (LEAST_P99 - 1, LEAST_P99):
        seconds = exponential(count, 1)
        (found,) = latency_differences({"read": seconds}, {"read": seconds})
        assert (found.quantiles_s[2] is None) == (count < LEAST_P99)
        assert found.quantiles_s[1] is not None


def test_many_values_are_as_far_apart_as_few_and_the_interval_is_narrow() -> None:
    found = distance_of(exponential(20_000, 1, 1.0), exponential(20_000, 2, 1.2))
    assert found.low_s <= 0.2 <= found.high_s
    assert found.high_s - found.low_s < 0.07


# -- in the comparison of two runs


def traced(journey: Journey, factor: float, seed: int) -> Journey:
    """Return a run with the traces of four hops, one of which is slower by a factor."""
    traces: Traces = {
        "read": exponential(400, seed, 0.2) * factor,
        "rule": exponential(400, seed + 1, 0.04) + 0.01,
        "start": np.zeros(200),
        "row to alert": exponential(3, seed + 2, 60.0),
        f"only on {journey.name}": exponential(50, seed),
    }
    return dataclasses.replace(journey, traces=traces)


def compared(latency: float | None = None) -> tuple[Journey, Journey, Tolerance]:
    there = dataclasses.replace(sample(), name="out-b")
    return traced(sample(), 1.0, 10), traced(there, 2.0, 20), Tolerance(latency=latency)


def test_the_text_of_a_fixed_comparison_is_the_golden_file() -> None:
    said = words(difference(*compared(0.1))) + "\n"
    assert said == (GOLDEN / "parity_latency.txt").read_text("utf-8")


def test_the_part_of_the_page_is_the_golden_file_and_has_a_plot_for_each_hop_that_took_time() -> (
    None
):
    found = difference(*compared())
    part = latency_section(found.latency, "blue", "red")
    assert part.replace("><", ">\n<") + "\n" == (GOLDEN / "parity_latency.html").read_text("utf-8")
    # All but `start`, which took none.
    assert part.count("<svg") == 3
    assert part.count("<polyline") == 2 * 3
    whole = page(found)
    assert "<h2>Latency</h2>" in whole
    assert Page(whole).open == []


def test_latency_counts_where_a_tolerance_is_given_and_is_told_in_any_case() -> None:
    told, counted, wide = (difference(*compared(share)) for share in (None, 0.1, 5.0))
    assert told.same
    assert told.latency.different == ("read",)
    assert words(told).endswith("times within 0 s; hops that differ count with --latency only)")
    assert not counted.same
    assert "DIFFERENT in latency" in words(counted)
    assert wide.same
    assert "hops within 500%" in words(wide)
    values = json.loads(json.dumps(counted.to_json()))["latency"]
    read = next(each for each in values["hops"] if each["hop"] == "read")
    assert read["verdict"] == DIFFERENT
    assert read["interval_s"][0] < read["wasserstein_1_s"] < read["interval_s"][1]
    assert values["only_here"] == ["only on out-a"]


def test_the_option_sets_the_exit_code(tmp_path: Path) -> None:
    for name, journey in zip("ab", compared()[:2], strict=True):
        out = written(journey, tmp_path / name)
        rows = [
            json.dumps({"hop": hop, "began_s": 0.0, "took_s": took_s})
            for hop, seconds in journey.traces.items()
            for took_s in seconds.tolist()
        ]
        (out / "traces.jsonl").write_text("\n".join(rows))
    diff = ["parity", "diff", str(tmp_path / "a"), str(tmp_path / "b")]
    without = CliRunner().invoke(app, diff)
    assert without.exit_code == 0, without.output
    assert "latency: DIFFERENT by more than 10%: read" in without.output
    assert CliRunner().invoke(app, [*diff, "--latency", "0.1"]).exit_code == 1
    assert CliRunner().invoke(app, [*diff, "--latency", "5"]).exit_code == 0
