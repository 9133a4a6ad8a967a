"""DataSync moves what differs, whole files only, and says what it could not move."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from simulator.cloud.cloud import Cloud
from simulator.cloud.datasync_places import CHUNK_BYTES
from simulator.cloud.errors import AwsError, NotSupportedByTwin

START = datetime(2026, 1, 5, tzinfo=UTC)
ROLE = "arn:aws:iam::000000000000:role/transfer"
TRUST = {
    "Statement": {
        "Effect": "Allow",
        "Principal": {"Service": "datasync.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
}
ALL = {"Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}}


class Site:
    """A twin with a file server `plant`, a bucket `lake` and a role that may do all of S3."""

    def __init__(self, folder: Path) -> None:
        self.cloud = Cloud(START, folder / "state")
        self.files = folder / "plant"
        self.files.mkdir()
        self.cloud.datasync.exports["plant"] = self.files
        self.cloud.iam.put_role(ROLE, TRUST, {"all": ALL})
        for bucket in ("lake", "other"):
            self.do("s3", "CreateBucket", Bucket=bucket)
        self.agent = self.sync("CreateAgent", ActivationKey="AAAAA-BBBBB-CCCCC-DDDDD-EEEEE")
        self.source = self.nfs()
        self.target = self.s3("lake", "/landing")

    def do(self, service: str, operation: str, **params: Any) -> dict[str, Any]:
        return self.cloud.call(service, operation, **params)

    def sync(self, operation: str, **params: Any) -> dict[str, Any]:
        return self.do("datasync", operation, **params)

    def nfs(self, folder: str = "/", host: str = "plant") -> str:
        made = self.sync(
            "CreateLocationNfs",
            ServerHostname=host,
            Subdirectory=folder,
            OnPremConfig={"AgentArns": [self.agent["AgentArn"]]},
        )
        return str(made["LocationArn"])

    def s3(self, bucket: str, folder: str = "/") -> str:
        made = self.sync(
            "CreateLocationS3",
            S3BucketArn=f"arn:aws:s3:::{bucket}",
            Subdirectory=folder,
            S3Config={"BucketAccessRoleArn": ROLE},
        )
        return str(made["LocationArn"])

    def task(self, source: str = "", target: str = "", **params: Any) -> str:
        made = self.sync(
            "CreateTask",
            SourceLocationArn=source or self.source,
            DestinationLocationArn=target or self.target,
            **params,
        )
        return str(made["TaskArn"])

    def start(self, task: str, **params: Any) -> str:
        return str(self.sync("StartTaskExecution", TaskArn=task, **params)["TaskExecutionArn"])

    def end(self, execution: str) -> dict[str, Any]:
        self.cloud.engine.run(self.cloud.datasync.wait_event(execution))
        return self.sync("DescribeTaskExecution", TaskExecutionArn=execution)

    def run(self, task: str, **params: Any) -> dict[str, Any]:
        return self.end(self.start(task, **params))

    def until(self, execution: str, status: str) -> None:
        env = self.cloud.engine.env
        while (found := self.status(execution)) != status:
            assert found not in ("SUCCESS", "ERROR"), f"ended before it was {status}"
            self.cloud.engine.run(env.now + 0.01)

    def status(self, execution: str) -> str:
        return str(self.sync("DescribeTaskExecution", TaskExecutionArn=execution)["Status"])

    def write(self, path: str, body: bytes, mtime_s: float = 1_700_000_000) -> None:
        file = self.files / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(body)
        os.utime(file, (mtime_s, mtime_s))

    def objects(self, bucket: str = "lake", prefix: str = "") -> dict[str, bytes]:
        store = self.cloud.s3.store
        return {one.key: store.read(bucket, one.key) for one in store.walk(bucket, prefix)}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.cloud.close()


def test_a_folder_arrives_whole_and_a_second_execution_moves_nothing(site: Site) -> None:
    for name in ("a.csv", "a/b.csv", "a-b.csv", "deep/er/c.csv"):
        site.write(name, name.encode())
    task = site.task()
    first = site.run(task)
    assert first["Status"] == "SUCCESS"
    assert (first["FilesTransferred"], first["FilesVerified"], first["BytesWritten"]) == (4, 4, 32)
    assert site.objects() == {
        f"landing/{name}": name.encode()
        for name in ("a.csv", "a/b.csv", "a-b.csv", "deep/er/c.csv")
    }
    head = site.do("s3", "HeadObject", Bucket="lake", Key="landing/a.csv")
    assert head["Metadata"]["file-mtime"] == "1700000000000000000ns"
    second = site.run(task)
    assert (second["FilesTransferred"], second["FilesSkipped"]) == (0, 4)


def test_only_what_changed_is_moved(site: Site) -> None:
    site.write("same", b"1")
    site.write("longer", b"1")
    site.write("newer", b"1")
    task = site.task()
    site.run(task)
    site.write("longer", b"12")
    site.write("newer", b"2", mtime_s=1_700_000_001)
    again = site.run(task)
    assert (again["FilesTransferred"], again["FilesSkipped"]) == (2, 1)
    assert site.objects()["landing/newer"] == b"2"


def test_a_large_file_is_put_in_parts(site: Site) -> None:
    body = os.urandom(1024) * (2 * CHUNK_BYTES // 1024) + b"end"
    site.write("large.bin", body)
    assert site.run(site.task())["Status"] == "SUCCESS"
    assert site.objects()["landing/large.bin"] == body
    head = site.do("s3", "HeadObject", Bucket="lake", Key="landing/large.bin")
    assert head["ETag"].endswith('-3"')


def test_deleted_files_go_only_when_asked(site: Site) -> None:
    site.write("kept", b"1")
    site.write("gone", b"1")
    task = site.task()
    site.run(task)
    (site.files / "gone").unlink()
    site.run(task)
    assert len(site.objects()) == 2
    done = site.run(task, OverrideOptions={"PreserveDeletedFiles": "REMOVE"})
    assert (done["FilesDeleted"], list(site.objects())) == (1, ["landing/kept"])


def test_existing_files_are_not_overwritten_when_so_asked(site: Site) -> None:
    site.write("a", b"1")
    task = site.task(Options={"OverwriteMode": "NEVER"})
    site.run(task)
    site.write("a", b"22")
    assert site.run(task)["Status"] == "SUCCESS"
    assert site.objects()["landing/a"] == b"1"


@pytest.mark.parametrize(
    ("includes", "excludes", "moved"),
    [
        ("/a*|/b", None, {"a1", "a2/x", "b/y.tmp"}),
        (None, "*.tmp|/a2", {"a1", "c/z"}),
        ("/b", "*/y.tmp", set()),
        ("/c/z", None, {"c/z"}),
    ],
)
def test_filters_choose_files(
    site: Site, includes: str | None, excludes: str | None, moved: set[str]
) -> None:
    for name in ("a1", "a2/x", "b/y.tmp", "c/z"):
        site.write(name, b"1")
    rules: dict[str, Any] = {
        name: [{"FilterType": "SIMPLE_PATTERN", "Value": value}]
        for name, value in (("Includes", includes), ("Excludes", excludes))
        if value is not None
    }
    site.run(site.task(**rules))
    assert set(site.objects()) == {f"landing/{name}" for name in moved}


def test_a_denied_file_fails_alone_and_is_named(site: Site) -> None:
    site.write("open/a", b"1")
    site.write("shut/b", b"1")
    deny = {
        "Statement": {
            "Effect": "Deny",
            "Action": "s3:PutObject",
            "Resource": "arn:aws:s3:::lake/landing/shut/*",
        }
    }
    site.cloud.iam.put_role_policy(ROLE, "deny", deny)
    task = site.task()
    done = site.run(task)
    assert (done["Status"], done["FilesFailed"]["Transfer"]) == ("ERROR", 1)
    assert done["Result"]["ErrorCode"] == "AccessDenied"
    assert "/shut/b" in done["Result"]["ErrorDetail"]
    assert list(site.objects()) == ["landing/open/a"]
    site.cloud.iam.remove_role_policy(ROLE, "deny")
    again = site.run(task)
    assert (again["Status"], again["FilesTransferred"]) == ("SUCCESS", 1)


def test_a_cancelled_execution_leaves_whole_files_and_the_next_moves_the_rest(site: Site) -> None:
    for number in range(1_200):
        site.write(f"{number:04d}", b"x" * number)
    task = site.task()
    execution = site.start(task)
    site.until(execution, "TRANSFERRING")
    site.cloud.engine.run(site.cloud.engine.env.now + 1.5)
    site.sync("CancelTaskExecution", TaskExecutionArn=execution)
    done = site.end(execution)
    assert (done["Status"], done["Result"]["ErrorCode"]) == ("ERROR", "Cancelled")
    moved = site.objects()
    assert 0 < len(moved) < 1_200
    assert all(body == b"x" * int(key[-4:]) for key, body in moved.items())
    rest = site.run(task)
    assert rest["FilesTransferred"] == 1_200 - len(moved)
    assert len(site.objects()) == 1_200


def test_cancelling_in_the_middle_of_a_file_leaves_nothing_of_it(site: Site) -> None:
    site.write("large", bytes(10 * CHUNK_BYTES))
    execution = site.start(site.task(Options={"BytesPerSecond": 1_000_000}))
    site.until(execution, "TRANSFERRING")
    site.cloud.engine.run(site.cloud.engine.env.now + 1.0)
    site.sync("CancelTaskExecution", TaskExecutionArn=execution)
    assert site.end(execution)["Status"] == "ERROR"
    assert site.objects() == {}
    assert "Uploads" not in site.do("s3", "ListMultipartUploads", Bucket="lake")


def test_a_file_that_changes_while_it_moves_keeps_its_earlier_object(site: Site) -> None:
    site.write("large", b"old")
    task = site.task()
    site.run(task)
    site.write("large", bytes(10 * CHUNK_BYTES))
    execution = site.start(task)
    site.until(execution, "TRANSFERRING")
    site.write("large", b"shorter now", mtime_s=1_700_000_009)
    done = site.end(execution)
    assert (done["Status"], done["Result"]["ErrorCode"]) == ("ERROR", "SourceChanged")
    assert site.objects() == {"landing/large": b"old"}
    assert site.run(task)["Status"] == "SUCCESS"
    assert site.objects() == {"landing/large": b"shorter now"}


def test_an_object_that_is_spoilt_before_verification_is_removed_and_reported(site: Site) -> None:
    site.write("a", b"good")
    site.write("b", bytes(10 * CHUNK_BYTES))
    task = site.task()
    execution = site.start(task)
    # The second file takes a while; the first is there already.
    site.until(execution, "TRANSFERRING")
    site.do("s3", "PutObject", Bucket="lake", Key="landing/a", Body=b"spoilt")
    done = site.end(execution)
    assert (done["Status"], done["FilesFailed"]["Verify"]) == ("ERROR", 1)
    assert list(site.objects()) == ["landing/b"]
    again = site.run(task)
    assert (again["Status"], again["FilesTransferred"]) == ("SUCCESS", 1)
    assert site.objects()["landing/a"] == b"good"


def test_one_execution_of_a_task_runs_and_the_next_is_queued(site: Site) -> None:
    site.write("a", b"1")
    task = site.task()
    first, second = site.start(task), site.start(task)
    site.cloud.engine.run(1.0)
    assert (site.status(first), site.status(second)) == ("LAUNCHING", "QUEUED")
    assert site.sync("DescribeTask", TaskArn=task)["Status"] == "RUNNING"
    with pytest.raises(AwsError, match="queueing is disabled"):
        site.start(task, OverrideOptions={"TaskQueueing": "DISABLED"})
    assert site.end(first)["FilesTransferred"] == 1
    assert site.end(second)["FilesSkipped"] == 1


def test_bytes_per_second_stretch_the_transfer_and_can_be_changed_meanwhile(site: Site) -> None:
    for name in ("a", "b", "c"):
        site.write(name, bytes(8 * CHUNK_BYTES))
    slow = site.task(Options={"BytesPerSecond": CHUNK_BYTES, "VerifyMode": "NONE"})
    execution = site.start(slow)
    site.until(execution, "TRANSFERRING")
    assert site.end(execution)["Result"]["TransferDuration"] >= 24_000
    other = site.start(slow, OverrideOptions={"TransferMode": "ALL", "BytesPerSecond": CHUNK_BYTES})
    site.until(other, "TRANSFERRING")
    change = {"BytesPerSecond": 100 * CHUNK_BYTES}
    site.sync("UpdateTaskExecution", TaskExecutionArn=other, Options=change)
    assert site.end(other)["Result"]["TransferDuration"] < 12_000


def test_objects_go_to_another_bucket_and_back_to_files_with_their_times(site: Site) -> None:
    site.write("x/a", b"1")
    site.run(site.task())
    across = site.task(site.target, site.s3("other", "/copy"), TaskMode="ENHANCED")
    assert site.run(across)["FilesTransferred"] == 1
    assert site.run(across)["FilesTransferred"] == 0
    (site.files / "back").mkdir()
    back = site.task(site.s3("other", "/copy"), site.nfs("/back"))
    assert site.run(back)["Status"] == "SUCCESS"
    file = site.files / "back" / "x" / "a"
    assert (file.read_bytes(), file.stat().st_mtime) == (b"1", 1_700_000_000)
    assert site.run(back)["FilesTransferred"] == 0


def test_links_out_of_the_export_are_neither_followed_nor_copied(site: Site) -> None:
    secret = site.files.parent / "secret"
    secret.mkdir()
    (secret / "key").write_bytes(b"1")
    (site.files / "folder").symlink_to(secret)
    (site.files / "file").symlink_to(secret / "key")
    assert site.run(site.task())["FilesTransferred"] == 0
    task = site.task(site.nfs("/folder"))
    assert site.sync("DescribeTask", TaskArn=task)["Status"] == "UNAVAILABLE"
    assert site.run(task)["Result"]["ErrorCode"] == "LocationUnreachable"
    with pytest.raises(AwsError, match="leads out"):
        site.nfs("/../secret")


def test_a_standard_report_lists_every_file_and_sums_up(site: Site) -> None:
    site.write("a", b"1")
    destination = {"S3BucketArn": "arn:aws:s3:::other", "BucketAccessRoleArn": ROLE}
    report = {
        "Destination": {"S3": {**destination, "Subdirectory": "/reports"}},
        "OutputType": "STANDARD",
        "ReportLevel": "SUCCESSES_AND_ERRORS",
    }
    done = site.run(site.task(TaskReportConfig=report))
    assert done["ReportResult"] == {"Status": "SUCCESS"}
    found = {key.split("/")[1]: json.loads(body) for key, body in site.objects("other").items()}
    assert found["Summary-Reports"]["FilesTransferred"] == 1
    names = [key.rpartition(".files-")[2] for key in site.objects("other", "reports/Detailed")]
    assert names == ["transferred-v1-00001.json", "verified-v1-00001.json"]


def test_a_log_group_gets_a_line_a_file(site: Site) -> None:
    site.write("a", b"1")
    group = "arn:aws:logs:us-east-1:000000000000:log-group:/aws/datasync:*"
    site.run(site.task(CloudWatchLogGroupArn=group, Options={"LogLevel": "TRANSFER"}))
    assert "transferred /a" in site.cloud.logs.lines("/aws/datasync")


@pytest.mark.parametrize(
    ("expression", "due_s"), [("rate(2 hours)", 7_200), ("cron(30 4 * * ? *)", 16_200)]
)
def test_a_schedule_starts_the_task_on_the_runs_clock(
    site: Site, expression: str, due_s: int
) -> None:
    site.write("a", b"1")
    task = site.task(Schedule={"ScheduleExpression": expression})
    site.cloud.engine.run(due_s - 1.0)
    assert site.sync("ListTaskExecutions", TaskArn=task)["TaskExecutions"] == []
    site.cloud.engine.run(due_s + 60.0)
    assert len(site.objects()) == 1
    site.sync("UpdateTask", TaskArn=task, Schedule={"ScheduleExpression": "rate(9 days)"})
    site.cloud.engine.run(due_s + 200_000.0)
    assert len(site.sync("ListTaskExecutions", TaskArn=task)["TaskExecutions"]) == 1


def test_what_the_twin_cannot_do_is_refused_by_name(site: Site) -> None:
    with pytest.raises(NotSupportedByTwin, match="CreateLocationEfs"):
        site.sync("CreateLocationEfs", EfsFilesystemArn="x", Ec2Config={})
    manifest = {
        "ManifestObjectPath": "m.csv",
        "BucketAccessRoleArn": ROLE,
        "S3BucketArn": "arn:aws:s3:::lake",
    }
    with pytest.raises(NotSupportedByTwin, match="ManifestConfig"):
        site.task(ManifestConfig={"Source": {"S3": manifest}})
    with pytest.raises(NotSupportedByTwin, match="PreserveDevices"):
        site.task(Options={"PreserveDevices": "PRESERVE"})
    with pytest.raises(AwsError, match="access test failed"):
        site.s3("nowhere")
