"""A cassette: one conversation with a target, its answers made comparable, its latencies, its date.

`recorder` makes them, `fleetwin parity replay` has the embedded twin answer them again. A file of
JSON lines: the first says where and when it was recorded, each further one is a step, or a part of
the run that was recorded with it (`recorded_run`).
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from simulator.errors import ParityError
from simulator.host_errors import write_file
from simulator.parity.latency_fit import Floats
from simulator.parity.recorded_run import RecordedRun

FORMAT = 3
READABLE = (1, 2, 3)
"""Format 1 had one latency for a step, and no run; format 2 had one run at most."""
EXPIRES_DAYS = 180
"""AWS changes its answers without a version; older recordings are worth making again."""


@dataclass(frozen=True)
class Step:
    """One call of a conversation.

    Texts in ``params`` may hold ``{run}``, the prefix of all names that a conversation makes, and
    ``{step.Path.to.value}``, a value of an earlier answer. The call is repeated after ``wait_s``
    until the value at ``until`` is the one wanted there. ``tidies`` steps are done though an
    earlier one failed, and are not compared.
    """

    name: str
    service: str
    operation: str
    params: Mapping[str, Any] = field(default_factory=dict)
    until: tuple[str, Any] | None = None
    wait_s: float = 0.0
    tidies: bool = False


@dataclass(frozen=True)
class Played:
    """A step with what came of it: ``answer`` of a call that went well, else ``error``.

    Where the conversation was held several times, these are of the first, ``latencies_s`` of
    every call in any of them, ``tries`` is their number, and a step that was not ``steady`` was
    answered otherwise in a later one.
    """

    step: Step
    answer: Any
    error: Mapping[str, Any] | None
    latencies_s: tuple[float, ...]
    tries: int = 1
    steady: bool = True


@dataclass(frozen=True)
class Cassette:
    """One recorded conversation. ``billable``: requests and bytes sent, by service.

    ``runs`` are of one scenario on the same target, as many as were recorded.
    """

    target: str
    recorded: date
    region: str
    played: tuple[Played, ...]
    billable: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    runs: tuple[RecordedRun, ...] = ()

    def latencies(self) -> dict[str, Floats]:
        """Return how long the calls of each operation took; of refused ones apart."""
        found: dict[str, list[float]] = defaultdict(list)
        for each in self.played:
            refused = " (refused)" if each.error is not None else ""
            name = f"{each.step.service}:{each.step.operation}{refused}"
            found[name] += each.latencies_s
        return {name: np.array(values) for name, values in sorted(found.items())}

    def age_days(self, today: date) -> int:
        """Return how many days ago it was recorded."""
        return (today - self.recorded).days

    def warning(self, today: date, expires_days: int = EXPIRES_DAYS) -> str | None:
        """Return what to tell of a cassette that is too old; None while it is fresh."""
        age = self.age_days(today)
        if age <= expires_days:
            return None
        return (
            f"this cassette of {self.target} is {age} days old ({self.recorded}); it may "
            f"answer otherwise by now: record it again (it counts as fresh for {expires_days} days)"
        )

    def save(self, path: Path) -> None:
        """Write the cassette."""
        head = {
            "format": FORMAT,
            "target": self.target,
            "recorded": self.recorded.isoformat(),
            "region": self.region,
            "billable": self.billable,
        }
        lines = [json.dumps(head, sort_keys=True)]
        lines += [json.dumps(plain(asdict(each)), sort_keys=True) for each in self.played]
        rows = (row for run in self.runs for row in run.rows())
        lines += [json.dumps(row, sort_keys=True) for row in rows]
        write_file(path, "\n".join(lines) + "\n")

    @classmethod
    def load(cls, path: Path) -> Cassette:
        """Read a cassette; raises ParityError for a file that is none."""
        try:
            head, *rows = map(json.loads, path.read_text(encoding="utf-8").splitlines())
            if head["format"] not in READABLE:
                raise ParityError(f"{path}: format {head['format']} is not {FORMAT}")
            return cls(
                head["target"],
                date.fromisoformat(head["recorded"]),
                head["region"],
                tuple(_played(row) for row in rows if "step" in row),
                head["billable"],
                RecordedRun.all_of_rows(row for row in rows if "step" not in row),
            )
        except OSError as error:
            raise ParityError(f"{path}: cannot be read ({error.strerror})") from None
        except (ValueError, KeyError, TypeError) as error:
            raise ParityError(f"{path}: not a cassette: {error!r}; record it again") from None


def plain(value: Any) -> Any:
    """Return a value as JSON can hold it; bytes become an object with their base64."""
    if isinstance(value, bytes | bytearray):
        return {"$bytes": b64encode(bytes(value)).decode()}
    if isinstance(value, Mapping):
        return {str(name): plain(each) for name, each in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(each) for each in value]
    return value


def rich(value: Any) -> Any:
    """Return what `plain` was made of."""
    if isinstance(value, Mapping):
        if set(value) == {"$bytes"}:
            return b64decode(value["$bytes"])
        return {name: rich(each) for name, each in value.items()}
    return [rich(each) for each in value] if isinstance(value, list) else value


def billable(played: Sequence[Played], sent: Mapping[str, int]) -> dict[str, dict[str, int]]:
    """Return how many requests a conversation made of each service, and how many bytes it sent."""
    requests: Counter[str] = Counter()
    for each in played:
        requests[each.step.service] += each.tries
    return {
        service: {"requests": count, "bytes_sent": sent.get(service, 0)}
        for service, count in sorted(requests.items())
    }


def _played(row: Mapping[str, Any]) -> Played:
    step = dict(row["step"])
    until = step.pop("until")
    params = rich(step.pop("params"))
    made = Step(**step, params=params, until=None if until is None else (until[0], until[1]))
    took_s = row["latencies_s"] if "latencies_s" in row else [row["latency_s"]]
    return Played(
        made, row["answer"], row["error"], tuple(took_s), row["tries"], row.get("steady", True)
    )
