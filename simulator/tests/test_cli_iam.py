"""`fleetwin iam report`, on a finished run and without one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from simulator.cli_commands import app
from simulator.cloud import iam_store, iam_usage
from simulator.cloud.errors import AccessDenied
from simulator.cloud.iam import Iam
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


def test_a_denied_call_is_named_in_the_report_which_then_ends_with_1(tmp_path: Path) -> None:
    iam = Iam("000000000000")
    lambda_ = {"Service": "lambda.amazonaws.com"}
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": lambda_}
    allowed = {"Sid": "Read", "Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}
    reader, other = (f"arn:aws:iam::000000000000:role/{name}" for name in ("reader", "other"))
    for role in (reader, other):
        iam.put_role(role, {"Statement": trust}, {"only": {"Statement": [allowed]}})
    session = iam.principal_for_role(reader, "session")
    iam.authorise(session, "s3:GetObject", "arn:aws:s3:::lake/a")
    with pytest.raises(AccessDenied):
        iam.authorise(replace(session, step="Store"), "s3:PutObject", "arn:aws:s3:::lake/b")
    iam_store.save(iam, tmp_path)
    iam_usage.save(iam, tmp_path)
    words = ["iam", "report", "--state", str(tmp_path)]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "other",
        "  not used  Read                   s3:GetObject",
        "reader",
        "  DENIED    s3:PutObject on arn:aws:s3:::lake/b, at Store",
        "1 of 2 grants were used, 1 calls were denied",
    ]
    assert CliRunner().invoke(app, [*words, "--role", "other"]).exit_code == 0


def test_the_permissions_report_without_a_run_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentMissing, match="run `fleetwin run` first"):
        CliRunner().invoke(app, ["iam", "report", "--state", str(tmp_path)], catch_exceptions=False)


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("", None, "run `fleetwin run` first"),
        ("iam/usage.json", '{"format": 0}', "cannot be read .*format 0"),
        ("iam/policies.json", "{", "cannot be read .*run `fleetwin run` again"),
    ],
)
def test_what_is_no_folder_of_a_run_is_refused_in_one_line(
    tmp_path: Path, name: str, text: str | None, why: str
) -> None:
    state = tmp_path / "twin"
    if text is None:
        state.write_text("a file, not a folder", "utf-8")
    else:
        (state / "iam").mkdir(parents=True)
        (state / "iam" / "policies.json").write_text('{"history": []}', "utf-8")
        (state / name).write_text(text, "utf-8")
    with pytest.raises(EnvironmentMissing, match=why):
        CliRunner().invoke(app, ["iam", "report", "--state", str(state)], catch_exceptions=False)
