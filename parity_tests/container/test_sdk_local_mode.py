"""The SageMaker SDK's local mode trains and serves with our files, unchanged.

Needs the SDK, in the environment that `make sagemaker` makes (or `SAGEMAKER_SDK_PYTHON` names a
Python that has it; see docs/sagemaker.md), and Docker with the image `fleetwin-model`, or else
bubblewrap behind the SDK's calls of `docker`.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import socket
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from parity_tests.container.jobs import HYPERPARAMETERS, features, rows
from simulator.cloud.tests.bubblewrap import WHY_NOT
from simulator.targets import ROOT

OWN = ROOT / ".venv-sagemaker" / "bin" / "python"
PYTHON = os.environ.get("SAGEMAKER_SDK_PYTHON", str(OWN) if OWN.exists() else sys.executable)
IMAGE = "fleetwin-model"
NOWHERE = "http://127.0.0.1:9"
"""What is sent elsewhere goes to a port on which nobody listens: no test calls AWS."""
QUIET = (
    "SchemaVersion: '1.0'\nSageMaker:\n  PythonSDK:\n    Modules:\n      TelemetryOptOut: true\n"
)


def _runs(*words: str) -> bool:
    try:
        done = subprocess.run(words, capture_output=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _has_sdk() -> bool:
    found = "import importlib.util as u, sys; sys.exit(u.find_spec('sagemaker.train') is None)"
    return _runs(
        PYTHON,
        "-c",
        f"import importlib.util as u, sys\ntry: {found}\nexcept ImportError: sys.exit(1)",
    )


@pytest.fixture(scope="module")
def local_mode(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """Return what the SDK's local mode answered, and the folder in which it left its files."""
    if not _has_sdk():
        pytest.skip("no SageMaker SDK: `make sagemaker` installs it")
    folder = tmp_path_factory.mktemp("sdk")
    path = os.environ["PATH"]
    if not _runs("docker", "image", "inspect", IMAGE):
        if WHY_NOT:
            pytest.skip(f"no Docker with the image {IMAGE}, and {WHY_NOT}")
        path = f"{_stand_in(folder)}:{path}"
    (folder / "data").mkdir()
    features(folder / "data")
    shutil.copytree(ROOT / "pipeline", folder / "code" / "pipeline")
    (folder / "quiet.yaml").write_text(QUIET)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    request = {
        "image": IMAGE,
        "data": str(folder / "data"),
        "code": str(folder / "code"),
        "hyperparameters": HYPERPARAMETERS,
        "port": port,
        "bodies": [["application/json", rows().decode()], ["text/csv", "m0,1\n"]],
        "csv": "".join(
            f"{row['device_id']},{','.join(map(repr, row['features']))}\n"
            for row in json.loads(rows())["rows"]
        ),
    }
    (folder / "request.json").write_text(json.dumps(request))
    program = Path(__file__).with_name("sdk_local_mode.py")
    done = subprocess.run(
        [PYTHON, str(program), str(folder / "request.json"), str(folder / "answer.json")],
        env={
            "PATH": path,
            "HOME": str(folder),
            "AWS_ACCESS_KEY_ID": "none",
            "AWS_SECRET_ACCESS_KEY": "none",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ENDPOINT_URL": NOWHERE,
            "HTTP_PROXY": NOWHERE,
            "HTTPS_PROXY": NOWHERE,
            "NO_PROXY": "127.0.0.1,localhost",
            "SAGEMAKER_USER_CONFIG_OVERRIDE": str(folder / "quiet.yaml"),
            "TMPDIR": str(folder),
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    answer: dict[str, Any] = json.loads((folder / "answer.json").read_text())
    return answer, folder


def _stand_in(folder: Path) -> Path:
    """Make a folder with a program `docker` that is our stand-in."""
    program = folder / "bin" / "docker"
    program.parent.mkdir()
    program.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(ROOT)!r})\n"
        "from parity_tests.container.docker_stand_in import main\nmain(sys.argv[1:])\n"
    )
    program.chmod(0o755)
    return program.parent


def _members(archive: str) -> dict[str, bytes]:
    with tarfile.open(
        fileobj=io.BytesIO(Path(archive.removeprefix("file://")).read_bytes())
    ) as tar:
        return {
            member.name: tar.extractfile(member).read()  # type: ignore[union-attr]
            for member in tar
            if member.isfile()
        }


def test_it_trains_to_the_files_that_the_twin_trains_to(
    local_mode: tuple[dict[str, Any], Path], archive: bytes, tmp_path: Path
) -> None:
    answer, _ = local_mode
    (tmp_path / "ours.tar.gz").write_bytes(archive)
    expected = _members(str(tmp_path / "ours.tar.gz"))
    assert _members(answer["by_image"]) == expected
    assert _members(answer["by_script"]) == expected


def test_it_serves_what_it_trained_and_passes_on_what_is_refused(
    local_mode: tuple[dict[str, Any], Path],
) -> None:
    answer, _ = local_mode
    assert answer["status"] == "InService"
    scored, refused = map(json.loads, answer["answers"])
    assert len(scored["scores"]) == 4
    assert "the model takes" in refused["error"]


def test_its_transform_jobs_have_the_endpoints_scores(
    local_mode: tuple[dict[str, Any], Path],
) -> None:
    answer, _ = local_mode
    scores = [float(line.split(",")[0]) for line in answer["transformed"].splitlines()]
    assert scores == json.loads(answer["answers"][0])["scores"]


def test_the_pinned_versions_are_in_the_ranges_that_are_installed() -> None:
    extra = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"][
        "optional-dependencies"
    ]["sagemaker"]
    pins = (ROOT / "constraints-sagemaker.txt").read_text("utf-8").splitlines()
    versions = dict(line.split("==") for line in pins if "==" in line)
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for text in extra:
        wanted = Requirement(text)
        assert wanted.specifier.contains(versions[wanted.name])
        assert f'"{text}"' in makefile
