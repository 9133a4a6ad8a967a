"""The packed assets are the same bytes each time and answer without the project."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import boto3
import numpy as np
import orjson
import pytest

from infra_cdk.build import build, pack
from infra_cdk.tests.snapshot import Body, resources, template, text_of

FUNCTIONS = {body["Handler"]: body for body in resources("AWS::Lambda::Function").values()}


def test_two_builds_have_the_same_bytes(tmp_path: Path) -> None:
    first, second = (build(tmp_path / name, wheels=False) for name in ("first", "second"))
    assert first == second
    assert {"function", "pipeline", "features-job"} <= first.keys()


def test_times_and_modes_of_files_do_not_matter(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "a.py").write_text("A = 1\n")
    pack(source, tmp_path / "first.zip")
    os.utime(source / "a.py", (1e9, 1e9))
    (source / "a.py").chmod(0o700)
    pack(source, tmp_path / "second.zip")
    assert (tmp_path / "first.zip").read_bytes() == (tmp_path / "second.zip").read_bytes()


def variables(function: Body) -> Iterator[tuple[str, str]]:
    """Yield a function's environment: defaults of parameters, else any text for a reference."""
    for name, value in function["Environment"]["Variables"].items():
        parameter = value.get("Ref") if isinstance(value, dict) else None
        declared = template()["Parameters"].get(parameter)
        yield name, declared["Default"] if declared else text_of(value)


@pytest.mark.parametrize("handler", FUNCTIONS)
def test_a_function_answers_from_the_archive_alone(handler: str, tmp_path: Path) -> None:
    build(tmp_path, wheels=False)
    unpacked = tmp_path / "task"
    zipfile.ZipFile(tmp_path / "function.zip").extractall(unpacked)
    packages = {str(Path(str(each.__file__)).parents[1]) for each in (boto3, np, orjson)}
    module, _, name = handler.rpartition(".")
    # -S: the file that puts the working tree on the path is not read.
    code = (
        f"import json, sys; sys.path[:0] = {[str(unpacked), *sorted(packages)]!r}; "
        f"import {module} as m; "
        f"print(json.dumps([m.__file__, m.{name}({{'Records': []}}, None)]))"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
        env={
            "PATH": os.environ["PATH"],
            "AWS_DEFAULT_REGION": "eu-west-1",
            **dict(variables(FUNCTIONS[handler])),
        },
    )
    assert done.returncode == 0, done.stderr
    file, answer = json.loads(done.stdout.splitlines()[-1])
    assert file.startswith(str(unpacked))
    assert answer == {"batchItemFailures": []}
