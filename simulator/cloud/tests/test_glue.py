"""Glue job runs on real Spark: states, permissions, effects at their modelled time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from simulator.cloud.errors import AwsError, NotSupportedByTwin
from simulator.cloud.glue import Glue
from simulator.cloud.glue_runs import SCRIPT_BASE_S, START_UP_S
from simulator.cloud.tests.job_fakes import ROLE, START, JobTwin, job_twin

READ_WRITE = """
import sys
from pyspark.sql import SparkSession
from extra import double
arguments = dict(zip(sys.argv[1::2], sys.argv[2::2]))
spark = SparkSession.builder.getOrCreate()
assert spark.conf.get("left.behind", "no") == "no"
spark.conf.set("left.behind", "yes")
def twice(batches):
    import pyarrow
    from extra import double
    for batch in batches:
        yield pyarrow.RecordBatch.from_arrays([double(batch.column(0))], ["x"])
rows = spark.read.json(arguments["--input"]).mapInArrow(twice, "x long")
rows.coalesce(1).write.mode("overwrite").parquet(arguments["--output"])
print("wrote", rows.count(), "as", arguments["--JOB_NAME"])
spark.stop()
"""
EXTRA = "import pyarrow.compute\ndouble = lambda column: pyarrow.compute.multiply(column, 2)\n"
ROWS = "\n".join(f'{{"x": {n}}}' for n in range(1000))


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobTwin]:
    """One twin and one warm Spark for all tests of this file."""
    made = job_twin(tmp_path_factory.mktemp("twin"))
    made.bucket("raw", {"telemetry/a.json": ROWS, "secret/a.json": ROWS})
    made.bucket("processed")
    made.bucket("hidden", {"a.json": ROWS})
    made.bucket("assets")
    extra = made.context.state / "extra-source"
    extra.mkdir()
    (extra / "extra.py").write_text(EXTRA)
    made.context.assets["e"] = extra
    yield made
    made.close()


@pytest.fixture(scope="module")
def glue(twin: JobTwin) -> Glue:
    service = Glue(twin.context, twin.s3)
    twin.dispatch.register("glue", service.operations())
    return service


@pytest.fixture(autouse=True)
def least_privilege(twin: JobTwin) -> None:
    twin.allow(
        (["s3:ListBucket"], ["arn:aws:s3:::raw", "arn:aws:s3:::processed"]),
        (["s3:GetObject"], ["arn:aws:s3:::raw/telemetry/*", "arn:aws:s3:::assets/*"]),
        (
            ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"],
            ["arn:aws:s3:::processed/features/*"],
        ),
    )


def _create(twin: JobTwin, name: str, script: str, **more: Any) -> None:
    path = twin.context.state / f"{name}.py"
    path.write_text(script)
    twin.context.assets[name] = path
    twin.do(
        "glue",
        "CreateJob",
        **{
            "Name": name,
            "Role": ROLE,
            "Command": {"Name": "glueetl", "ScriptLocation": f"s3://assets/{name}.py"},
            "GlueVersion": "5.1",
            "DefaultArguments": {
                "--input": "s3://raw/telemetry/",
                "--output": "s3://processed/features/",
                "--extra-py-files": "s3://assets/e.zip",
            },
            **more,
        },
    )


def _run(twin: JobTwin, glue: Glue, name: str, **arguments: str) -> dict[str, Any]:
    given = {f"--{key}": value for key, value in arguments.items()}
    run_id = twin.do("glue", "StartJobRun", JobName=name, Arguments=given)["JobRunId"]
    twin.engine.run(glue.wait_event(run_id))
    run: dict[str, Any] = twin.do("glue", "GetJobRun", JobName=name, RunId=run_id)["JobRun"]
    return run


def test_a_run_really_computes_and_its_effects_show_at_its_modelled_end(
    twin: JobTwin, glue: Glue
) -> None:
    _create(twin, "copy", READ_WRITE)
    started = twin.engine.now()
    run_id = twin.do("glue", "StartJobRun", JobName="copy")["JobRunId"]
    twin.engine.run(started.timestamp() - START.timestamp() + START_UP_S + 1.0)
    while twin.engine.is_computing(f"glue/copy/{run_id}"):
        twin.engine.run(0.0)
    during = twin.do("glue", "GetJobRun", JobName="copy", RunId=run_id)["JobRun"]
    assert during["JobRunState"] == "RUNNING"
    assert twin.keys("processed") == []
    twin.engine.run(glue.wait_event(run_id))
    run = twin.do("glue", "GetJobRun", JobName="copy", RunId=run_id)["JobRun"]
    assert run["JobRunState"] == "SUCCEEDED", run
    assert run["StartedOn"] == started
    assert run["ExecutionTime"] >= SCRIPT_BASE_S
    assert run["CompletedOn"] - started == timedelta(seconds=START_UP_S + run["ExecutionTime"])
    (key,) = twin.keys("processed")
    assert key.startswith("features/part-")
    head = twin.do("s3", "HeadObject", Bucket="processed", Key=key)
    assert head["LastModified"] == run["CompletedOn"]
    assert "wrote 1000 as copy" in twin.logs.text("/aws-glue/jobs/output")


def test_what_a_run_prints_is_in_the_group_that_its_job_says(twin: JobTwin, glue: Glue) -> None:
    _create(twin, "told", READ_WRITE)
    own = {"--custom-logGroup-prefix": "/aws-glue/of-a-stage"}
    run_id = twin.do("glue", "StartJobRun", JobName="told", Arguments=own)["JobRunId"]
    twin.engine.run(glue.wait_event(run_id))
    assert "wrote 1000 as told" in twin.logs.text("/aws-glue/of-a-stage/output")
    assert "as told" not in twin.logs.text("/aws-glue/jobs/output")


WHAT_SPARK_IS = """
import sys
from pyspark.sql import SparkSession
spark = SparkSession.builder.getOrCreate()
def path(batches):
    import pyarrow, sys
    from extra import double
    for batch in batches:
        yield pyarrow.RecordBatch.from_arrays([pyarrow.array([" ".join(sys.path)])], ["path"])
rows = spark.range(1).mapInArrow(path, "path string").collect()
print("archives", [p for p in rows[0][0].split() if "spark" in p and p[-4:] in (".zip", ".jar")])
files = spark._jvm.org.apache.hadoop.fs.Path("file:///").getFileSystem(
    spark._jsparkSession.sessionState().newHadoopConf())
print("files", files.getClass().getName())
path = spark._jvm.org.apache.hadoop.fs.Path(sys.argv[sys.argv.index("--output") + 1] + "a/b")
path.getFileSystem(spark._jsparkSession.sessionState().newHadoopConf()).create(path).close()
"""


def test_workers_read_no_archives_of_sparks_and_files_get_no_permissions(
    twin: JobTwin, glue: Glue
) -> None:
    _create(twin, "spark", WHAT_SPARK_IS)
    assert _run(twin, glue, "spark")["JobRunState"] == "SUCCEEDED"
    printed = twin.logs.text("/aws-glue/jobs/output")
    assert "archives []" in printed
    assert "files org.apache.hadoop.fs.FleetwinObjectFiles" in printed
    assert "features/a/b" in twin.keys("processed")


def test_a_second_run_starts_afresh_and_takes_as_long(twin: JobTwin, glue: Glue) -> None:
    _create(twin, "again", READ_WRITE)
    first, second = _run(twin, glue, "again"), _run(twin, glue, "again")
    assert first["JobRunState"] == second["JobRunState"] == "SUCCEEDED", second
    assert first["ExecutionTime"] == second["ExecutionTime"]
    assert len(twin.keys("processed")) == 1


@pytest.mark.parametrize("place", ["s3://hidden/", "s3://raw/secret/"])
def test_reading_what_the_role_may_not_ends_with_access_denied(
    twin: JobTwin, glue: Glue, place: str
) -> None:
    name = f"peep-{place.count('raw')}"
    _create(twin, name, READ_WRITE)
    run = _run(twin, glue, name, input=place)
    assert run["JobRunState"] == "FAILED"
    assert "assumed-role/job/GlueJobRunnerSession is not authorized" in run["ErrorMessage"]
    assert "Error Code: AccessDenied" in run["ErrorMessage"]


def test_writing_where_the_role_may_not_leaves_nothing_and_fails(twin: JobTwin, glue: Glue) -> None:
    _create(twin, "stray", READ_WRITE)
    run = _run(twin, glue, "stray", output="s3://processed/stray/")
    assert run["JobRunState"] == "FAILED"
    assert "s3:PutObject" in run["ErrorMessage"] or "s3:GetObject" in run["ErrorMessage"]
    assert not [key for key in twin.keys("processed") if key.startswith("stray")]
    assert not list((twin.context.state / "s3" / "processed" / "stray").glob("*.parquet"))


@pytest.mark.parametrize(
    ("script", "error"),
    [
        ("raise ValueError('bad row 7')", "ValueError: bad row 7"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("import os; os._exit(4)", "ended with code 4"),
    ],
)
def test_a_script_that_fails_fails_its_run_with_its_words(
    twin: JobTwin, glue: Glue, script: str, error: str
) -> None:
    name = f"fails-{len(error)}"
    _create(twin, name, script)
    run = _run(twin, glue, name)
    assert (run["JobRunState"], run["ExecutionTime"]) == ("FAILED", 0)
    assert error in run["ErrorMessage"]


def test_a_run_more_than_allowed_at_once_is_refused_and_a_run_can_be_stopped(
    twin: JobTwin, glue: Glue
) -> None:
    _create(twin, "one", READ_WRITE)
    run_id = twin.do("glue", "StartJobRun", JobName="one")["JobRunId"]
    with pytest.raises(AwsError, match="Concurrent runs exceeded for one") as refused:
        twin.do("glue", "StartJobRun", JobName="one")
    assert refused.value.code == "ConcurrentRunsExceededException"
    answer = twin.do("glue", "BatchStopJobRun", JobName="one", JobRunIds=[run_id, "jr_0"])
    assert [one["JobRunId"] for one in answer["SuccessfulSubmissions"]] == [run_id]
    assert answer["Errors"][0]["ErrorDetail"]["ErrorCode"] == "EntityNotFoundException"
    assert twin.engine.run(glue.wait_event(run_id)) == "STOPPED"
    runs = twin.do("glue", "GetJobRuns", JobName="one")["JobRuns"]
    assert [run["JobRunState"] for run in runs] == ["STOPPED"]


def test_stopping_a_run_that_computes_replaces_the_host(
    twin: JobTwin, glue: Glue, monkeypatch: pytest.MonkeyPatch
) -> None:
    _create(twin, "endless", "print('ready', flush=True)\nwhile True: pass")
    _create(twin, "after", "print('still here')")
    original = twin.logs.append

    def append(group: str, stream: str, lines: Sequence[str]) -> None:
        original(group, stream, lines)
        if "ready" in lines:
            twin.do("glue", "BatchStopJobRun", JobName="endless", JobRunIds=[stream])

    monkeypatch.setattr(twin.logs, "append", append)
    assert _run(twin, glue, "endless")["JobRunState"] == "STOPPED"
    assert _run(twin, glue, "after")["JobRunState"] == "SUCCEEDED"


def test_a_run_longer_than_its_timeout_ends_in_timeout(
    twin: JobTwin, glue: Glue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("simulator.cloud.glue_runs.SCRIPT_BASE_S", 100.0)
    _create(twin, "slow", "print('quick in truth')", Timeout=1)
    run = _run(twin, glue, "slow")
    assert (run["JobRunState"], run["ExecutionTime"]) == ("TIMEOUT", 60)


def test_what_the_host_would_run_differently_is_refused_by_name(twin: JobTwin, glue: Glue) -> None:
    for more, named in (
        ({"GlueVersion": "4.0"}, "GlueVersion 4.0"),
        ({"Command": {"Name": "pythonshell", "ScriptLocation": "s3://assets/x.py"}}, "pythonshell"),
    ):
        with pytest.raises(NotSupportedByTwin, match=named):
            _create(twin, "odd", "", **more)


def test_a_run_that_fails_is_tried_again_as_a_run_of_its_own(twin: JobTwin, glue: Glue) -> None:
    script = """
import sys
given = dict(zip(sys.argv[1::2], sys.argv[2::2]))
if not given["--JOB_RUN_ID"].endswith("_attempt_2"):
    raise OSError("not yet")
"""
    _create(twin, "stubborn", script, MaxRetries=2)
    first = _run(twin, glue, "stubborn")
    assert first["JobRunState"] == "FAILED"
    twin.engine.run(glue.wait_event(first["Id"] + "_attempt_1"))
    twin.engine.run(glue.wait_event(first["Id"] + "_attempt_2"))
    runs = twin.do("glue", "GetJobRuns", JobName="stubborn")["JobRuns"][::-1]
    assert [run["JobRunState"] for run in runs] == ["FAILED", "FAILED", "SUCCEEDED"]
    assert [run["Attempt"] for run in runs] == [0, 1, 2]
    assert [run.get("PreviousRunId") for run in runs] == [None, runs[0]["Id"], runs[1]["Id"]]
    assert twin.do("glue", "GetJob", JobName="stubborn")["Job"]["MaxRetries"] == 2


def test_a_job_with_metrics_on_has_what_it_read_and_how_long_it_took(
    twin: JobTwin, glue: Glue
) -> None:
    _create(twin, "measured", READ_WRITE)
    _run(twin, glue, "measured")
    assert not twin.points.values, "only where it is asked for"
    run = _run(twin, glue, "measured", **{"enable-metrics": "true"})
    elapsed = twin.points.values["Glue/glue.driver.aggregate.elapsedTime"]
    assert elapsed == [1_000 * run["ExecutionTime"]] * 2, "of the run, and of all runs"
    assert min(twin.points.values["Glue/glue.driver.aggregate.recordsRead"]) >= 1_000


def test_unknown_jobs_and_runs_are_not_found(twin: JobTwin, glue: Glue, tmp_path: Path) -> None:
    for operation, params in (
        ("StartJobRun", {"JobName": "none"}),
        ("GetJobRun", {"JobName": "none", "RunId": "jr_1"}),
        ("GetJob", {"JobName": "none"}),
    ):
        with pytest.raises(AwsError) as missing:
            twin.do("glue", operation, **params)
        assert missing.value.code == "EntityNotFoundException"
    assert twin.do("glue", "DeleteJob", JobName="none") == {"JobName": "none"}


def test_cold_each_run_has_a_process_of_its_own(twin: JobTwin, glue: Glue) -> None:
    script = "import os, sys\nprint('process', os.getpid())\n"
    _create(twin, "pid", script)

    def process() -> str:
        run = _run(twin, glue, "pid")
        assert run["JobRunState"] == "SUCCEEDED", run.get("ErrorMessage")
        text: str = twin.logs.text("/aws-glue/jobs/output")
        return [line for line in text.splitlines() if line.startswith("process")][-1]

    assert process() == process(), "one warm process for all"
    glue.start_cold()
    try:
        # The first takes the warm process with it, the second has one of its own.
        assert process() != process()
    finally:
        glue._host.cold = False
