"""A dashboard as a page without scripts, in the look of `report.html`. For `fleetwin dashboard`."""

from __future__ import annotations

from datetime import UTC, datetime

from simulator.cloud.dashboards_store import Kept
from simulator.dashboard_svg import STATES, pictures
from simulator.html_page import document
from simulator.report_svg import WIDTH, escaped


def page_of(kept: Kept, name: str) -> str:
    """Return the page of one dashboard."""
    figures = [
        f"<figure><figcaption>{escaped(title)}</figcaption>"
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escaped(title)}">'
        f"{drawn}</svg></figure>"
        for title, drawn, height in pictures(kept, name)
    ]
    keys = "".join(
        f'<span><i class="key" style="background:{colour}"></i>{state.replace("_", " ").lower()}'
        "</span>"
        for state, colour in STATES.items()
    )
    span = f"{_moment(kept.start_s)} to {_moment(kept.end_s)}, UTC on the run's clock"
    return document(
        name,
        f'<h1>{escaped(name)}</h1><p class="lead">{span}</p>'
        f'<p class="legend">alarms: {keys}</p>{"".join(figures)}',
    )


def _moment(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%d %H:%M")
