"""Containers in bubblewrap: the true /opt/ml, nothing else to write, nothing left behind."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from simulator.cloud import isolation
from simulator.cloud.isolation import Bubblewrap
from simulator.cloud.sagemaker_endpoints import Endpoints
from simulator.cloud.sagemaker_jobs import TrainingJobs
from simulator.cloud.sagemaker_processing import ProcessingJobs
from simulator.cloud.tests import test_endpoints, test_processing_jobs, test_training_jobs
from simulator.cloud.tests.bubblewrap import needs_bubblewrap
from simulator.cloud.tests.job_fakes import JobTwin, job_twin
from simulator.errors import EnvironmentMissing
from simulator.targets import ROOT

EXPLORE = """
import json, os, pathlib, sys
assert "SAGEMAKER_BASE_DIR" not in os.environ
rows = pathlib.Path("/opt/ml/input/data/train/b.csv").read_text()
def refused(place):
    try: pathlib.Path(place, "probe").write_text("x")
    except OSError: return True
    return False
found = {
    "rows": rows,
    "argv": sys.argv[1:],
    "opt": os.listdir("/opt"),
    "writable": [each for each in sys.path + json.loads(os.environ["PLACES"]) if not refused(each)],
    "visible": [each for each in json.loads(os.environ["HIDDEN"]) if os.path.exists(each)],
    "pids": sum(each.isdigit() for each in os.listdir("/proc")),
    "home": os.environ["HOME"],
}
pathlib.Path("/opt/ml/model/found.json").write_text(json.dumps(found))
"""


@pytest.fixture
def twin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[JobTwin]:
    monkeypatch.setattr("simulator.cloud.engine.STALL_S", 30.0)
    made = job_twin(tmp_path / "twin")
    made.context.isolation = Bubblewrap()
    made.bucket("data", {"train/b.csv": "4\n", "rows/a/1.csv": "1\n2\n3\n"})
    made.bucket("models")
    made.bucket("results")
    yield made
    made.close()


def _train(twin: JobTwin, folder: Path, script: str, **more: Any) -> dict[str, Any]:
    jobs = TrainingJobs(twin.context)
    twin.dispatch.register("sagemaker", jobs.operations())
    twin.container(folder, script)
    test_training_jobs._create(twin, **more)
    return test_training_jobs._finish(twin, jobs)


@needs_bubblewrap
def test_a_container_sees_the_true_paths_and_can_write_nowhere_else(
    twin: JobTwin, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("not for jobs")
    hidden = [
        str(tmp_path / "secret"),
        str(twin.context.state / "sagemaker"),
        str(ROOT / "README.md"),
    ]
    places = ["/", "/opt", "/etc", "/usr", "/dev", "/tmp", "/opt/ml/model"]
    variables = {"PLACES": json.dumps(places), "HIDDEN": json.dumps(hidden)}
    job = _train(twin, tmp_path / "image", EXPLORE, Environment=variables)
    assert job["TrainingJobStatus"] == "Completed", twin.logs.groups
    members = test_training_jobs._members(twin, "jobs/job-1/output/model.tar.gz")
    found = json.loads(members["found.json"])
    assert found["rows"] == "4\n"
    assert found["argv"] == ["train"]
    assert found["opt"] == ["ml"]
    assert found["writable"] == ["/tmp", "/opt/ml/model"]
    assert found["visible"] == []
    assert found["pids"] <= 3
    assert found["home"] == "/tmp"


@needs_bubblewrap
@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (
            "open('/opt/ml/output/failure', 'w').write('no rows'); raise SystemExit(7)",
            "AlgorithmError: no rows, exit code: 7",
        ),
        (
            "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
            "AlgorithmError: , exit code: 137",
        ),
    ],
)
def test_how_a_container_ended_comes_through(
    twin: JobTwin, tmp_path: Path, script: str, reason: str
) -> None:
    assert _train(twin, tmp_path / "image", script)["FailureReason"] == reason


@needs_bubblewrap
def test_sigterm_reaches_a_program_that_hangs_and_its_model_is_kept(
    twin: JobTwin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("simulator.cloud.containers.HUNG_S", 0.5)
    script = """
import pathlib, signal, sys, time
def stop(*_):
    pathlib.Path("/opt/ml/model/half").write_text("x")
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
time.sleep(1e9)
"""
    limit = {"MaxRuntimeInSeconds": 600}
    job = _train(twin, tmp_path / "image", script, StoppingCondition=limit)
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")
    assert list(test_training_jobs._members(twin, "jobs/job-1/output/model.tar.gz")) == ["half"]


@needs_bubblewrap
def test_what_a_container_started_ends_with_it_even_in_a_session_of_its_own(
    twin: JobTwin, tmp_path: Path
) -> None:
    script = f"""
import os, sys
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        program = "import signal; signal.pause()  # {tmp_path.name}"
        os.execv(sys.executable, [sys.executable, "-c", program])
"""
    assert _train(twin, tmp_path / "image", script)["TrainingJobStatus"] == "Completed"
    assert _gone(tmp_path.name)


def _gone(word: str) -> bool:
    """Tell whether no process has a word in its command; the kernel may take a moment."""
    deadline = time.monotonic() + 5.0
    while _processes_with(word):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def _processes_with(word: str) -> list[str]:
    found = []
    for process in psutil.process_iter():
        try:
            line = " ".join(process.cmdline())
        except psutil.Error:
            continue
        if word in line and process.pid != os.getpid():
            found.append(line)
    return found


@needs_bubblewrap
def test_processing_jobs_and_endpoints_have_the_true_paths_too(
    twin: JobTwin, tmp_path: Path
) -> None:
    at_opt = 'pathlib.Path("/opt/ml")'
    head = 'pathlib.Path(os.environ["SAGEMAKER_BASE_DIR"])'
    twin.container(tmp_path / "count", test_processing_jobs.SCRIPT.replace(head, at_opt))
    jobs = ProcessingJobs(twin.context)
    twin.dispatch.register("sagemaker", jobs.operations())
    test_processing_jobs._create(twin)
    done = test_processing_jobs._finish(twin, jobs)
    assert (done["ProcessingJobStatus"], done["ExitMessage"]) == ("Completed", "counted rows")
    assert "['--from', '/opt/ml/x']" in twin.logs.text("/aws/sagemaker/ProcessingJobs")
    twin.container(tmp_path / "serve", test_endpoints.SERVE.replace(head, at_opt))
    service = Endpoints(twin.context)
    twin.dispatch.register("sagemaker", service.operations())
    twin.dispatch.register("sagemaker-runtime", service.runtime_operations())
    test_endpoints._model(twin, "model", 10)
    assert test_endpoints._deploy(twin, "CreateEndpoint", "model") == "InService"
    assert test_endpoints._invoke(twin)["x"] == 20
    twin.do("sagemaker", "DeleteEndpoint", EndpointName="detector")
    twin.engine.run(twin.engine.env.now + 60.0)
    service.close()
    assert _gone(f"{twin.context.state}/sagemaker/endpoints")


def test_where_it_cannot_work_cause_and_cure_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    with pytest.raises(EnvironmentMissing, match="needs Linux"):
        Bubblewrap()
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EnvironmentMissing, match="apt-get install bubblewrap"):
        Bubblewrap()
    for name, text in (
        ("env", 'shift; exec "$@"'),
        ("bwrap", "echo 'bwrap: No permissions to create new namespace' >&2; exit 1"),
    ):
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    with pytest.raises(EnvironmentMissing, match=r"\(bwrap: No permissions.*user namespaces"):
        Bubblewrap()
    with pytest.raises(EnvironmentMissing, match="'docker' is not one of plain, bubblewrap"):
        isolation.isolation("docker")
