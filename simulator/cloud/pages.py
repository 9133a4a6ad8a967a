"""Cuts a list answer into pages, for services whose token is a position in a stable list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from simulator.cloud.errors import AwsError

T = TypeVar("T")


def page(
    items: Sequence[T], limit: int, token: str | None, code: str = "InvalidToken"
) -> tuple[list[T], str | None]:
    """Return at most ``limit`` items from the token's position on, and the next token.

    The token is ``None`` when nothing is left. Raises AwsError with ``code`` for a token that
    no answer of ours can have had.
    """
    if token is not None and not (token.isdecimal() and int(token) <= len(items)):
        raise AwsError(code, f"Invalid Token: '{token}'")
    first = int(token or 0)
    last = first + limit
    return list(items[first:last]), str(last) if last < len(items) else None
