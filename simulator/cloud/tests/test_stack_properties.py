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
    with folder() as one, folder() as two, twin(one) as changed, twin(two) as fresh:
        applied(changed, one / "a", a)
        as_a = described(changed)
        assert applied(changed, one / "a", a) == "nothing changes"
        assert described(changed) == as_a
        applied(changed, one / "b", b)
        applied(fresh, two / "b", b)
        assert described(changed) == described(fresh)
        assert applied(changed, one / "b", b) == "nothing changes"
        applied(changed, one / "a", a)
        assert described(changed) == as_a


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
