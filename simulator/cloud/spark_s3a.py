"""Spark reads S3 through S3A where its jars are present: Hadoop's client instead of files.

Only where another endpoint is behind the twin, and only what a job's role may read and not write
(`simulator.cloud.job_files`). S3A talks to the twin's gateway with the role's keys, so permissions,
books and the endpoint are those of every other client. What a job may write stays files that are
staged: Hadoop's committer renames, which S3 cannot. Used by `simulator.cloud.spark`.

Run with the classes of Hadoop 3.3.6, not of Spark's own 3.3.4: docs/localstack.md.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from simulator.errors import EnvironmentMissing

VARIABLE = "FLEETWIN_S3A_JARS"
"""Names a folder with S3A's jars, where they are not among Spark's own."""

_CLIENT = "hadoop-aws-"
_SDKS = ("aws-java-sdk-bundle-", "bundle-")
"""AWS's SDK in one jar: version 1 for Hadoop up to 3.3, version 2 from 3.4 on."""

_HADOOP = "hadoop-client-api-"


def spark_jars() -> Path:
    """Return the folder of Spark's own jars."""
    found = find_spec("pyspark")
    if found is None or found.origin is None:
        raise EnvironmentMissing("pyspark is not installed")
    return Path(found.origin).parent / "jars"


def find_s3a_jars(
    own: Path | None = None, environment: Mapping[str, str] = os.environ
) -> tuple[Path, ...]:
    """Return hadoop-aws and AWS's SDK, none where they are not: then files are staged.

    Raises EnvironmentMissing where FLEETWIN_S3A_JARS names a folder without them, or hadoop-aws is
    of another version than Spark's Hadoop: Hadoop supports no mixture.
    """
    own = spark_jars() if own is None else own
    named = environment.get(VARIABLE)
    jars = sorted((Path(named) if named else own).glob("*.jar"))
    clients = [jar for jar in jars if jar.name.startswith(_CLIENT)]
    sdks = [jar for jar in jars if jar.name.startswith(_SDKS)]
    if len(clients) == len(sdks) == 1:
        version, wanted = _version(clients[0], _CLIENT), _hadoop_version(own)
        if version != wanted:
            raise EnvironmentMissing(
                f"{clients[0]} is for Hadoop {version}, Spark has {wanted}: take that version"
            )
        return (clients[0], sdks[0])
    if named:
        raise EnvironmentMissing(
            f"{VARIABLE}={named} has not one {_CLIENT}*.jar and one of {', '.join(_SDKS)}*.jar"
        )
    return ()


def s3a_settings(jars: Sequence[Path]) -> dict[str, str]:
    """Return Spark's settings for S3A with these jars, none without."""
    if not jars:
        return {}
    path = os.pathsep.join(str(jar.resolve()) for jar in jars)
    return {
        "spark.driver.extraClassPath": path,
        "spark.executor.extraClassPath": path,
        "spark.hadoop.fs.s3a.impl": "org.apache.hadoop.fs.s3a.S3AFileSystem",
        "spark.hadoop.fs.s3a.path.style.access": "true",
        "spark.hadoop.fs.s3a.connection.ssl.enabled": "false",
        "spark.hadoop.fs.s3a.aws.credentials.provider": (
            "org.apache.hadoop.fs.s3a.TemporaryAWSCredentialsProvider"
        ),
        # Whether a bucket is there is found out by reading it; a probe needs one more permission.
        "spark.hadoop.fs.s3a.bucket.probe": "0",
        # What is refused is refused again: the twin's answers do not depend on the moment.
        "spark.hadoop.fs.s3a.attempts.maximum": "1",
    }


def s3a_run_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """Return Hadoop's settings for one run: where S3 is, and as whom it is asked."""
    return {
        "fs.s3a.endpoint": environ["AWS_ENDPOINT_URL"],
        "fs.s3a.endpoint.region": environ["AWS_REGION"],
        "fs.s3a.access.key": environ["AWS_ACCESS_KEY_ID"],
        "fs.s3a.secret.key": environ["AWS_SECRET_ACCESS_KEY"],
        "fs.s3a.session.token": environ["AWS_SESSION_TOKEN"],
    }


def _hadoop_version(own: Path) -> str:
    found = list(own.glob(f"{_HADOOP}*.jar"))
    return _version(found[0], _HADOOP) if found else "none"


def _version(jar: Path, stem: str) -> str:
    return jar.stem.removeprefix(stem)
