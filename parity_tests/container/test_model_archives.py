"""A model archive is one thing, wherever it was made: by the twin's jobs or by hand."""

from __future__ import annotations

import io
import json
import socket
import subprocess
import tarfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from parity_tests.container.jobs import (
    HYPERPARAMETERS,
    archive_of,
    by_hand,
    deploy,
    features,
    invoke,
    rows,
    train,
    twin,
)
from simulator.cloud.isolation import BUBBLEWRAP, PLAIN
from simulator.cloud.tests.bubblewrap import needs_bubblewrap
from simulator.unpacking import unpack

START_S = 60.0


@pytest.fixture(scope="module")
def answered(archive: bytes, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return what an endpoint of a twin answers with the archive that a twin trained."""
    with twin(tmp_path_factory.mktemp("plain"), PLAIN) as cloud:
        assert deploy(cloud, "first", archive)["EndpointStatus"] == "InService"
        return invoke(cloud, "first", rows())


@pytest.fixture(scope="module")
def made_by_hand(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return an archive of `train` in a folder laid out as /opt/ml, packed by the program tar."""
    base = tmp_path_factory.mktemp("ml")
    for name in ("input/config", "input/data/train/dt=2026-01-05", "model"):
        (base / name).mkdir(parents=True)
    features(base / "input" / "data" / "train" / "dt=2026-01-05")
    config = base / "input" / "config"
    (config / "hyperparameters.json").write_text(json.dumps(HYPERPARAMETERS))
    (config / "inputdataconfig.json").write_text('{"train": {"TrainingInputMode": "File"}}')
    (config / "resourceconfig.json").write_text('{"current_host": "algo-1", "hosts": ["algo-1"]}')
    process = by_hand(base, "train")
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said
    packed = base / "model.tar.gz"
    subprocess.run(["tar", "-czf", str(packed), "-C", str(base / "model"), "."], check=True)
    return packed.read_bytes()


def members(body: bytes) -> dict[str, bytes]:
    """Return the files of an archive by name."""
    with tarfile.open(fileobj=io.BytesIO(body)) as tar:
        files = [each for each in tar if each.isfile()]
        return {
            each.name.removeprefix("./"): tar.extractfile(each).read()  # type: ignore[union-attr]
            for each in files
        }


def test_what_the_twin_trained_is_served_by_the_entry_point_alone(
    archive: bytes, answered: Any, tmp_path: Path
) -> None:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        unpack(tar, tmp_path / "model")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    server = by_hand(
        tmp_path, "serve", SAGEMAKER_BIND_TO_PORT=port, SAGEMAKER_BIND_TO_HOST="127.0.0.1"
    )
    try:
        assert json.loads(_asked(server, f"http://127.0.0.1:{port}", rows())) == answered
    finally:
        server.terminate()
        server.communicate(timeout=30)
    assert server.returncode == 0


def _asked(server: subprocess.Popen[str], url: str, body: bytes) -> bytes:
    deadline = time.monotonic() + START_S
    while True:
        try:
            with urllib.request.urlopen(f"{url}/ping", timeout=2) as ping:
                assert (ping.status, ping.read()) == (200, b"")
                break
        except (urllib.error.URLError, TimeoutError):
            assert server.poll() is None
            assert time.monotonic() < deadline, "no answer to /ping"
            time.sleep(0.05)
    asked = urllib.request.Request(f"{url}/invocations", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(asked, timeout=30) as answer:
        read: bytes = answer.read()
        return read


@pytest.mark.parametrize("isolation", [PLAIN, pytest.param(BUBBLEWRAP, marks=needs_bubblewrap)])
def test_what_was_trained_by_hand_is_served_by_the_twin(
    made_by_hand: bytes, answered: Any, tmp_path: Path, isolation: str
) -> None:
    with twin(tmp_path, isolation) as cloud:
        described = deploy(cloud, "by-hand", made_by_hand)
        assert described["EndpointStatus"] == "InService", described["FailureReason"]
        assert invoke(cloud, "by-hand", rows()) == answered


def test_the_same_rows_train_to_the_same_files_by_hand_and_in_the_twin(
    made_by_hand: bytes, archive: bytes
) -> None:
    assert members(made_by_hand) == members(archive)


@needs_bubblewrap
def test_the_same_rows_train_to_the_same_archive_in_both_isolations(
    archive: bytes, tmp_path: Path
) -> None:
    with twin(tmp_path, BUBBLEWRAP) as cloud:
        assert archive_of(cloud, train(cloud, "first")) == archive
