"""The pytest plug-in: a twin a test, boto3 without sockets, strategies that the fleet accepts."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import yaml
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.messages import Reading, decode, encode_reading
from pipeline.settings import FeatureSpec
from simulator.cloud.isolation import Bubblewrap
from simulator.cloud.tests.bubblewrap import needs_bubblewrap
from simulator.fleet.settings import FleetSettings
from simulator.scenario import Scenario
from simulator.scenario_checks import check
from simulator.targets import ROOT
from simulator.testing.plugin import START
from simulator.testing.strategies import PUMP_SENSORS, START_MS, fault_schedules, fleets, readings
from simulator.testing.twin import Twin

EXAMPLE = ROOT / "examples" / "cold-store"
pytest_plugins = () if "simulator.testing.plugin" in sys.modules else ("simulator.testing.plugin",)


def test_boto3_of_a_test_reaches_its_twin_and_no_other(fleetwin: Twin) -> None:
    s3 = fleetwin.client("s3")
    bucket = fleetwin.target.bucket("raw")
    assert bucket in [each["Name"] for each in s3.list_buckets()["Buckets"]]
    body = b"x" * 200_000
    s3.put_object(Bucket=bucket, Key="a note", Body=body)
    with s3.get_object(Bucket=bucket, Key="a note")["Body"] as answer:
        assert answer.read() == body
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    assert [item["Key"] for page in pages for item in page["Contents"]] == ["a note"]
    with pytest.raises(ClientError, match="NoSuchKey"):
        s3.get_object(Bucket=bucket, Key="another")
    sns = fleetwin.client("sns")
    assert len(sns.list_topics()["Topics"]) == 1
    with pytest.raises(ClientError, match="NotSupportedByTwin"):
        fleetwin.client("polly").list_lexicons()


def test_the_clock_moves_when_the_test_says_so_and_what_is_due_happens(fleetwin: Twin) -> None:
    watch = fleetwin.client("cloudwatch")
    watch.put_metric_alarm(
        AlarmName="hot",
        Namespace="Test",
        MetricName="Heat",
        Statistic="Maximum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=10.0,
        ComparisonOperator="GreaterThanThreshold",
    )
    before = fleetwin.now
    metric = {"MetricName": "Heat", "Value": 11.0, "Timestamp": before}
    watch.put_metric_data(Namespace="Test", MetricData=[metric])
    found = watch.describe_alarms(AlarmNames=["hot"])["MetricAlarms"]
    assert [alarm["StateValue"] for alarm in found] == ["INSUFFICIENT_DATA"]
    fleetwin.advance(120.0)
    assert (fleetwin.now - before).total_seconds() == 120.0
    found = watch.describe_alarms(AlarmNames=["hot"])["MetricAlarms"]
    assert [alarm["StateValue"] for alarm in found] == ["ALARM"]


def test_a_twin_that_is_asked_for_nothing_starts_no_process(tmp_path: Path) -> None:
    """That is what lets it boot in a fraction of a second."""
    # Other tests' processes may be there: those of fixtures that several tests share.
    before = set(psutil.Process().children())
    twin = Twin(START, tmp_path)
    try:
        twin.client("s3").list_buckets()
        assert set(psutil.Process().children()) <= before
    finally:
        twin.close()


@needs_bubblewrap
def test_a_twin_may_keep_its_containers_apart(tmp_path: Path) -> None:
    twin = Twin(START, tmp_path, isolation="bubblewrap")
    twin.close()
    assert isinstance(twin.target.cloud.context.isolation, Bubblewrap)


@given(sent=readings())
def test_drawn_readings_are_readings_that_count_from_zero(sent: list[Reading]) -> None:
    counts: dict[str, int] = {}
    spec = FeatureSpec(PUMP_SENSORS, ((-1e3, 1e3),) * len(PUMP_SENSORS), bursts=False)
    for reading in sent:
        again = decode(encode_reading(reading), spec, START_MS, 86_400.0)
        assert again == reading
        assert again.seq == counts.get(again.device_id, 0)
        counts[again.device_id] = again.seq + 1


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), fleet=fleets())
def test_drawn_fleets_and_faults_make_a_scenario_that_may_run(
    data: st.DataObject, fleet: FleetSettings
) -> None:
    live_s = 7_200.0
    plain = replace(Scenario(), fleet=fleet, live_s=live_s)
    plans = data.draw(fault_schedules(plain.fleet, live_s))
    check(replace(plain, faults=plans))


def test_the_example_projects_workflow_runs_its_tests_with_the_plug_in_installed() -> None:
    text = (EXAMPLE / "README.md").read_text("utf-8")
    (workflow,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    (job,) = yaml.safe_load(workflow)["jobs"].values()
    install, tests = [step["run"].split() for step in job["steps"] if "run" in step]
    assert install[-3:] == ['"./fleetwin[embedded]"', "pytest", "hypothesis"]
    assert (ROOT / install[install.index("-c") + 1].removeprefix("fleetwin/")).is_file()
    assert tests[:3] == ["python", "-m", "pytest"]
    assert (EXAMPLE / tests[3]).is_dir()


def test_the_example_projects_tests_pass(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("example")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--no-header"),
            *("-c", "/dev/null", "--rootdir", str(EXAMPLE)),
            *("--basetemp", str(folder / "tests"), str(EXAMPLE / "tests")),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "6 passed" in done.stdout
