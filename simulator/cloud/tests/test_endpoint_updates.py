"""Endpoint variants and updates: shares of traffic, no request dropped, alarms that roll back."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
import simpy
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.cloud.errors import AwsError, NotSupportedByTwin
from simulator.cloud.operations import Operation
from simulator.cloud.sagemaker_deployments import ROLLBACK_S, UPDATE_S, plan_of
from simulator.cloud.sagemaker_endpoints import Endpoints
from simulator.cloud.sagemaker_fleets import Shares
from simulator.cloud.tests.endpoint_fakes import configure, faked, invoke, serve
from simulator.cloud.tests.job_fakes import JobTwin

Pair = tuple[JobTwin, Endpoints]
ROUTINGS: list[dict[str, Any]] = [
    {"Type": "ALL_AT_ONCE"},
    {"Type": "CANARY", "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 20}},
    {"Type": "LINEAR", "LinearStepSize": {"Type": "CAPACITY_PERCENT", "Value": 30}},
]
STEPS = {"ALL_AT_ONCE": 1, "CANARY": 2, "LINEAR": 4}


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with faked(tmp_path) as made:
        yield made


@given(st.lists(st.integers(0, 20), min_size=1, max_size=6).filter(any), st.integers(0, 3))
def test_each_variant_has_its_share_after_every_round(weights: list[int], rounds: int) -> None:
    shares = Shares()
    total = sum(weights)
    turns = Counter(shares.turn([float(w) for w in weights]) for _ in range(rounds * total))
    assert [turns[number] for number in range(len(weights))] == [rounds * w for w in weights]


def _alarm(twin: JobTwin, raised_s: float | None) -> None:
    """Have CloudWatch describe one alarm, in ALARM from a time on."""

    def describe(_: Any) -> dict[str, Any]:
        raised = raised_s is not None and twin.engine.env.now >= raised_s
        state = "ALARM" if raised else "OK"
        return {"MetricAlarms": [{"AlarmName": "errors", "StateValue": state}]}

    twin.dispatch.register("cloudwatch", {"DescribeAlarms": Operation(describe)})


def _update(twin: JobTwin, routing: dict[str, Any], wait_s: int, **more: Any) -> None:
    policy = {
        "TrafficRoutingConfiguration": {**routing, "WaitIntervalInSeconds": wait_s},
        **more,
    }
    twin.do(
        "sagemaker",
        "UpdateEndpoint",
        EndpointName="e",
        EndpointConfigName="green",
        DeploymentConfig={
            "BlueGreenUpdatePolicy": policy,
            "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "errors"}]},
        },
    )


def _client(
    twin: JobTwin, after_s: float, takes_s: int, answers: list[str]
) -> Generator[simpy.Event, Any, None]:
    yield twin.engine.env.timeout(after_s)
    request = {"EndpointName": "e", "Body": str(takes_s).encode()}
    answer: Any = yield twin.dispatch(
        twin.dispatch.root, "sagemaker-runtime", "InvokeEndpoint", request
    )
    answers.append(answer["InvokedProductionVariant"])


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 1500), st.integers(0, 59)), max_size=40),
    st.sampled_from(ROUTINGS),
    st.integers(0, 300),
    st.none() | st.integers(0, 1500),
)
def test_no_request_is_dropped_by_an_update_and_an_alarm_while_baking_rolls_it_back(
    requests: list[tuple[int, int]], routing: dict[str, Any], wait_s: int, alarm_s: int | None
) -> None:
    with tempfile.TemporaryDirectory() as folder, faked(Path(folder)) as (twin, service):
        configure(twin, "blue", {})
        configure(twin, "green", {"InitialInstanceCount": 2})
        serve(twin, service, "blue")
        env = twin.engine.env
        answers: list[str] = []
        began_s = env.now
        _alarm(twin, None if alarm_s is None else began_s + alarm_s)
        for after_s, takes_s in requests:
            twin.engine.process(_client(twin, after_s, takes_s, answers))
        _update(twin, routing, wait_s)
        twin.engine.run(service.wait_event("e"))
        described = twin.do("sagemaker", "DescribeEndpoint", EndpointName="e")
        baked_s = UPDATE_S + STEPS[routing["Type"]] * wait_s
        rolled_back = alarm_s is not None and alarm_s <= baked_s
        assert described["EndpointStatus"] == "InService"
        assert described["EndpointConfigName"] == ("blue" if rolled_back else "green")
        assert ("FailureReason" in described) == rolled_back
        if not rolled_back:
            assert env.now - began_s == baked_s
        twin.engine.run(began_s + 1600.0)
        assert len(answers) == len(requests)


def test_a_canary_gets_its_share_while_it_bakes(pair: Pair) -> None:
    twin, service = pair
    configure(twin, "blue", {})
    configure(twin, "green", {})
    serve(twin, service, "blue")
    _alarm(twin, None)
    began_s = twin.engine.env.now
    _update(twin, ROUTINGS[1], 100, TerminationWaitInSeconds=50)
    twin.engine.run(began_s + UPDATE_S + 50.0)
    pending = twin.do("sagemaker", "DescribeEndpoint", EndpointName="e")["PendingDeploymentSummary"]
    assert pending["EndpointConfigName"] == "green"
    assert Counter(invoke(twin)["InvokedProductionVariant"] for _ in range(50)) == {
        "blue": 40,
        "green": 10,
    }
    twin.engine.run(service.wait_event("e"))
    assert twin.engine.env.now - began_s == UPDATE_S + 250.0
    described = twin.do("sagemaker", "DescribeEndpoint", EndpointName="e")
    assert "PendingDeploymentSummary" not in described
    policy = described["LastDeploymentConfig"]["BlueGreenUpdatePolicy"]
    assert policy["TrafficRoutingConfiguration"]["Type"] == "CANARY"


def test_a_rollback_is_shown_before_the_old_configuration_is_in_service_again(pair: Pair) -> None:
    twin, service = pair
    configure(twin, "blue", {})
    configure(twin, "green", {})
    serve(twin, service, "blue")
    events: list[str] = []
    twin.context.emit = lambda source, kind, detail, arns: events.append(detail["EndpointStatus"])
    began_s = twin.engine.env.now
    _alarm(twin, began_s + UPDATE_S + 40.0)
    _update(twin, ROUTINGS[0], 100)
    twin.engine.run(service.wait_event("e"))
    assert events == ["UPDATING", "ROLLING_BACK", "IN_SERVICE"]
    assert twin.engine.env.now - began_s == UPDATE_S + 45.0 + ROLLBACK_S
    assert invoke(twin)["InvokedProductionVariant"] == "blue"


def test_weights_targets_and_instances_are_honoured_changed_and_retained(pair: Pair) -> None:
    twin, service = pair
    two = ({"InitialVariantWeight": 3.0}, {"VariantName": "b", "InitialInstanceCount": 2})
    configure(twin, "blue", *two)
    configure(twin, "green", {"VariantName": "blue"}, {"VariantName": "b"})
    serve(twin, service, "blue")
    turns = Counter(invoke(twin)["InvokedProductionVariant"] for _ in range(40))
    assert turns == {"blue": 30, "b": 10}
    assert invoke(twin, TargetVariant="b")["InvokedProductionVariant"] == "b"
    assert twin.points.values["AWS/SageMaker/InvocationsPerInstance"][-1] == 0.5
    with pytest.raises(AwsError, match="Variant c of endpoint e not found"):
        invoke(twin, TargetVariant="c")
    wanted = [{"VariantName": "b", "DesiredWeight": 0.0, "DesiredInstanceCount": 3}]
    change = {"EndpointName": "e", "DesiredWeightsAndCapacities": wanted}
    twin.do("sagemaker", "UpdateEndpointWeightsAndCapacities", **change)
    twin.engine.run(service.wait_event("e"))
    assert {invoke(twin)["InvokedProductionVariant"] for _ in range(20)} == {"blue"}
    update = {"EndpointName": "e", "EndpointConfigName": "green"}
    excluded = [{"VariantPropertyType": "DesiredWeight"}]
    retained = {
        "RetainAllVariantProperties": True,
        "ExcludeRetainedVariantProperties": excluded,
    }
    twin.do("sagemaker", "UpdateEndpoint", **update, **retained)
    twin.engine.run(service.wait_event("e"))
    described = twin.do("sagemaker", "DescribeEndpoint", EndpointName="e")
    shown = {
        variant["VariantName"]: (variant["CurrentWeight"], variant["CurrentInstanceCount"])
        for variant in described["ProductionVariants"]
    }
    assert shown == {"blue": (1.0, 1), "b": (1.0, 3)}
    wanted[0]["VariantName"] = "c"
    with pytest.raises(AwsError, match="not present within endpoint configuration"):
        twin.do("sagemaker", "UpdateEndpointWeightsAndCapacities", **change)


def test_a_wait_on_the_clock_of_more_than_a_minute_is_a_timeout(pair: Pair) -> None:
    twin, service = pair
    configure(twin, "blue", {})
    serve(twin, service, "blue")
    invoke(twin, b"60")
    assert twin.points.values["AWS/SageMaker/ModelLatency"][-1] == pytest.approx(60e6, rel=1e-4)
    with pytest.raises(AwsError, match="timed out"):
        invoke(twin, b"61")
    assert twin.points.values["AWS/SageMaker/Invocation5XXErrors"] == [0.0, 1.0]


@pytest.mark.parametrize(
    ("routing", "words"),
    [
        ({"Type": "CANARY"}, "CanarySize is required"),
        ({"Type": "CANARY", "CanarySize": {"Type": "INSTANCE_COUNT", "Value": 2}}, "not 100%"),
        ({"Type": "LINEAR", "LinearStepSize": {"Type": "CAPACITY_PERCENT", "Value": 5}}, "not 5%"),
        ({"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 700}, "larger than the total"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(routing: dict[str, Any], words: str) -> None:
    policy = {
        "TrafficRoutingConfiguration": routing,
        "MaximumExecutionTimeoutInSeconds": 600,
    }
    with pytest.raises(AwsError, match=words):
        plan_of({"BlueGreenUpdatePolicy": policy}, 2)
    with pytest.raises(NotSupportedByTwin, match="RollingUpdatePolicy"):
        plan_of({"RollingUpdatePolicy": {}}, 2)


def test_what_is_not_there_is_refused_by_name(pair: Pair) -> None:
    twin, service = pair
    for variant, words in (
        ({"ServerlessConfig": {"MemorySizeInMB": 1024, "MaxConcurrency": 1}}, "ServerlessConfig"),
        ({"InitialInstanceCount": 9}, "9 instances"),
        ({"InitialVariantWeight": 0.0}, "no variant with a weight"),
    ):
        with pytest.raises(NotSupportedByTwin, match=words):
            configure(twin, "blue", variant)
    output = {"OutputConfig": {"S3OutputPath": "s3://models/out"}}
    with pytest.raises(NotSupportedByTwin, match="AsyncInferenceConfig"):
        configure(twin, "blue", {}, AsyncInferenceConfig=output)
    configure(twin, "blue", {})
    serve(twin, service, "blue")
    for member in ("TargetModel", "InferenceComponentName"):
        with pytest.raises(NotSupportedByTwin, match=member):
            invoke(twin, b"0", **{member: "x"})
