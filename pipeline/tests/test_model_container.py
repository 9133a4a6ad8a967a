"""The container contract, with real processes: train, then serve what was trained."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from pipeline.model.container import STOPPED_EXIT_CODE, training_variables
from pipeline.tests import healthy
from pipeline.tests.test_model_training import write

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "pipeline.model.container"]


def lay_out(base: Path, **changes: str) -> None:
    """Write the files that SageMaker mounts into a training container."""
    config = base / "input" / "config"
    config.mkdir(parents=True)
    values = {"feature_spec": healthy.SPEC.to_json(), "epochs": "3", "smoothing_rows": "3"}
    files = {
        "hyperparameters.json": values | changes,
        "inputdataconfig.json": {"train": {"TrainingInputMode": "File"}},
        "resourceconfig.json": {"current_host": "algo-1", "hosts": ["algo-1"]},
    }
    for name, content in files.items():
        (config / name).write_text(json.dumps(content))
    (base / "input" / "data" / "train").mkdir(parents=True)
    (base / "model").mkdir()


def environment(base: Path, **more: str) -> dict[str, str]:
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return inherited | {
        "SAGEMAKER_BASE_DIR": str(base),
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        **more,
    }


def run(base: Path, command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, command],
        env=environment(base),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def get(url: str, sent: bytes | None = None) -> tuple[int, bytes]:
    request = urllib.request.Request(url, sent, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def wait_for_ping(url: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if get(f"{url}/ping")[0] == 200:
                return
        except urllib.error.URLError:
            time.sleep(0.05)
    pytest.fail("no answer to /ping")


def test_what_train_writes_serve_answers_with(tmp_path: Path) -> None:
    lay_out(tmp_path)
    data = healthy.dataset(1)
    write(data, tmp_path / "input" / "data" / "train" / "dt=2026-01-05" / "part.parquet")
    done = run(tmp_path, "train")
    assert done.returncode == 0, done.stderr
    assert "validation_loss=" in done.stdout
    assert {path.name for path in (tmp_path / "model").iterdir()} == {
        "model.json",
        "arrays.npz",
        "autoencoder.onnx",
        "autoencoder.pth",
        "model_card.json",
    }
    port = free_port()
    server = subprocess.Popen(
        [*COMMAND, "serve"],
        env=environment(
            tmp_path, SAGEMAKER_BIND_TO_PORT=str(port), SAGEMAKER_BIND_TO_HOST="127.0.0.1"
        ),
    )
    try:
        url = f"http://127.0.0.1:{port}"
        wait_for_ping(url)
        rows = [{"device_id": "m0", "event_time_ms": 1, "features": data.features[0].tolist()}]
        status, answer = get(f"{url}/invocations", json.dumps({"rows": rows}).encode())
        assert status == 200
        version = json.loads((tmp_path / "model" / "model.json").read_text())["version"]
        assert json.loads(answer)["model_version"] == version
        assert get(f"{url}/invocations", b"{")[0] == 400
        status, answer = get(f"{url}/invocations", b" " * 7 * 2**20)
        assert (status, json.loads(answer)["error"]) == (
            413,
            "the body has more than 6291456 bytes",
        )
    finally:
        server.send_signal(signal.SIGTERM)
        assert server.wait(timeout=30) == 0


def test_a_failed_training_says_why_in_the_failure_file(tmp_path: Path) -> None:
    lay_out(tmp_path)
    done = run(tmp_path, "train")
    assert done.returncode == 1
    failure = (tmp_path / "output" / "failure").read_text()
    assert failure.startswith("DatasetError: no Parquet file")
    assert len(failure) <= 1024


def test_a_stopped_training_ends_soon_and_leaves_no_failure(tmp_path: Path) -> None:
    lay_out(tmp_path, epochs="100000", patience="100000")
    write(healthy.dataset(1), tmp_path / "input" / "data" / "train" / "part.parquet")
    process = subprocess.Popen(
        [*COMMAND, "train"], env=environment(tmp_path), stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["message"].startswith("read ")
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == STOPPED_EXIT_CODE
    assert not (tmp_path / "output" / "failure").exists()


def test_serving_without_a_model_says_so(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    done = run(tmp_path, "serve")
    assert done.returncode == 1
    assert "cannot serve: no model" in done.stderr


def test_another_command_is_a_usage_error(tmp_path: Path) -> None:
    assert run(tmp_path, "dance").returncode == 2


def test_the_toolkits_common_variables_are_derived_from_the_mounted_files(tmp_path: Path) -> None:
    lay_out(tmp_path, seed="7")
    variables = training_variables(tmp_path, {})
    assert variables["SM_CHANNEL_TRAIN"] == str(tmp_path / "input" / "data" / "train")
    assert variables["SM_MODEL_DIR"] == str(tmp_path / "model")
    assert variables["SM_HP_SEED"] == "7"
    assert json.loads(variables["SM_HPS"])["seed"] == "7"
    assert json.loads(variables["SM_HOSTS"]) == ["algo-1"]
    assert json.loads(variables["SM_CHANNELS"]) == ["train"]
