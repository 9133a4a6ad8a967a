"""An endpoint's model is replaced while clients keep asking: does any request get lost?

``python -m benchmarks.endpoint_update`` writes `results/endpoint_update.json`. Two real model
servers, one after the other, behind one endpoint; closed-loop clients on the run's clock, each
asking again a while after its answer, through the same door as everybody: authorised, metered,
recorded. The update is a canary of a fifth and then the rest, as the training workflow does it.
"""

from __future__ import annotations

import io
import json
import sys
import tarfile
import tempfile
import time
from collections import Counter
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import simpy

from benchmarks.model import request, train_small
from benchmarks.result import finish, parser
from benchmarks.row import Row
from parity_tests.container.jobs import deploy, twin
from simulator.cloud.cloud import Cloud
from simulator.cloud.errors import AwsError
from simulator.cloud.isolation import PLAIN

ENDPOINT = "pumps"
BAKE_S = 120
CANARY_PERCENT = 20
BEFORE_S = AFTER_S = 60.0
CLIENTS = 8
ROWS = 20


@dataclass
class Traffic:
    """What the clients asked and what they got; ``stop`` ends them after their next answer."""

    body: bytes
    think_s: float
    stop: bool = False
    sent: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    versions: Counter[str] = field(default_factory=Counter)

    def client(self, cloud: Cloud, number: int) -> Generator[simpy.Event, Any, None]:
        """Ask, wait for the answer, think, and ask again."""
        yield cloud.engine.env.timeout(self.think_s * number / CLIENTS)
        asked = {"EndpointName": ENDPOINT, "Body": self.body, "ContentType": "application/json"}
        while not self.stop:
            self.sent += 1
            try:
                done: Any = cloud.dispatch(
                    cloud.dispatch.root, "sagemaker-runtime", "InvokeEndpoint", asked
                )
                answer = yield done
                self.versions[json.loads(answer["Body"])["model_version"]] += 1
            except AwsError as error:
                self.failed[error.code] += 1
            yield cloud.engine.env.timeout(self.think_s)


def main(arguments: Sequence[str]) -> int:
    """Measure, print and write."""
    chosen = parser("endpoint_update", __doc__).parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="fleetwin-bench-") as name:
        folder = Path(name)
        blue, green = (
            train_small(folder / colour / "model", seed)
            for seed, colour in enumerate(("blue", "green"))
        )
        body = request(blue, ROWS).partition(b"\r\n\r\n")[2]
        traffic = Traffic(body, 1.0 if chosen.quick else 0.2)
        with twin(folder, PLAIN) as cloud:
            deploy(cloud, ENDPOINT, packed(folder / "blue" / "model"))
            # An endpoint of its own makes the model and the configuration to change to.
            deploy(cloud, "next", packed(folder / "green" / "model"))
            began, began_s = time.perf_counter(), cloud.engine.env.now
            config = replaced(cloud, traffic)
            took_s, clock_s = time.perf_counter() - began, cloud.engine.env.now - began_s
    if config != "next" or set(traffic.versions) - {blue.version, green.version}:
        raise RuntimeError(f"the update ended with {config!r} and {dict(traffic.versions)}")
    rows = figures(traffic, green.version, took_s, clock_s)
    return finish("endpoint_update", rows, chosen, {"failed": dict(traffic.failed)})


def figures(traffic: Traffic, new_version: str, took_s: float, clock_s: float) -> list[Row]:
    """Return what became of the requests, and how fast they were answered."""
    return [
        Row(
            "requests that failed during the update of an endpoint",
            float(traffic.sent - sum(traffic.versions.values())),
            "requests",
            "all requests",
            float(traffic.sent),
            ceiling=0.0,
        ),
        # The new model has a fifth of one baking time, the other one, and the time after.
        Row(
            "requests that the new model answered",
            float(traffic.versions[new_version]),
            "requests",
            "all requests",
            float(traffic.sent),
            floor=0.2,
            limits="ratio",
        ),
        Row(
            f"requests of {ROWS} rows during the update, of wall time",
            traffic.sent / took_s,
            "1/s",
            "the rate on the run's clock",
            traffic.sent / clock_s,
            floor=1.0,
            limits="ratio",
        ),
    ]


def packed(folder: Path) -> bytes:
    """Return a model folder as the archive that a training job leaves."""
    body = io.BytesIO()
    with tarfile.open(fileobj=body, mode="w:gz") as archive:
        for path in sorted(folder.iterdir()):
            archive.add(path, path.name)
    return body.getvalue()


def replaced(cloud: Cloud, traffic: Traffic) -> str:
    """Update the endpoint between two quiet minutes of traffic; return its configuration."""
    env = cloud.engine.env
    clients = [cloud.engine.process(traffic.client(cloud, each)) for each in range(CLIENTS)]
    cloud.engine.run(env.now + BEFORE_S)
    canary = {
        "Type": "CANARY",
        "WaitIntervalInSeconds": BAKE_S,
        "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": CANARY_PERCENT},
    }
    cloud.call(
        "sagemaker",
        "UpdateEndpoint",
        EndpointName=ENDPOINT,
        EndpointConfigName="next",
        DeploymentConfig={"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": canary}},
    )
    cloud.engine.run(cloud.endpoints.wait_event(ENDPOINT))
    cloud.engine.run(env.now + AFTER_S)
    traffic.stop = True
    for client in clients:
        cloud.engine.run(client)
    found = cloud.call("sagemaker", "DescribeEndpoint", EndpointName=ENDPOINT)
    return str(found["EndpointConfigName"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
