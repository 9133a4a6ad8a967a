"""Archives are unpacked into their folder and nowhere else, also by a Python without filters."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

import pipeline.unpacking
import simulator.unpacking

Unpack = Callable[[tarfile.TarFile, Path], None]
UNPACKS = pytest.mark.parametrize("unpack", [pipeline.unpacking.unpack, simulator.unpacking.unpack])


@pytest.fixture(params=["this Python", "Python 3.11.2"], autouse=True)
def python(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the filters away, as if they had never come."""
    if request.param == "Python 3.11.2":
        monkeypatch.delattr(tarfile, "data_filter", raising=False)


def packed(member: tarfile.TarInfo, data: bytes = b"") -> tarfile.TarFile:
    """Return an archive with a member."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as made:
        member.size = len(data)
        made.addfile(member, io.BytesIO(data))
    file.seek(0)
    return tarfile.open(fileobj=file, mode="r:gz")


@UNPACKS
def test_files_and_folders_are_unpacked(unpack: Unpack, tmp_path: Path) -> None:
    with packed(tarfile.TarInfo("code/model.json"), b"{}") as archive:
        unpack(archive, tmp_path)
    assert (tmp_path / "code" / "model.json").read_bytes() == b"{}"


@UNPACKS
@pytest.mark.parametrize("name", ["../outside", "a/../../outside"])
def test_a_member_that_leads_outside_is_refused(unpack: Unpack, name: str, tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    with packed(tarfile.TarInfo(name), b"x") as archive, pytest.raises(tarfile.TarError):
        unpack(archive, inside)
    assert not (tmp_path / "outside").exists()


@UNPACKS
def test_a_link_that_leads_outside_is_refused(unpack: Unpack, tmp_path: Path) -> None:
    link = tarfile.TarInfo("link")
    link.type, link.linkname = tarfile.SYMTYPE, "../outside"
    with packed(link) as archive, pytest.raises(tarfile.TarError):
        unpack(archive, tmp_path)
    assert not (tmp_path / "link").is_symlink()
