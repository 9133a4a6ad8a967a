"""Two cassettes' conversations for `fleetwin parity diff --html`: answers, and time by operation.

A section for the page of two runs, or a page of its own where no run was recorded.
"""

from __future__ import annotations

from simulator.html_page import document, table
from simulator.parity.journey_page import HERE, THERE
from simulator.parity.latency_page import latency_section
from simulator.parity.sides import CallsDifference
from simulator.report_svg import escaped


def calls_section(found: CallsDifference) -> str:
    """Return what both were asked and answered otherwise, and the operations' latencies."""
    same = found.steps - len(found.otherwise)
    rows = [
        [
            escaped(each.step),
            escaped(each.call),
            "<br>".join(escaped(f"there {line} here") for line in each.lines),
        ]
        for each in found.otherwise
    ]
    legend = (
        f'<p class="legend"><span><i class="key" style="background:{HERE}"></i>here: '
        f'{escaped(found.here)}</span><span><i class="key" style="background:{THERE}"></i>there: '
        f"{escaped(found.there)}</span></p>"
    )
    return (
        f"<h2>Conversations</h2>{legend}"
        f"<p>{same} of {found.steps} steps are answered the same.</p>"
        + (table(("step", "call", "answered otherwise"), rows) if rows else "")
        + latency_section(found.latency, HERE, THERE)
    )


def calls_page(found: CallsDifference) -> str:
    """Return the section as a page."""
    head = "<h1>Two cassettes compared</h1>"
    return document("fleetwin parity: two cassettes", head + calls_section(found))
