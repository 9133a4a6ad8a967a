"""Has a conversation with a target and keeps it; has it again and says what is different.

The partner is a way to get boto3 clients, to wait and to read a clock: the embedded twin, or what
`simulator.targets` makes for an endpoint. Nothing here opens a connection by itself.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from botocore import xform_name
from botocore.exceptions import ClientError

from simulator.errors import ParityError
from simulator.parity.cassette import Cassette, Played, Step, billable
from simulator.parity.normal import Normaliser, differences, same_error

MOST_TRIES = 60
PAUSE_S = 2.0
"""Between two times of a conversation: Kinesis takes CreateStream five times a second (quotas)."""
RUN_NAME = "fleetwin-parity"
"""How the names begin of all that a conversation makes."""

_REFERENCE = re.compile(r"\{([\w -]+)\.([\w.\[\]-]+)\}")
_WHOLE = re.compile(r"^\{([\w -]+)\.([\w.\[\]-]+)\}$")


@dataclass(frozen=True)
class Partner:
    """Whom a conversation is held with. ``clock`` and ``wait`` are in the target's seconds.

    Names begin with ``run``; the services in ``absent`` cannot be talked about.
    """

    target: str
    region: str
    client: Callable[[str], Any]
    wait: Callable[[float], None]
    clock: Callable[[], float]
    run: str = RUN_NAME
    absent: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Mismatch:
    """A step that was answered otherwise than on the cassette."""

    step: str
    call: str
    lines: tuple[str, ...]


def record(partner: Partner, steps: Sequence[Step], run: str, on: date, times: int = 1) -> Cassette:
    """Hold a conversation so many times and return its cassette; its names begin with ``run``.

    Each time has names of its own, since a name may not be free at once after its deletion. What
    it made is deleted again, also when a step in between fails. Raises ParityError for a step
    whose value to wait for never came.
    """
    played, sent = _held(partner, steps, run)
    for number in range(1, times):
        partner.wait(PAUSE_S)
        again, more = _held(partner, steps, f"{run}-{number}")
        played = [_both(*pair) for pair in zip(played, again, strict=True)]
        sent += more
    return Cassette(partner.target, on, partner.region, tuple(played), billable(played, sent))


def _both(first: Played, again: Played) -> Played:
    """Return a step's first outcome with what the calls of another time took."""
    return replace(
        first,
        latencies_s=first.latencies_s + again.latencies_s,
        tries=first.tries + again.tries,
        steady=first.steady and not compared(first, again),
    )


def _held(partner: Partner, steps: Sequence[Step], run: str) -> tuple[list[Played], Counter[str]]:
    """Hold a conversation once; return its steps and the bytes sent, by service."""
    talk = _Talk(partner, run)
    played: list[Played] = []
    trouble: Exception | None = None
    for step in steps:
        if trouble is not None and not step.tidies:
            continue
        try:
            played.append(talk.play(step))
        except Exception as error:
            trouble = trouble or error
    if trouble is not None:
        raise trouble
    return played, talk.sent


def replay(cassette: Cassette, partner: Partner, run: str) -> list[Mismatch]:
    """Hold a cassette's conversation again and return the steps that were answered otherwise."""
    steps = [each.step for each in cassette.played]
    again = record(partner, steps, run, cassette.recorded)
    return mismatches(cassette.played, again.played)


def mismatches(recorded: Sequence[Played], again: Sequence[Played]) -> list[Mismatch]:
    """Return the steps of a conversation that were answered otherwise; tidying is left out."""
    found = []
    for before, now in zip(recorded, again, strict=True):
        lines = [] if before.step.tidies else compared(before, now)
        if lines:
            call = f"{before.step.service}:{before.step.operation}"
            found.append(Mismatch(before.step.name, call, tuple(lines)))
    return found


def compared(before: Played, now: Played) -> list[str]:
    """Return where the outcomes of a step differ, a line for each place."""
    if before.error is None or now.error is None:
        if before.error is not None:
            return [f"answered, was refused: {before.error['Code']} {before.error['Message']}"]
        if now.error is not None:
            return [f"refused: {now.error['Code']} {now.error['Message']}, was answered"]
        return differences(before.answer, now.answer)
    lines = differences(
        {**before.error, "Message": ""},
        {**now.error, "Message": ""},
    )
    if not same_error(before.error["Message"], now.error["Message"]):
        lines.append(f"Message: {now.error['Message']!r}, was {before.error['Message']!r}")
    return lines


class _Talk:
    """One conversation under way: raw answers for references, tokens, bytes sent."""

    def __init__(self, partner: Partner, run: str) -> None:
        self.sent: Counter[str] = Counter()
        self._partner = partner
        self._run = run
        self._normal = Normaliser(run)
        self._raw: dict[str, Any] = {}
        self._clients: dict[str, Any] = {}

    def play(self, step: Step) -> Played:
        """Do a step, again and again until what it waits for is there."""
        params = self._filled(step.params)
        took_s: list[float] = []
        for tries in range(1, MOST_TRIES + 1):
            began_s = self._partner.clock()
            answer, error = self._call(step, params)
            took_s.append(round(self._partner.clock() - began_s, 6))
            if step.until is None or _value(answer, step.until[0]) == step.until[1]:
                self._raw[step.name] = answer
                # Each answer goes through the same tokens, in the order of the conversation.
                return Played(
                    replace(step),
                    self._normal.of(answer) if error is None else None,
                    None if error is None else self._normal.of(error),
                    tuple(took_s),
                    tries,
                )
            self._partner.wait(step.wait_s or 1.0)
        last = f"refused, {error['Code']}: {error['Message']}" if error else f"{answer}"
        raise ParityError(
            f"{step.name}: {step.until} did not come in {MOST_TRIES} tries of "
            f"{step.service}:{step.operation}; the last was {last[:200]}"
        )

    def _call(self, step: Step, params: dict[str, Any]) -> tuple[Any, dict[str, Any] | None]:
        if step.service not in self._clients:
            self._clients[step.service] = self._partner.client(step.service)
        self.sent[step.service] += len(repr(params))
        try:
            answer = getattr(self._clients[step.service], xform_name(step.operation))(**params)
        except ClientError as error:
            response: Mapping[str, Any] = dict(error.response)
            said = response["Error"]
            status = response["ResponseMetadata"]["HTTPStatusCode"]
            return {}, {"Code": said["Code"], "Message": said["Message"], "Status": status}
        return {name: _read(value) for name, value in answer.items()}, None

    def _filled(self, value: Any) -> Any:
        """Return parameters with names and values of earlier answers put in."""
        if isinstance(value, Mapping):
            return {name: self._filled(each) for name, each in value.items()}
        if isinstance(value, list | tuple):
            return [self._filled(each) for each in value]
        if not isinstance(value, str):
            return value
        value = value.replace("{run}", self._run)
        whole = _WHOLE.match(value)
        if whole:
            return self._referred(whole)
        return _REFERENCE.sub(lambda found: str(self._referred(found)), value)

    def _referred(self, found: re.Match[str]) -> Any:
        return _value(self._raw.get(found[1], {}), found[2])


def _read(value: Any) -> Any:
    """Return a streaming body as its bytes."""
    return value.read() if hasattr(value, "read") else value


def _value(answer: Any, path: str) -> Any:
    """Return the value at a path such as ``Shards[0].ShardId``; None where there is none."""
    for step in re.findall(r"[^.\[\]]+", path):
        if isinstance(answer, list):
            answer = answer[int(step)] if int(step) < len(answer) else None
        elif isinstance(answer, Mapping):
            answer = answer.get(step)
        else:
            return None
    return answer
