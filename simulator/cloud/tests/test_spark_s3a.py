"""Spark and S3A: when it is used, for which folders, with which settings. Nothing is run here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from simulator.cloud import job_files
from simulator.cloud.cloud import Cloud
from simulator.cloud.spark_s3a import VARIABLE, find_s3a_jars, s3a_settings, spark_jars
from simulator.cloud.spark_settings import Mount, run_settings
from simulator.cloud.tests.twin import START
from simulator.errors import EnvironmentMissing

CLIENT, SDK = "hadoop-aws-3.3.4.jar", "aws-java-sdk-bundle-1.12.262.jar"
SPARKS = "hadoop-client-api-3.3.4.jar"
ROLE = "arn:aws:iam::000000000000:role/etl"
ENVIRON = {
    "AWS_ENDPOINT_URL": "http://127.0.0.1:1234",
    "AWS_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_SESSION_TOKEN": "token",
}


def folder(path: Path, *names: str) -> Path:
    """Make a folder with empty files of these names."""
    path.mkdir()
    for name in names:
        (path / name).touch()
    return path


@pytest.mark.parametrize(
    ("own", "named", "found"),
    [
        ((SPARKS,), None, []),
        ((SPARKS, CLIENT), None, []),
        ((SPARKS, CLIENT, SDK), None, [CLIENT, SDK]),
        ((SPARKS,), (CLIENT, SDK), [CLIENT, SDK]),
        ((SPARKS,), (CLIENT, "bundle-2.24.6.jar"), [CLIENT, "bundle-2.24.6.jar"]),
    ],
)
def test_the_jars_are_found_among_sparks_own_or_in_the_folder_that_is_named(
    own: tuple[str, ...], named: tuple[str, ...] | None, found: list[str], tmp_path: Path
) -> None:
    sparks = folder(tmp_path / "own", *own)
    environment = {}
    if named is not None:
        environment[VARIABLE] = str(folder(tmp_path / "named", *named))
    assert [jar.name for jar in find_s3a_jars(sparks, environment)] == found


@pytest.mark.parametrize(
    ("named", "why"),
    [
        ((CLIENT,), "has not one hadoop-aws"),
        ((), "has not one hadoop-aws"),
        (("hadoop-aws-3.4.1.jar", SDK), r"is for Hadoop 3\.4\.1, Spark has 3\.3\.4"),
        ((CLIENT, SDK, "bundle-2.24.6.jar"), "has not one hadoop-aws"),
    ],
)
def test_a_folder_that_is_named_must_have_them_in_sparks_version(
    named: tuple[str, ...], why: str, tmp_path: Path
) -> None:
    sparks = folder(tmp_path / "own", SPARKS)
    with pytest.raises(EnvironmentMissing, match=why):
        find_s3a_jars(sparks, {VARIABLE: str(folder(tmp_path / "named", *named))})


def test_the_documented_version_is_that_of_the_installed_spark() -> None:
    assert (spark_jars() / SPARKS).exists()


def test_without_jars_spark_gets_no_setting_more() -> None:
    assert s3a_settings(()) == {}
    jars = (Path("/jars/a.jar"), Path("/jars/b.jar"))
    settings = s3a_settings(jars)
    assert settings["spark.driver.extraClassPath"] == "/jars/a.jar:/jars/b.jar"
    # Keys are of one run and never the context's.
    assert not [name for name in settings if "key" in name or "token" in name]


def test_a_run_reads_through_s3a_at_the_gateway_with_its_own_keys(tmp_path: Path) -> None:
    plain = run_settings({"raw": Mount(tmp_path, ("secret",))}, ENVIRON)
    assert plain == {
        "fs.viewfs.mounttable.raw.linkFallback": tmp_path.as_uri(),
        "fs.viewfs.mounttable.raw.link./secret": "denied://raw/secret",
    }
    through = run_settings({"raw": Mount(tmp_path, ("secret",), ("telemetry",))}, ENVIRON)
    assert through == plain | {
        "fs.viewfs.mounttable.raw.link./telemetry": "s3a://raw/telemetry",
        "fs.s3a.endpoint": "http://127.0.0.1:1234",
        "fs.s3a.endpoint.region": "us-east-1",
        "fs.s3a.access.key": "key",
        "fs.s3a.secret.key": "secret",
        "fs.s3a.session.token": "token",
    }


def allow(*actions: str, on: str) -> dict[str, Any]:
    """Return a statement."""
    return {"Effect": "Allow", "Action": list(actions), "Resource": on}


@pytest.mark.parametrize("is_there", [False, True])
def test_only_what_a_role_may_read_and_not_write_is_read_through_s3a(
    is_there: bool, tmp_path: Path
) -> None:
    cloud = Cloud(START, tmp_path / "state")
    try:
        assert cloud.context.s3a_jars == (), "no other endpoint, no S3A"
        if is_there:
            cloud.context.s3a_jars = (Path(CLIENT), Path(SDK))
        cloud.call("s3", "CreateBucket", Bucket="zone")
        for key in ("read/a", "both/a", "written/a", "none/a"):
            cloud.call("s3", "PutObject", Bucket="zone", Key=key, Body=b"row")
        trust = allow("sts:AssumeRole", on="*") | {"Principal": {"Service": "glue.amazonaws.com"}}
        del trust["Resource"]
        statements = [
            allow("s3:ListBucket", on="arn:aws:s3:::zone"),
            allow("s3:GetObject", on="arn:aws:s3:::zone/read/*"),
            allow("s3:GetObject", "s3:DeleteObject", on="arn:aws:s3:::zone/both/*"),
            allow("s3:PutObject", on="arn:aws:s3:::zone/written/*"),
        ]
        cloud.iam.put_role(ROLE, {"Statement": [trust]}, {"own": {"Statement": statements}})
        role = cloud.iam.principal_for_role(ROLE, "s", service="glue.amazonaws.com")
        (mount,) = job_files.mounts_for(cloud.context, role, []).values()
    finally:
        cloud.close()
    assert mount.denied == ("none",)
    assert mount.through_s3a == (("read",) if is_there else ())
