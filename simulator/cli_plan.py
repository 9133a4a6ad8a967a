"""`fleetwin plan`: how large the cloud side must be for a fleet, and what it costs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from simulator.host_errors import write_file


def plan(
    machines: Annotated[int, typer.Option(help="Machines in the fleet.")],
    rate: Annotated[float, typer.Option(help="Readings a second of each machine.")] = 1.0,
    latency: Annotated[
        str, typer.Option(help="What hops take: none, aws, or a file of models.")
    ] = "aws",
    key: Annotated[
        bool, typer.Option(help="Lake and stream lie under a key of the stage's own, as in prod.")
    ] = True,
    svg: Annotated[
        Path | None, typer.Option(help="Write a curve of cost and latency against fleet size.")
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the plan as JSON.")
    ] = None,
) -> None:
    """Simulate the cloud side in virtual time: shards, concurrency, instances, quotas, cost.

    Example: fleetwin plan --machines 1000000 --rate 1
    """
    from simulator.parity.latency_fit import chosen_models
    from simulator.plan.plan import plan as plan_of
    from simulator.plan.plan_words import curve, sizes, words

    models = chosen_models(latency)
    found = plan_of(machines, rate, models, own_key=key)
    print(words(found))
    if json_file is not None:
        write_file(json_file, json.dumps(found.to_json(), indent=2) + "\n")
    if svg is not None:
        smaller = [plan_of(count, rate, models, own_key=key) for count in sizes(machines)[:-1]]
        write_file(svg, curve([*smaller, found]))
