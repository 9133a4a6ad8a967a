"""Service descriptions that several sessions ask for: read once, but not kept."""

from __future__ import annotations

from pathlib import Path

from botocore.loaders import JSONFileLoader

from simulator.cloud.service_files import read_once


def test_what_one_session_has_read_is_shared_and_forgotten_in_the_end(tmp_path: Path) -> None:
    file = tmp_path / "endpoints.json"
    file.write_text('{"version": 3}', encoding="utf-8")
    name = str(file.with_suffix(""))
    usual = JSONFileLoader.load_file
    with read_once():
        assert JSONFileLoader().load_file(str(tmp_path / "none")) is None
        first = JSONFileLoader().load_file(name)
        file.unlink()
        assert JSONFileLoader().load_file(name) is first
    assert JSONFileLoader.load_file is usual
    assert JSONFileLoader().load_file(name) is None
