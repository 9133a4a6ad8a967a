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

Measured by turns with the code before, in one thread or by the processor time of all processes; on
a machine that others used, so the pairs count and not the figures.

| step | before | after |
|---|---:|---:|
| PutRecords, 500 x 200 B, 100 shards, keys that are new: one record | 8.8 us | 6.0 us |
| a batch cut into runs of devices, not of neighbours; 100 machines, a reading | 313 us | 142 us |
| records and messages as tuples: event and decoding, a reading and function | 6.4 us | 5.0 us |
| DynamoDB's endpoint worked out once: boto3's side of four calls, a reading | 28.7 us | 23.3 us |
| signing, JSON text, headers once a request: boto3's side of four calls | 1,530 us | 980 us |

Before all that, on two quiet cores: 12,200 readings/s and 102 us a reading with 20 machines, 3,200
readings/s and 387 us with 500.

A stream's shards are processed at once when their batches are due at one moment of the clock; the
second core is used so. With one shard it has the raw writer beside the detector, and no more.

Beside them, without a figure of their own: boto3's JSON in functions is written and read by
converters made once a shape; a transaction's token is made of its items' bytes; the detector takes
99 devices in a run, not 48; four functions compute at once; a call that comes while the engine
waits is done by the thread that brought it; a topic remembers which records its messages become; a
record is encoded for events once, for all mappings, and an event is put together from those pieces.

## What did not pay, or was left

- One `orjson.loads` for the payloads of a batch joined to a list: a payload that is no JSON alone
  can be part of a list that is (`[1` and `2]`), so each would have to be looked at again.
- Records handed to mappings as the shard has them, without GetRecords' form: saves 1 us a reading
  and mapping, but the answer is then none of AWS's, which tests check at every call.
- Functions that trust what they remember and do not read the states: a tenth of a batch's time, but
  a function that was overtaken by another would overwrite an object of the raw zone before its
  transaction fails.
- A pipe that holds an event whole: the engine no longer has to wait for the reader, but what that
  saves could not be told from the noise.
- The collector: a run freezes what booting left and seldom collects. Switched off altogether,
  PutRecords is no quicker.
- A queue of C's, not a Future, for an answer of the engine to a gateway's thread: 19 us, not 14.
- A way of its own through PutRecords for one record: what it saves of these 71 us is in the noise.
- Most of what is left is boto3 in the functions, three and four calls a batch. What the functions
  call is left as it is; only the way from boto3 to the gateway is shorter in their processes."""


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
