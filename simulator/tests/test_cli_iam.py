"""`fleetwin iam report`, on a finished run and without one."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from simulator.cli_commands import app
from simulator.errors import EnvironmentMissing
from simulator.tests.conftest import FinishedRun


def test_the_permissions_report_of_a_run_names_what_was_not_used_and_nothing_denied(
    tiny_run: FinishedRun,
) -> None:
    words = ["iam", "report", "--state", str(tiny_run.out / "twin")]
    result = CliRunner().invoke(app, words, catch_exceptions=False)
    assert result.exit_code == 0, result.stdout
    assert "DENIED" not in result.stdout
    lines = result.stdout.splitlines()
    assert lines[-1].endswith("0 calls were denied")
    detector = lines[lines.index("fleetwin-dev-detector") + 1 :]
    assert "ReadStream" in "".join(detector[:8]), "it is told of records, it never describes"
    narrowed = CliRunner().invoke(app, [*words, "--role", "raw-writer"]).stdout
    assert "fleetwin-dev-detector" not in narrowed
    assert "fleetwin-dev-raw-writer" in narrowed
    counted = [int(text.splitlines()[-1].split()[2]) for text in (narrowed, result.stdout)]
    assert 0 < counted[0] < counted[1], "it counts what it shows"
    with pytest.raises(EnvironmentMissing, match=r"--role rawwriter: .*fleetwin-dev-raw-writer"):
        CliRunner().invoke(app, [*words, "--role", "rawwriter"], catch_exceptions=False)


def test_the_permissions_report_without_a_run_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentMissing, match="run `fleetwin run` first"):
        CliRunner().invoke(app, ["iam", "report", "--state", str(tmp_path)], catch_exceptions=False)
