"""The executions of a twin beside its lake, so that one that has ended can be looked at.

Written when a twin ends, as DescribeExecution and GetExecutionHistory answer; `fleetwin workflow`
reads it. What earlier twins left in the folder stays, up to `KEPT` executions. A twin that starts
reads nothing here: its executions are its own.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from simulator.cloud.asl_execution import Execution
from simulator.cloud.glue_store import write_json
from simulator.cloud.workflows_executions import described

FORMAT = 1
KEPT = 1_000


def save(executions: Sequence[Execution], state: Path) -> None:
    """Add executions to those in a state folder; one of the same ARN takes the other's place.

    A file that cannot be read (of another version) is replaced: a twin that ends must end.
    """
    if not executions:
        return
    try:
        earlier = load(state)
    except ValueError:
        earlier = []
    kept = {each["description"]["executionArn"]: each for each in earlier}
    for execution in executions:
        kept.pop(execution.arn, None)
        kept[execution.arn] = {
            "description": described(execution, execution.stopped or execution.started),
            "events": execution.history.events,
        }
    write_json(_path(state), {"format": FORMAT, "executions": list(kept.values())[-KEPT:]})


def load(state: Path) -> list[dict[str, Any]]:
    """Return what was saved, oldest first: description and events, times as ISO texts.

    Raises ValueError for a file of another format.
    """
    path = _path(state)
    if not path.exists():
        return []
    found = json.loads(path.read_text("utf-8"))
    if found.get("format") != FORMAT:
        raise ValueError(f"{path}: format {found.get('format')}, not {FORMAT}")
    executions: list[dict[str, Any]] = found["executions"]
    return executions


def _path(state: Path) -> Path:
    return state / "workflows" / "executions.json"
