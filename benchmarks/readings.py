"""The pipeline with a model in service, and readings for it; used by `benchmarks.pipeline`.

Machines publish four sensors at 1 Hz, all healthy: values move about as the demo's pumps' do, and
the model is fitted to features of such readings.
"""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import tarfile
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from infra_cdk.config import PUMP_SPEC
from pipeline.features import Signals, feature_names, feature_rows
from pipeline.messages import encode_readings, telemetry_topic
from pipeline.model import artefact, fitting, hyperparameters
from pipeline.model.dataset import Dataset
from pipeline.settings import FeatureSpec
from simulator.fleet.delivery import Message
from simulator.targets import ROOT, SNAPSHOT, Embedded

START = datetime(2026, 1, 5, tzinfo=UTC)
START_MS = int(START.timestamp() * 1000)
SPEC = FeatureSpec.parse(json.dumps(PUMP_SPEC))
USUAL = {
    "temperature_c": (60.0, 1.0),
    "velocity_mm_s_rms": (2.0, 0.1),
    "pressure_bar": (6.0, 0.1),
    "current_a": (25.0, 0.2),
}
"""Mean and standard deviation of each sensor."""
MODEL = "bench"


def with_shards(shards: int, folder: Path) -> Path:
    """Copy the committed templates to a folder with another number of shards; return it."""
    shutil.copytree(SNAPSHOT, folder)
    for path in folder.glob("*.template.json"):
        template = json.loads(path.read_text(encoding="utf-8"))
        for resource in template["Resources"].values():
            if resource["Type"] == "AWS::Kinesis::Stream":
                resource["Properties"]["ShardCount"] = shards
        path.write_text(json.dumps(template), encoding="utf-8")
    listed = folder / "sources.json"
    sources = json.loads(listed.read_text(encoding="utf-8"))
    for source in sources.values():
        source["path"] = str(ROOT / source["path"])
    listed.write_text(json.dumps(sources), encoding="utf-8")
    return folder


def device_id(number: int) -> str:
    """Return the name of a machine."""
    return f"pump-{number:03d}"


def values(number: int, first_s: int, seconds: int) -> dict[str, NDArray[np.float64]]:
    """Return a machine's values in ``[first_s, first_s + seconds)``, one a second."""
    rng = np.random.default_rng((number, first_s))
    return {name: rng.normal(*usual, seconds) for name, usual in USUAL.items()}


def messages(machines: int, first_s: int, seconds: int, origin_s: float) -> list[list[Message]]:
    """Return the messages of each second; ``origin_s`` is the clock's time at second 0."""
    times_ms = START_MS + 1000 * np.arange(first_s, first_s + seconds, dtype=np.int64)
    found: list[list[Message]] = [[] for _ in range(seconds)]
    for number in range(machines):
        name = device_id(number)
        payloads = encode_readings(name, first_s, times_ms, values(number, first_s, seconds))
        for at, payload in enumerate(payloads):
            sent = Message(telemetry_topic(name), payload, name, origin_s + first_s + at)
            found[at].append(sent)
    return found


def trained(machines: int, seconds: int = 2_000) -> bytes:
    """Return the archive of a model of these machines, fitted to their features."""
    rng = np.random.default_rng(0)
    device = np.repeat(np.arange(machines), seconds)
    times_ms = np.tile(START_MS + 1000 * np.arange(seconds, dtype=np.int64), machines)
    columns = [values(number, 0, seconds) for number in range(machines)]
    table = np.column_stack([np.concatenate([c[name] for c in columns]) for name in SPEC.sensors])
    none = np.zeros(0, np.int64)
    bursts = np.zeros((0, len(feature_names(SPEC)) - len(SPEC.sensors) * len(SPEC.statistics)))
    edges = np.full(machines, START_MS), np.full(machines, START_MS + 1000 * seconds)
    rows = feature_rows(Signals(device, times_ms, table, none, none, bursts), *edges, SPEC)
    # Bursts are not published here: the model takes what is missing for usual.
    features = np.where(
        np.isnan(rows.features), rng.normal(size=rows.features.shape), rows.features
    )
    chosen = hyperparameters.parse({"feature_spec": json.dumps(PUMP_SPEC), "epochs": "5"})
    owners = [device_id(number) for number in rows.device.tolist()]
    with contextlib.redirect_stdout(io.StringIO()):
        fitted = fitting.train(Dataset(owners, rows.event_time_ms, features), chosen)
    archive = io.BytesIO()
    with tempfile.TemporaryDirectory() as folder:
        artefact.save(fitted.artefact, Path(folder))
        with tarfile.open(fileobj=archive, mode="w:gz") as whole:
            for path in sorted(Path(folder).iterdir()):
                whole.add(path, path.name)
    return archive.getvalue()


def put_in_service(target: Embedded, model: bytes) -> None:
    """Deploy a model with the requests of the training workflow, and make it the active one."""
    workflow = target.name_of("AWS::StepFunctions::StateMachine", "training")
    described = target.call("stepfunctions", "DescribeStateMachine", stateMachineArn=workflow)
    states = json.loads(described["definition"])["States"]
    wanted = states["CreateModel"]["Parameters"]
    bucket = target.bucket("artefacts")
    target.call("s3", "PutObject", Bucket=bucket, Key="models/bench.tar.gz", Body=model)
    container = {
        "Image": wanted["PrimaryContainer"]["Image"],
        "ModelDataUrl": f"s3://{bucket}/models/bench.tar.gz",
    }
    target.call(
        "sagemaker",
        "CreateModel",
        ModelName=MODEL,
        ExecutionRoleArn=wanted["ExecutionRoleArn"],
        PrimaryContainer=container,
    )
    (variant,) = states["CreateEndpointConfig"]["Parameters"]["ProductionVariants"]
    settings = {name: value for name, value in variant.items() if not name.endswith(".$")}
    settings["InitialInstanceCount"] = 2
    target.call(
        "sagemaker",
        "CreateEndpointConfig",
        EndpointConfigName=MODEL,
        ProductionVariants=[{**settings, "ModelName": MODEL}],
    )
    active = states["ActivateModel"]["Parameters"]
    name = active["Item"]["endpoint"]["S"]
    target.call("sagemaker", "CreateEndpoint", EndpointName=name, EndpointConfigName=MODEL)
    target.run_until(target.cloud.endpoints.wait_event(name))
    item = {"pk": {"S": "#model"}, "endpoint": {"S": name}, "model_version": {"S": MODEL}}
    target.call("dynamodb", "PutItem", TableName=active["TableName"], Item=item)
