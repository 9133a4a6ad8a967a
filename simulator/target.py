"""What a run asks of its target, whatever stands behind it: the port of `simulator.run`.

Two kinds are there: `targets.Embedded`, which lives in this process on the run's clock (with
another endpoint behind it on `localstack`), and `deployed.Deployed`, a stack that is reached by
boto3 alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import simpy

from simulator.cloud.assembly import Archives

StateListener = Callable[[str, str], None]
"""Told of each state of an execution, and whether it was entered or left."""


@dataclass(frozen=True)
class WorkflowOutcome:
    """How an execution ended; ``events`` is the length of its history, ``logs`` where to look.

    ``states`` has names and seconds of those that took time, where nobody could watch it live.
    """

    name: str
    status: str
    events: int
    error: str = ""
    cause: str = ""
    logs: str = ""
    states: tuple[tuple[str, float], ...] = ()


class Packed(Protocol):
    """Archives that were built (`simulator.built_assets`), which a target lays out for itself."""

    @property
    def folder(self) -> Path:
        """Where they were built, for messages."""

    def lay_out(self, into: Path) -> Archives:
        """Copy them to ``into``, emptied before."""


class LooksAhead(Protocol):
    """Machines that ask before they hand over (`simulator.fleet.delivery`)."""

    def look_ahead(self, unnoticed: Callable[[Sequence[Any]], int]) -> Callable[[float], None]:
        """Return what is called before each move of the clock, with the next event's time."""


class Target(Protocol):
    """Everything a run needs of what stands behind the AWS endpoint."""

    name: str

    @property
    def clock(self) -> simpy.Environment:
        """Return the environment on whose clock the machines live."""

    def epoch_s(self) -> float:
        """Return the time on that clock, in seconds since 1970."""

    def boot(self, parameters: Mapping[str, str]) -> int:
        """Have the stack there with these parameters; return how many resources it has."""

    def recorded_only(self) -> dict[str, list[str]]:
        """Return the template's properties that change nothing there, by resource type."""

    def publish(self, messages: Sequence[Any]) -> Any:
        """Take MQTT messages from the machines; return how many were delivered."""

    def look_ahead(self, machines: LooksAhead) -> None:
        """Let machines hand over several seconds' messages together where nobody could tell."""

    def on_alert(self, listener: Callable[[str], None]) -> None:
        """Have ``listener`` told of every message of the alert topic, where that can be."""

    def run_until(self, until: simpy.Event | float) -> Any:
        """Let the machines' clock run until an event, or a time in seconds since the start."""

    def settle(self, seconds: float) -> None:
        """Let what was published so far be stored, which takes this long on the run's clock."""

    def drain(self) -> None:
        """Return when everything that was published has been processed."""

    def run_workflow(
        self, arn: str, data: str, name: str, on_state: StateListener
    ) -> WorkflowOutcome:
        """Run an execution to its end."""

    def name_of(self, type_name: str, ending: str) -> str:
        """Return the physical name of the one resource of a type whose name ends so."""

    def bucket(self, zone: str) -> str:
        """Return the name of the bucket of a zone (raw, processed, artefacts)."""

    def call(self, service: str, operation: str, **params: Any) -> dict[str, Any]:
        """Do one AWS operation."""

    def objects(self, bucket: str, prefix: str) -> Iterator[tuple[str, bytes]]:
        """Yield key and content of every object under a prefix, in order of keys."""

    def note(self, hop: str, began_s: float) -> None:
        """Keep that a hop began then, on the machines' clock, and ends now."""

    def hops(self) -> Iterator[tuple[str, float, float]]:
        """Yield name, beginning and duration in seconds of every hop that was noted."""

    def serve_files(self, host: str, folder: Path) -> None:
        """Have a folder of this machine be what DataSync finds on a file server."""

    def transfer(self, task_name: str) -> None:
        """Run a DataSync task to its end; raises TransferFailed."""

    def billable(self) -> dict[str, float]:
        """Return the units used of what AWS charges for, by name; empty where only AWS knows."""

    def keep(self) -> None:
        """Keep what can be looked at after the run."""

    def close(self) -> None:
        """End what this target started, and keep what can be looked at afterwards."""
