"""Endpoints: real serving processes, checked to be ours, replaced without a gap."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.cloud.endpoint_server import EndpointServer
from simulator.cloud.errors import AwsError, NotSupportedByTwin
from simulator.cloud.job_s3 import archive, extract
from simulator.cloud.sagemaker_deployments import ROLLBACK_S
from simulator.cloud.sagemaker_endpoints import BODY_LIMIT_B, CREATE_S, UPDATE_S, Endpoints
from simulator.cloud.tests.job_fakes import IMAGE, ROLE, JobTwin, job_twin

SERVE = """
import json, os, pathlib, sys
from http.server import BaseHTTPRequestHandler, HTTPServer
assert sys.argv[1:] == ["serve"], sys.argv
base = pathlib.Path(os.environ["SAGEMAKER_BASE_DIR"])
factor = json.loads((base / "model" / "weights.json").read_text())["factor"]
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self): self.answer(200 if self.path == "/ping" else 404, b"")
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if body == b"die": os._exit(9)
        try: self.answer(200, json.dumps(
            {"x": factor * json.loads(body)["x"], "pid": os.getpid(),
             "id": self.headers.get("X-Amzn-SageMaker-Inference-Id")}).encode())
        except KeyError as error: self.answer(400, f"missing {error}".encode())
    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_): pass
print("serving", flush=True)
HTTPServer(("127.0.0.1", int(os.environ["SAGEMAKER_BIND_TO_PORT"])), Handler).serve_forever()
"""


@pytest.fixture
def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[JobTwin, Endpoints]]:
    """Return a twin and its service."""
    monkeypatch.setattr("simulator.cloud.engine.STALL_S", 30.0)
    made = job_twin(tmp_path / "twin")
    made.bucket("models")
    made.container(tmp_path / "image", SERVE)
    service = Endpoints(made.context)
    made.dispatch.register("sagemaker", service.operations())
    made.dispatch.register("sagemaker-runtime", service.runtime_operations())
    yield made, service
    service.close()
    made.close()


@pytest.fixture
def twin(pair: tuple[JobTwin, Endpoints]) -> JobTwin:
    return pair[0]


def _model(twin: JobTwin, name: str, factor: int, **more: Any) -> None:
    folder = twin.context.state / name
    folder.mkdir()
    (folder / "weights.json").write_text(json.dumps({"factor": factor}))
    twin.do("s3", "PutObject", Bucket="models", Key=f"{name}.tar.gz", Body=archive(folder))
    container = {"Image": IMAGE, "ModelDataUrl": f"s3://models/{name}.tar.gz", **more}
    twin.do(
        "sagemaker",
        "CreateModel",
        ModelName=name,
        PrimaryContainer=container,
        ExecutionRoleArn=ROLE,
    )
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": name,
        "InitialInstanceCount": 1,
        "InstanceType": "ml.m5.large",
    }
    twin.do(
        "sagemaker", "CreateEndpointConfig", EndpointConfigName=name, ProductionVariants=[variant]
    )


def _deploy(twin: JobTwin, operation: str, config: str) -> str:
    twin.do("sagemaker", operation, EndpointName="detector", EndpointConfigName=config)
    twin.engine.run(twin.engine.env.now + max(CREATE_S, UPDATE_S) - 1.0)
    assert _describe(twin)["EndpointStatus"] == {"C": "Creating", "U": "Updating"}[operation[0]]
    twin.engine.run(twin.engine.env.now + 10.0)
    return str(_describe(twin)["EndpointStatus"])


def _describe(twin: JobTwin) -> dict[str, Any]:
    answer: dict[str, Any] = twin.do("sagemaker", "DescribeEndpoint", EndpointName="detector")
    return answer


def _invoke(twin: JobTwin, body: bytes = b'{"x": 2}', **more: Any) -> dict[str, Any]:
    answer = twin.do(
        "sagemaker-runtime",
        "InvokeEndpoint",
        EndpointName="detector",
        Body=body,
        ContentType="application/json",
        **more,
    )
    assert answer["InvokedProductionVariant"] == "AllTraffic"
    decoded: dict[str, Any] = json.loads(answer["Body"])
    return decoded


def test_an_endpoint_comes_into_service_and_answers_without_moving_the_clock(
    twin: JobTwin,
) -> None:
    _model(twin, "one", 10)
    assert _deploy(twin, "CreateEndpoint", "one") == "InService"
    before_s = twin.engine.env.now
    answers = [_invoke(twin, InferenceId="i-1") for _ in range(3)]
    assert [answer["x"] for answer in answers] == [20, 20, 20]
    assert answers[0]["id"] == "i-1"
    assert twin.engine.env.now == before_s
    assert twin.points.values["AWS/SageMaker/Invocations"] == [1.0] * 3
    assert "serving" in twin.logs.text("/aws/sagemaker/Endpoints/detector")


def test_an_update_replaces_the_process_and_a_delete_ends_it(twin: JobTwin) -> None:
    _model(twin, "one", 10)
    _model(twin, "two", 20)
    _deploy(twin, "CreateEndpoint", "one")
    old = _invoke(twin)
    twin.do("sagemaker", "UpdateEndpoint", EndpointName="detector", EndpointConfigName="two")
    assert _invoke(twin)["x"] == 20
    with pytest.raises(AwsError, match="in-progress"):
        twin.do("sagemaker", "DeleteEndpoint", EndpointName="detector")
    twin.engine.run(twin.engine.env.now + UPDATE_S + 1.0)
    new = _invoke(twin)
    assert new["x"] == 40
    assert _describe(twin)["EndpointConfigName"] == "two"
    _gone(old["pid"])
    twin.do("sagemaker", "DeleteEndpoint", EndpointName="detector")
    _gone(new["pid"])
    with pytest.raises(AwsError, match="of account 000000000000 not found"):
        _invoke(twin)


def _gone(pid: int) -> None:
    deadline = time.monotonic() + 10.0
    while psutil.pid_exists(pid):
        assert time.monotonic() < deadline, f"process {pid} still runs"
        time.sleep(0.01)


def test_the_containers_error_is_a_model_error_with_its_words(twin: JobTwin) -> None:
    _model(twin, "one", 10)
    _deploy(twin, "CreateEndpoint", "one")
    with pytest.raises(AwsError) as error:
        _invoke(twin, b"{}")
    assert (error.value.code, error.value.status) == ("ModelError", 424)
    assert error.value.message.startswith(
        "Received client error (400) from primary with message \"missing 'x'\". See https://"
    )
    assert error.value.fields["OriginalStatusCode"] == 400


def test_a_container_that_died_is_started_again(twin: JobTwin) -> None:
    _model(twin, "one", 10)
    _deploy(twin, "CreateEndpoint", "one")
    first = _invoke(twin)["pid"]
    with pytest.raises(AwsError, match="Received server error"):
        _invoke(twin, b"die")
    _gone(first)
    twin.engine.run(twin.engine.env.now + 1.0)
    assert _invoke(twin)["pid"] != first


HANGS = """
import json, os, subprocess, sys, time
from http.server import BaseHTTPRequestHandler, HTTPServer
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
print(json.dumps([os.getpid(), child.pid]), flush=True)
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def do_POST(self): time.sleep(3600)
    def log_message(self, *_): pass
HTTPServer(("127.0.0.1", int(os.environ["SAGEMAKER_BIND_TO_PORT"])), Handler).serve_forever()
"""


@pytest.mark.parametrize("end", ["deleted", "closed"])
def test_a_container_that_hangs_is_a_timeout_in_awss_words_and_no_process_of_it_is_left(
    pair: tuple[JobTwin, Endpoints], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    twin, service = pair
    # Real seconds; on the run's clock the caller waits for the minute that it is on AWS.
    monkeypatch.setattr("simulator.cloud.endpoint_server.INVOKE_TIMEOUT_S", 0.3)
    twin.container(tmp_path / "image", HANGS)
    _model(twin, "one", 10)
    assert _deploy(twin, "CreateEndpoint", "one") == "InService"
    pids = json.loads(twin.logs.text("/aws/sagemaker/Endpoints/detector"))
    before_s = twin.engine.env.now
    with pytest.raises(AwsError) as hung:
        _invoke(twin)
    assert twin.engine.env.now == before_s + 60.0
    assert (hung.value.code, hung.value.status) == ("ModelError", 424)
    assert hung.value.message == (
        'Received server error (0) from primary with message "Your invocation timed out while '
        "waiting for a response from container primary. Review the latency metrics for each "
        'container in Amazon CloudWatch, resolve the issue, and try again.". See '
        "https://us-east-1.console.aws.amazon.com/cloudwatch/home?region=us-east-1"
        "#logEventViewer:group=/aws/sagemaker/Endpoints/detector in account 000000000000 for "
        "more information."
    )
    assert hung.value.fields["OriginalStatusCode"] == 0
    assert twin.points.values["AWS/SageMaker/Invocation5XXErrors"] == [1.0]
    (latency_us,) = twin.points.values["AWS/SageMaker/ModelLatency"]
    assert latency_us == pytest.approx(60e6, rel=1e-4)
    assert all(psutil.pid_exists(pid) for pid in pids), "AWS does not end it either"
    if end == "deleted":
        twin.do("sagemaker", "DeleteEndpoint", EndpointName="detector")
    else:
        service.close()
    for pid in pids:
        _gone(pid)


def test_an_endpoint_whose_container_does_not_serve_fails_and_an_update_rolls_back(
    twin: JobTwin, tmp_path: Path
) -> None:
    _model(twin, "one", 10)
    _model(twin, "two", 10)
    _deploy(twin, "CreateEndpoint", "one")
    twin.container(tmp_path / "image", "import sys; print('broken'); sys.exit(1)")
    assert _deploy(twin, "UpdateEndpoint", "two") == "RollingBack"
    twin.engine.run(twin.engine.env.now + ROLLBACK_S)
    assert _describe(twin)["EndpointStatus"] == "InService"
    assert "did not pass the ping health check" in _describe(twin)["FailureReason"]
    assert _describe(twin)["EndpointConfigName"] == "one"
    assert _invoke(twin)["x"] == 20
    twin.do("sagemaker", "DeleteEndpoint", EndpointName="detector")
    assert _deploy(twin, "CreateEndpoint", "one") == "Failed"


def test_a_server_that_is_not_ours_is_not_taken_for_the_endpoint(
    twin: JobTwin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("simulator.cloud.endpoint_server._listens", lambda pid, port: False)
    _model(twin, "one", 10)
    assert _deploy(twin, "CreateEndpoint", "one") == "Failed"
    assert "another program answers" in _describe(twin)["FailureReason"]


def test_a_stolen_port_is_replaced_by_another(
    twin: JobTwin, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[int] = []

    def stolen(server: EndpointServer) -> bool:
        tries.append(1)
        return True

    monkeypatch.setattr(EndpointServer, "_stolen_port", stolen)
    monkeypatch.setattr(
        "simulator.cloud.endpoint_server._listens", lambda pid, port: len(tries) == 2
    )
    _model(twin, "one", 10)
    assert _deploy(twin, "CreateEndpoint", "one") == "InService"
    assert _invoke(twin)["x"] == 20


def test_a_body_above_the_limit_is_refused(twin: JobTwin) -> None:
    _model(twin, "one", 10)
    _deploy(twin, "CreateEndpoint", "one")
    with pytest.raises(AwsError, match="HTTP content length exceeded") as error:
        _invoke(twin, b"x" * (BODY_LIMIT_B + 1))
    assert error.value.status == 413


def test_a_model_needs_its_archive_readable_by_its_role(twin: JobTwin) -> None:
    twin.allow()
    with pytest.raises(AwsError, match="Could not access model data") as error:
        _model(twin, "one", 10)
    assert error.value.code == "ValidationException"


@pytest.mark.parametrize(
    ("spoilt", "reason"),
    [
        (b"not an archive", "extract model data archive for container"),
        (b"\x1f\x8b", "extract model data archive for container"),
        (None, "download model data for container"),
    ],
)
def test_an_archive_that_is_none_fails_the_endpoint_with_the_reason(
    twin: JobTwin, spoilt: bytes | None, reason: str
) -> None:
    _model(twin, "one", 10)
    place = {"Bucket": "models", "Key": "one.tar.gz"}
    if spoilt is None:
        twin.do("s3", "DeleteObject", **place)
    else:
        twin.do("s3", "PutObject", **place, Body=spoilt)
    assert _deploy(twin, "CreateEndpoint", "one") == "Failed"
    assert _describe(twin)["FailureReason"].startswith(f'Failed to {reason} "container_1" from URL')
    children = psutil.Process().children(recursive=True)
    assert [each for each in children if "main.py" in _command(each)] == []


@settings(deadline=None)
@given(st.data())
def test_a_spoilt_archive_is_unpacked_or_refused_and_nothing_else(data: st.DataObject) -> None:
    with TemporaryDirectory() as folder:
        (Path(folder) / "in").mkdir()
        (Path(folder) / "in" / "weights").write_bytes(bytes(range(256)) * 8)
        body = bytearray(archive(Path(folder) / "in"))
        for place in data.draw(st.lists(st.integers(0, len(body) - 1), min_size=1, max_size=4)):
            body[place] = data.draw(st.integers(0, 255))
        with suppress(ValueError):
            extract(bytes(body[: data.draw(st.integers(0, len(body)))]), Path(folder) / "out")
        assert {each.name for each in Path(folder).iterdir()} <= {"in", "out"}


def test_models_and_configurations_are_described_and_deleted(twin: JobTwin) -> None:
    _model(twin, "one", 10)
    assert twin.do("sagemaker", "DescribeModel", ModelName="one")["ExecutionRoleArn"] == ROLE
    config = twin.do("sagemaker", "DescribeEndpointConfig", EndpointConfigName="one")
    assert config["ProductionVariants"][0]["ModelName"] == "one"
    twin.do("sagemaker", "DeleteEndpointConfig", EndpointConfigName="one")
    twin.do("sagemaker", "DeleteModel", ModelName="one")
    for operation, name in (("Model", "ModelName"), ("EndpointConfig", "EndpointConfigName")):
        with pytest.raises(AwsError, match="Could not find"):
            twin.do("sagemaker", f"Describe{operation}", **{name: "one"})
    with pytest.raises(NotSupportedByTwin, match="Mode MultiModel"):
        _model(twin, "three", 1, Mode="MultiModel")


def _command(process: psutil.Process) -> list[str]:
    """Return a process's words; none of one that has ended and only waits to be asked how."""
    try:
        return list(process.cmdline())
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return []
