"""A run of a CDK app that is not ours: it boots, messages come in, the clock moves, then it ends.

Called by `fleetwin run --assembly`. It knows nothing of what the app is for: schedules, functions,
workflows and alarms do what the templates say, as under `fleetwin up`, but on the run's own clock
and for a stated time. What came of it is told by `app_report`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

from simulator import app_report, evidence
from simulator.cloud.assembly import load_assembly
from simulator.cloud.isolation import PLAIN
from simulator.errors import ScenarioError
from simulator.fleet.delivery import Message
from simulator.host_errors import make_folder
from simulator.progress import Progress
from simulator.targets import Embedded, remote_of

START = datetime(2026, 1, 5, tzinfo=UTC)
"""A Monday at midnight, so that schedules fall where they fall in every run."""
FOR_S = 3_600.0
_UNITS = {"s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)([smhd])")
_MEMBERS = {"at_s", "topic", "payload", "client_id"}


@dataclass(frozen=True)
class AppOptions:
    """How to run an app. ``speed`` is virtual seconds per real one, ``None`` the fastest."""

    assembly: Path
    out: Path
    for_s: float = FOR_S
    messages: Path | None = None
    seed: int = 0
    speed: float | None = None
    port: int = 0
    cold: bool = False
    isolation: str = PLAIN
    target: str = "embedded"
    endpoint: str | None = None
    progress: Progress = field(default_factory=Progress)


@dataclass(frozen=True)
class Planned:
    """A message of the file: when it is published, in seconds since the start."""

    at_s: float
    message: Message


def is_ours(assembly: Path) -> bool:
    """Tell whether an assembly is a stage of our stack; raises TemplateError for none at all."""
    return any("FeatureSpec" in stack.parameters for stack in load_assembly(assembly).stacks)


def seconds_of(text: str) -> float:
    """Return the seconds of ``90s``, ``15m``, ``2h`` or ``1.5d``; raises ScenarioError."""
    matched = _DURATION.fullmatch(text)
    seconds = float(matched[1]) * _UNITS[matched[2]] if matched else 0.0
    if not seconds > 0.0:
        raise ScenarioError(f"--for {text}: must be a time above 0, such as 90s, 15m, 2h or 1d")
    return seconds


def run_app(options: AppOptions) -> dict[str, Any]:
    """Run an app for its time; write `app-report.json` and `.txt` to ``out``, return the former.

    Raises SimulatorError with one line that names cause and cure. Whatever happens, no process
    is left behind.
    """
    planned = list(messages_of(options.messages, options.for_s)) if options.messages else []
    make_folder(options.out)
    target = Embedded(
        START,
        evidence.fresh_state(options.out),
        speed=options.speed,
        seed=options.seed,
        port=options.port,
        assembly=options.assembly,
        cold=options.cold,
        isolation=options.isolation,
        remote=remote_of(options.target, options.endpoint),
    )
    try:
        progress = options.progress
        progress.stage("boot")
        resources = target.boot({}, prewarmed=False)
        told = app_report.listen(target)
        progress.stage("run")
        began_s = target.clock.now
        progress.watch(target.clock, options.for_s)
        for at_s, together in groupby(planned, key=lambda each: each.at_s):
            target.run_until(began_s + at_s)
            target.publish([each.message for each in together])
        target.run_until(began_s + options.for_s)
        progress.finish()
        report = app_report.gather(target, told, options.for_s, resources, len(planned))
        target.keep()
    finally:
        target.close()
    text = app_report.text_of(report)
    (options.out / evidence.APP_REPORT).write_text(json.dumps(report, indent=1) + "\n", "utf-8")
    (options.out / "app-report.txt").write_text(text + "\n", "utf-8")
    return report


def messages_of(file: Path, for_s: float) -> Iterator[Planned]:
    """Yield the messages of a file of JSON lines, by time; raises ScenarioError with the line.

    A line has ``at_s``, ``topic`` and ``payload`` (text, or anything else as JSON), and may have
    the ``client_id`` that publishes.
    """
    try:
        lines = file.read_text("utf-8").splitlines()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ScenarioError(f"--messages {file}: {reason}; give a file of JSON lines") from error
    found = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                found.append(_planned(json.loads(line), for_s))
            except json.JSONDecodeError as error:
                raise ScenarioError(
                    f"--messages {file}, line {number}: no JSON ({error})"
                ) from error
            except (ValueError, TypeError, KeyError) as error:
                raise ScenarioError(f"--messages {file}, line {number}: {error}") from error
    yield from sorted(found, key=lambda each: each.at_s)


def _planned(entry: Any, for_s: float) -> Planned:
    if not isinstance(entry, dict) or not {"topic", "payload"} <= entry.keys() <= _MEMBERS:
        raise ValueError("must be an object with topic and payload, and may have at_s, client_id")
    at_s, topic = entry.get("at_s", 0.0), entry["topic"]
    if isinstance(at_s, bool) or not isinstance(at_s, int | float):
        raise ValueError(f"at_s {at_s!r} is no number of seconds")
    if not (math.isfinite(at_s) and 0.0 <= at_s < for_s):
        raise ValueError(f"at_s {at_s:g} is not within the run's {for_s:g} s")
    if not isinstance(topic, str) or not topic or set("+#") & set(topic):
        raise ValueError(f"topic {topic!r} is no topic to publish to")
    payload = entry["payload"]
    body = payload if isinstance(payload, str) else json.dumps(payload)
    client = str(entry.get("client_id", "fleetwin"))
    return Planned(float(at_s), Message(topic, body.encode(), client, float(at_s)))
