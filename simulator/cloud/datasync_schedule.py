"""Schedules of DataSync tasks: rate and cron expressions on the run's clock, in UTC.

Used by `simulator.cloud.datasync`, which starts the executions. What a field may hold beyond
numbers, names, lists, ranges and steps (``L``, ``W``, ``#``) is refused by name.
Source: DataSync user guide, "Scheduling your task".
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta

from simulator.cloud.datasync_settings import invalid
from simulator.cloud.errors import NotSupportedByTwin

Next = Callable[[datetime], datetime | None]
"""Returns the first time after a given one, None when there is none any more."""

_RATE = re.compile(r"rate\((\d+) (minute|hour|day)s?\)")
_SECONDS = {"minute": 60, "hour": 3_600, "day": 86_400}
LEAST_S = 3_600
"""Tasks run at most once an hour."""
_MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
_DAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]
_RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (1, 7), (1970, 2199))
_HORIZON = timedelta(days=366 * 8)
"""No valid day is further away: 29 February, over a century's turn."""


def parse(expression: str) -> Next:
    """Return the schedule of an expression; raises InvalidRequestException."""
    if matched := _RATE.fullmatch(expression):
        period_s = int(matched[1]) * _SECONDS[matched[2]]
        if period_s < LEAST_S:
            raise invalid("Invalid schedule: a task runs at most once an hour.")
        return lambda after: after + timedelta(seconds=period_s)
    if expression.startswith("cron(") and expression.endswith(")"):
        return _cron(expression)
    raise invalid(f"Invalid schedule expression: {expression!r}.")


def _cron(expression: str) -> Next:
    fields = expression[5:-1].split()
    if len(fields) != len(_RANGES) or (fields[2] == "?") == (fields[4] == "?"):
        raise invalid(
            f"Invalid schedule expression: {expression!r}: six fields, and a question mark as"
            " either the day of the month or the day of the week."
        )
    minutes, hours, days, months, weekdays, years = (
        _field(text, place) for place, text in enumerate(fields)
    )
    if len(minutes) > 1:
        raise invalid("Invalid schedule: a task runs at most once an hour.")

    def following(after: datetime) -> datetime | None:
        at = after.replace(second=0, microsecond=0) + timedelta(minutes=1)
        last = after + _HORIZON
        while at < last:
            # Sunday is 1, as AWS counts.
            weekday = at.isoweekday() % 7 + 1
            fits = at.year in years and at.month in months
            if not (fits and at.day in days and weekday in weekdays):
                at = at.replace(hour=0, minute=0) + timedelta(days=1)
            elif at.hour not in hours:
                at = at.replace(minute=0) + timedelta(hours=1)
            elif at.minute not in minutes:
                at += timedelta(minutes=1)
            else:
                return at
        return None

    return following


def _field(text: str, place: int) -> frozenset[int]:
    low, high = _RANGES[place]
    if text in ("*", "?"):
        return frozenset(range(low, high + 1))
    found: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        first, dash, last = span.partition("-")
        try:
            begin = low if span == "*" else _number(first, place)
            end = _number(last, place) if dash else high if step or span == "*" else begin
            found.update(range(begin, end + 1, int(step or 1)))
        except ValueError:
            raise NotSupportedByTwin(f"datasync: the schedule field {text!r}") from None
    if not found or min(found) < low or max(found) > high:
        raise invalid(f"Invalid schedule: {text!r} is out of range.")
    return frozenset(found)


def _number(text: str, place: int) -> int:
    names = {3: _MONTHS, 4: _DAYS}.get(place, [])
    return names.index(text.upper()) + 1 if text.upper() in names else int(text)
