"""`report.html`: one page, no scripts, no network: what was found, and a picture for each machine.

`run` writes it from the same report as `report.json`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from simulator.html_page import document, table, tiles
from simulator.report import Episode, Fault, Judged, RunReport
from simulator.report_svg import Trace, clock, escaped, machine_figure, moment

__all__ = ["Trace", "render"]


def render(report: RunReport, traces: Sequence[Trace], live_from_ms: int) -> str:
    """Return the page. Machines with a fault or a detection come first."""
    judged = report.judged
    body = [
        f"<h1>{escaped(report.scenario)}</h1>",
        f'<p class="lead">seed {report.seed} on the {escaped(report.target)} target: '
        f"{_hours(report.virtual_s)} of machine time from {report.started:%Y-%m-%d %H:%M} UTC, in "
        f"{report.wall_s:.0f} s</p>",
        _tiles(report, judged),
        _faults(report, judged),
        _detections(report, judged),
        _alerts(report),
        _maintenance(report),
        _candidates(report),
        "<h2>Machines</h2>",
        '<p class="legend"><span><i class="key" style="background:var(--fault)"></i>true fault'
        '</span><span><i class="key" style="background:var(--found)"></i>detection that found it'
        '</span><span><i class="key" style="background:var(--false)"></i>false alarm</span>'
        '<span><i class="key" style="background:var(--halt)"></i>standing still</span>'
        "<span>dashed: threshold; thin grey line: score with no model; "
        "grey ground: before the model was in service</span></p>",
    ]
    eventful = {f.device_id for f in report.faults} | {
        e.device_id for e in report.episodes if e.rule == "model"
    }
    quiet: list[str] = []
    for trace in sorted(traces, key=lambda t: t.device_id):
        picture = machine_figure(report, trace, live_from_ms)
        (body if trace.device_id in eventful else quiet).append(picture)
    if quiet:
        body.append(
            f"<details><summary>{len(quiet)} machines with no fault and no detection</summary>"
            f"{''.join(quiet)}</details>"
        )
    body += [_readings(report), _stages(report)]
    return document(f"fleetwin: {report.scenario}", "".join(body))


def _hours(seconds: float) -> str:
    if seconds >= 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 60:.0f} min" if seconds >= 60 else f"{seconds:.0f} s"


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f} s"


def _tiles(report: RunReport, judged: Judged) -> str:
    values = report.to_json()
    delay = values["detection_delay_s"]
    figures = [
        (f"{len(judged.found)} of {len(report.faults)}", "faults found"),
        (str(len(judged.false_alarms)), f"false alarms in {report.machine_days:.2f} machine-days"),
        (_seconds(delay["median"]), f"median delay (p90 {_seconds(delay['p90'])})"),
        (
            f"{values['no_model']['found']} of {len(report.faults)}",
            f"found with no model, {values['no_model']['false_alarm_episodes']} false alarms",
        ),
        (f"{report.readings.published:,}", "readings published"),
    ]
    return tiles(figures)


def _faults(report: RunReport, judged: Judged) -> str:
    rows = []
    for number, fault in enumerate(report.faults):
        episode = judged.found.get(number)
        if episode:
            delay = (
                f'<span class="found">{(episode.started_ms - fault.onset_ms) / 1000:.0f} s</span>'
            )
        else:
            delay = '<span class="missed">not found</span>'
        rows.append(
            [
                escaped(fault.device_id),
                escaped(fault.kind.replace("_", " ")),
                f"{fault.severity:.2f}",
                moment(report, fault.onset_ms),
                moment(report, fault.end_ms),
                delay,
                "yes" if number in report.judged_no_model.found else "no",
                _lead(fault, episode),
            ]
        )
    head = (
        *("machine", "fault", "severity", "from", "to", "found after", "with no model"),
        "before its failure",
    )
    return "<h2>Faults</h2>" + (table(head, rows) if rows else "<p>No fault was injected.</p>")


def _lead(fault: Fault, episode: Episode | None) -> str:
    if fault.fails_ms is None or episode is None:
        return "-"
    return _hours((fault.fails_ms - episode.started_ms) / 1000)


def _maintenance(report: RunReport) -> str:
    if not report.maintenance:
        return ""
    rows = [
        [
            escaped(order["order_id"]),
            escaped(order["device_id"]),
            escaped(str(order["type"]).replace("_", " ")),
            moment(report, order["started_ms"]),
            _hours(order["downtime_s"]),
            f"{order['total_cost']:,.0f}",
            escaped(order["text"]),
        ]
        for order in report.maintenance
    ]
    head = ("order", "machine", "type", "from", "standstill", "cost", "what the crew wrote")
    return "<h2>Maintenance</h2>" + table(head, rows)


def _detections(report: RunReport, judged: Judged) -> str:
    rows = []
    for episode in report.episodes:
        if episode.rule != "model":
            continue
        outcome = judged.outcome(episode)
        drivers = sorted(episode.contributions.items(), key=lambda item: -item[1])[:3]
        rows.append(
            [
                escaped(episode.device_id),
                moment(report, episode.started_ms),
                "open" if episode.ended_ms is None else moment(report, episode.ended_ms),
                f'<span class="{outcome}">{escaped(outcome.replace("_", " "))}</span>',
                f"{episode.score:.2f}",
                ", ".join(f"{escaped(name)} {share:.0%}" for name, share in drivers),
                ""
                if episode.window_start_ms is None
                else f"{moment(report, episode.window_start_ms)} to {clock(episode.started_ms)}",
            ]
        )
    head = ("machine", "from", "to", "outcome", "peak score", "driven by", "in the readings of")
    return "<h2>Detections</h2>" + (table(head, rows) if rows else "<p>None.</p>")


def _alerts(report: RunReport) -> str:
    """Return what a person was told, as it came out of the topic."""
    if not report.messages:
        return ""
    rows = [
        [
            escaped(alert["device_id"]),
            moment(report, alert["since_ms"]),
            escaped(alert["what_to_do"]),
            escaped(alert["alert_id"][:8]),
        ]
        for alert in report.messages
    ]
    return (
        "<h2>Alerts</h2>"
        + table(("machine", "unusual since", "what to do", "id"), rows)
        + f'<p class="lead">fleetwin trace {escaped(report.messages[0]["alert_id"][:8])} '
        "follows one back to its readings.</p>"
    )


def _candidates(report: RunReport) -> str:
    """Return what became of models that were compared with the one in service."""
    rows = []
    for each in report.model.get("evaluations", []):
        delays = [event["candidate_delay_s"] for event in each["events"]]
        missed = delays.count(None)
        rows.append(
            [
                escaped(each["candidate"]),
                "promoted" if each["promote"] else "rejected",
                f"{len(delays) - missed} of {len(delays)}",
                "<br>".join(map(escaped, each["reasons"])),
            ]
        )
    head = ("candidate", "verdict", "labelled faults found", "criteria")
    return "<h2>Candidates</h2>" + table(head, rows) if rows else ""


def _readings(report: RunReport) -> str:
    r = report.readings
    return (
        "<h2>Readings</h2>"
        f"<p>{r.published:,} published = {r.lost_in_network:,} lost in the network + "
        f"{r.discarded_by_broker:,} discarded by the broker + {r.delivered:,} delivered<br>"
        f"{r.delivered:,} delivered = {r.stored:,} stored + {r.late:,} late + "
        f"{r.dead_lettered:,} dead-lettered; {r.duplicates_dropped:,} further copies dropped</p>"
    )


def _stages(report: RunReport) -> str:
    stages: dict[str, tuple[float, float, str]] = {}
    times: Counter[str] = Counter()
    for s in report.stages:
        wall_s, virtual_s, _ = stages.get(s.name, (0.0, 0.0, ""))
        stages[s.name] = (wall_s + s.wall_s, virtual_s + s.virtual_s, s.result)
        times[s.name] += 1
    rows = [
        [
            escaped(name) + (f" ({times[name]} times)" if times[name] > 1 else ""),
            f"{wall_s:.1f} s",
            _hours(virtual_s) if virtual_s else "-",
            escaped(result),
        ]
        for name, (wall_s, virtual_s, result) in stages.items()
    ]
    return "<h2>Stages</h2>" + table(("stage", "took", "on the run's clock", "result"), rows)
