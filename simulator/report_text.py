"""The end of a run in words, as the command line prints it.

`cli` calls it with the report that `run` returns; the page is made by `report_html`.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from simulator.report import RunReport


def summary(report: RunReport, out: Path) -> str:
    """Return the end of a run in words: what happened, what was found, where to look."""
    values = report.to_json()
    readings, delay = values["readings"], values["detection_delay_s"]
    lines = [
        "",
        f"{report.scenario}: seed {report.seed}, {report.virtual_s / 3600:.1f} h of machine time "
        f"in {report.wall_s:.0f} s",
        "",
        f"  readings      {readings['published']:,} published = {readings['lost_in_network']:,} "
        f"lost + {readings['discarded_by_broker']:,} discarded + "
        f"{readings['delivered']:,} delivered",
        f"                {readings['delivered']:,} delivered = {readings['stored']:,} stored + "
        f"{readings['late']:,} late + {readings['dead_lettered']:,} dead-lettered",
        f"  faults        {values['faults']['found']} of {values['faults']['total']} found"
        + (
            f", median delay {delay['median']:.0f} s, p90 {delay['p90']:.0f} s"
            if delay["median"] is not None
            else ""
        ),
        f"  false alarms  {values['false_alarms']['episodes']} in {values['machine_days']:.2f} "
        "healthy machine-days",
        f"  no model      {values['no_model']['found']} of {values['faults']['total']} found, "
        f"{values['no_model']['false_alarm_episodes']} false alarms (the same rule on x_hat = 0)",
        f"  alerts        {values['alerts']} by SNS, one an episode",
        *_maintenance(values),
        "",
    ]
    for item in values["truth"]:
        verdict = f"found after {item['delay_s']:.0f} s" if item["found"] else "NOT FOUND"
        lines.append(
            f"  {item['device_id']:<18} {item['kind'].replace('_', ' '):<20} "
            f"severity {item['severity']:.2f}  {verdict}"
        )
    lines += [
        "",
        f"  {out / 'report.html'}   a picture of every machine",
        f"  {out / 'report.json'}   the same in numbers",
    ]
    if values["detections"]:
        first = values["detections"][0]["detection_id"][:8]
        lines.append(f"  fleetwin trace {first} --out {out}   the first alert, and what led to it")
    return "\n".join(lines)


def _maintenance(values: dict[str, Any]) -> list[str]:
    """Return what was repaired, if anything was: orders, standstill, cost, warning times."""
    orders = values["maintenance"]
    if not orders:
        return []
    counts = Counter(order["type"] for order in orders)
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))
    hours = sum(order["downtime_s"] for order in orders) / 3600
    cost = sum(order["total_cost"] for order in orders)
    lines = [
        f"  maintenance   {len(orders)} orders ({kinds}), {hours:.1f} h of standstill, cost "
        f"{cost:,.0f}"
    ]
    lead = values["lead_time_s"]
    if lead["median"] is not None:
        lines.append(
            f"  lead time     median {lead['median'] / 60:.0f} min from detection to the failure "
            f"that would come, shortest {lead['shortest'] / 60:.0f} min"
        )
    return lines
