"""A state folder has one twin at a time, and what one of them cannot keep ends nothing less."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from simulator.cloud.cloud import Cloud
from simulator.cloud.state_lock import FILE, StateLock, refuse_if_held
from simulator.errors import EnvironmentMissing

START = datetime(2026, 1, 5, tzinfo=UTC)


def test_a_second_twin_on_the_folder_is_refused_and_the_first_is_named(tmp_path: Path) -> None:
    first = Cloud(START, tmp_path)
    try:
        with pytest.raises(EnvironmentMissing, match=f"process {os.getpid()}.* let it end"):
            Cloud(START, tmp_path)
        with pytest.raises(EnvironmentMissing, match="another twin"):
            refuse_if_held(tmp_path)
    finally:
        first.close()


def test_the_folder_is_free_when_its_twin_has_ended_whoever_is_written_in_it(
    tmp_path: Path,
) -> None:
    Cloud(START, tmp_path).close()
    assert (tmp_path / FILE).exists()
    refuse_if_held(tmp_path)
    Cloud(START, tmp_path).close()


def test_a_lock_is_released_once_and_again(tmp_path: Path) -> None:
    lock = StateLock(tmp_path)
    with pytest.raises(EnvironmentMissing):
        refuse_if_held(tmp_path)
    lock.release()
    lock.release()
    refuse_if_held(tmp_path)


def test_a_twin_that_cannot_keep_something_still_ends_all_that_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud = Cloud(START, tmp_path)
    ended: list[str] = []
    close = cloud.processes.close

    def refuse() -> None:
        raise OSError(28, "No space left on device")

    def note() -> None:
        ended.append("processes")
        close()

    with monkeypatch.context() as full:
        full.setattr(cloud.endpoints, "close", refuse)
        full.setattr(cloud.processes, "close", note)
        with pytest.raises(OSError, match="No space"):
            cloud.close()
    assert ended == ["processes"]
    refuse_if_held(tmp_path)
    cloud.close()
