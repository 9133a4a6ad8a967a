"""Training jobs: a real process under SageMaker's container contract, on the run's clock."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest

from simulator.cloud.compute_turns import ComputeTurns
from simulator.cloud.errors import AccessDenied, AwsError, NotSupportedByTwin
from simulator.cloud.job_s3 import archive
from simulator.cloud.sagemaker_jobs import TrainingJobs
from simulator.cloud.tests.job_fakes import IMAGE, ROLE, JobTwin, job_twin
from simulator.cloud.training_runs import DOWNLOAD_BASE_S, LAUNCH_S, TRAIN_BASE_S, UPLOAD_S

HEAD = """
import json, os, pathlib, signal, sys, time
base = pathlib.Path(os.environ["SAGEMAKER_BASE_DIR"])
config = {p.stem: json.loads(p.read_text()) for p in (base / "input/config").glob("*.json")}
assert sys.argv[1:] == ["train"], sys.argv
"""
TRAIN = (
    HEAD
    + """
rows = sum(len(p.read_text().split()) for p in sorted((base / "input/data/train").rglob("*.csv")))
for epoch in range(int(config["hyperparameters"]["epochs"])):
    print(f"epoch={epoch} loss={1 / (epoch + 1):.3f};", flush=True)
(base / "model" / "weights.json").write_text(json.dumps({"rows": rows, **config}))
(base / "model" / "code").mkdir()
(base / "model" / "code" / "inference.py").write_text("")
print(os.environ["TRAINING_JOB_NAME"], os.environ["TUNED"], file=sys.stderr)
"""
)


COMMON = (
    "AlgorithmSpecification",
    "RoleArn",
    "HyperParameters",
    "Environment",
    "InputDataConfig",
    "OutputDataConfig",
    "ResourceConfig",
)


@pytest.fixture
def twin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[JobTwin]:
    monkeypatch.setattr("simulator.cloud.engine.STALL_S", 30.0)
    made = job_twin(tmp_path / "twin")
    made.bucket("data", {"train/a/1.csv": "1\n2\n3\n", "train/b.csv": "4\n", "other.csv": "5\n"})
    made.bucket("models")
    made.container(tmp_path / "image", TRAIN)
    yield made
    made.close()


@pytest.fixture
def jobs(twin: JobTwin) -> TrainingJobs:
    service = TrainingJobs(twin.context)
    twin.dispatch.register("sagemaker", service.operations())
    return service


def _create(twin: JobTwin, name: str = "job-1", **more: Any) -> Any:
    source = {
        "S3DataType": "S3Prefix",
        "S3Uri": "s3://data/train/",
        "S3DataDistributionType": "FullyReplicated",
    }
    request = {
        "TrainingJobName": name,
        "AlgorithmSpecification": {
            "TrainingImage": IMAGE,
            "TrainingInputMode": "File",
            "MetricDefinitions": [{"Name": "loss", "Regex": r"loss=(.*?);"}],
        },
        "RoleArn": ROLE,
        "HyperParameters": {"epochs": "4"},
        "Environment": {"TUNED": "yes"},
        "InputDataConfig": [{"ChannelName": "train", "DataSource": {"S3DataSource": source}}],
        "OutputDataConfig": {"S3OutputPath": "s3://models/jobs/"},
        "ResourceConfig": {
            "InstanceType": "ml.m5.large",
            "InstanceCount": 1,
            "VolumeSizeInGB": 5,
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
        **more,
    }
    return twin.do("sagemaker", "CreateTrainingJob", **request)


def _finish(twin: JobTwin, jobs: TrainingJobs, name: str = "job-1") -> dict[str, Any]:
    twin.engine.run(jobs.wait_event(name))
    job: dict[str, Any] = twin.do("sagemaker", "DescribeTrainingJob", TrainingJobName=name)
    return job


def _members(twin: JobTwin, key: str) -> dict[str, bytes]:
    body = twin.do("s3", "GetObject", Bucket="models", Key=key)["Body"]
    with tarfile.open(fileobj=io.BytesIO(body)) as tar:
        return {m.name: tar.extractfile(m).read() for m in tar}  # type: ignore[union-attr]


def test_a_job_trains_on_its_channels_and_leaves_its_model(
    twin: JobTwin, jobs: TrainingJobs
) -> None:
    answer = _create(twin)
    job = _finish(twin, jobs)
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Completed", "Completed"), job
    assert job["TrainingJobArn"] == answer["TrainingJobArn"]
    assert job["ModelArtifacts"]["S3ModelArtifacts"] == "s3://models/jobs/job-1/output/model.tar.gz"
    members = _members(twin, "jobs/job-1/output/model.tar.gz")
    assert sorted(members) == ["code/inference.py", "weights.json"]
    assert b'"rows": 4' in members["weights.json"]
    assert b'"epochs": "4"' in members["weights.json"]
    assert b'"current_instance_type": "ml.m5.large"' in members["weights.json"]
    (metric,) = job["FinalMetricDataList"]
    assert (metric["MetricName"], metric["Value"]) == ("loss", 0.25)
    log = twin.logs.text("/aws/sagemaker/TrainingJobs")
    assert "epoch=3 loss=0.250;" in log
    assert "job-1 yes" in log


def test_a_job_passes_its_phases_on_the_runs_clock(twin: JobTwin, jobs: TrainingJobs) -> None:
    _create(twin)
    job = _finish(twin, jobs)
    phases = [each["Status"] for each in job["SecondaryStatusTransitions"]]
    assert phases == ["Starting", "Downloading", "Training", "Uploading", "Completed"]
    took_s = (job["TrainingEndTime"] - job["CreationTime"]).total_seconds()
    assert took_s == pytest.approx(LAUNCH_S + DOWNLOAD_BASE_S + TRAIN_BASE_S + UPLOAD_S, abs=0.001)
    assert job["BillableTimeInSeconds"] == 31


def test_the_archive_of_the_same_files_has_the_same_bytes(tmp_path: Path) -> None:
    packed = []
    for name, order in (("one", "ab"), ("two", "ba")):
        for letter in order:
            (tmp_path / name / letter).mkdir(parents=True)
            (tmp_path / name / letter / "file").write_text(letter)
        packed.append(archive(tmp_path / name))
    assert packed[0] == packed[1]


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (
            "(base / 'output/failure').write_text('no healthy rows' + 'x' * 2000); sys.exit(7)",
            "AlgorithmError: no healthy rowsxxx",
        ),
        ("sys.exit(3)", "AlgorithmError: , exit code: 3"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "AlgorithmError: , exit code: 137"),
    ],
)
def test_a_failing_container_fails_its_job_with_its_own_words(
    twin: JobTwin, jobs: TrainingJobs, tmp_path: Path, script: str, reason: str
) -> None:
    twin.container(tmp_path / "image", HEAD + script)
    _create(twin)
    job = _finish(twin, jobs)
    assert job["TrainingJobStatus"] == "Failed"
    assert job["FailureReason"].startswith(reason)
    assert len(job["FailureReason"]) <= 1024
    assert twin.keys("models") == []


def test_a_role_that_may_not_read_or_write_fails_the_job(twin: JobTwin, jobs: TrainingJobs) -> None:
    twin.allow((["s3:ListBucket"], ["*"]), (["s3:PutObject"], ["arn:aws:s3:::models/*"]))
    _create(twin, "reader")
    assert "s3:GetObject" in _finish(twin, jobs, "reader")["FailureReason"]
    twin.allow((["s3:ListBucket", "s3:GetObject"], ["*"]))
    _create(twin, "writer")
    assert "s3:PutObject" in _finish(twin, jobs, "writer")["FailureReason"]


def test_a_job_without_input_is_refused_and_fails_when_it_vanishes(
    twin: JobTwin, jobs: TrainingJobs
) -> None:
    source = {"S3DataType": "S3Prefix", "S3Uri": "s3://data/none/"}
    channel = {"ChannelName": "train", "DataSource": {"S3DataSource": source}}
    with pytest.raises(AwsError, match=r'No S3 objects found under S3 URL "s3://data/none/"') as no:
        _create(twin, InputDataConfig=[channel])
    assert no.value.code == "ValidationException"
    _create(twin)
    for key in ("train/a/1.csv", "train/b.csv"):
        twin.do("s3", "DeleteObject", Bucket="data", Key=key)
    reason = _finish(twin, jobs)["FailureReason"]
    assert reason.startswith("ClientError: Data download failed: No S3 objects found under S3 URL")


def test_a_stopped_job_gets_sigterm_and_keeps_its_model(
    twin: JobTwin, jobs: TrainingJobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = """
def stop(*_):
    (base / "model" / "half").write_text("x")
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
print("ready", flush=True)
signal.pause()
"""
    twin.container(tmp_path / "image", HEAD + script)
    _create(twin)
    original = twin.logs.append

    def append(group: str, stream: str, lines: Sequence[str]) -> None:
        original(group, stream, lines)
        if "ready" in lines:
            twin.do("sagemaker", "StopTrainingJob", TrainingJobName="job-1")

    monkeypatch.setattr(twin.logs, "append", append)
    job = _finish(twin, jobs)
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "Stopped")
    assert list(_members(twin, "jobs/job-1/output/model.tar.gz")) == ["half"]
    with pytest.raises(AwsError, match="in status Stopped"):
        twin.do("sagemaker", "StopTrainingJob", TrainingJobName="job-1")


def test_a_job_longer_than_its_limit_is_stopped(twin: JobTwin, jobs: TrainingJobs) -> None:
    _create(twin, StoppingCondition={"MaxRuntimeInSeconds": 7})
    job = _finish(twin, jobs)
    assert job["TrainingJobStatus"] == "Stopped"
    assert job["SecondaryStatus"] == "MaxRuntimeExceeded"
    training = job["SecondaryStatusTransitions"][2]
    assert training["EndTime"] - training["StartTime"] == timedelta(seconds=7)
    assert twin.keys("models") == ["jobs/job-1/output/model.tar.gz"]


@pytest.mark.parametrize(
    ("script", "model"),
    [
        ("print('at work', flush=True)\nwhile True: pass", []),
        (
            "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
            "(base / 'model' / 'half').write_text('x')\nwhile True: pass",
            ["half"],
        ),
    ],
    ids=["ends by SIGTERM", "ignores SIGTERM"],
)
def test_a_container_that_hangs_is_stopped_at_its_limit_and_leaves_no_process(
    twin: JobTwin,
    jobs: TrainingJobs,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    script: str,
    model: list[str],
) -> None:
    monkeypatch.setattr("simulator.cloud.containers.HUNG_S", 0.5)
    monkeypatch.setattr("simulator.cloud.training_runs.STOP_GRACE_S", 0.5)
    twin.container(tmp_path / "image", HEAD + script)
    _create(twin, StoppingCondition={"MaxRuntimeInSeconds": 600})
    job = _finish(twin, jobs)
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")
    assert "FailureReason" not in job
    training = job["SecondaryStatusTransitions"][2]
    assert training["EndTime"] - training["StartTime"] == timedelta(seconds=600)
    assert (twin.keys("models") != []) == bool(model)
    if model:
        assert list(_members(twin, "jobs/job-1/output/model.tar.gz")) == model
    assert [each for each in psutil.Process().children() if "main.py" in each.cmdline()] == []


def test_a_used_name_is_refused_and_jobs_are_listed(twin: JobTwin, jobs: TrainingJobs) -> None:
    for name in ("b-1", "a-1", "a-2"):
        _create(twin, name)
    with pytest.raises(AwsError, match="must be unique") as refused:
        _create(twin, "a-1")
    assert refused.value.code == "ResourceInUse"
    page = twin.do("sagemaker", "ListTrainingJobs", NameContains="a-", SortBy="Name", MaxResults=1)
    assert [job["TrainingJobName"] for job in page["TrainingJobSummaries"]] == ["a-1"]
    assert page["NextToken"] == "1"


def test_what_a_plain_process_cannot_be_is_refused_by_name(
    twin: JobTwin, jobs: TrainingJobs
) -> None:
    with pytest.raises(NotSupportedByTwin, match="EnableManagedSpotTraining"):
        _create(twin, EnableManagedSpotTraining=True)
    algorithm = {"TrainingImage": "a.b/c:unknown", "TrainingInputMode": "File"}
    with pytest.raises(AwsError, match="no asset of the template"):
        _create(twin, AlgorithmSpecification=algorithm)


def test_a_role_that_may_not_be_passed_is_refused(twin: JobTwin, jobs: TrainingJobs) -> None:
    twin.allow((["sagemaker:*"], ["*"]))
    caller = twin.iam.principal_for_role(ROLE, "me", service="sagemaker.amazonaws.com")
    request = {"TrainingJobName": "x", "RoleArn": ROLE}
    with pytest.raises(AccessDenied, match="iam:PassRole"):
        twin.dispatch(caller, "sagemaker", "CreateTrainingJob", request)


@pytest.mark.parametrize("asset", ["repository", "repository/pipeline"])
def test_an_image_starts_its_module_from_the_asset_or_from_the_folder_it_was_built_in(
    twin: JobTwin, jobs: TrainingJobs, tmp_path: Path, asset: str
) -> None:
    package = tmp_path / "repository" / "pipeline"
    (package / "model").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "model" / "__init__.py").touch()
    (package / "model" / "container.py").write_text("import os; print('at', os.environ['PLACE'])")
    (package / "model" / "Dockerfile").write_text(
        "FROM python:3.11\nRUN pip install \\\n  torch\n# A comment.\n"
        'ENV PLACE="the twin" PYTHONPATH=/opt/program PATH=/nowhere\n'
        "COPY . /opt/program/pipeline\nWORKDIR /opt/program\n"
        'ENTRYPOINT ["python", "-m", "pipeline.model.container"]\n'
    )
    twin.context.assets["tiny"] = tmp_path / asset
    _create(twin)
    assert _finish(twin, jobs)["TrainingJobStatus"] == "Completed"
    assert "at the twin" in twin.logs.text("/aws/sagemaker/TrainingJobs")


def test_checkpoints_are_there_for_the_next_job_even_when_this_one_fails(
    twin: JobTwin, jobs: TrainingJobs, tmp_path: Path
) -> None:
    script = """
place = base / "checkpoints" / "epoch"
done = int(place.read_text()) if place.exists() else 0
place.write_text(str(done + 1))
sys.exit(5 if done < 2 else 0)
"""
    twin.container(tmp_path / "image", HEAD + script)
    twin.bucket("kept")
    ended = []
    for name in ("one", "two", "three"):
        _create(twin, name, CheckpointConfig={"S3Uri": "s3://kept/points"})
        ended.append(_finish(twin, jobs, name)["TrainingJobStatus"])
    assert ended == ["Failed", "Failed", "Completed"]
    assert twin.do("s3", "GetObject", Bucket="kept", Key="points/epoch")["Body"] == b"3"


def test_metrics_go_to_cloudwatch_and_states_to_eventbridge(
    twin: JobTwin, jobs: TrainingJobs
) -> None:
    told: list[tuple[str, str]] = []
    twin.context.emit = lambda source, kind, detail, arns: told.append(
        (kind, detail["SecondaryStatus"])
    )
    _create(twin)
    _finish(twin, jobs)
    assert twin.points.values["/aws/sagemaker/TrainingJobs/loss"] == [1.0, 0.5, 0.333, 0.25]
    assert [state for _, state in told] == [
        "Starting",
        "Downloading",
        "Training",
        "Uploading",
        "Completed",
    ]
    assert {kind for kind, _ in told} == {"SageMaker Training Job State Change"}


def test_jobs_that_share_turns_compute_together_and_take_their_own_time(
    twin: JobTwin, jobs: TrainingJobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("simulator.cloud.training_runs.EPOCH_BYTES_PER_S", 1.0)
    original, spoke_s = twin.logs.append, dict[str, float]()

    def append(group: str, stream: str, lines: Sequence[str]) -> None:
        original(group, stream, lines)
        spoke_s.setdefault(stream.partition("/")[0], twin.engine.env.now)

    monkeypatch.setattr(twin.logs, "append", append)
    turns = ComputeTurns(twin.engine)
    started = {}
    lengths = {"long": 40, "short": 4}
    for name, epochs in lengths.items():
        # The request of a job that is then stopped at once, for its parameters.
        _create(twin, f"{name}-0", HyperParameters={"epochs": str(epochs)})
        described = twin.do("sagemaker", "DescribeTrainingJob", TrainingJobName=f"{name}-0")
        twin.do("sagemaker", "StopTrainingJob", TrainingJobName=f"{name}-0")
        params = {key: described[key] for key in COMMON} | {"TrainingJobName": name}
        started[name] = jobs.start(params, "arn", turns)
        twin.engine.run(twin.engine.env.now + 100.0)
    size_b = len("1\n2\n3\n" + "4\n")
    for name, epochs in lengths.items():
        twin.engine.run(jobs.wait_event(name))
        took_s = DOWNLOAD_BASE_S + TRAIN_BASE_S + epochs * size_b + UPLOAD_S
        assert started[name].trained_s == pytest.approx(took_s, abs=1.0)
        assert started[name].status == "Completed"
    assert spoke_s["long"] == spoke_s["short"]
    assert spoke_s["short"] == pytest.approx(LAUNCH_S + DOWNLOAD_BASE_S + 100.0, abs=0.001)
