"""The packed assets are the same bytes each time, fit Lambda and answer without the project."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import boto3
import numpy as np
import orjson
import pytest

from infra_cdk import build as building
from infra_cdk import contents
from infra_cdk.archives import (
    MAX_DIRECT_BYTES,
    MAX_UNZIPPED_BYTES,
    check_function_size,
    pack_tar,
    pack_zip,
)
from infra_cdk.build import BUILT, Manifest, build, handlers_of, imported_alone, table
from infra_cdk.contents import REPOSITORY, SOURCES, BuildError, source_digest
from infra_cdk.tests.snapshot import resources

FUNCTIONS = dict(handlers_of("function"))


def test_two_builds_have_the_same_bytes(tmp_path: Path) -> None:
    first, second = (build(tmp_path / name, wheels=False) for name in ("first", "second"))
    assert first == second
    assert first.to_json() == Manifest.read(tmp_path / "second").to_json()
    assert first.assets.keys() == SOURCES.keys()
    for built in first.assets.values():
        assert (tmp_path / "first" / built.file).stat().st_size == built.bytes


@pytest.mark.parametrize("pack", [pack_zip, pack_tar])
def test_times_and_modes_of_files_do_not_matter(pack: object, tmp_path: Path) -> None:
    assert callable(pack)
    source = tmp_path / "source"
    source.mkdir()
    (source / "a.py").write_text("A = 1\n")
    pack(source, tmp_path / "first")
    os.utime(source / "a.py", (1e9, 1e9))
    (source / "a.py").chmod(0o700)
    pack(source, tmp_path / "other-name")
    assert (tmp_path / "first").read_bytes() == (tmp_path / "other-name").read_bytes()


def test_the_archive_of_the_image_is_its_build_context(tmp_path: Path) -> None:
    built = build(tmp_path, wheels=False).assets["model-image"]
    with tarfile.open(tmp_path / built.file) as archive:
        names = archive.getnames()
    assert {"__init__.py", "model/Dockerfile", "model/container.py"} <= set(names)
    assert not any("tests" in name.split("/") for name in names)


@pytest.mark.parametrize(
    ("unzipped", "zipped", "said"),
    [
        (MAX_UNZIPPED_BYTES, MAX_DIRECT_BYTES, ""),
        (MAX_UNZIPPED_BYTES, MAX_DIRECT_BYTES + 1, "deploy it by S3"),
    ],
)
def test_a_large_archive_goes_by_s3(unzipped: int, zipped: int, said: str) -> None:
    assert check_function_size("f.zip", unzipped, zipped).count(said)
    assert bool(check_function_size("f.zip", unzipped, zipped)) == bool(said)


def test_an_archive_that_lambda_refuses_is_not_built() -> None:
    with pytest.raises(BuildError, match="262,144,001 bytes unzipped are more than"):
        check_function_size("f.zip", MAX_UNZIPPED_BYTES + 1, 1)


def test_a_build_that_failed_leaves_no_manifest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(tmp_path, wheels=False)
    monkeypatch.setattr(building, "check_function_size", lambda *_: refuse())
    with pytest.raises(BuildError, match="too large"):
        build(tmp_path, wheels=False)
    with pytest.raises(BuildError, match="no assets were built there"):
        Manifest.read(tmp_path)


def refuse() -> None:
    raise BuildError("too large")


def test_each_change_of_a_source_changes_its_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "pipeline"
    package.mkdir()
    (package / "a.py").write_text("A = 1\n")
    monkeypatch.setattr(contents, "REPOSITORY", tmp_path)
    seen = {source_digest("pipeline")}
    (package / "a.py").write_text("A = 2\n")
    seen.add(source_digest("pipeline"))
    (package / "a.py").rename(package / "b.py")
    seen.add(source_digest("pipeline"))
    assert len(seen) == 3
    (package / "tests").mkdir()
    (package / "tests" / "test_a.py").write_text("")
    assert source_digest("pipeline") in seen


def test_a_handler_that_needs_what_the_archive_has_not_is_named(tmp_path: Path) -> None:
    """Without wheels no handler can be imported alone: nothing else is on the path."""
    contents.write_contents("function", tmp_path)
    here = sys.platform, platform.machine(), "3.11" if sys.version_info[:2] == (3, 11) else ""
    if here != ("linux", contents.MACHINE, contents.PYTHON):
        pytest.skip(f"the functions run on Linux, {contents.MACHINE}, Python {contents.PYTHON}")
    with pytest.raises(BuildError, match=r"cannot be imported from the archive alone .*No module"):
        imported_alone("function", tmp_path)


def test_wheels_have_a_hash_each_and_the_versions_that_are_tested() -> None:
    pins = re.findall(
        r"^([a-z0-9-]+)==(\S+) \\\n +--hash=sha256:[0-9a-f]{64}$",
        contents.REQUIREMENTS.read_text("utf-8"),
        flags=re.MULTILINE,
    )
    tested = (REPOSITORY / "constraints.txt").read_text("utf-8").splitlines()
    differ = [f"{name}=={version}" for name, version in pins if f"{name}=={version}" not in tested]
    assert len(pins) == 9
    assert differ == ["numpy==2.2.6"], "Amazon Linux 2 is too old for the wheels of later ones"


def test_a_wheel_lands_where_its_installation_would_lay_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def download(folder: Path) -> None:
        with zipfile.ZipFile(folder / "one-1-py3-none-any.whl", "w") as wheel:
            for name in ("one/a.py", "one-1.data/platlib/one/b.py", "one-1.data/scripts/program"):
                wheel.writestr(name, "")

    monkeypatch.setattr(contents, "_download", download)
    assert contents.add_wheels(tmp_path / "task") == ["one-1-py3-none-any.whl"]
    files = sorted(file.name for file in (tmp_path / "task").rglob("*") if file.is_file())
    assert files == ["a.py", "b.py"]


def test_the_command_prints_what_it_built_and_says_that_wheels_are_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert building.main([str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert re.search(r"^function +function\.zip +[\d,]+ +[\d,]+ +\d+$", said, flags=re.MULTILINE)
    assert "build again with --wheels" in said


def test_wheels_are_for_the_python_and_the_machine_of_the_functions() -> None:
    functions = resources("AWS::Lambda::Function").values()
    assert {body["Runtime"] for body in functions} == {f"python{contents.PYTHON}"}
    assert {name for body in functions for name in body["Architectures"]} == {contents.MACHINE}


@pytest.mark.parametrize("handler", FUNCTIONS)
def test_a_function_answers_from_the_archive_and_installed_packages(
    handler: str, tmp_path: Path
) -> None:
    build(tmp_path, wheels=False)
    unpacked = tmp_path / "task"
    zipfile.ZipFile(tmp_path / "function.zip").extractall(unpacked)
    packages = {str(Path(str(each.__file__)).parents[1]) for each in (boto3, np, orjson)}
    assert answer_of(handler, unpacked, sorted(packages)) == {"batchItemFailures": []}


@pytest.mark.parametrize("handler", FUNCTIONS)
def test_a_function_answers_from_the_archive_alone(handler: str, tmp_path: Path) -> None:
    folder = Path(os.environ.get("FLEETWIN_BUILT_ASSETS", BUILT))
    try:
        manifest = Manifest.read(folder)
    except BuildError as error:
        pytest.skip(f"wheels need a package index, none were fetched here: {error}")
    if not manifest.wheels:
        pytest.skip(f"{folder} was built without --wheels, which needs a package index")
    if manifest.assets["function"].sources != source_digest("function"):
        pytest.skip(f"{folder} is stale: build it again with --wheels")
    assert "manylinux" in table(manifest)
    zipfile.ZipFile(folder / "function.zip").extractall(tmp_path)
    assert answer_of(handler, tmp_path, []) == {"batchItemFailures": []}


def answer_of(handler: str, unpacked: Path, packages: list[str]) -> object:
    """Return what a handler in a folder answers to an empty batch, with ``packages`` beside it."""
    module, _, name = handler.rpartition(".")
    # -S: the file that puts the working tree on the path is not read.
    code = (
        f"import json, sys; sys.path[:0] = {[str(unpacked), *packages]!r}; "
        f"import {module} as m; "
        f"print(json.dumps([m.__file__, m.{name}({{'Records': []}}, None)]))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code],
        cwd=unpacked,
        check=False,
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"], **FUNCTIONS[handler]},
    )
    assert done.returncode == 0, done.stderr
    file, answer = json.loads(done.stdout.splitlines()[-1])
    assert file.startswith(str(unpacked))
    return answer
