"""A plan in words, and a curve of cost and latency against the size of the fleet as SVG."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from simulator.plan.plan import Plan, PlanError
from simulator.report_svg import escaped

WIDTH, HEIGHT, LEFT, RIGHT, GAP = 900, 230, 90, 20, 40
STEPS = (1, 3)


def words(found: Plan) -> str:
    """Return the plan as people read it."""
    lines = [
        f"{found.machines:,} machines at {found.rate_hz:g} Hz: "
        f"{found.machines * found.rate_hz:,.0f} readings a second",
        "",
        f"  shards                 {found.size.shards:,}",
        f"  pollers                {found.pollers:,}, one a shard for each of both functions",
        f"  batches at a time      {found.size.factor} a shard (ParallelizationFactor)",
        f"  concurrent executions  {found.concurrency:,} at most, of both functions",
        f"  endpoint instances     {found.size.instances:,}",
        f"  stream to decision     p50 {found.p50_s:.1f} s, p99 {found.p99_s:.1f} s",
        f"  bottleneck             {found.bottleneck}",
        "",
        *(f"  filled   {share:>6.0%}  {name}" for name, share in found.used.items()),
        "",
    ]
    for quota in found.quotas:
        verdict = "RAISE" if quota.must_rise else "ok   "
        lines.append(
            f"  quota    {verdict}   {quota.name}: {quota.needed:,.0f} of {quota.limit:,.0f} "
            f"({quota.source})"
        )
    lines += [
        "",
        *(f"  a month  {cost:>14,.2f} USD  {name}" for name, cost in found.costs.items()),
        f"  a month  {found.monthly:>14,.2f} USD  in all (list prices of {found.prices})",
    ]
    if found.assumed:
        lines += ["", f"  assumed and not recorded: {', '.join(found.assumed)}"]
    return "\n".join(lines)


def sizes(machines: int) -> list[int]:
    """Return fleet sizes for a curve: 1, 3, 10, 30, ... up to the one asked for."""
    found = [
        step * 10**power
        for power in range(math.floor(math.log10(machines)) + 1)
        for step in STEPS
        if step * 10**power < machines
    ]
    return [*found[-8:], machines]


def curve(plans: Sequence[Plan]) -> str:
    """Return the SVG of monthly cost and p99 latency against machines, in powers of ten.

    Raises PlanError for a single fleet.
    """
    if len(plans) < 2:
        raise PlanError("a curve needs more than one machine")
    machines = [math.log10(each.machines) for each in plans]
    costs = [math.log10(each.monthly) for each in plans]
    latencies = [each.p99_s for each in plans]
    height = 2 * (HEIGHT + GAP)
    label = f"Cost and latency against machines at {plans[0].rate_hz:g} Hz"
    rows = [
        _panel("USD a month", machines, costs, 10, "#3a6ea5", lambda v: f"{10**v:,.0f}"),
        _panel(
            "p99 s, stream to decision",
            machines,
            latencies,
            10 + HEIGHT + GAP,
            "#c22f2f",
            lambda v: f"{v:.1f}",
        ),
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="{escaped(label)}" font-family="system-ui,sans-serif" fill="#1d2733">'
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>{"".join(rows)}</svg>\n'
    )


def _panel(
    title: str,
    across: Sequence[float],
    values: Sequence[float],
    top: int,
    colour: str,
    said: Callable[[float], str],
) -> str:
    """Return one plot; ``across`` are powers of ten."""
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    inner = HEIGHT - 40

    def x(value: float) -> float:
        return LEFT + (value - across[0]) / (across[-1] - across[0]) * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        return top + 24 + inner * (1.0 - (value - low) / span)

    parts = [f'<text x="8" y="{top + 10}" font-size="13" font-weight="600">{escaped(title)}</text>']
    for value in (low, low + span / 2, high):
        parts.append(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(value):.1f}" y2="{y(value):.1f}" '
            f'stroke="#d9e0e7"/><text x="{LEFT - 6}" y="{y(value) + 4:.1f}" font-size="10" '
            f'fill="#5b6b7b" text-anchor="end">{said(value)}</text>'
        )
    for power in range(math.ceil(across[0]), math.floor(across[-1]) + 1):
        parts.append(
            f'<text x="{x(power):.1f}" y="{top + HEIGHT}" font-size="10" fill="#5b6b7b" '
            f'text-anchor="middle">{10**power:,}</text>'
        )
    points = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in zip(across, values, strict=True))
    parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
    parts += [
        f'<circle cx="{x(a):.1f}" cy="{y(b):.1f}" r="3" fill="{colour}"><title>'
        f"{10**a:,.0f} machines: {said(b)}</title></circle>"
        for a, b in zip(across, values, strict=True)
    ]
    return "".join(parts)
