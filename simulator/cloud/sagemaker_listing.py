"""SageMaker's lists: filtered by name and time, sorted, and cut into pages.

Used by the models, configurations, endpoints and model packages, whose List operations have the
same parameters. Source: API reference of ListEndpoints and its siblings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from simulator.cloud.operations import Answer, Params
from simulator.cloud.pages import page

_PAGE = 10
"""Entries of an answer without MaxResults."""


def listed(
    member: str,
    items: Iterable[Answer],
    params: Params,
    name: str,
    order: str = "Descending",
    by: str = "CreationTime",
) -> Answer:
    """Return a page of summaries under ``member``; ``name`` is the member that names an item.

    ``order`` and ``by`` are the operation's defaults.
    """
    keys: dict[str, Callable[[Answer], Any]] = {
        "Name": lambda item: item[name],
        "Status": lambda item: item["EndpointStatus"],
        "CreationTime": lambda item: (item["CreationTime"], item.get("ModelPackageVersion", 0)),
    }
    chosen = [
        item
        for item in items
        if params.get("NameContains", "").lower() in item[name].lower()
        and _between(item["CreationTime"], params, "CreationTime")
        and _between(item.get("LastModifiedTime"), params, "LastModifiedTime")
    ]
    chosen.sort(
        key=keys[params.get("SortBy", by)],
        reverse=params.get("SortOrder", order) == "Descending",
    )
    shown, token = page(
        chosen, params.get("MaxResults", _PAGE), params.get("NextToken"), "ValidationException"
    )
    return {member: shown, **({"NextToken": token} if token else {})}


def _between(moment: datetime | None, params: Params, name: str) -> bool:
    after, before = params.get(f"{name}After"), params.get(f"{name}Before")
    if moment is None:
        return True
    return (after is None or moment > after) and (before is None or moment < before)
