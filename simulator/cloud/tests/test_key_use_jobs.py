"""Keys of KMS and those who read the lake as files: Spark's mounts, scripts, statements of SQL."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from simulator.cloud import iam_store
from simulator.cloud.cloud import Cloud
from simulator.cloud.errors import AccessDenied, AwsError
from simulator.cloud.job_files import (
    Writes,
    denial,
    local_source,
    mounts_for,
    refuse_unauthorised,
)
from simulator.cloud.tests.fakes import START
from simulator.cloud.tests.test_key_use import CALLER, ROLE, a_bucket, a_key, allow, use
from simulator.lake import lake_of

GRANTS = [(), ("kms:Decrypt",), ("kms:GenerateDataKey",), ("kms:Decrypt", "kms:GenerateDataKey")]


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    made = Cloud(START, tmp_path_factory.mktemp("twin"))
    yield made
    made.close()


@pytest.mark.parametrize("granted", GRANTS, ids=str)
def test_a_folder_under_a_key_is_there_for_spark_only_with_decrypt(
    cloud: Cloud, granted: tuple[str, ...]
) -> None:
    key = a_key(cloud)
    bucket = a_bucket(cloud, key)
    cloud.call("s3", "PutObject", Bucket=bucket, Key="rows/a", Body=b"x")
    allow(cloud, *([use(key, *granted)] if granted else []))
    mount = mounts_for(cloud.context, CALLER, [])[bucket]
    if "kms:Decrypt" in granted:
        assert mount.denied == ()
        assert local_source(cloud.context, CALLER, f"s3://{bucket}/rows/a").read_bytes() == b"x"
        return
    assert mount.denied == ("rows",)
    words = denial(cloud.context, CALLER, f"{bucket}/rows")
    assert f"kms:Decrypt on resource: {key}" in words
    assert words.endswith("(Service: Amazon S3; Status Code: 403; Error Code: AccessDenied)")
    with pytest.raises(AccessDenied):
        local_source(cloud.context, CALLER, f"s3://{bucket}/rows/a")


@pytest.mark.parametrize("granted", GRANTS, ids=str)
def test_what_spark_wrote_without_a_data_key_is_removed(
    cloud: Cloud, granted: tuple[str, ...]
) -> None:
    key = a_key(cloud)
    bucket = a_bucket(cloud, key)
    allow(cloud, *([use(key, *granted)] if granted else []))
    file = cloud.context.state / "s3" / bucket / "part"
    file.write_bytes(b"x")
    told = refuse_unauthorised(cloud.context, cloud.s3, CALLER, Writes(written={bucket: {"part"}}))
    assert file.exists() is ("kms:GenerateDataKey" in granted)
    assert (told is None) is ("kms:GenerateDataKey" in granted)


def test_a_disabled_key_is_what_spark_is_told(cloud: Cloud) -> None:
    key = a_key(cloud)
    bucket = a_bucket(cloud, key)
    cloud.call("s3", "PutObject", Bucket=bucket, Key="rows/a", Body=b"x")
    allow(cloud, use(key, "kms:Decrypt"))
    cloud.call("kms", "DisableKey", KeyId=key)
    assert mounts_for(cloud.context, CALLER, [])[bucket].denied == ("rows",)
    assert "Error Code: KMS.DisabledException" in denial(cloud.context, CALLER, f"{bucket}/rows")


def test_a_statement_of_sql_reads_a_table_under_a_key_only_with_decrypt(cloud: Cloud) -> None:
    key = a_key(cloud)
    bucket = a_bucket(cloud, key)
    cloud.call("s3", "PutObject", Bucket=bucket, Key="t/a.json", Body=b'{"x": 1}\n')
    cloud.call("glue", "CreateDatabase", DatabaseInput={"Name": "db"})
    descriptor = {
        "Columns": [{"Name": "x", "Type": "bigint"}],
        "Location": f"s3://{bucket}/t/",
        "SerdeInfo": {"SerializationLibrary": "org.openx.data.jsonserde.JsonSerDe"},
    }
    table = {"Name": "t", "StorageDescriptor": descriptor}
    cloud.call("glue", "CreateTable", DatabaseName="db", TableInput=table)
    reads = {"Effect": "Allow", "Action": "glue:*", "Resource": "*"}
    state = cloud.context.state
    for granted in ([], [use(key, "kms:Decrypt")]):
        allow(cloud, reads, *granted)
        iam_store.save(cloud.iam, state)
        lake = lake_of(state, "db", ROLE)
        if granted:
            assert list(lake.run("select x from t").rows) == [(1,)]
            continue
        with pytest.raises(AwsError, match=r"PERMISSION_DENIED.*kms:Decrypt"):
            lake.run("select x from t")
