"""``--assets built``: what is in the archives is what runs, and nothing of the checkout."""

from __future__ import annotations

import json
import os
import re
import shutil
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from infra_cdk.build import BUILT, MANIFEST, build
from simulator.built_assets import built_assets, checked
from simulator.cloud import containers
from simulator.errors import AssetsError
from simulator.parity.journey import SCORES_FILE
from simulator.targets import ROOT
from simulator.testing.plugin import START
from simulator.testing.twin import Twin
from simulator.tests.archives import change
from simulator.tests.command import fleetwin
from simulator.tests.conftest import FinishedRun

FUNCTION = "fleetwin-dev-raw-writer"
LOOK = """
import importlib.util, json, sys

def looked():
    import pipeline
    found = importlib.util.find_spec("simulator")
    return {"pipeline": pipeline.__file__, "path": sys.path, "simulator": found is not None}
"""
HANDLER = f"{LOOK}\ndef handler(event, context):\n    return looked()\n"
JOB = f"""{LOOK}
from pyspark.sql import SparkSession
context = SparkSession.builder.getOrCreate().sparkContext
print("LOOKED", json.dumps([looked(), *context.parallelize([0]).map(lambda _: looked()).collect()]))
import pipeline.etl.raw_lines
"""


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of assets that were built without wheels."""
    folder = tmp_path_factory.mktemp("built")
    build(folder, wheels=False)
    return folder


@pytest.fixture
def built(once: Path, tmp_path: Path) -> Path:
    """Return a copy of the built assets that a test may change."""
    return Path(shutil.copytree(once, tmp_path / "built"))


def booted(built: Path) -> closing[Twin]:
    """Return a twin of the built assets, to be closed; its state lies beside them."""
    return closing(Twin(START, built.parent / "state", assets=checked(built)))


def invoke(twin: Twin) -> dict[str, Any]:
    """Invoke the function with an empty batch; return what it answers."""
    event = json.dumps({"Records": []}).encode()
    answer = twin.call("lambda", "Invoke", FunctionName=FUNCTION, Payload=event)
    payload = answer["Payload"]
    found: dict[str, Any] = json.loads(payload if isinstance(payload, bytes) else payload.read())
    return found


def is_of_the_checkout(path: str, installed: tuple[str, ...] = ("site-packages",)) -> bool:
    """Tell whether a path leads into the checkout, the twin's own runtime and packages apart."""
    inside = Path(path).resolve()
    if inside.name in installed or inside.is_relative_to(ROOT / "simulator/cloud/runtime"):
        return False
    return inside.is_relative_to(ROOT) and not inside.is_relative_to(ROOT / ".venv")


@pytest.mark.parametrize("choice", ["built=", "sources", "build", "Built=x", "source=x"])
def test_another_choice_is_refused(choice: str) -> None:
    with pytest.raises(AssetsError, match="must be source, built or built=FOLDER"):
        built_assets(choice)


def test_source_is_nothing_built() -> None:
    assert built_assets("source") is None


def test_without_a_build_the_command_that_builds_is_named(tmp_path: Path) -> None:
    done = fleetwin("run", "tiny", "--assets", f"built={tmp_path}", "--out", str(tmp_path / "out"))
    assert done.returncode == 1
    assert f"build them with `python -m infra_cdk.build {tmp_path}`" in done.stderr
    assert not (tmp_path / "out").exists()


def test_an_assembly_of_another_app_has_its_assets_already() -> None:
    done = fleetwin("up", "--assembly", "examples/cold-store/synthesized", "--assets", "built")
    assert done.returncode == 1
    assert "is for our own stack" in done.stderr


def test_archives_that_are_stale_changed_gone_or_of_another_form_are_refused(built: Path) -> None:
    manifest = json.loads((built / MANIFEST).read_text("utf-8"))

    def says(message: str, **members: Any) -> None:
        changed = json.loads(json.dumps(manifest))
        changed["assets"]["pipeline"] |= members
        (built / MANIFEST).write_text(json.dumps(changed), "utf-8")
        with pytest.raises(AssetsError, match=f"{message}.*`python -m infra_cdk.build "):
            checked(built)

    says("pipeline.zip is stale", sources="0" * 64)
    says("pipeline.zip is not what was built", sha256="0" * 64)
    says("gone.zip is not there", file="gone.zip")
    (built / MANIFEST).write_text(json.dumps(manifest | {"format": 0}), "utf-8")
    with pytest.raises(AssetsError, match="another form"):
        checked(built)
    (built / MANIFEST).write_text(json.dumps(manifest | {"assets": {}}), "utf-8")
    with pytest.raises(AssetsError, match="has no compaction-job, features-job, function"):
        checked(built)


def test_archives_with_wheels_are_built_again_with_wheels(built: Path) -> None:
    manifest = json.loads((built / MANIFEST).read_text("utf-8"))
    manifest["wheels"] = ["numpy.whl"]
    manifest["assets"]["function"]["sources"] = ""
    (built / MANIFEST).write_text(json.dumps(manifest), "utf-8")
    with pytest.raises(AssetsError, match=r"`python -m infra_cdk\.build --wheels "):
        checked(built)


def test_a_function_is_what_its_archive_holds(built: Path) -> None:
    change(
        built,
        "function",
        lambda folder: (folder / "pipeline/ingestion/raw_writer.py").write_text(HANDLER),
    )
    with booted(built) as twin:
        looked = invoke(twin)
        folder = twin.target.cloud.context.state / "functions"
        described = twin.call("lambda", "GetFunctionConfiguration", FunctionName=FUNCTION)
    assert Path(looked["pipeline"]).is_relative_to(folder)
    assert not looked["simulator"]
    assert [path for path in looked["path"] if is_of_the_checkout(path)] == []
    assert described["CodeSize"] == (built / "function.zip").stat().st_size
    assert not folder.exists(), "what was unpacked is removed"


def test_a_module_that_its_archive_lacks_fails_a_function_by_name(
    built: Path, tmp_path: Path
) -> None:
    change(built, "function", lambda folder: (folder / "pipeline/ingestion/raw_batch.py").unlink())
    with booted(built) as twin:
        error = invoke(twin)
    assert error["errorType"] == "Runtime.ImportModuleError"
    assert "No module named 'pipeline.ingestion.raw_batch'" in error["errorMessage"]
    out = tmp_path / "out"
    done = fleetwin("run", "tiny", "--assets", f"built={built}", "--out", str(out))
    assert done.returncode == 1
    assert f"the function {FUNCTION} does not load from {built}: Runtime.Imp" in done.stderr


def test_a_job_is_its_script_and_its_archive(built: Path) -> None:
    change(built, "features-job", lambda script: script.write_text(JOB))
    change(built, "pipeline", lambda folder: (folder / "pipeline/etl/raw_lines.py").unlink())
    with booted(built) as twin:
        job = twin.target.name_of("AWS::Glue::Job", "features")
        run_id = twin.call("glue", "StartJobRun", JobName=job)["JobRunId"]
        twin.advance(600.0)
        run = twin.call("glue", "GetJobRun", JobName=job, RunId=run_id)["JobRun"]
        where = {"logGroupName": "/aws-glue/fleetwin-dev/output", "logStreamName": run_id}
        printed = twin.call("logs", "GetLogEvents", **where)["events"]
        archive = twin.target.cloud.context.state / "assets/pipeline/pipeline.zip"
    assert run["JobRunState"] == "FAILED"
    assert "No module named 'pipeline.etl.raw_lines'" in run["ErrorMessage"]
    (line,) = (each["message"] for each in printed if each["message"].startswith("LOOKED"))
    for looked in json.loads(line.removeprefix("LOOKED ")):  # By the driver and by an executor.
        assert looked["pipeline"] == f"{archive}/pipeline/__init__.py"
        assert not looked["simulator"]
        assert [path for path in looked["path"] if is_of_the_checkout(path)] == []


def test_the_image_is_its_source_archive(built: Path) -> None:
    change(built, "model-image", lambda folder: (folder / "marker.txt").write_text("here"))
    with booted(built) as twin:
        context = twin.target.cloud.context
        uri = f"{context.account}.dkr.ecr.{context.region}.amazonaws.com/assets:model-image"
        package = containers.image(context, uri).folder / "pipeline"
        assert (package / "marker.txt").read_text() == "here"
        assert package.resolve() == (context.state / "assets/model-image").resolve()


@pytest.mark.slow
def test_a_run_of_the_archives_finds_what_a_run_of_the_sources_does(
    tiny_runs: tuple[FinishedRun, FinishedRun],
) -> None:
    """Each archive says its name where it is imported, so the logs tell what ran."""
    of_sources, of_archives = tiny_runs
    scores, same = ((run.out / SCORES_FILE).read_bytes() for run in tiny_runs)
    assert scores == same
    for part in ("readings", "faults", "detections", "detection_delay_s", "truth", "alerts"):
        assert of_archives.report[part] == of_sources.report[part], part
    for file, name in (
        ("aws/lambda/fleetwin-dev-raw-writer.log", "function"),
        ("aws/lambda/fleetwin-dev-detector.log", "function"),
        ("aws-glue/fleetwin-dev/output.log", "pipeline"),
        ("aws/sagemaker/TrainingJobs.log", "model-image"),
    ):
        written = ((run.out / "twin/logs" / file).read_text() for run in tiny_runs)
        said = [set(re.findall(r"imported from ([a-z-]+)", text)) for text in written]
        assert said == [set(), {name}], file


def test_a_function_runs_with_its_own_wheels(tmp_path: Path) -> None:
    folder = Path(os.environ.get("FLEETWIN_BUILT_ASSETS", BUILT))
    try:
        manifest = checked(folder).manifest
    except AssetsError as error:
        pytest.skip(f"wheels need a package index, none were fetched here: {error}")
    if not manifest.wheels:
        pytest.skip(f"{folder} was built without --wheels, which needs a package index")
    built = Path(shutil.copytree(folder, tmp_path / "built"))
    text = HANDLER.replace('"path": sys.path', '"path": sys.path, "own": own()')
    text += "\ndef own():\n    import boto3, numpy\n    return [boto3.__file__, numpy.__file__]\n"
    change(
        built,
        "function",
        lambda inside: (inside / "pipeline/ingestion/raw_writer.py").write_text(text),
    )
    with booted(built) as twin:
        looked = invoke(twin)
        home = twin.target.cloud.context.state / "functions"
    assert all(Path(file).is_relative_to(home) for file in looked["own"])
    assert not any(path.endswith("-packages") for path in looked["path"])
