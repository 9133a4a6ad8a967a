"""Every kind of machine and every fault has its picture, and a command that draws it."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import fleet_pictures
from simulator.fleet.catalogue import FAULTS, KINDS
from simulator.targets import ROOT

PAGE = (ROOT / "docs" / "fleet.md").read_text("utf-8")


@pytest.mark.parametrize(
    "name", [*(f"kind-{kind}" for kind in KINDS), *(f"fault-{fault}" for fault in FAULTS)]
)
def test_the_page_shows_every_kind_and_every_fault(name: str) -> None:
    file = f"images/fleet/{name.replace('_', '-')}.png"
    assert (ROOT / "docs" / file).stat().st_size > 5_000
    assert f"]({file})" in PAGE


def test_the_command_draws_what_it_is_asked_for(tmp_path: Path) -> None:
    names = ("electric_motor", "cavitation", "frozen_timestamp", "stuck_at")
    assert fleet_pictures.main([str(tmp_path), *names]) == 0
    drawn = {path.name for path in tmp_path.iterdir()}
    assert drawn == {
        "kind-electric-motor.png",
        "fault-cavitation.png",
        "fault-frozen-timestamp.png",
        "fault-stuck-at.png",
    }


def test_an_unknown_name_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fleet_pictures.main([str(tmp_path), "cavitatoin"]) == 2
    assert "cavitatoin" in capsys.readouterr().err
