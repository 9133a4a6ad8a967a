"""Makes docs/benchmarks.md and its pictures of the committed results: `python -m benchmarks.page`.

Nothing is measured here, and the same results give the same bytes; a test compares them with what
is committed. What a figure means is said by the benchmark that made it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import charts
from benchmarks.catalogue import BENCHMARKS
from benchmarks.result import RESULTS, ROOT, Result, load_all
from benchmarks.row import MISSED, Row, number

PAGE = Path("docs/benchmarks.md")
PICTURES = Path("docs/images/benchmarks")
INTRODUCTION = """# Benchmarks

Made by `python -m benchmarks.page` of `benchmarks/results/`. Each figure stands beside a peer or a
limit that was measured in the same run on the same machine; its ratio is the figure over that. It
has a floor (≥) or a ceiling (≤), of the figure itself or, with an x, of the ratio. What does not
keep it is marked MISSED, here and when it is measured.

```sh
make bench                                  # all, a quarter of an hour on two quiet cores
make bench-quick                            # a rough look in two minutes, written to out/
.venv/bin/python -m benchmarks --list       # what there is, and what each takes
.venv/bin/python -m benchmarks --only etl   # one of them
.venv/bin/python -m benchmarks.page         # this page anew
```

The load before a benchmark is how many processes were busy on the machine when it began: above one,
what was measured was disturbed. Results of different dates are of different commits and should not
be compared with each other."""


def files(results: Sequence[Result]) -> dict[Path, str]:
    """Return the page and its pictures as texts, by their paths in the repository."""
    found: dict[Path, str] = {}
    parts = [INTRODUCTION, summary(results)]
    by_name = {result.benchmark: result for result in results}
    for area in dict.fromkeys(each.area for each in BENCHMARKS):
        mine = [each for each in BENCHMARKS if each.area == area]
        measured = [by_name[each.name] for each in mine if each.name in by_name]
        parts.append(f"## {area[0].upper()}{area[1:]}")
        parts += [origin(result) for result in measured]
        missing = [each.name for each in mine if each.name not in by_name]
        if missing:
            parts.append(f"Not measured yet: {', '.join(missing)}.")
        rows = [row for result in measured for row in result.rows]
        if not rows:
            continue
        parts.append(table(rows))
        pictures = {_file_of(area): (f"Ratios: {area}", charts.ratios(area, rows))}
        for result in measured:
            pictures |= _pictures_of(result)
        for name, (words, svg) in pictures.items():
            found[PICTURES / name] = svg
            parts.append(f"![{words}](images/benchmarks/{name})")
    found[PAGE] = "\n\n".join(parts) + "\n"
    return found


def summary(results: Sequence[Result]) -> str:
    """Return how many figures keep their limits, and which do not."""
    rows = [row for result in results for row in result.rows]
    missed = [f"- {result.benchmark}: {words(row)}" for result in results for row in result.missed]
    kept = f"{len(rows) - len(missed)} of {len(rows)} figures keep their limits."
    return "\n".join([kept, *([f"{MISSED}:", "", *missed] if missed else [])])


def words(row: Row) -> str:
    """Return a row as a phrase."""
    ratio = f", {number(row.ratio)} x {row.against}" if row.limits == "ratio" else ""
    return f"{row.name}: {number(row.value)} {row.unit}{ratio} ({row.limit_text})"


def origin(result: Result) -> str:
    """Return when and on what a result was measured."""
    machine = result.machine
    load = f", load before {machine['load_before']}" if "load_before" in machine else ""
    load += f", a new file {machine['new_file_us']:.0f} us" if "new_file_us" in machine else ""
    took = f", in {result.took_s:.0f} s" if result.took_s else ""
    of = f"{machine['cores']} cores, {machine['memory_gb']} GB, Python {machine['python']}"
    when = f"{result.date}, commit {result.commit}"
    return f"`python -m benchmarks.{result.benchmark}`: {when}, {of}{load}{took}.{parts(result)}"


def parts(result: Result) -> str:
    """Say when the parts of a result were measured that a run may leave out."""
    dates: dict[str, str] = {}
    if result.benchmark == "detection":
        dates = result.details["renewed"]
    elif result.benchmark == "etl":
        dates = {f"{job['rows'] / 1e6:g} M readings": job["date"] for job in result.details["job"]}
    if set(dates.values()) <= {result.date}:
        return ""
    return " Measured: " + ", ".join(f"{part} {date}" for part, date in dates.items()) + "."


def table(rows: Sequence[Row]) -> str:
    """Return rows as a table of Markdown."""
    lines = ["| figure | value | against | ratio | limit | |", "|---|---:|---|---:|---|---|"]
    for row in rows:
        cells = (
            row.name,
            f"{number(row.value)} {row.unit}",
            f"{row.against}: {number(row.against_value)}",
            f"{number(row.ratio)} x",
            row.limit_text,
            "met" if row.met else f"**{MISSED}**",
        )
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def _file_of(area: str) -> str:
    return f"{area.replace(' ', '-')}.svg"


def _pictures_of(result: Result) -> dict[str, tuple[str, str]]:
    """Return what is drawn of a benchmark beside its ratios."""
    if result.benchmark == "etl":
        return {"scaling.svg": ("Seconds by readings", charts.scaling(result.details["job"]))}
    if result.benchmark == "memory":
        return {"peak-memory.svg": ("Peak memory by machines", charts.memory(result.details))}
    if result.benchmark == "latency" and "hops_of_a_run_s" in result.details:
        hops = result.details["hops_of_a_run_s"]
        return {"hops.svg": ("Hops of a run on its clock", charts.hops(hops))}
    return {}


def main(arguments: Sequence[str]) -> int:
    """Write the page and its pictures; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.page", description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of results")
    parser.add_argument("--root", type=Path, default=ROOT, help="where docs/ is written")
    chosen = parser.parse_args(arguments)
    found = files(load_all(chosen.results))
    folder = chosen.root / PICTURES
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.svg"):
        if PICTURES / old.name not in found:
            old.unlink()
    for path, text in found.items():
        (chosen.root / path).write_text(text, encoding="utf-8")
    print(f"{PAGE} and {len(found) - 1} pictures, of {chosen.results.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
