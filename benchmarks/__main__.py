"""All benchmarks: ``python -m benchmarks``, or ``make bench`` and ``make bench-quick``.

Each figure stands beside a peer or a limit that is measured in the same run, and has a floor or a
ceiling; one that misses it is marked MISSED. A full run renews benchmarks/results/*.json, which are
committed, and docs/benchmarks.md is made of them by `python -m benchmarks.page`.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from benchmarks.catalogue import BENCHMARKS, Benchmark
from benchmarks.children import run_child
from benchmarks.result import LOAD_BEFORE, MISSED_EXIT, QUICK_RESULTS, RESULTS, ROOT, load
from benchmarks.row import MISSED, Row, table

PATIENCE, LEAST_S = 6.0, 300.0
"""A benchmark may take so many times what is expected, and at least so long."""
SHOW_EVERY_S = 15.0
BUSY = 1.0
"""Load of the machine above which a run says that its figures will be disturbed."""
EXAMPLES = """examples:
  python -m benchmarks                    all, about a quarter of an hour; renews the results
  python -m benchmarks --quick            a rough look in two minutes, written to out/bench-quick
  python -m benchmarks --list             what there is, and what each takes
  python -m benchmarks --only startup --only latency
  python -m benchmarks.etl --help         each is a command of its own, with options of its own
  python -m benchmarks.page               make docs/benchmarks.md of the committed results

Run it on a quiet machine: whoever else computes changes what is measured. The load before each
benchmark is in its result."""


@dataclass
class Outcome:
    """What became of one benchmark; ``problem`` is empty when it ran to its end."""

    benchmark: Benchmark
    took_s: float
    rows: list[Row]
    problem: str = ""


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="small sizes, under two minutes")
    parser.add_argument(
        "--only",
        action="append",
        choices=[each.name for each in BENCHMARKS],
        metavar="NAME",
        help="run this one; may be given several times (names: --list)",
    )
    parser.add_argument("--list", action="store_true", help="say what there is, and end")
    parser.add_argument("--out", type=Path, help="folder for the results")
    parser.add_argument("--verbose", action="store_true", help="show what each one prints")
    parser.add_argument(
        "--strict", action="store_true", help=f"exit with {MISSED_EXIT} when a limit is missed"
    )
    return parser.parse_args(arguments)


def listing() -> str:
    """Return what there is: name, seconds of a full and of a quick run, and what it measures."""
    lines = [f"{'name':<12} {'full':>6} {'quick':>6}  what"]
    for each in BENCHMARKS:
        quick = "-" if each.quick_s is None else f"{each.quick_s:.0f} s"
        alone = "; only by name" if each.alone else ""
        lines.append(f"{each.name:<12} {each.full_s:>4.0f} s {quick:>6}  {each.about}{alone}")
    return "\n".join(lines)


def expected_s(benchmark: Benchmark, *, quick: bool) -> float:
    """Return the seconds that a benchmark takes on two quiet cores."""
    return (benchmark.quick_s if quick else None) or benchmark.full_s


def plan(only: Sequence[str] | None, *, quick: bool) -> list[Benchmark]:
    """Return what is to be run, and say by name what is not and why."""
    chosen = [each for each in BENCHMARKS if not only or each.name in only]
    found = []
    for each in chosen:
        apart = (each.alone and not only) or (quick and each.quick_s is None)
        reason = each.missing() or (each.left_out if apart else "")
        if reason:
            print(f"left out: {each.name} ({each.about}): {reason}", flush=True)
        else:
            found.append(each)
    return found


class Progress:
    """Lines of where the run is: number, time gone in all, and what is still expected."""

    def __init__(self, chosen: Sequence[Benchmark], *, quick: bool) -> None:
        self.began = time.monotonic()
        self.left = [expected_s(each, quick=quick) for each in chosen]
        self.count = len(chosen)
        self._shown_s = 0.0

    def start(self, number: int, benchmark: Benchmark) -> None:
        """Say that a benchmark starts."""
        self._shown_s = 0.0
        left = sum(self.left[number:])
        self._say(
            f"[{number + 1}/{self.count}] {benchmark.name}: {benchmark.about}; expected "
            f"{span(self.left[number])}, all that is left {span(left)}"
        )

    def tick(self, number: int, benchmark: Benchmark, gone_s: float) -> None:
        """Say now and then how long it has been running."""
        if gone_s - self._shown_s >= SHOW_EVERY_S:
            self._shown_s = gone_s
            self._say(f"  {benchmark.name}: {gone_s:.0f} s of about {self.left[number]:.0f} s")

    def _say(self, words: str) -> None:
        print(f"{span(time.monotonic() - self.began):>6}  {words}", flush=True)


def span(seconds: float) -> str:
    """Return minutes and seconds."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def run_one(
    benchmark: Benchmark, number: int, progress: Progress, chosen: argparse.Namespace, folder: Path
) -> Outcome:
    """Run one benchmark to its end; what it cannot do is said in the outcome."""
    path = folder / f"{benchmark.name}.json"
    before = path.stat().st_mtime_ns if path.exists() else None
    command = [
        "-m",
        *benchmark.command,
        "--out",
        str(folder),
        *(["--quick"] if chosen.quick else []),
    ]
    printed: list[str] = []

    def said(line: str) -> None:
        printed.append(line)
        if chosen.verbose:
            print(f"        {line}", flush=True)

    began = time.monotonic()
    most_s = max(LEAST_S, PATIENCE * expected_s(benchmark, quick=chosen.quick))
    code = run_child(command, most_s, lambda gone_s: progress.tick(number, benchmark, gone_s), said)
    took_s = time.monotonic() - began
    if code is None:
        return Outcome(benchmark, took_s, [], f"ended after {most_s:.0f} s")
    if code != 0:
        if not chosen.verbose:
            print("\n".join(f"        {line}" for line in printed[-15:]), flush=True)
        return Outcome(benchmark, took_s, [], f"exit code {code}")
    if not path.exists() or path.stat().st_mtime_ns == before:
        return Outcome(benchmark, took_s, [], "it wrote no result")
    try:
        return Outcome(benchmark, took_s, load(path).rows)
    except (ValueError, TypeError, KeyError, json.JSONDecodeError) as error:
        return Outcome(benchmark, took_s, [], f"its result cannot be read: {error!r}")


def summary(outcomes: Sequence[Outcome]) -> str:
    """Return the table of all figures, and what failed."""
    rows = [row for outcome in outcomes for row in outcome.rows]
    missed = [row for row in rows if not row.met]
    lines = [table(rows), ""] if rows else []
    lines += [
        f"{outcome.benchmark.name:<12} {outcome.took_s:>5.0f} s"
        + (f"  FAILED: {outcome.problem}" if outcome.problem else "")
        for outcome in outcomes
    ]
    lines.append(f"{len(rows) - len(missed)} of {len(rows)} figures keep their limits")
    lines += [f"  {MISSED}: {row.name} ({row.limit_text})" for row in missed]
    return "\n".join(lines)


def stop(_number: int, _frame: FrameType | None) -> None:
    """Treat SIGTERM as Ctrl-C, so that the children are ended too."""
    raise KeyboardInterrupt


def main(arguments: Sequence[str]) -> int:
    """Run them; return 0, 1 when one failed, 3 when ``--strict`` and a limit is missed."""
    chosen = parse(arguments)
    if chosen.list:
        print(listing())
        return 0
    folder: Path = (chosen.out or (QUICK_RESULTS if chosen.quick else RESULTS)).resolve()
    if chosen.quick and folder == RESULTS.resolve():
        print("a quick run does not replace results of a full one: choose another --out")
        return 2
    signal.signal(signal.SIGTERM, stop)
    # Started in the background, this would be ignored, and children would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if LOAD_BEFORE > BUSY:
        print(
            f"the machine is busy (load {LOAD_BEFORE:.1f}): figures will be disturbed", flush=True
        )
    benchmarks = plan(chosen.only, quick=chosen.quick)
    progress = Progress(benchmarks, quick=chosen.quick)
    outcomes: list[Outcome] = []
    try:
        for number, each in enumerate(benchmarks):
            progress.start(number, each)
            outcomes.append(run_one(each, number, progress, chosen, folder))
    except KeyboardInterrupt:
        print(f"\nstopped; {len(outcomes)} of {len(benchmarks)} were done", flush=True)
        print(summary(outcomes))
        return 130
    print()
    print(summary(outcomes))
    shown = folder.relative_to(ROOT) if folder.is_relative_to(ROOT) else folder
    print(f"results: {shown}, {span(time.monotonic() - progress.began)} in all")
    if not chosen.quick and folder == RESULTS.resolve():
        print("now: python -m benchmarks.page")
    if any(outcome.problem for outcome in outcomes):
        return 1
    missed = any(not row.met for outcome in outcomes for row in outcome.rows)
    return MISSED_EXIT if missed and chosen.strict else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
