"""Plans: they keep up, say what must be raised, cost more for more, and add up."""

from __future__ import annotations

import json
import math
import xml.etree.ElementTree as ET
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from infra_cdk.config import KMS, STAGES
from simulator.cli_commands import app
from simulator.cloud.latency import Quantiles
from simulator.parity.latency_fit import HopModel, chosen_models
from simulator.plan.plan import FILL, PRICES_FILE, PlanError, plan
from simulator.plan.plan_words import curve, sizes, words
from simulator.plan.shard_model import Sample, Size
from simulator.plan.workload import Workload

GOLDEN = Path(__file__).with_name("golden") / "plan_1000.txt"
AWS = chosen_models("aws")


def taking(seconds: float) -> HopModel:
    """Return a hop that always takes so long."""
    return HopModel(Quantiles(((0.0, seconds), (1.0, seconds))), "assumed", "a test", "2026-11")


@settings(deadline=None, max_examples=5)
@given(st.integers(1, 200_000), st.sampled_from([0.1, 1.0, 5.0]))
def test_a_plan_keeps_up_and_fills_nothing_beyond_its_share(machines: int, rate_hz: float) -> None:
    found = plan(machines, rate_hz, AWS)
    assert all(0.0 <= share <= FILL + 1e-9 for share in found.used.values())
    assert 0.0 < found.p50_s <= found.p99_s < 60.0
    assert found.monthly == pytest.approx(sum(found.costs.values()))
    assert found.to_json() == plan(machines, rate_hz, AWS).to_json()


def test_more_machines_need_and_cost_no_less() -> None:
    plans = [plan(count, 1.0, AWS) for count in (1, 10, 1_000, 20_000, 100_000)]
    for fewer, more in pairwise(plans):
        assert more.size.shards >= fewer.size.shards
        assert more.concurrency >= fewer.concurrency
        assert more.monthly > fewer.monthly


def test_what_goes_beyond_a_quota_must_be_raised_and_the_worst_is_the_bottleneck() -> None:
    small, large = plan(100, 1.0, AWS), plan(100_000, 1.0, AWS)
    assert not [quota.name for quota in small.quotas if quota.must_rise]
    raised = {quota.name for quota in large.quotas if quota.must_rise}
    assert {"IoT publishes a second", "DynamoDB write units a second of a table"} <= raised
    assert large.bottleneck == "DynamoDB write units a second of a table"


def test_a_large_fleets_writes_are_those_of_a_calculation_by_hand() -> None:
    work, found = Workload(1_000_000, 1.0), plan(1_000_000, 1.0, AWS)
    # 800 readings a second a shard, cut into batches of 1,000 of its 800 machines, each of which
    # has a detector's state and the raw writer's written, twice because of the transactions.
    assert found.size.shards == 1_250
    assert found.pollers == 2_500
    batches_s = 1_000_000 / 1_000
    units = 2 * (math.ceil(work.state_b / 1024) + 1)
    (writes,) = (each for each in found.quotas if each.name.startswith("DynamoDB"))
    assert writes.needed == pytest.approx(batches_s * 800 * units, rel=0.02)
    month = 730 * 3600
    assert found.costs["DynamoDB"] >= batches_s * 800 * units * month * 0.625e-6 * 0.98
    assert found.costs["IoT Core"] == pytest.approx(
        month * 1.3 + 1_000_000 * month / 60 * 0.08e-6, rel=1e-6
    )
    assert found.costs["Kinesis"] == pytest.approx(1_250 * 730 * 0.015 + month * 0.014, rel=1e-6)


@pytest.mark.parametrize("machines", [1, 1_000, 1_000_000])
def test_a_key_of_the_stages_own_costs_its_month_and_its_calls(machines: int) -> None:
    own, without = (plan(machines, 1.0, AWS, own_key=key) for key in (True, False))
    # The rule's role and two consumers, twelve times an hour; of objects at least a hundredth.
    stream = 3 * 12 * 730
    objects = own.costs["S3"] / 0.005 * 1_000
    least, most = (1.0 + calls * 3e-6 for calls in (stream, stream + 0.01 * objects))
    assert least < own.costs["KMS"] <= most
    assert "KMS" not in without.costs
    assert own.monthly == pytest.approx(without.monthly + own.costs["KMS"])
    assert own.size == without.size


def test_plans_have_a_key_because_prod_has_one() -> None:
    assert STAGES["prod"].encryption == KMS
    assert plan(1, 1.0, AWS).to_json()["monthly_usd"]["KMS"] > 1.0


def test_a_slower_endpoint_needs_more_batches_at_a_time_and_is_felt() -> None:
    quick = plan(2_000, 1.0, {"sagemaker-runtime:InvokeEndpoint": taking(0.001)})
    slow = plan(2_000, 1.0, {"sagemaker-runtime:InvokeEndpoint": taking(0.2)})
    assert slow.size.factor > quick.size.factor
    assert slow.p50_s > quick.p50_s + 1.0
    assert slow.costs["Lambda"] > quick.costs["Lambda"]


def test_a_shard_that_cannot_keep_up_falls_behind_in_the_simulation() -> None:
    work = Workload(800, 1.0)
    models = {"sagemaker-runtime:InvokeEndpoint": taking(0.5)}
    short, enough = (Sample(work, Size(1, factor, 1), models).run() for factor in (1, 10))
    assert short.backlog > 10 * work.batch_size
    assert enough.backlog < 2 * work.batch_size
    assert short.quantile(0.99) > 10 * enough.quantile(0.99)


def test_without_delays_a_quiet_shard_waits_for_its_window_and_its_poll() -> None:
    outcome = Sample(Workload(5, 1.0), Size(1, 1, 1), {}).run()
    mean_s = sum(outcome.waits_s) / len(outcome.waits_s)
    # Ten seconds of window, up to one until the next poll.
    assert 10.0 <= mean_s <= 11.0


def test_sizes_are_those_of_the_pipelines_own_messages_and_states() -> None:
    work = Workload(10, 1.0)
    assert 150 <= work.payload_b <= 400
    assert work.stored_b < work.payload_b
    assert Workload(10, 5.0).state_b > work.state_b > 1_000
    assert Workload(1_000, 1.0).shards(1.0) == 1
    assert Workload(1_001, 1.0).shards(1.0) == 2


@pytest.mark.parametrize(("machines", "rate_hz"), [(0, 1.0), (5, 0.0), (5, math.nan), (-1, 1.0)])
def test_a_fleet_that_sends_nothing_is_refused(machines: int, rate_hz: float) -> None:
    with pytest.raises(PlanError, match="at least 1"):
        plan(machines, rate_hz, AWS)


def test_every_price_and_quota_has_its_source_and_the_file_its_date() -> None:
    facts = json.loads(PRICES_FILE.read_text("utf-8"))
    assert facts["date"].startswith("20")
    for entry in [*facts["prices"].values(), *facts["quotas"].values()]:
        assert entry["source"].split(",")[0] in ("documented", "second-hand", "memory")
        assert next(value for name, value in entry.items() if name in ("price", "value")) > 0


# -- told


def test_the_text_of_a_fixed_plan_is_the_golden_file() -> None:
    assert words(plan(1_000, 1.0, AWS)) + "\n" == GOLDEN.read_text("utf-8")


@given(st.integers(2, 10**7))
def test_a_curve_has_sizes_that_rise_to_the_one_asked_for(machines: int) -> None:
    found = sizes(machines)
    assert found[-1] == machines
    assert found == sorted(set(found))
    assert 2 <= len(found) <= 9


def test_the_curve_is_an_image_with_a_point_for_each_size() -> None:
    plans = [plan(count, 1.0, AWS) for count in (1, 30, 1_000)]
    image = ET.fromstring(curve(plans))
    names = [element.tag.rpartition("}")[2] for element in image.iter()]
    assert names.count("circle") == 2 * len(plans)
    with pytest.raises(PlanError, match="more than one machine"):
        curve(plans[:1])


def test_the_command_prints_the_plan_and_writes_what_it_is_asked_for(tmp_path: Path) -> None:
    as_json, as_svg = tmp_path / "p.json", tmp_path / "p.svg"
    options = ["--machines", "50", "--rate", "2", "--json", str(as_json), "--svg", str(as_svg)]
    done = CliRunner().invoke(app, ["plan", *options])
    assert done.exit_code == 0, done.output
    assert "50 machines at 2 Hz: 100 readings a second" in done.output
    assert " USD  KMS\n" in done.output
    assert " USD  KMS\n" not in CliRunner().invoke(app, ["plan", *options[:4], "--no-key"]).output
    assert json.loads(as_json.read_text())["shards"] == 1
    assert as_svg.read_text().startswith("<svg")
