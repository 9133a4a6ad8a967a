"""What a wheel carries: all that an installed twin opens, and no tests."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

from simulator.targets import ROOT

TOP = ("simulator", "pipeline", "infra_cdk")
SETUPTOOLS: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"][
    "setuptools"
]


def in_tests(path: Path) -> bool:
    return bool({"tests", "__pycache__"} & set(path.parts))


def files() -> Iterator[Path]:
    for top in TOP:
        for path in sorted((ROOT / top).rglob("*")):
            if path.is_file() and not in_tests(path.relative_to(ROOT)):
                yield path.relative_to(ROOT)


def is_module(path: Path) -> bool:
    return path.suffix == ".py" and (ROOT / path.parent / "__init__.py").exists()


@pytest.mark.parametrize("path", [path for path in files() if not is_module(path)], ids=str)
def test_a_file_that_is_no_module_is_in_the_wheel(path: Path) -> None:
    patterns = SETUPTOOLS["package-data"][path.parts[0]]
    inside = path.relative_to(path.parts[0]).as_posix()
    assert any(fnmatch(inside, pattern) for pattern in patterns)


def test_tests_are_not_in_the_wheel_but_what_users_test_with_is() -> None:
    find = SETUPTOOLS["packages"]["find"]
    packages = {".".join(path.parent.parts) for path in files() if is_module(path)} | {
        "simulator.tests",
        "simulator.cloud.tests",
    }
    carried = {
        package
        for package in packages
        if any(fnmatch(package, pattern) for pattern in find["include"])
        and not any(fnmatch(package, pattern) for pattern in find["exclude"])
    }
    assert packages - carried == {"simulator.tests", "simulator.cloud.tests"}
    assert "simulator.testing" in carried
