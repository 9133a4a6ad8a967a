"""Spark reads a bucket through S3A and the gateway; only where S3A's jars are present.

They are found as `find_s3a_jars` finds them: ``FLEETWIN_S3A_JARS=FOLDER pytest ...``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from simulator.cloud.cloud import Cloud
from simulator.cloud.spark_s3a import find_s3a_jars, s3a_settings
from simulator.cloud.tests.twin import START

JARS = find_s3a_jars()
ROLE = "arn:aws:iam::000000000000:role/job"

COPY = """
import sys
from pyspark.sql import SparkSession
spark = SparkSession.builder.getOrCreate()
arguments = dict(zip(sys.argv[1::2], sys.argv[2::2]))
rows = spark.read.json(arguments["--input"])
assert rows.columns == ["x", "dt"], rows.columns
rows.coalesce(1).write.mode("overwrite").parquet(arguments["--output"])
print("copied", rows.count(), "of", rows.select("dt").distinct().count())
"""


TRUST = {"Effect": "Allow", "Principal": {"Service": "glue.amazonaws.com"}}
ALLOWED = [
    ("s3:ListBucket", "arn:aws:s3:::raw"),
    ("s3:GetObject", "arn:aws:s3:::raw/telemetry*"),  # S3A asks for the folder itself, too.
    ("s3:GetObject", "arn:aws:s3:::assets/*"),
    ("s3:*", "arn:aws:s3:::processed*"),
]


def role(cloud: Cloud) -> None:
    """Make a role that may read one folder of a bucket, and write another bucket."""
    statements = [{"Effect": "Allow", "Action": what, "Resource": on} for what, on in ALLOWED]
    trust = {"Version": "2012-10-17", "Statement": [{**TRUST, "Action": "sts:AssumeRole"}]}
    cloud.iam.put_role(ROLE, trust, {"s3": {"Version": "2012-10-17", "Statement": statements}})


@pytest.mark.slow
@pytest.mark.skipif(not JARS, reason="no jars of S3A: FLEETWIN_S3A_JARS names none")
def test_a_job_reads_through_s3a_what_its_role_may_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = s3a_settings(JARS)
    cloud = Cloud(START, tmp_path / "twin")
    try:
        # As behind another endpoint, which this test does without.
        cloud.context.s3a_jars = JARS
        monkeypatch.setattr(cloud.glue._host, "_s3a", settings)
        role(cloud)
        rows = "".join(f'{{"x": {number}}}\n' for number in range(1000)).encode()
        objects = [f"telemetry/dt=2026-01-0{day}/a b.json" for day in (5, 6)]
        for bucket in ("raw", "processed", "assets"):
            cloud.call("s3", "CreateBucket", Bucket=bucket)
        for key in (*objects, "secret/a.json"):
            cloud.call("s3", "PutObject", Bucket="raw", Key=key, Body=rows)
        asked = set()
        table = cloud.s3.operations()

        def get(call: Any) -> Any:
            asked.add(call.params["Key"])
            return table["GetObject"].execute(call)

        cloud.dispatch.replace("s3", "GetObject", get)
        cloud.context.assets["copy"] = tmp_path / "copy.py"
        (tmp_path / "copy.py").write_text(COPY)
        cloud.call(
            "glue",
            "CreateJob",
            Name="copy",
            Role=ROLE,
            Command={"Name": "glueetl", "ScriptLocation": "s3://assets/copy.py"},
            GlueVersion="5.1",
            DefaultArguments={"--output": "s3://processed/features/"},
        )
        runs = []
        for place in ("telemetry", "secret"):
            given = {"--input": f"s3://raw/{place}/"}
            started = cloud.call("glue", "StartJobRun", JobName="copy", Arguments=given)
            run_id = started["JobRunId"]
            cloud.engine.run(cloud.glue.wait_event(run_id))
            runs.append(cloud.call("glue", "GetJobRun", JobName="copy", RunId=run_id)["JobRun"])
        assert [run["JobRunState"] for run in runs] == ["SUCCEEDED", "FAILED"], runs
        assert set(objects) <= asked
        written = cloud.call("s3", "ListObjectsV2", Bucket="processed")["Contents"]
        assert [each["Key"].startswith("features/part-") for each in written] == [True]
    finally:
        cloud.close()
