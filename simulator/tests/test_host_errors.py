"""What the machine refuses is one line with cause and cure, and leaves nothing running."""

from __future__ import annotations

import errno
import os
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from simulator.errors import EnvironmentMissing
from simulator.evidence import REPORT_FILES, fresh_state
from simulator.host_errors import make_folder, words_for, write_file
from simulator.tests.command import fleetwin
from simulator.tests.test_cli import refusal


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "the disk is full"),
        (errno.EACCES, "change its rights"),
        (errno.EROFS, "change its rights"),
        (errno.EMFILE, "ulimit -n"),
    ],
)
def test_trouble_of_the_machine_is_told_with_its_cure(number: int, words: str) -> None:
    said = words_for(OSError(number, os.strerror(number), "out/twin"))
    assert said is not None
    assert words in said
    assert "\n" not in said


def test_a_full_disk_is_told_also_when_what_ends_a_run_fails_by_it() -> None:
    with pytest.raises(sqlite3.OperationalError) as caught:
        fail_twice()
    assert (words_for(caught.value) or "").startswith("out/twin/s3/object: the disk is full; ")
    caught.value.__context__ = None
    assert (words_for(caught.value) or "").startswith("the disk is full; ")
    assert words_for(sqlite3.OperationalError("no such table: objects")) is None


def fail_twice() -> None:
    """Fail to write a file, and then to write more into a database than fits."""
    try:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "out/twin/s3/object")
    finally:
        fill_database()


def fill_database() -> None:
    with closing(sqlite3.connect(":memory:")) as database:
        database.execute("create table objects (body)")
        database.execute("pragma max_page_count = 2")
        database.execute("insert into objects values (zeroblob(100000))")


@pytest.mark.parametrize("number", [errno.ENOENT, errno.EBADF, errno.EINVAL])
def test_what_may_be_a_defect_of_ours_stays_a_traceback(number: int) -> None:
    assert words_for(OSError(number, os.strerror(number))) is None


def test_a_file_is_written_into_a_folder_that_is_not_there_yet(tmp_path: Path) -> None:
    write_file(tmp_path / "a" / "b" / "page.html", "é")
    assert (tmp_path / "a" / "b" / "page.html").read_text("utf-8") == "é"


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    with pytest.raises(EnvironmentMissing, match=re.escape(str(tmp_path / "taken" / "page.html"))):
        write_file(tmp_path / "taken" / "page.html", "")


def test_an_output_folder_that_is_a_file_is_refused_before_anything_runs(tmp_path: Path) -> None:
    file = tmp_path / "out"
    file.write_text("mine", "utf-8")
    line = refusal(fleetwin("run", "tiny", "--out", str(file)))
    assert f"--out {file}: cannot be written (a file is there)" in line
    assert file.read_text("utf-8") == "mine"


@pytest.mark.parametrize(
    ("words", "option"),
    [
        (("run", "tiny"), "--out"),
        (("history", "tiny", "--days", "0.01"), "--out"),
        (("up",), "--state"),
    ],
    ids=["run", "history", "up"],
)
@pytest.mark.parametrize("below", ["", "folder"], ids=["a file", "below a file"])
def test_a_folder_that_cannot_be_made_is_refused_by_every_command_that_fills_one(
    words: tuple[str, ...], option: str, below: str, tmp_path: Path
) -> None:
    file = tmp_path / "taken"
    file.write_text("mine", "utf-8")
    line = refusal(fleetwin(*words, option, str(file / below)))
    assert f"{option} {file / below}: cannot be written (" in line
    assert line.endswith("; choose a folder of yours")
    assert file.read_text("utf-8") == "mine"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_an_output_folder_without_rights_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(EnvironmentMissing, match="choose a folder of yours"):
            make_folder(tmp_path)
    finally:
        tmp_path.chmod(0o700)


def test_the_report_of_the_run_before_goes_with_its_twin(tmp_path: Path) -> None:
    fresh_state(tmp_path)
    for name in (*REPORT_FILES, "notes.txt"):
        (tmp_path / name).touch()
    fresh_state(tmp_path)
    assert {each.name for each in tmp_path.iterdir()} == {"twin", "notes.txt"}
