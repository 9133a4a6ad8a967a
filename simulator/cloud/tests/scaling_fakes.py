"""A twin with an endpoint whose instances are scaled, and requests at a rate."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import simpy

from simulator.cloud.alarms import Alarms
from simulator.cloud.autoscaling import AutoScaling
from simulator.cloud.metrics import Metrics
from simulator.cloud.sagemaker_endpoints import Endpoints
from simulator.cloud.tests.endpoint_fakes import configure, faked, serve
from simulator.cloud.tests.job_fakes import JobTwin

SAGEMAKER = "sagemaker.amazonaws.com"
TARGET = 20.0
RESOURCE = "endpoint/e/variant/blue"
PLACE = {
    "ServiceNamespace": "sagemaker",
    "ResourceId": RESOURCE,
    "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
}
METRIC = {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"}


@dataclass
class Scaled:
    """A twin with the endpoint `e`, whose variant `blue` has two instances."""

    twin: JobTwin
    endpoints: Endpoints
    alarms: Alarms
    rates: list[tuple[float, int]] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)

    def do(self, operation: str, **params: Any) -> Any:
        return self.twin.do("application-autoscaling", operation, **params)

    def register(self, low: int = 2, high: int = 6, **more: Any) -> None:
        self.do("RegisterScalableTarget", **PLACE, MinCapacity=low, MaxCapacity=high, **more)

    def track(self, **more: Any) -> dict[str, Any]:
        configuration = {"TargetValue": TARGET, "PredefinedMetricSpecification": METRIC, **more}
        answer: dict[str, Any] = self.do(
            "PutScalingPolicy",
            **PLACE,
            PolicyName="track",
            PolicyType="TargetTrackingScaling",
            TargetTrackingScalingPolicyConfiguration=configuration,
        )
        return answer

    @property
    def count(self) -> int:
        fleet = self.endpoints.fleet("e")
        assert fleet is not None
        return len(fleet.variants[0].instances)

    def load(self, a_minute: int, minutes: int) -> None:
        """Ask the endpoint so often each minute, and note its instances."""
        engine = self.twin.engine
        done = engine.env.process(self._ask(a_minute, minutes))
        engine.run(done)

    def _ask(self, a_minute: int, minutes: int) -> Generator[simpy.Event, Any, None]:
        env = self.twin.engine.env
        request = {"EndpointName": "e", "Body": b"0"}
        for _ in range(minutes):
            ends_s = env.now + 60.0
            for _ in range(a_minute):
                event = self.twin.dispatch(
                    self.twin.dispatch.root, "sagemaker-runtime", "InvokeEndpoint", dict(request)
                )
                yield event
            yield env.timeout(ends_s - env.now)
            self.counts.append(self.count)

    def activities(self) -> list[dict[str, Any]]:
        answer = self.do("DescribeScalingActivities", ServiceNamespace="sagemaker")
        found: list[dict[str, Any]] = answer["ScalingActivities"]
        return found


@contextmanager
def scaled_twin(folder: Path) -> Iterator[Scaled]:
    with faked(folder) as (twin, endpoints):
        metrics = Metrics(twin.context)
        twin.context.cloudwatch = metrics
        alarms = Alarms(twin.context, metrics)
        scaling = AutoScaling(twin.context, alarms, endpoints)
        twin.dispatch.register("sagemaker", scaling.guarding(endpoints.operations()))
        twin.dispatch.register("application-autoscaling", scaling.operations())
        twin.dispatch.register("cloudwatch", alarms.operations())
        configure(twin, "blue", {"InitialInstanceCount": 2})
        serve(twin, endpoints, "blue")
        yield Scaled(twin, endpoints, alarms)
