"""Batch transform jobs: a real container asked about every object of a prefix."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from simulator.cloud.errors import AwsError, NotSupportedByTwin
from simulator.cloud.sagemaker_endpoints import Endpoints
from simulator.cloud.sagemaker_transform import TransformJobs
from simulator.cloud.tests.job_fakes import IMAGE, ROLE, JobTwin, job_twin

SCRIPT = """
import json, os, sys, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
seen, at_once, lock, together = set(), [0, 0], threading.Lock(), threading.Event()
assert sys.argv[1:] == ["serve"], sys.argv
print({k: v for k, v in sorted(os.environ.items()) if k.startswith("SAGEMAKER_") and "B" in k[10:]
       and "BASE" not in k and "BIND" not in k}, flush=True)
def say(*words):  # In one piece: threads speak at once.
    sys.stdout.write(" ".join(map(str, words)) + "\\n")
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        said = os.environ.get("PARAMETERS", "")
        known = self.path == "/ping" or said
        self.answer(200 if known else 404, b"" if self.path == "/ping" else said.encode())
    def body(self):
        if "Content-Length" in self.headers:
            return self.rfile.read(int(self.headers["Content-Length"]))
        pieces = []
        while size := int(self.rfile.readline(), 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)
    def do_POST(self):
        body = self.body()
        with lock:
            at_once[0] += 1
            at_once[1] = max(at_once)
            if at_once[0] == int(os.environ.get("TOGETHER", "1")):
                together.set()
        say("asked", len(body), self.headers["Content-Type"], self.headers["Accept"])
        together.wait(20)
        time.sleep(float(os.environ.get("SLEEP", "0")))
        status, answer = self.status_of(body)
        with lock:
            at_once[0] -= 1
            say("at once", at_once[1])
        self.answer(status, answer)
    def status_of(self, body):
        if b"die" in body and not os.path.exists("died"):
            open("died", "w").close()
            os._exit(3)
        if b"bad" in body:
            return 400, b"no such machine"
        if b"broken" in body or (b"flaky" in body and body not in seen):
            seen.add(body)
            return 500, b"out of order"
        if self.headers["Content-Type"] == "text/csv":
            rows = [line.split(",") for line in body.decode().split("\\n")]
            return 200, "".join(f"{len(row)}:{row[0]}\\n" for row in rows).encode()
        return 200, b"<" + body + b">"
    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
port = int(os.environ["SAGEMAKER_BIND_TO_PORT"])
ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""
GROUP = "/aws/sagemaker/TransformJobs"
ROWS = {"in/a/1.csv": "1,x\n2,y\n3,z\n", "in/b.csv": "4,w\n", "inner.csv": "5,v\n"}


@pytest.fixture
def twin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[JobTwin]:
    monkeypatch.setattr("simulator.cloud.engine.STALL_S", 30.0)
    made = job_twin(tmp_path / "twin")
    made.bucket("data", ROWS)
    made.bucket("out")
    made.container(tmp_path / "image", SCRIPT)
    yield made
    made.close()


@pytest.fixture
def jobs(twin: JobTwin) -> Iterator[TransformJobs]:
    endpoints = Endpoints(twin.context)
    service = TransformJobs(twin.context, endpoints.models)
    for operations in (endpoints.operations(), service.operations()):
        twin.dispatch.register("sagemaker", operations)
    twin.do(
        "sagemaker",
        "CreateModel",
        ModelName="m",
        PrimaryContainer={"Image": IMAGE, "Environment": {"LEVEL": "info"}},
        ExecutionRoleArn=ROLE,
    )
    yield service
    service.close()
    endpoints.close()


def _create(
    twin: JobTwin,
    name: str = "job-1",
    uri: str = "s3://data/in/",
    *,
    kind: str = "S3Prefix",
    instances: int = 1,
    source: dict[str, Any] | None = None,
    **more: Any,
) -> Any:
    place = {"S3DataType": kind, "S3Uri": uri}
    request = {
        "TransformJobName": name,
        "ModelName": "m",
        "TransformInput": {
            "DataSource": {"S3DataSource": place},
            "ContentType": "text/csv",
            "SplitType": "Line",
            **(source or {}),
        },
        "TransformOutput": {
            "S3OutputPath": "s3://out/to/",
            "Accept": "text/csv",
            "AssembleWith": "Line",
        },
        "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": instances},
        **more,
    }
    return twin.do("sagemaker", "CreateTransformJob", **request)


def _finish(twin: JobTwin, jobs: TransformJobs, name: str = "job-1") -> dict[str, Any]:
    twin.engine.run(jobs.wait_event(name))
    job: dict[str, Any] = twin.do("sagemaker", "DescribeTransformJob", TransformJobName=name)
    return job


def _outputs(twin: JobTwin) -> dict[str, bytes]:
    return {
        key.removeprefix("to/"): twin.do("s3", "GetObject", Bucket="out", Key=key)["Body"]
        for key in twin.keys("out")
    }


def test_every_object_of_a_prefix_gets_an_output_beside_the_same_path(
    twin: JobTwin, jobs: TransformJobs
) -> None:
    told: list[str] = []
    twin.context.emit = lambda source, kind, detail, arns: told.append(
        f"{source} {kind} {detail['TransformJobStatus']}"
    )
    answer = _create(twin)
    job = _finish(twin, jobs)
    assert job["TransformJobStatus"] == "Completed", (job, twin.logs.text(GROUP))
    assert job["TransformJobArn"] == answer["TransformJobArn"]
    assert _outputs(twin) == {"a/1.csv.out": b"2:1\n2:2\n2:3\n", "b.csv.out": b"2:4\n"}
    log = twin.logs.text(GROUP)
    # Nobody set them, so the container is not told (developer guide, batch code).
    assert "{'SAGEMAKER_BATCH': 'true'}" in log
    assert "asked 11 text/csv text/csv" in log
    assert "MaxConcurrentTransforms=1, MaxPayloadInMB=6, BatchStrategy=MULTI_RECORD" in log
    assert told == [
        f"aws.sagemaker SageMaker Transform Job State Change {state}"
        for state in ("InProgress", "Completed")
    ]


def test_single_records_go_at_once_and_come_back_in_order(
    twin: JobTwin, jobs: TransformJobs
) -> None:
    _create(
        twin,
        MaxConcurrentTransforms=3,
        BatchStrategy="SingleRecord",
        MaxPayloadInMB=1,
        Environment={"TOGETHER": "3"},
    )
    assert _finish(twin, jobs)["TransformJobStatus"] == "Completed"
    assert _outputs(twin)["a/1.csv.out"] == b"2:1\n2:2\n2:3\n"
    log = twin.logs.text(GROUP)
    assert log.count("asked 3 ") == 4
    assert "at once 3" in log
    assert "'SAGEMAKER_BATCH_STRATEGY': 'SINGLE_RECORD'" in log


def test_a_container_may_say_how_it_wants_to_be_asked(twin: JobTwin, jobs: TransformJobs) -> None:
    wish = {"MaxConcurrentTransforms": 2, "BatchStrategy": "SINGLE_RECORD", "MaxPayloadInMB": 1}
    _create(twin, Environment={"PARAMETERS": json.dumps(wish)})
    assert _finish(twin, jobs)["TransformJobStatus"] == "Completed"
    words = "MaxConcurrentTransforms=2, MaxPayloadInMB=1, BatchStrategy=SINGLE_RECORD"
    assert words in twin.logs.text(GROUP)


def test_a_bad_record_costs_its_file_the_output_and_no_other_file(
    twin: JobTwin, jobs: TransformJobs
) -> None:
    for key, body in (("in/c.csv", "1,x\nbad\n"), ("in/d.csv", "broken\n"), ("in/e.csv", "flaky")):
        twin.do("s3", "PutObject", Bucket="data", Key=key, Body=body.encode())
    _create(twin, BatchStrategy="SingleRecord", ModelClientConfig={"InvocationsMaxRetries": 1})
    job = _finish(twin, jobs)
    assert job["TransformJobStatus"] == "Failed"
    assert job["FailureReason"] == "ClientError: See job logs for more information"
    # The one that failed once was asked again.
    assert sorted(_outputs(twin)) == ["a/1.csv.out", "b.csv.out", "e.csv.out"]
    log = twin.logs.text(GROUP)
    assert "data/in/c.csv: ClientError: 400" in log
    assert "data/in/c.csv: no such machine" in log
    assert "data/in/d.csv: Bad HTTP status received from algorithm: 500" in log
    # A bad request is not sent again, a failed one is.
    assert (log.count("asked 3 "), log.count("asked 6 ")) == (6, 2)


def test_a_container_that_dies_or_is_silent_is_asked_again(
    twin: JobTwin, jobs: TransformJobs
) -> None:
    twin.do("s3", "PutObject", Bucket="data", Key="in/c.csv", Body=b"die,1")
    _create(twin)
    assert _finish(twin, jobs)["TransformJobStatus"] == "Completed"
    config = {"InvocationsTimeoutInSeconds": 1, "InvocationsMaxRetries": 0}
    _create(twin, "slow", ModelClientConfig=config, Environment={"SLEEP": "1.5"})
    job = _finish(twin, jobs, "slow")
    assert job["FailureReason"] == "AlgorithmError: See job logs for more information"
    assert "Unable to get response from algorithm" in twin.logs.text(GROUP)


def test_ids_are_left_out_for_the_model_and_joined_with_its_results(
    twin: JobTwin, jobs: TransformJobs
) -> None:
    twin.do("s3", "PutObject", Bucket="data", Key="in/a/1.csv", Body=b'"p, 1",7,8\r\np2,9,8\r\n')
    processing = {"InputFilter": "$[1:]", "JoinSource": "Input", "OutputFilter": "$[0,-1]"}
    _create(twin, DataProcessing=processing)
    assert _finish(twin, jobs)["TransformJobStatus"] == "Completed"
    assert _outputs(twin)["a/1.csv.out"] == b'"p, 1",2:7\np2,2:9\n'


def test_a_manifest_of_zipped_objects_is_read_by_two_instances(
    twin: JobTwin, jobs: TransformJobs
) -> None:
    manifest = [{"prefix": "s3://data/z/"}, "one.gz", "deep/two.gz", "torn.gz"]
    bodies = {
        "z/one.gz": gzip.compress(b"1,2"),
        "z/deep/two.gz": gzip.compress(b"3"),
        "z/torn.gz": b"no gzip",
        "list.manifest": json.dumps(manifest).encode(),
    }
    for key, body in bodies.items():
        twin.do("s3", "PutObject", Bucket="data", Key=key, Body=body)
    _create(
        twin,
        uri="s3://data/list.manifest",
        kind="ManifestFile",
        instances=2,
        source={"CompressionType": "Gzip"},
    )
    assert _finish(twin, jobs)["TransformJobStatus"] == "Failed"
    assert _outputs(twin) == {"one.gz.out": b"2:1\n", "deep/two.gz.out": b"1:3\n"}
    streams = {stream for group, stream in twin.logs.groups if group == GROUP}
    assert len(streams) == 4


def test_a_whole_file_goes_in_chunks_when_the_payload_has_no_limit(
    twin: JobTwin, jobs: TransformJobs
) -> None:
    body = bytes(range(1, 200)) * 1000
    twin.do("s3", "PutObject", Bucket="data", Key="blob", Body=body)
    place = {"ContentType": "application/octet-stream", "SplitType": "None"}
    target = {"S3OutputPath": "s3://out/to"}
    _create(twin, uri="s3://data/blob", source=place, TransformOutput=target, MaxPayloadInMB=0)
    assert _finish(twin, jobs)["TransformJobStatus"] == "Completed"
    assert _outputs(twin) == {"blob.out": b"<" + body + b">"}


def test_a_file_beyond_the_payload_fails(twin: JobTwin, jobs: TransformJobs) -> None:
    twin.do("s3", "PutObject", Bucket="data", Key="blob", Body=b"x" * (1 << 20) + b"x")
    _create(twin, uri="s3://data/blob", source={"SplitType": "None"}, MaxPayloadInMB=1)
    assert _finish(twin, jobs)["TransformJobStatus"] == "Failed"
    assert "max payload size" in twin.logs.text(GROUP)


def test_a_stopped_job_stores_nothing(twin: JobTwin, jobs: TransformJobs) -> None:
    _create(twin, BatchStrategy="SingleRecord")
    twin.engine.run(twin.engine.env.now + 95.1)
    twin.do("sagemaker", "StopTransformJob", TransformJobName="job-1")
    assert _finish(twin, jobs)["TransformJobStatus"] == "Stopped"
    assert 0 < twin.logs.text(GROUP).count("asked") < 4
    assert _outputs(twin) == {}
    with pytest.raises(AwsError, match="in status Stopped"):
        twin.do("sagemaker", "StopTransformJob", TransformJobName="job-1")
    page = twin.do("sagemaker", "ListTransformJobs", StatusEquals="Stopped")
    assert [each["TransformJobName"] for each in page["TransformJobSummaries"]] == ["job-1"]


@pytest.mark.parametrize("word", ["{'SAGEMAKER_BATCH'", "asked 11"])
def test_a_container_is_stopped_whatever_it_does(
    twin: JobTwin, jobs: TransformJobs, monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    original = twin.logs.append

    def append(group: str, stream: str, lines: Sequence[str]) -> None:
        original(group, stream, lines)
        if any(line.startswith(word) for line in lines):
            twin.do("sagemaker", "StopTransformJob", TransformJobName="job-1")

    monkeypatch.setattr(twin.logs, "append", append)
    _create(twin, Environment={"SLEEP": "60"})
    job = _finish(twin, jobs)
    assert (job["TransformJobStatus"], job.get("FailureReason")) == ("Stopped", None)
    assert "at once" not in twin.logs.text(GROUP)
    assert _outputs(twin) == {}


def test_a_job_needs_its_input_its_model_and_a_container_that_comes_up(
    twin: JobTwin, jobs: TransformJobs, tmp_path: Path
) -> None:
    twin.allow((["s3:ListBucket"], ["*"]))
    _create(twin)
    assert "s3:GetObject" in _finish(twin, jobs)["FailureReason"]
    with pytest.raises(AwsError, match="must be unique"):
        _create(twin)
    with pytest.raises(AwsError, match="Could not find model"):
        _create(twin, "other", ModelName="none")
    twin.allow((["s3:*"], ["*"]))
    _create(twin, "nothing", uri="s3://data/none")
    assert "No S3 objects found" in _finish(twin, jobs, "nothing")["FailureReason"]
    twin.container(tmp_path / "image", "raise SystemExit(4)")
    _create(twin, "dead")
    assert "exit code 4" in _finish(twin, jobs, "dead")["FailureReason"]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"MaxConcurrentTransforms": 20, "MaxPayloadInMB": 6}, "must not exceed 100"),
        ({"MaxPayloadInMB": 101}, "must not exceed 100"),
        ({"DataProcessing": {"InputFilter": "$.a"}}, "with indexes"),
        ({"DataProcessing": {"InputFilter": "$..a"}}, "is not supported"),
    ],
)
def test_settings_beyond_the_limits_are_refused(
    twin: JobTwin, jobs: TransformJobs, more: dict[str, Any], words: str
) -> None:
    with pytest.raises(AwsError, match=words) as refused:
        _create(twin, **more)
    assert refused.value.code == "ValidationException"


@pytest.mark.parametrize(
    "more",
    [
        {"source": {"SplitType": "RecordIO"}},
        {"DataCaptureConfig": {"DestinationS3Uri": "s3://out/c"}},
        {"kind": "AugmentedManifestFile"},
        {"instances": 9},
    ],
)
def test_what_is_not_here_is_refused_by_name(
    twin: JobTwin, jobs: TransformJobs, more: dict[str, Any]
) -> None:
    with pytest.raises(NotSupportedByTwin):
        _create(twin, **more)
