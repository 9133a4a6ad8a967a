"""The LocalStack beside which `benchmarks.http_services` measures: one that listens, or its own."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.http_services import localstack
from simulator import localstack_host
from simulator.cloud.tests.remote_server import moto_server
from simulator.errors import EnvironmentMissing

NOBODY = "http://127.0.0.1:1"


def test_one_that_listens_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(localstack_host.VARIABLE, raising=False)
    with moto_server() as there, localstack(there) as url:
        assert url == there


def test_where_none_listens_and_none_is_prepared_it_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(localstack_host.VARIABLE, raising=False)
    with pytest.raises(EnvironmentMissing, match="make localstack"), localstack(NOBODY):
        pass


def test_a_prepared_one_is_started_on_a_free_port_and_ended(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """moto plays it."""
    events: list[str] = []

    @contextlib.contextmanager
    def running(python: Path, folder: Path) -> Iterator[tuple[str, None]]:
        assert (python, folder) == (tmp_path / "bin" / "python", tmp_path / "files")
        with moto_server() as url:
            yield url, None
        events.append("ended")

    monkeypatch.setattr(localstack_host, "prepared", lambda: tmp_path)
    monkeypatch.setattr(localstack_host, "running", running)
    with localstack(NOBODY) as url:
        assert url != NOBODY
        assert events == []
    assert events == ["ended"]
