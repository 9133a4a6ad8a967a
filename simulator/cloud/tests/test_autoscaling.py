"""Application Auto Scaling: instances follow the load on the run's clock, never outside limits."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.cloud.autoscaling_rules import Tracking
from simulator.cloud.errors import AwsError
from simulator.cloud.tests.endpoint_fakes import FakeServer, configure
from simulator.cloud.tests.job_fakes import ROLE
from simulator.cloud.tests.scaling_fakes import PLACE, RESOURCE, SAGEMAKER, Scaled, scaled_twin


@pytest.fixture
def scaled(tmp_path: Path) -> Iterator[Scaled]:
    with scaled_twin(tmp_path) as made:
        yield made


def test_load_adds_instances_and_quiet_takes_them_away(scaled: Scaled) -> None:
    scaled.register()
    scaled.track()
    scaled.load(30, 8)
    assert set(scaled.counts) == {2}, "15 an instance and minute: below the target"
    scaled.load(100, 12)
    assert scaled.count == 5, "100 a minute are 20 on each of five"
    scaled.load(30, 45)
    assert scaled.count == 2, "the least, though 30 a minute are fewer than 18 an instance"
    shown = scaled.twin.do("sagemaker", "DescribeEndpoint", EndpointName="e")
    assert shown["ProductionVariants"][0]["CurrentInstanceCount"] == 2
    *later, first = scaled.activities()
    assert first["Description"] == "Setting desired instance count to 5."
    assert first["Cause"].startswith(f"monitor alarm TargetTracking-{RESOURCE}-AlarmHigh-")
    assert first["Cause"].endswith(" in state ALARM triggered policy track")
    assert first["StatusCode"] == "Successful"
    assert first["StatusMessage"].endswith("Change successfully fulfilled by sagemaker.")
    assert later
    assert all("-AlarmLow-" in each["Cause"] for each in later)


def test_the_high_alarm_needs_three_minutes_and_the_low_one_fifteen(scaled: Scaled) -> None:
    scaled.register()
    alarms = [each["AlarmName"] for each in scaled.track()["Alarms"]]
    found = scaled.twin.do("cloudwatch", "DescribeAlarms", AlarmNames=alarms)["MetricAlarms"]
    rules = {
        each["ComparisonOperator"]: (each["EvaluationPeriods"], each["Threshold"]) for each in found
    }
    assert rules == {"GreaterThanThreshold": (3, 20.0), "LessThanThreshold": (15, 18.0)}
    scaled.load(60, 2)
    scaled.load(38, 2)
    scaled.load(60, 2)
    assert scaled.activities() == []
    scaled.load(60, 3)
    assert len(scaled.activities()) == 1


def test_a_cooldown_is_waited_for(scaled: Scaled) -> None:
    scaled.register()
    scaled.track(ScaleOutCooldown=600, ScaleInCooldown=1200)
    scaled.load(70, 6)
    assert scaled.count == 4
    scaled.load(120, 8)
    assert scaled.count == 4, "the cooldown of ten minutes is not over"
    scaled.load(120, 6)
    assert scaled.count == 6
    scaled.load(79, 30)
    scaled.load(40, 60)
    times = [(each["StartTime"], each["EndTime"]) for each in reversed(scaled.activities())]
    ins = times[2:]
    assert len(ins) >= 2
    assert all((later[0] - earlier[1]).total_seconds() >= 1200 for earlier, later in pairwise(ins))


@settings(max_examples=15, deadline=None)
@given(
    st.integers(1, 3),
    st.integers(0, 5),
    st.lists(st.tuples(st.integers(1, 300), st.integers(1, 25)), min_size=1, max_size=5),
)
def test_the_count_is_never_outside_its_limits(
    low: int, more: int, loads: list[tuple[int, int]]
) -> None:
    with TemporaryDirectory() as folder, scaled_twin(Path(folder)) as scaled:
        high = low + more
        scaled.register(low, high)
        scaled.track(ScaleOutCooldown=0, ScaleInCooldown=0)
        scaled.load(1, 3)
        scaled.counts.clear()
        for a_minute, minutes in loads:
            scaled.load(a_minute, minutes)
        assert all(low <= count <= high for count in scaled.counts)


@given(st.integers(1, 8), st.floats(0.0, 500.0), st.floats(0.5, 100.0))
def test_a_wanted_number_brings_the_metric_to_its_target_and_no_further(
    count: int, value: float, target: float
) -> None:
    tracking = Tracking(target, 0.0, 0.0, True)
    if value > target:
        wanted = tracking.wanted_above(count, value)
        assert wanted >= count
    else:
        wanted = tracking.wanted_below(count, [value])
        assert 1 <= wanted <= count
    total = count * value
    assert total / wanted <= target * (1 + 1e-6)
    assert wanted == 1 or total / (wanted - 1) >= target * (1 - 1e-6)


def test_other_limits_move_the_count_at_once(scaled: Scaled) -> None:
    scaled.register(3, 6)
    scaled.twin.engine.run(scaled.endpoints.wait_event("e"))
    scaled.load(1, 1)
    assert scaled.count == 3
    assert scaled.activities()[0]["Cause"] == "minimum capacity was set to 3"
    scaled.do("RegisterScalableTarget", **PLACE, MinCapacity=1, MaxCapacity=2)
    scaled.load(1, 2)
    assert scaled.count == 2
    assert scaled.activities()[0]["Cause"] == "maximum capacity was set to 2"


def test_an_endpoint_that_nobody_asks_is_left_as_it_is(scaled: Scaled) -> None:
    scaled.register(1, 6)
    scaled.track()
    scaled.load(0, 60)
    assert scaled.count == 2


def test_scaling_in_may_be_switched_off_and_all_of_it_suspended(scaled: Scaled) -> None:
    scaled.register(1, 6)
    assert len(scaled.track(DisableScaleIn=True)["Alarms"]) == 1
    scaled.load(1, 30)
    assert scaled.count == 2
    scaled.register(1, 6, SuspendedState={"DynamicScalingOutSuspended": True})
    scaled.load(100, 10)
    assert scaled.count == 2


def test_a_change_that_fails_is_told(scaled: Scaled, monkeypatch: pytest.MonkeyPatch) -> None:
    scaled.register(2, 8)
    scaled.track()
    monkeypatch.setattr(FakeServer, "start", lambda self: self._env.timeout(0.0, "no memory"))
    scaled.load(100, 6)
    failed = scaled.activities()[-1]
    assert failed["StatusCode"] == "Failed"
    assert "no memory" in failed["StatusMessage"]
    assert scaled.count == 2


def test_an_update_keeps_the_count_where_it_retains_variants(scaled: Scaled) -> None:
    scaled.register()
    scaled.track()
    scaled.load(100, 12)
    assert scaled.count == 5
    same = {"VariantName": "blue", "InitialInstanceCount": 2}
    configure(scaled.twin, "green", same)
    update = {"EndpointName": "e", "EndpointConfigName": "green"}
    scaled.twin.do("sagemaker", "UpdateEndpoint", **update, RetainAllVariantProperties=True)
    scaled.twin.engine.run(scaled.endpoints.wait_event("e"))
    assert scaled.count == 5
    scaled.twin.do("sagemaker", "UpdateEndpoint", **update)
    scaled.twin.engine.run(scaled.endpoints.wait_event("e"))
    assert scaled.count == 2, "without it the configuration's number is what it is again"


def test_another_instance_type_of_what_is_scaled_is_refused(scaled: Scaled) -> None:
    scaled.register()
    larger = {"VariantName": "blue", "InitialInstanceCount": 2, "InstanceType": "ml.m5.xlarge"}
    configure(scaled.twin, "green", larger)
    update = {"EndpointName": "e", "EndpointConfigName": "green"}
    with pytest.raises(AwsError, match="deregister it before"):
        scaled.twin.do("sagemaker", "UpdateEndpoint", **update)
    scaled.do("DeregisterScalableTarget", **PLACE)
    scaled.twin.do("sagemaker", "UpdateEndpoint", **update)


def test_the_target_goes_with_its_endpoint_if_the_caller_may_deregister_it(scaled: Scaled) -> None:
    scaled.register()
    alarms = [each["AlarmName"] for each in scaled.track()["Alarms"]]
    twin = scaled.twin
    caller = twin.iam.principal_for_role(ROLE, "tests", SAGEMAKER)
    twin.allow((["sagemaker:DeleteEndpoint"], ["*"]))
    with pytest.raises(AwsError, match="does not have application-autoscaling:Deregister"):
        twin.dispatch(caller, "sagemaker", "DeleteEndpoint", {"EndpointName": "e"})
    twin.allow((["sagemaker:DeleteEndpoint", "application-autoscaling:Deregister*"], ["*"]))
    twin.dispatch(caller, "sagemaker", "DeleteEndpoint", {"EndpointName": "e"})
    answer = scaled.do("DescribeScalableTargets", ServiceNamespace="sagemaker")
    assert answer["ScalableTargets"] == []
    left = twin.do("cloudwatch", "DescribeAlarms", AlarmNames=alarms)
    assert left["MetricAlarms"] == []
