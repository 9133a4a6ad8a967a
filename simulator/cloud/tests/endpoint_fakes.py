"""Endpoints whose containers are events on the clock, for tests with many requests."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import simpy

from simulator.cloud.context import Context
from simulator.cloud.endpoint_server import Reply
from simulator.cloud.sagemaker_endpoints import Endpoints
from simulator.cloud.tests.job_fakes import IMAGE, ROLE, JobTwin, job_twin


class FakeServer:
    """Answers a body that is a number after as many seconds; must not be stopped meanwhile."""

    def __init__(self, context: Context, *_: Any) -> None:
        self._env = context.engine.env
        self.running = False
        self._under_way = 0

    def start(self) -> simpy.Event:
        """Come up at once."""
        self.running = True
        return self._env.timeout(0.0, "")

    def invoke(self, body: bytes, headers: Mapping[str, str]) -> simpy.Event:
        """Answer later."""
        assert self.running, "asked after its end"
        return self._env.process(self._reply(body, headers))

    def _reply(self, body: bytes, headers: Mapping[str, str]) -> Generator[simpy.Event, Any, Reply]:
        self._under_way += 1
        yield self._env.timeout(float(body))
        self._under_way -= 1
        return Reply(200, b"1", {"content-type": headers.get("Content-Type", "text/csv")})

    def stop(self) -> None:
        """End; nobody may wait for an answer."""
        assert not self._under_way, "a request was dropped"
        self.running = False

    def close(self) -> None:
        """End with the twin."""
        self.running = False


@contextmanager
def faked(folder: Path) -> Iterator[tuple[JobTwin, Endpoints]]:
    """Return a twin with models `blue` and `green` whose servers are fakes."""
    twin = job_twin(folder / "twin")
    twin.container(folder / "image", "")
    service = Endpoints(twin.context)
    twin.dispatch.register("sagemaker", service.operations())
    twin.dispatch.register("sagemaker-runtime", service.runtime_operations())
    with patch("simulator.cloud.sagemaker_fleets.EndpointServer", FakeServer):
        try:
            for name in ("blue", "green"):
                twin.do(
                    "sagemaker",
                    "CreateModel",
                    ModelName=name,
                    PrimaryContainer={"Image": IMAGE},
                    ExecutionRoleArn=ROLE,
                )
            yield twin, service
        finally:
            service.close()
            twin.close()


def configure(twin: JobTwin, name: str, *variants: dict[str, Any], **more: Any) -> None:
    """Make a configuration; a variant is of the model `name` unless it says another."""
    base = {"ModelName": name, "VariantName": name, "InstanceType": "ml.m5.large"}
    twin.do(
        "sagemaker",
        "CreateEndpointConfig",
        EndpointConfigName=name,
        ProductionVariants=[{"InitialInstanceCount": 1, **base, **each} for each in variants],
        **more,
    )


def serve(twin: JobTwin, service: Endpoints, config: str) -> None:
    """Create the endpoint `e` and wait until it is in service."""
    twin.do("sagemaker", "CreateEndpoint", EndpointName="e", EndpointConfigName=config)
    assert twin.engine.run(service.wait_event("e")) == "InService"


def invoke(twin: JobTwin, body: bytes = b"0", **more: Any) -> dict[str, Any]:
    """Ask the endpoint `e`."""
    answer: dict[str, Any] = twin.do(
        "sagemaker-runtime", "InvokeEndpoint", EndpointName="e", Body=body, **more
    )
    return answer
