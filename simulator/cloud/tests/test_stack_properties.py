"""Updates of a stack: applying two templates in turn is as good as applying the second."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hypothesis import HealthCheck, given, settings

from simulator.cloud.tests.stack_answers import described
from simulator.cloud.tests.stack_bench import Template, applied, templates, twin

few = settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))


@contextmanager
def folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp())
    try:
        yield path
    finally:
        shutil.rmtree(path)


@few
@given(templates(), templates())
def test_a_then_b_is_b_and_back_is_a_and_again_changes_nothing(a: Template, b: Template) -> None:
    # One after the other: what moto keeps is this process's.
    with folder() as path, twin(path) as cloud:
        applied(cloud, path / "b", b)
        fresh = described(cloud)
    with folder() as path, twin(path) as cloud:
        applied(cloud, path / "a", a)
        as_a = described(cloud)
        assert applied(cloud, path / "a", a) == "nothing changes"
        applied(cloud, path / "b", b)
        assert described(cloud) == fresh
        assert applied(cloud, path / "b", b) == "nothing changes"
        applied(cloud, path / "a", a)
        assert described(cloud) == as_a


@few
@given(templates())
def test_deletion_leaves_nothing(template: Template) -> None:
    with folder() as path, twin(path) as cloud:
        nothing = described(cloud)
        applied(cloud, path / "a", template)
        cloud.destroy()
        assert described(cloud) == nothing
        assert cloud.deployment is not None
        assert cloud.deployment.resources == {}
