"""A run of `tiny` that was recorded on LocalStack, compared offline with one on the twin."""

from __future__ import annotations

from typer.testing import CliRunner

from simulator.cli_commands import app
from simulator.parity.cassette import Cassette
from simulator.parity.journey import Tolerance
from simulator.parity.journey_words import words
from simulator.parity.sides import run_differences, side
from simulator.targets import ROOT
from simulator.tests.conftest import FinishedRun

CASSETTE = ROOT / "parity_tests" / "cassettes" / "localstack-tiny.jsonl"
SCORES_WITHIN = 1e-3
"""Of a recording on another machine: a network is trained there with that machine's arithmetic."""
MEASURED = ("read", "rule", "s3:PutObject")
"""The hops that LocalStack executed; they took its real time."""
OF_READINGS = {"IoT messages", "IoT actions", "Kinesis PUT payload units", "SageMaker invocations"}
"""What readings make of the bill; the rest follows from the stack, which is not that of then."""


def test_tiny_leads_to_what_was_recorded_on_localstack(tiny_run: FinishedRun) -> None:
    (found,) = run_differences(side(tiny_run.out), side(CASSETTE), Tolerance(score=SCORES_WITHIN))
    assert found.there.target == "localstack"
    assert found.same, words(found)
    assert found.rows > 200
    assert len(found.pairs) >= 2
    same = {name for name, (here, there) in found.billable.items() if here == there > 0.0}
    assert same >= OF_READINGS, words(found)
    for hop in found.latency.hops:
        assert (hop.means_s[1] > hop.means_s[0]) == (hop.hop in {*MEASURED, "sns:Publish"}), hop


def test_the_cassette_is_compared_and_fitted_without_localstack() -> None:
    cassette = Cassette.load(CASSETTE)
    assert [(run.report["scenario"], run.report["target"]) for run in cassette.runs] == [
        ("tiny", "localstack")
    ]
    done = CliRunner().invoke(app, ["parity", "diff", str(CASSETTE), str(CASSETTE)])
    assert done.exit_code == 0, done.output
    assert "one run here and there" in done.output
    other = CASSETTE.with_name("localstack.jsonl")
    done = CliRunner().invoke(app, ["parity", "diff", str(CASSETTE), str(other)])
    assert "31 of 31 steps are answered the same" in done.output
    assert "recorded without a scenario" in done.output
