"""The pipeline is AWS code: it knows nothing of the simulator, and not where AWS is."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FORBIDDEN = {"simulator", "infra_cdk", "benchmarks", "parity_tests", "simpy", "moto", "aws_cdk"}
SOURCES = sorted(path for path in ROOT.rglob("*.py") if "tests" not in path.relative_to(ROOT).parts)


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide what is imported"
            yield node.module or ""


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_imports_nothing_of_the_simulator_and_names_no_endpoint(path: Path) -> None:
    text = path.read_text()
    packages = {name.partition(".")[0] for name in imported(ast.parse(text))}
    assert not packages & FORBIDDEN
    assert "endpoint_url" not in text
    assert "AWS_ENDPOINT" not in text
