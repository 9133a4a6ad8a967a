"""Processing jobs: a real process between S3 and S3, on the run's clock."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from simulator.cloud.errors import AccessDenied, AwsError, NotSupportedByTwin
from simulator.cloud.processing_runs import PROCESS_BASE_S
from simulator.cloud.sagemaker_processing import ProcessingJobs
from simulator.cloud.tests.job_fakes import IMAGE, ROLE, JobTwin, job_twin

SCRIPT = """
import json, os, pathlib, sys
base = pathlib.Path(os.environ["SAGEMAKER_BASE_DIR"])
config = json.loads((base / "config/processingjobconfig.json").read_text())
hosts = json.loads((base / "config/resourceconfig.json").read_text())
rows = sum(len(p.read_text().split()) for p in (base / "processing/input/rows").rglob("*.csv"))
out = base / "processing/output/sum"
(out / "deep").mkdir()
(out / "deep" / "rows.txt").write_text(f"{rows} {config['ProcessingJobName']} {hosts['hosts'][0]}")
(out / "link").symlink_to("/etc/hostname")
(base / "output/message").write_text("counted " + os.environ["WHAT"])
print("arguments", sys.argv[1:])
"""


@pytest.fixture
def twin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[JobTwin]:
    monkeypatch.setattr("simulator.cloud.engine.STALL_S", 30.0)
    made = job_twin(tmp_path / "twin")
    made.bucket("data", {"rows/a/1.csv": "1\n2\n3\n", "rows/b.csv": "4\n", "other.csv": "5\n"})
    made.bucket("results")
    made.container(tmp_path / "image", SCRIPT)
    yield made
    made.close()


@pytest.fixture
def jobs(twin: JobTwin) -> ProcessingJobs:
    service = ProcessingJobs(twin.context)
    twin.dispatch.register("sagemaker", service.operations())
    return service


def _create(twin: JobTwin, name: str = "job-1", mode: str = "EndOfJob", **more: Any) -> Any:
    source = {
        "S3Uri": "s3://data/rows/",
        "LocalPath": "/opt/ml/processing/input/rows",
        "S3DataType": "S3Prefix",
        "S3InputMode": "File",
    }
    target = {
        "S3Uri": "s3://results/sum",
        "LocalPath": "/opt/ml/processing/output/sum",
        "S3UploadMode": mode,
    }
    request = {
        "ProcessingJobName": name,
        "ProcessingInputs": [{"InputName": "rows", "S3Input": source}],
        "ProcessingOutputConfig": {"Outputs": [{"OutputName": "sum", "S3Output": target}]},
        "ProcessingResources": {
            "ClusterConfig": {
                "InstanceCount": 1,
                "InstanceType": "ml.m5.large",
                "VolumeSizeInGB": 5,
            }
        },
        "AppSpecification": {"ImageUri": IMAGE, "ContainerArguments": ["--from", "/opt/ml/x"]},
        "Environment": {"WHAT": "rows"},
        "RoleArn": ROLE,
        **more,
    }
    return twin.do("sagemaker", "CreateProcessingJob", **request)


def _finish(twin: JobTwin, jobs: ProcessingJobs, name: str = "job-1") -> dict[str, Any]:
    twin.engine.run(jobs.wait_event(name))
    job: dict[str, Any] = twin.do("sagemaker", "DescribeProcessingJob", ProcessingJobName=name)
    return job


def test_a_job_reads_its_inputs_and_leaves_its_outputs(
    twin: JobTwin, jobs: ProcessingJobs, tmp_path: Path
) -> None:
    told: list[str] = []
    twin.context.emit = lambda source, kind, detail, arns: told.append(
        f"{source} {kind} {detail['ProcessingJobStatus']}"
    )
    _create(twin)
    job = _finish(twin, jobs)
    assert job["ProcessingJobStatus"] == "Completed", job
    assert job["ExitMessage"] == "counted rows"
    # Links are not uploaded (developer guide, "Build Your Own Processing Container").
    assert twin.keys("results") == ["sum/deep/rows.txt"]
    body = twin.do("s3", "GetObject", Bucket="results", Key="sum/deep/rows.txt")["Body"]
    assert body == b"4 job-1 algo-1"
    took_s = (job["ProcessingEndTime"] - job["ProcessingStartTime"]).total_seconds()
    assert took_s == pytest.approx(PROCESS_BASE_S + 5, abs=0.01)
    folder = tmp_path / "twin" / "sagemaker" / "processing" / "job-1"
    log = twin.logs.text("/aws/sagemaker/ProcessingJobs")
    assert f"arguments ['--from', '{folder}/x']" in log
    assert told == [
        f"aws.sagemaker SageMaker Processing Job State Change {state}"
        for state in ("InProgress", "Completed")
    ]


@pytest.mark.parametrize(("mode", "keys"), [("EndOfJob", []), ("Continuous", ["sum/part"])])
def test_what_a_failed_job_leaves_is_only_kept_where_it_is_copied_at_once(
    twin: JobTwin, jobs: ProcessingJobs, tmp_path: Path, mode: str, keys: list[str]
) -> None:
    script = SCRIPT.partition("rows =")[0] + (
        "(base / 'processing/output/sum/part').write_text('x')\n"
        "(base / 'output/message').write_text('no rows'); sys.exit(3)"
    )
    twin.container(tmp_path / "image", script)
    _create(twin, mode=mode)
    job = _finish(twin, jobs)
    assert job["ProcessingJobStatus"] == "Failed"
    assert job["FailureReason"] == "AlgorithmError: See job logs for more information"
    assert job["ExitMessage"] == "no rows"
    assert twin.keys("results") == keys


def test_a_job_longer_than_its_limit_is_stopped_and_one_can_be_stopped(
    twin: JobTwin, jobs: ProcessingJobs
) -> None:
    _create(twin, "long", StoppingCondition={"MaxRuntimeInSeconds": 7})
    job = _finish(twin, jobs, "long")
    assert (job["ProcessingJobStatus"], "7" in job["FailureReason"]) == ("Stopped", True)
    _create(twin, "short")
    twin.do("sagemaker", "StopProcessingJob", ProcessingJobName="short")
    assert _finish(twin, jobs, "short")["ProcessingJobStatus"] == "Stopped"
    with pytest.raises(AwsError, match="in status Stopped"):
        twin.do("sagemaker", "StopProcessingJob", ProcessingJobName="short")
    page = twin.do("sagemaker", "ListProcessingJobs", StatusEquals="Stopped", SortBy="Name")
    names = [each["ProcessingJobName"] for each in page["ProcessingJobSummaries"]]
    assert names == ["long", "short"]


def test_a_container_that_hangs_is_stopped_at_its_limit_and_its_outputs_are_kept(
    twin: JobTwin, jobs: ProcessingJobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("simulator.cloud.containers.HUNG_S", 0.5)
    twin.container(tmp_path / "image", SCRIPT + "sys.stdout.flush()\nwhile True: pass")
    _create(twin, StoppingCondition={"MaxRuntimeInSeconds": 600})
    job = _finish(twin, jobs)
    assert job["ProcessingJobStatus"] == "Stopped"
    assert job["FailureReason"] == "Job exceeded MaxRuntimeInSeconds of 600"
    assert twin.keys("results") == ["sum/deep/rows.txt"]
    assert [each for each in psutil.Process().children() if "main.py" in each.cmdline()] == []


def test_a_job_needs_its_input_its_role_and_a_name_of_its_own(
    twin: JobTwin, jobs: ProcessingJobs
) -> None:
    twin.allow((["s3:ListBucket"], ["*"]))
    _create(twin)
    assert "s3:GetObject" in _finish(twin, jobs)["FailureReason"]
    with pytest.raises(AwsError, match="must be unique") as refused:
        _create(twin)
    assert refused.value.code == "ResourceInUse"
    with pytest.raises(AwsError, match="Could not find requested job"):
        jobs.wait_event("none")
    twin.allow((["sagemaker:*"], ["*"]))
    caller = twin.iam.principal_for_role(ROLE, "me", service="sagemaker.amazonaws.com")
    with pytest.raises(AccessDenied, match="iam:PassRole"):
        twin.dispatch(
            caller,
            "sagemaker",
            "CreateProcessingJob",
            {"ProcessingJobName": "x", "RoleArn": ROLE},
        )


def test_what_a_plain_process_cannot_be_is_refused_by_name(
    twin: JobTwin, jobs: ProcessingJobs
) -> None:
    with pytest.raises(NotSupportedByTwin, match="NetworkConfig"):
        _create(twin, NetworkConfig={"EnableNetworkIsolation": True})
    source = {"S3Uri": "s3://data/", "LocalPath": "/elsewhere/x", "S3DataType": "S3Prefix"}
    with pytest.raises(AwsError, match="LocalPath '/elsewhere/x'"):
        _create(twin, ProcessingInputs=[{"InputName": "a", "S3Input": source}])
