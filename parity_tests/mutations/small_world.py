"""A small journey in process: a booted stack, a trained model in service, three pumps, one fault.

`test_mutations` runs it once as it is and once for each defect that it plants. No Spark and no
training job: the model is trained once, in the test's own process, on the same pumps. Functions
and endpoint are the real ones.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import simpy

from pipeline.features import Signals, feature_names, feature_rows
from pipeline.messages import Reading, decode
from pipeline.model import fitting, hyperparameters
from pipeline.model.artefact import save
from pipeline.model.dataset import Dataset
from pipeline.settings import FeatureSpec
from simulator import evidence
from simulator.cloud.errors import AccessDenied
from simulator.cloud.job_s3 import archive
from simulator.cloud.remote_endpoint import RemoteEndpoint
from simulator.fleet.delivery import Message
from simulator.fleet.fleet import Fleet
from simulator.scenario import Scenario
from simulator.testing.plugin import START
from simulator.testing.twin import Twin

START_MS = round(START.timestamp() * 1000)
FLEET = {"machines": 3, "burst_period_s": 0.0}
LIVE = Scenario.from_table(
    {
        "name": "small",
        "seed": 5,
        "history_s": 60.0,
        "live_s": 360.0,
        "fleet": FLEET,
        "network": {"loss": 0.002, "duplicate": 0.01, "straggle": 0.01},
        "faults": [
            {
                "device": "pump-002",
                "kind": "cavitation",
                "onset_s": 100.0,
                "duration_s": 240.0,
                "severity": 1.0,
            }
        ],
    }
)
HEALTHY = Scenario.from_table(
    {"name": "healthy", "seed": 5, "history_s": 900.0, "live_s": 60.0, "fleet": FLEET}
)
SETTINGS = {
    "epochs": "4",
    "folds": "2",
    "smoothing_rows": "3",
    "min_rows": "20",
    # A threshold low enough for a quarter of an hour's training.
    "false_alarms_per_machine_day": "500",
}
BAD = b'{"schema": 99}'
MALFORMED_EVERY_S = 60.0

Mutate = Callable[["SmallWorld"], None]


@dataclass(frozen=True)
class Taken:
    """What a broker answers to a batch of which it takes everything."""

    delivered: int
    discarded: int = 0


def parameters() -> dict[str, str]:
    """Return the template's parameters for the small fleet."""
    return evidence.template_parameters(LIVE, None)


def trained_model(folder: Path, seed: int = 0) -> bytes:
    """Return a model archive trained on a quarter of an hour of the same pumps, healthy."""
    spec = FeatureSpec.parse(parameters()["FeatureSpec"])
    env = simpy.Environment()
    readings: list[Reading] = []

    def take(messages: Sequence[Message]) -> Taken:
        for message in messages:
            at_ms = round(START_MS + message.at_s * 1000)
            found = decode(message.payload, spec, at_ms, 300.0)
            assert isinstance(found, Reading)
            readings.append(found)
        return Taken(len(messages))

    fleet = Fleet(HEALTHY, env, START_MS / 1000, take)
    fleet.start()
    env.run(fleet.finished)
    numbers = {name: number for number, name in enumerate(fleet.devices)}
    readings.sort(key=lambda each: (numbers[each.device_id], each.event_time_ms))
    device = np.array([numbers[each.device_id] for each in readings], np.int64)
    nothing = np.zeros(0, np.int64)
    rows = feature_rows(
        Signals(
            device,
            np.array([each.event_time_ms for each in readings], np.int64),
            np.array([[each.values[name] for name in spec.sensors] for each in readings]),
            nothing,
            nothing,
            np.zeros((0, 7)),
        ),
        np.zeros(len(numbers), np.int64),
        np.full(len(numbers), START_MS + 10_000_000),
        spec,
    )
    owners = [fleet.devices[number] for number in rows.device.tolist()]
    data = Dataset(owners, rows.event_time_ms, rows.features)
    assert rows.features.shape[1] == len(feature_names(spec))
    chosen = hyperparameters.parse({"feature_spec": spec.to_json(), **SETTINGS, "seed": str(seed)})
    folder.mkdir()
    save(fitting.train(data, chosen).artefact, folder)
    return archive(folder)


class SmallWorld:
    """One booted twin with the model in service; `run` lets the pumps publish to the end."""

    def __init__(
        self,
        state: Path,
        model: bytes,
        older: bytes,
        patches: pytest.MonkeyPatch,
        remote: RemoteEndpoint | None = None,
    ) -> None:
        self.older = older
        self._patches = patches
        self.twin = Twin(START, state, parameters=parameters(), remote=remote)
        self.cloud = self.twin.target.cloud
        self.model = model
        self.fleet: Fleet | None = None
        self.alert_lags_ms: list[float] = []

    def close(self) -> None:
        """End everything that was started."""
        self.twin.close()

    def around(
        self, service: str, operation: str, do: Callable[[Callable[[Any], Any], Any], Any]
    ) -> None:
        """Have an operation of the twin go through ``do(execute, call)`` from now on."""
        table = self.cloud.dispatch._table
        entry = table[service, operation]
        execute = entry.execute
        table[service, operation] = type(entry)(
            lambda call: do(execute, call), entry.resources, entry.action, entry.passes_role
        )

    def patch(self, target: str, value: Any) -> None:
        """Replace something of a module for the length of the test."""
        self._patches.setattr(target, value)

    def set_on(self, owner: object, name: str, value: Any) -> None:
        """Replace a method of one of the twin's own objects."""
        self._patches.setattr(owner, name, value)

    def run(self) -> None:
        """Put the model in service, have the fleet live, let everything be worked off."""
        self._deploy()
        target = self.twin.target
        env = target.clock
        start_s = self.cloud.engine.epoch_s() - env.now
        self.fleet = Fleet(LIVE, env, start_s, target.publish)
        self._fail_once()
        target.on_alert(self._on_alert)
        env.process(self._malformed())
        self.fleet.start()
        target.run_until(self.fleet.finished)
        target.drain()
        self.twin.advance(5.0)

    def _deploy(self) -> None:
        """Create model and endpoint as the training workflow does."""
        call, target = self.twin.call, self.twin.target
        arn = target.name_of("AWS::StepFunctions::StateMachine", "training")
        definition = json.loads(
            call("stepfunctions", "DescribeStateMachine", stateMachineArn=arn)["definition"]
        )
        states = definition["States"]
        wanted = states["CreateModel"]["Parameters"]
        bucket = target.bucket("artefacts")
        call("s3", "PutObject", Bucket=bucket, Key="models/small.tar.gz", Body=self.model)
        call(
            "sagemaker",
            "CreateModel",
            ModelName="small",
            ExecutionRoleArn=wanted["ExecutionRoleArn"],
            PrimaryContainer={
                "Image": wanted["PrimaryContainer"]["Image"],
                "ModelDataUrl": f"s3://{bucket}/models/small.tar.gz",
            },
        )
        variant = {
            "VariantName": "detector",
            "ModelName": "small",
            "InitialInstanceCount": 1,
            "InitialVariantWeight": 1.0,
            "InstanceType": "ml.m5.large",
        }
        call(
            "sagemaker",
            "CreateEndpointConfig",
            EndpointConfigName="small",
            ProductionVariants=[variant],
        )
        item = states["ActivateModel"]["Parameters"]
        name = item["Item"]["endpoint"]["S"]
        call("sagemaker", "CreateEndpoint", EndpointName=name, EndpointConfigName="small")
        while (
            call("sagemaker", "DescribeEndpoint", EndpointName=name)["EndpointStatus"]
            != "InService"
        ):
            self.twin.advance(30.0)
        call(
            "dynamodb",
            "PutItem",
            TableName=item["TableName"],
            Item={"pk": {"S": "#model"}, "endpoint": {"S": name}, "model_version": {"S": "small"}},
        )

    def _on_alert(self, message: str) -> None:
        """Note how long after the event time of its row an alert is published."""
        started_ms = json.loads(message).get("started_ms")
        if started_ms is not None:
            self.alert_lags_ms.append(self.cloud.engine.epoch_s() * 1000 - started_ms)

    def _fail_once(self) -> None:
        """Refuse one write of the raw writer, so that there is something to try again."""
        failed: list[bool] = []

        def once(execute: Callable[[Any], Any], call: Any) -> Any:
            is_raw = call.params["Key"].startswith("telemetry/")
            if is_raw and not failed and self.twin.target.clock.now > self._from_s:
                failed.append(True)
                raise AccessDenied(call.principal.arn, "s3:PutObject", "once", explicit=False)
            return execute(call)

        self._from_s = self.twin.target.clock.now + 100.0
        self.around("s3", "PutObject", once)

    def _malformed(self) -> Any:
        """Publish a message that no writer takes, once a minute."""
        env = self.twin.target.clock
        while env.now < self._from_s + LIVE.live_s - 100.0:
            yield env.timeout(MALFORMED_EVERY_S)
            self.twin.target.publish(
                [Message("fleet/pump-009/telemetry", BAD, "pump-009", env.now)]
            )
