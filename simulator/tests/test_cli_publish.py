"""`fleetwin publish`, run as a user would."""

from __future__ import annotations

from typer.testing import CliRunner

from simulator.cli_commands import app
from simulator.fleet.tests.broker import LoopbackBroker


def test_the_command_publishes_a_scenario_and_counts() -> None:
    with LoopbackBroker() as server:
        words = ["publish", "tiny", "--broker", f"mqtt://127.0.0.1:{server.port}", "--speed", "max"]
        result = CliRunner().invoke(app, [*words, "--seconds", "20", "--devices", "2"])
    assert result.exit_code == 0, result.output
    readings = [r for r in server.received if r.topic.endswith("/telemetry")]
    assert len(readings) == 40
    assert "0 not; 0 reconnects" in result.output
