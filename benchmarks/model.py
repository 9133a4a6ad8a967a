"""How fast the model is: served over HTTP, in process, and in training.

``python -m benchmarks.model`` writes `results/model.json`. The server is the container's own, as
a process, asked over one kept connection; beside it, by turns, the same server with a model that
computes nothing. Rows are of the demo's pumps: 19 features of 20 machines.
"""

from __future__ import annotations

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.result import finish, parser
from benchmarks.row import Row
from infra_cdk.config import PUMP_SPEC
from pipeline.features import feature_names
from pipeline.model import artefact, autoencoder, fitting, hyperparameters
from pipeline.model.dataset import Dataset

UNITS = 20
TURN = 25
EPOCH_MOST_S = 2.0
EPOCH_ROWS, EPOCH_COLUMNS, EPOCH_BATCH = 1_000_000, 64, 4_096


def main(arguments: Sequence[str]) -> int:
    """Measure, print and write."""
    chosen = parser("model", __doc__).parse_args(arguments)
    os.environ["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory(prefix="fleetwin-bench-") as name:
        folder = Path(name)
        trained = train_small(folder / "model")
        rows = served(folder, trained, 200 if chosen.quick else 3_000)
    rows += in_process(trained, 300 if chosen.quick else 5_000)
    rows.append(epoch(100_000 if chosen.quick else EPOCH_ROWS))
    return finish("model", rows, chosen)


def train_small(folder: Path, seed: int = 1) -> artefact.Artefact:
    """Fit a model of the demo's features to made-up healthy rows and store it."""
    chosen = hyperparameters.parse({"feature_spec": json.dumps(PUMP_SPEC), "epochs": "5"})
    width = len(feature_names(chosen.spec))
    rng = np.random.default_rng(seed)
    each = 400
    devices = [f"pump-{unit:03d}" for unit in range(UNITS) for _ in range(each)]
    times = np.tile(np.arange(1, each + 1, dtype=np.int64) * chosen.spec.hop_ms, UNITS)
    training = fitting.train(
        Dataset(devices, times, 50 + rng.standard_normal((len(devices), width))), chosen
    )
    folder.mkdir(parents=True)
    artefact.save(training.artefact, folder)
    return training.artefact


# -- over HTTP


def request(trained: artefact.Artefact, count: int) -> bytes:
    """Return an HTTP request with so many rows, a device after the other as the detector asks."""
    rng = np.random.default_rng(2)
    rows = [
        {
            "device_id": f"pump-{row * UNITS // count:03d}",
            "event_time_ms": 1_767_571_200_000 + row,
            "features": (50 + rng.standard_normal(len(trained.feature_names))).tolist(),
        }
        for row in range(count)
    ]
    body = json.dumps({"rows": rows}, separators=(",", ":")).encode()
    head = (
        "POST /invocations HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Accept: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


@contextmanager
def server(command: list[str], environment: dict[str, str], port: int) -> Iterator[socket.socket]:
    """Run a server and yield a connection to it; the port was free a moment ago."""
    process = subprocess.Popen(command, env={**os.environ, **environment})
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                connection = socket.create_connection(("127.0.0.1", port), timeout=10)
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with connection:
            yield connection
    finally:
        process.terminate()
        process.wait(30)


def ask(connection: socket.socket, sent: bytes) -> bytes:
    """Send a request and read its answer whole; raises ValueError unless it is a 200."""
    connection.sendall(sent)
    data = connection.recv(1 << 20)
    while (end := data.find(b"\r\n\r\n")) < 0:
        data += connection.recv(1 << 20)
    head = data[:end].lower()
    if not head.startswith(b"http/1.1 200"):
        raise ValueError(data[:200])
    size = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
    while len(data) < end + 4 + size:
        data += connection.recv(1 << 20)
    return data[end + 4 :]


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def served(folder: Path, trained: artefact.Artefact, count: int) -> list[Row]:
    """Return the latency of one row and of 256, beside the model that computes nothing."""
    ports = free_port(), free_port()
    real = [sys.executable, "-m", "pipeline.model.container", "serve"]
    null = [sys.executable, "-m", "benchmarks.null_model_server", str(folder), str(ports[1])]
    variables = {
        "SAGEMAKER_BASE_DIR": str(folder),
        "SAGEMAKER_BIND_TO_PORT": str(ports[0]),
        "SAGEMAKER_BIND_TO_HOST": "127.0.0.1",
    }
    found = []
    with server(real, variables, ports[0]) as ours, server(null, {}, ports[1]) as nothing:
        for rows, ceiling, limits in ((1, 0.3, "value"), (256, 1.4, "ratio")):
            sent = request(trained, rows)
            scores = json.loads(ask(ours, sent))["scores"]
            assert len(scores) == rows
            medians = by_turns(
                [lambda s=sent: ask(ours, s), lambda s=sent: ask(nothing, s)],  # type: ignore[misc]
                max(500, count // rows),
            )
            name = f"endpoint, {rows} row{'s' * (rows > 1)} a request, p50"
            against = "the same server without scoring"
            value, base = (median * 1e3 for median in medians)
            found.append(Row(name, value, "ms", against, base, ceiling=ceiling, limits=limits))
    return found


def by_turns(ways: list[Callable[[], object]], count: int) -> list[float]:
    """Return the median seconds of each way, taken by turns of some calls each.

    Some, not one: between single calls of two processes each finds the caches cold.
    """
    taken: list[list[float]] = [[] for _ in ways]
    for _ in range(-(-count // TURN)):
        for way, seconds in zip(ways, taken, strict=True):
            way()
            for _ in range(TURN):
                began = time.perf_counter()
                way()
                seconds.append(time.perf_counter() - began)
    return [statistics.median(seconds) for seconds in taken]


# -- in process


def in_process(trained: artefact.Artefact, count: int) -> list[Row]:
    """Return the time a row of scoring alone: one row at a time, and in batches."""
    rng = np.random.default_rng(3)
    found = []
    for rows, ceiling in ((1, 25.0), (256, 1.0), (4_096, 1.0)):
        units = [f"pump-{row * UNITS // rows:03d}" for row in range(rows)]
        features = 50 + rng.standard_normal((rows, len(trained.feature_names)))
        weight = rng.standard_normal((features.shape[1], 128))

        def score(units: list[str] = units, features: NDArray[np.float64] = features) -> object:
            return trained.combination.score(trained.model.parts(units, features))

        def floor(
            features: NDArray[np.float64] = features, weight: NDArray[np.float64] = weight
        ) -> object:
            return features @ weight

        medians = by_turns([score, floor], max(30, count // rows))
        name = f"scoring in process, {rows} row{'s' * (rows > 1)}, a row"
        value, base = (seconds / rows * 1e6 for seconds in medians)
        found.append(Row(name, value, "us", "one product of its size", base, ceiling=ceiling))
    return found


def epoch(rows: int) -> Row:
    """Return the time of one epoch over (rows, 64) values, beside the products it consists of."""
    import torch

    torch.set_num_threads(1)
    z = np.random.default_rng(4).standard_normal((rows, EPOCH_COLUMNS))
    validation = z[:EPOCH_BATCH]

    def fit(epochs: int) -> float:
        settings = autoencoder.FitSettings(
            hidden=32,
            bottleneck=8,
            epochs=epochs,
            patience=epochs,
            batch_rows=EPOCH_BATCH,
            learning_rate=0.001,
            seed=0,
        )
        began = time.perf_counter()
        assert autoencoder.fit(z, validation, settings).epochs == epochs, "each was better"
        return time.perf_counter() - began

    # What is done once, before and after the epochs, falls out of the difference.
    taken = (fit(4) - fit(1)) / 3
    batch = torch.from_numpy(z[:EPOCH_BATCH].astype(np.float32))
    shapes = ((64, 32), (32, 8), (8, 32), (32, 64))
    weights = [torch.randn(shape) for shape in shapes]
    began = time.perf_counter()
    for _ in range(-(-rows // EPOCH_BATCH)):
        for _ in range(3):  # Forward, and backward twice: by the inputs and by the weights.
            hidden = batch
            for weight in weights:
                hidden = hidden @ weight
    products = time.perf_counter() - began
    name = f"training, an epoch of {rows:,} x {EPOCH_COLUMNS}"
    return Row(name, taken, "s", "its matrix products alone", products, ceiling=EPOCH_MOST_S)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
