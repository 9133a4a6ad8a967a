"""The scorecard: how far each operation of the twin is shown to agree with AWS.

    python -m parity_tests.scorecard            # ask everything again and write scorecard.json
    python -m parity_tests.scorecard --check    # only say what got worse

L1, L2 and the cassettes are asked again when it is made; L3 and L4 are stated by hand, with the
test that holds each line. It may only improve: a card that is worse than the committed one is not
written unless told to, and `test_scorecard` compares too. What nobody has recorded says so.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from parity_tests.behaviour import ROWS
from parity_tests.behaviour.test_recorded_workflows import RECORDED as RECORDED_EXECUTIONS
from parity_tests.behaviour.test_recorded_workflows import (
    test_a_recorded_execution_goes_as_it_went_on_aws as recorded_execution,
)
from parity_tests.contract.malformed import malformed, not_refused
from parity_tests.contract.shapes import absent, carried, comparable, misfits
from parity_tests.contract.test_shapes import EXAMPLES, own_operations
from parity_tests.contract.world import World
from simulator.cloud.validation import operation_model
from simulator.parity.cassette import Cassette
from simulator.parity.recorder import Partner, replay
from simulator.testing.plugin import START
from simulator.testing.twin import Twin

FILE = Path(__file__).with_name("scorecard.json")
NOT_YET = "not yet recorded"
FITS = "fits"
REFUSED = "refused by name"
"""What the twin does with every request that does not fit the model."""

NO_TEST = "nothing holds it"
_JOURNEY = "journey/test_journey.py::test_the_detections_are_the_same"

JOURNEYS = {
    "embedded, twice": ("the same", _JOURNEY),
    "embedded against features from SQL": ("the same", _JOURNEY),
    "embedded against localstack": ("the same, where one was prepared", _JOURNEY),
    "embedded against a run recorded on localstack": (
        "the same",
        "../simulator/tests/test_recorded_localstack.py"
        "::test_tiny_leads_to_what_was_recorded_on_localstack",
    ),
    "embedded against aws": (NOT_YET, ""),
}
"""L3, stated by hand: what a test holds, and which. It is not asked again for the card."""

LATENCIES = {
    "an endpoint with hidden delays": (
        "means within 10 %, p99 within 20 %",
        "latency/test_slow_endpoint.py"
        "::test_delays_hidden_behind_an_endpoint_are_recovered_on_held_out_traces",
    ),
    "a stand-in with hidden delays": (
        "means within 10 %, p99 within 20 %",
        "latency/test_hidden_delays.py::test_hidden_delays_are_recovered_on_held_out_traces",
    ),
    "embedded against aws": (NOT_YET, ""),
}
"""L4, as L3."""

BY_HAND = "L3 and L4 are stated by hand: the tests named hold them, the card only finds the tests"

Card = dict[str, Any]


def card(folder: Path) -> Card:
    """Ask the twin everything and return the scorecard; ``folder`` is for the twin's state."""
    world = World(folder)
    try:
        shapes = dict(_shapes(world))
        rows = _rows(world)
        requests = dict(_requests(world))
        there = world.cloud.dispatch.supported()
        forwarded = len(set(there) - own_operations(world.cloud))
    finally:
        world.close()
    rows["stepfunctions", "StartExecution"] += _executions()
    services: dict[str, dict[str, Any]] = defaultdict(dict)
    for service, operation in there:
        services[service][operation] = {
            "L1": shapes.get((service, operation), "no example"),
            "L1 requests": requests[service, operation],
            "L2": rows.get((service, operation)) or NOT_YET,
        }
    return {
        "what": "made by python -m parity_tests.scorecard; may only improve",
        "stated by hand": BY_HAND,
        "totals": _totals(services, forwarded),
        "L3": stated(JOURNEYS),
        "L4": stated(LATENCIES),
        "cassettes": dict(_replayed(folder)),
        "services": services,
    }


def stated(lines: dict[str, tuple[str, str]]) -> dict[str, str]:
    """Return each line with the test that holds it, or that there is none any more."""
    found = {}
    for what, (value, test) in lines.items():
        path, _, name = test.partition("::")
        is_held = not test or f"\ndef {name}(" in (FILE.parent / path).read_text("utf-8")
        held = f"{value} (parity_tests/{test})" if test else value
        found[what] = held if is_held else NO_TEST
    return found


def _replayed(folder: Path) -> Iterator[tuple[str, Card]]:
    """Yield of each committed cassette the steps that the twin answers otherwise."""
    for path in sorted(FILE.with_name("cassettes").glob("*.jsonl")):
        cassette = Cassette.load(path)
        twin = Twin(START, folder / path.stem)
        try:
            clock = twin.target.cloud.engine.epoch_s
            partner = Partner("embedded", "us-east-1", twin.client, twin.advance, clock)
            otherwise = sorted(each.step for each in replay(cassette, partner, "fleetwin-parity"))
        finally:
            twin.close()
        date = cassette.recorded.isoformat()
        yield path.stem, {"date": date, "steps": len(cassette.played), "otherwise": otherwise}


def _shapes(world: World) -> Iterator[tuple[tuple[str, str], str]]:
    """Yield L1 of each operation: whether the answers of all its examples fit the model."""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for example in EXAMPLES:
        service, operation = example.service, example.operation
        wrong = found[service, operation]
        try:
            answer = world.ask(service, operation, example.make(world))
            shape = operation_model(service, operation).output_shape
            wrong += misfits(shape, answer)
            wrong += absent(answer, example.present)
            if comparable(carried(service, operation, answer)) != comparable(answer):
                wrong.append("changed on the wire")
        except Exception as error:
            wrong.append(f"{type(error).__name__}: {error}")
        finally:
            world.settle()
    for key, wrong in found.items():
        yield key, "; ".join(wrong) or FITS


def _requests(world: World) -> Iterator[tuple[tuple[str, str], str]]:
    """Yield of each operation whether every malformed request is refused by name."""
    for service, operation in world.cloud.dispatch.supported():
        wrong = (not_refused(world.cloud, each) for each in malformed(service, operation))
        yield (service, operation), "; ".join(filter(None, wrong)) or REFUSED


def _rows(world: World) -> dict[tuple[str, str], list[Card]]:
    """Return L2 of each operation: the rows of the tables, and whether they hold."""
    found: dict[tuple[str, str], list[Card]] = defaultdict(list)
    for row in ROWS:
        try:
            wrong = row.check(world)
        except Exception as error:
            wrong = f"{type(error).__name__}: {error}"
        finally:
            world.settle()
        entry = {"what": row.what, "source": row.source, "date": row.date}
        found[row.service, row.operation].append({**entry, "holds": wrong is None})
    return found


def _executions() -> list[Card]:
    """Return the executions recorded on AWS as one row, where the recordings are at hand."""
    if not RECORDED_EXECUTIONS.exists():
        return []
    from _pytest.outcomes import Skipped

    held, compared, years = 0, 0, set()
    cases = [json.loads(line) for line in RECORDED_EXECUTIONS.read_text().splitlines()]
    for case in cases:
        years.add(case["recorded"][6:10])
        compared += 1
        try:
            recorded_execution(case)
            held += 1
        except Skipped:
            # The recording stops before the execution's end.
            compared -= 1
        except Exception:
            continue
    return [
        {
            "what": f"{compared} executions without tasks, event by event",
            "source": "recorded",
            "date": f"{min(years)} to {max(years)}",
            "holds": held == compared,
        }
    ]


def _totals(services: dict[str, dict[str, Any]], forwarded: int) -> Card:
    entries = [entry for operations in services.values() for entry in operations.values()]
    rows = [row for entry in entries if entry["L2"] != NOT_YET for row in entry["L2"]]
    return {
        "operations": len(entries),
        "operations of them forwarded to moto": forwarded,
        "L1 fit their shape": sum(entry["L1"] == FITS for entry in entries),
        "L1 refuse malformed requests": sum(each["L1 requests"] == REFUSED for each in entries),
        "L2 with a row": sum(entry["L2"] != NOT_YET for entry in entries),
        "L2 not yet recorded": sum(entry["L2"] == NOT_YET for entry in entries),
        "L2 rows recorded": sum(row["source"] == "recorded" for row in rows),
        "L2 rows documented": sum(row["source"] == "documented" for row in rows),
        "L2 rows that hold": sum(row["holds"] for row in rows),
    }


def worse(old: Card, new: Card) -> list[str]:
    """Return what the new card has lost: operations, shapes that fit, rows that hold, levels."""
    found = []
    for service, operations in old["services"].items():
        for operation, before in operations.items():
            name = f"{service}.{operation}"
            after = new["services"].get(service, {}).get(operation)
            if after is None:
                found.append(f"{name}: is gone")
                continue
            if before["L1"] == FITS != after["L1"]:
                found.append(f"{name}: L1: {after['L1']}")
            if before.get("L1 requests") == REFUSED != after.get("L1 requests"):
                found.append(f"{name}: L1: {after.get('L1 requests')}")
            found += [f"{name}: L2: {what}" for what in _lost(before["L2"], after["L2"])]
    for level in ("L3", "L4"):
        found += [
            f"{level}: {what}: {new[level].get(what, 'is gone')} instead of {value}"
            for what, value in old[level].items()
            if value != NOT_YET and new[level].get(what) != value
        ]
    for name, before in old.get("cassettes", {}).items():
        now = new["cassettes"].get(name)
        lost = ["is gone"] if now is None else sorted({*now["otherwise"]} - {*before["otherwise"]})
        found += [f"cassette {name}: {step}" for step in lost]
    return found


def _lost(before: Any, after: Any) -> Iterator[str]:
    """Yield the rows that held before and do not now."""
    if before == NOT_YET:
        return
    now = {row["what"]: row["holds"] for row in after} if after != NOT_YET else {}
    for row in before:
        if row["holds"] and not now.get(row["what"], False):
            # The recorded executions are not part of the repository.
            if row["what"].endswith("event by event") and not RECORDED_EXECUTIONS.exists():
                continue
            yield row["what"]


def main() -> int:
    """Make the card, compare it with the committed one, write it."""
    parser = argparse.ArgumentParser(prog="python -m parity_tests.scorecard")
    parser.add_argument("--check", action="store_true", help="write nothing")
    parser.add_argument("--worse", action="store_true", help="write it though it is worse")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fleetwin-") as folder:
        new = card(Path(folder))
    for name, value in new["totals"].items():
        print(f"  {name:<44} {value}")
    lost = worse(json.loads(FILE.read_text("utf-8")), new) if FILE.exists() else []
    for each in lost:
        print(f"WORSE  {each}", file=sys.stderr)
    if not chosen.check and (chosen.worse or not lost):
        FILE.write_text(json.dumps(new, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        print(f"wrote {FILE.name}")
    return 1 if lost and not chosen.worse else 0


if __name__ == "__main__":
    sys.exit(main())
