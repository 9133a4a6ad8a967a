"""All benchmarks: ``python -m benchmarks [--quick]``, or ``make bench``.

Prints a table and writes `benchmarks/results/pipeline.json`; a quick run, whose figures are
rough, writes nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import pipeline, skab_rule

RESULTS = Path(__file__).with_name("results")


def table(figures: Sequence[pipeline.Figure]) -> str:
    """Return name, value, unit, against and ratio in columns."""
    rows = [("name", "value", "unit", "against", "", "ratio")]
    rows += [
        (f.name, f"{f.value:,.1f}", f.unit, f.against, f"{f.against_value:,.1f}", f"{f.ratio:.2f}")
        for f in figures
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(6)]
    right = {1, 4, 5}
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def main(arguments: Sequence[str]) -> int:
    """Run them; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="All benchmarks.")
    parser.add_argument("--quick", action="store_true", help="a tenth of the messages; no file")
    quick = parser.parse_args(arguments).quick
    figures = pipeline.measure(quick=quick)
    print(table(figures))
    if not quick:
        RESULTS.mkdir(exist_ok=True)
        body = {
            "figures": [figure.to_json() for figure in figures],
            "environment": {
                "python": platform.python_version(),
                "system": platform.system(),
                "machine": platform.machine(),
                "cpus": os.cpu_count(),
            },
        }
        (RESULTS / "pipeline.json").write_text(json.dumps(body, indent=2) + "\n", encoding="utf-8")
    print("\nDetection on recorded runs (SKAB):")
    return skab_rule.main([])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
