"""`fleetwin parity diff` as text: what is the same, what is not, where it began."""

from __future__ import annotations

from datetime import UTC, datetime

from simulator.parity.journey import Difference, Found, Pair
from simulator.parity.latency_words import explained, latency_words


def words(diff: Difference) -> str:
    """Return the comparison as people read it; its last line is the verdict."""
    lines = [
        f"{diff.here.scenario}, seed {diff.here.seed}",
        f"  here   {diff.here.name} ({diff.here.target})",
        f"  there  {diff.there.name} ({diff.there.target})",
        "",
        f"  detections  {len(diff.pairs) - len(diff.moved)} the same, {len(diff.moved)} moved, "
        f"{len(diff.only_here)} only here, {len(diff.only_there)} only there",
        f"  scores      {diff.rows:,} rows compared, largest difference {diff.largest:.3g}; "
        f"{diff.rows_only_here:,} only here, {diff.rows_only_there:,} only there",
    ]
    for name, (ours, theirs) in diff.books.items():
        lines.append(f"  {name.replace('_', ' ')}  {ours:,} here, {theirs:,} there")
    lines.append("")
    lines += [_pair(pair, pair.within(diff.tolerance)) for pair in diff.pairs]
    lines += [_alone("only here ", found) for found in diff.only_here]
    lines += [_alone("only there", found) for found in diff.only_there]
    if diff.pairs or diff.only_here or diff.only_there:
        lines.append("")
    if diff.first is not None:
        lines.append(
            f"  first divergence  {diff.first.device_id} at {moment(diff.first.event_time_ms)}: "
            f"{_score(diff.first.here)} here, {_score(diff.first.there)} there"
        )
    lines += billable_lines(diff)
    if diff.here.traces or diff.there.traces:
        lines += [latency_words(diff.latency), f"  {explained(diff.latency)}", ""]
    lines.append(verdict(diff))
    return "\n".join(lines)


def billable_lines(diff: Difference) -> list[str]:
    """Return the units of which one side used more than the other; nothing where neither knows."""
    units = diff.billable
    apart = {name: both for name, both in units.items() if both[0] != both[1]}
    if not units:
        return []
    same = len(units) - len(apart)
    lines = [
        f"  billable    of {len(units)} units {same} the same, {len(apart)} not (do not count)"
    ]
    lines += [f"    {name}  {a:,.6g} here, {b:,.6g} there" for name, (a, b) in apart.items()]
    return [*lines, ""]


def verdict(diff: Difference) -> str:
    """Return one line: the same, or what differs most."""
    allowed = f"scores within {diff.tolerance.score:g}, times within {diff.tolerance.start_s:g} s"
    if diff.tolerance.latency is not None:
        allowed += f", hops within {diff.tolerance.latency:.0%}"
    elif diff.latency.different:
        allowed += "; hops that differ count with --latency only"
    if diff.same:
        return f"the same ({allowed})"
    reasons = []
    if diff.only_here or diff.only_there or diff.moved:
        reasons.append("detections")
    if diff.first is not None:
        reasons.append("scores")
    if diff.books:
        reasons.append("books")
    if diff.slower:
        reasons.append("latency")
    return f"DIFFERENT in {', '.join(reasons)} ({allowed})"


def moment(at_ms: int) -> str:
    """Return an event time as ISO 8601 with seconds, UTC."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _pair(pair: Pair, within: bool) -> str:
    end = "open on one side" if pair.end_shift_s is None else f"end {pair.end_shift_s:+.0f} s"
    return (
        f"  {'same      ' if within else 'moved     '}  {pair.here.device_id:<18} "
        f"{moment(pair.here.started_ms)}  start {pair.start_shift_s:+.0f} s, {end}, "
        f"score {pair.here.score:.3f} {pair.score_difference:+.2g}"
    )


def _alone(where: str, found: Found) -> str:
    return f"  {where}  {found.device_id:<18} {moment(found.started_ms)}  score {found.score:.3f}"


def _score(value: float | None) -> str:
    return "no score" if value is None else f"{value:.9g}"
