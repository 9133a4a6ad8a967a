"""Makes docs/performance.md of `results/pipeline.json`: ``python -m benchmarks.performance``.

The tables are of the results, the words between them of whoever reads them anew: a test compares
the page with what this makes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.result import RESULTS, ROOT, Result, load
from benchmarks.row import number

PAGE = Path("docs/performance.md")
HEAD = """# Where the time of a reading goes

Made by `python -m benchmarks.performance` of `benchmarks/results/pipeline.json`, which
`python -m benchmarks.pipeline` writes. Readings go from the broker through rule, stream and
mappings to the raw zone and to detection, with a model in service; validation, permissions, quotas
and the limits of connections and shards are on. Other figures: [benchmarks](benchmarks.md)."""
PROCESSES = """## By process

Microseconds of processor time a reading, of the last round; the figure above is of the least
disturbed one and without other processes, such as Spark's start. {rate:,.0f} readings/s on
{cores} cores leave {budget:.0f}. A batch is what a mapping collects in 10 s: a reading's share of
the calls of a batch is smaller on a larger fleet."""
STEPS = """## By step

Of a run of its own, in which each step is timed, without the steps that it calls; the timing adds
to the sum. A step of AWS's name is an operation of the twin; `boto3` is a function's side of a
call, the gateway's side stands under its own steps."""
TAIL = """## What was done

Records and messages are tuples; a batch is cut into runs of devices, not of neighbours; DynamoDB's
endpoint is worked out once; signing, JSON text and headers are made once a request.

A stream's shards are processed at once when their batches are due at one moment of the clock; the
second core is used so. With one shard it has the raw writer beside the detector, and no more.

boto3's JSON in functions is written and read by converters made once a shape; a transaction's token
is made of its items' bytes; the detector takes 99 devices in a run, not 48; four functions compute
at once; a call that comes while the engine waits is done by the thread that brought it; a topic
remembers which records its messages become; a record is encoded for events once, for all mappings,
and an event is put together from those pieces.

## What did not pay, or was left

- One `orjson.loads` for the payloads of a batch joined to a list: a payload that is no JSON alone
  can be part of a list that is (`[1` and `2]`), so each would have to be looked at again.
- Records handed to mappings as the shard has them, without GetRecords' form: saves little, but the
  answer is then none of AWS's, which tests check at every call.
- Functions that trust what they remember and do not read the states: saves a part of a batch's
  time, but a function that was overtaken by another would overwrite an object of the raw zone
  before its transaction fails.
- The collector: a run freezes what booting left and seldom collects.
- A queue of C's, not a Future, for an answer of the engine to a gateway's thread: it was no
  quicker.
- boto3 in the functions makes three and four calls a batch. What the functions call is left as
  it is; only the way from boto3 to the gateway is shorter in their processes."""


def page(result: Result) -> str:
    """Return the page."""
    details: Mapping[str, Any] = result.details
    fleets = list(details["processes"])
    wanted = next(row for row in result.rows if row.unit == "readings/s").limit
    budget = next(row for row in result.rows if row.unit == "us/reading").limit
    load_before = result.machine["load_before"]
    parts = [
        HEAD,
        f"Of {result.date}, commit {result.commit}, {result.machine['cores']} cores with "
        f"{load_before} processes busy before it began.",
        "| figure | value | limit | |\n|---|---:|---:|---|\n"
        + "\n".join(
            f"| {row.name} | {number(row.value)} {row.unit} | {row.limit_text} "
            f"| {'met' if row.met else 'MISSED'} |"
            for row in result.rows
        ),
        PROCESSES.format(rate=wanted, cores=round(wanted * budget / 1e6), budget=budget),
        _table("process", fleets, details["processes"]),
        STEPS,
    ]
    for process in details["steps"][fleets[0]]:
        of_fleets = {fleet: details["steps"][fleet].get(process, {}) for fleet in fleets}
        parts += [f"### {process[0].upper()}{process[1:]}", _table("step", fleets, of_fleets)]
    return "\n\n".join([*parts, TAIL]) + "\n"


def _table(first: str, fleets: list[str], columns: Mapping[str, Mapping[str, float]]) -> str:
    """Return rows by what they take on the first fleet, with a sum."""
    names = list(dict.fromkeys(name for fleet in fleets for name in columns[fleet]))
    lines = [f"| {first} | {' | '.join(f'{fleet} machines' for fleet in fleets)} |"]
    lines.append("|---|" + "---:|" * len(fleets))
    for name in names:
        cells = (f"{columns[fleet].get(name, 0.0):.1f}" for fleet in fleets)
        lines.append(f"| {name} | {' | '.join(cells)} |")
    sums = (f"{sum(columns[fleet].values()):.1f}" for fleet in fleets)
    lines.append(f"| together | {' | '.join(sums)} |")
    return "\n".join(lines)


def main() -> None:
    """Write the page."""
    (ROOT / PAGE).write_text(page(load(RESULTS / "pipeline.json")), encoding="utf-8")


if __name__ == "__main__":
    main()
