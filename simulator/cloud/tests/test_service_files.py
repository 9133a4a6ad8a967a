"""botocore's data in Spark's driver: read once, the same for every session."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from botocore.loaders import JSONFileLoader, Loader
from botocore.session import Session

from simulator.cloud.processes import RUNTIME


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Keep what is read from now on; return the files that are really read."""
    opened: list[str] = []
    original = JSONFileLoader.load_file

    def noting(loader: JSONFileLoader, file_path: str) -> Any:
        found = original(loader, file_path)
        if found is not None:
            opened.append(Path(file_path).name)
        return found

    monkeypatch.setattr(JSONFileLoader, "load_file", noting)
    monkeypatch.setattr(Loader, "list_available_services", Loader.list_available_services)
    monkeypatch.setattr(sys, "path", [str(RUNTIME / "site"), *sys.path])
    import_module("fleetwin_service_files").keep()
    return opened


def columns_of_a_table(session: Session) -> set[str]:
    client = session.create_client("glue", region_name="us-east-1")
    column: Any = client.meta.service_model.shape_for("Column")
    return set(column.members)


def test_a_second_session_reads_no_file_that_the_first_has_read(read: list[str]) -> None:
    first = columns_of_a_table(Session())
    once = list(read)
    assert "service-2" in once
    assert columns_of_a_table(Session()) == first
    assert read == once


def test_services_are_listed_anew_for_other_folders(read: list[str], tmp_path: Path) -> None:
    usual = Loader().list_available_services("service-2")
    (tmp_path / "mine" / "2026-01-05").mkdir(parents=True)
    (tmp_path / "mine" / "2026-01-05" / "service-2.json").write_text("{}", encoding="utf-8")
    own = Loader(extra_search_paths=[str(tmp_path)]).list_available_services("service-2")
    assert set(own) == {*usual, "mine"}
    assert Loader().list_available_services("service-2") == usual
