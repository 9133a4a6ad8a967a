"""Rate and cron expressions of DataSync tasks and EventBridge rules, on the run's clock in UTC.

What a field may hold beyond numbers, names, lists, ranges and steps (``L``, ``W``, ``#``) is
refused by name. Source: EventBridge user guide, "Setting a schedule pattern".
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta

from simulator.cloud.errors import AwsError, NotSupportedByTwin

Next = Callable[[datetime], datetime | None]
"""Returns the first time after a given one, None when there is none any more."""

_RATE = re.compile(r"rate\((\d+) (minute|hour|day)s?\)")
_SECONDS = {"minute": 60, "hour": 3_600, "day": 86_400}
HOUR_S = 3_600
_MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
_DAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]
_RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (1, 7), (1970, 2199))
_HORIZON = timedelta(days=366 * 8)
"""No valid day is further away: 29 February, over a century's turn."""


def parse(expression: str, code: str, least_s: int = 60) -> Next:
    """Return the schedule of an expression that is due at most every ``least_s`` seconds.

    Raises AwsError with ``code`` for one that is wrong or due more often.
    """

    def invalid(why: str) -> AwsError:
        return AwsError(code, f"Invalid schedule expression {expression!r}: {why}.")

    if matched := _RATE.fullmatch(expression):
        period_s = int(matched[1]) * _SECONDS[matched[2]]
        if period_s < least_s:
            raise invalid(f"it is due more often than every {least_s} s")
        return lambda after: after + timedelta(seconds=period_s)
    if expression.startswith("cron(") and expression.endswith(")"):
        return _cron(expression[5:-1].split(), least_s, invalid)
    raise invalid("it is neither rate(...) nor cron(...)")


def _cron(fields: list[str], least_s: int, invalid: Callable[[str], AwsError]) -> Next:
    if len(fields) != len(_RANGES) or (fields[2] == "?") == (fields[4] == "?"):
        raise invalid("six fields, and a question mark as either the day of the month or the week")
    minutes, hours, days, months, weekdays, years = (
        _field(text, place, invalid) for place, text in enumerate(fields)
    )
    if least_s >= HOUR_S and len(minutes) > 1:
        raise invalid(f"it is due more often than every {least_s} s")

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


def _field(text: str, place: int, invalid: Callable[[str], AwsError]) -> frozenset[int]:
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
            raise NotSupportedByTwin(f"the schedule field {text!r}") from None
    if not found or min(found) < low or max(found) > high:
        raise invalid(f"{text!r} is out of range")
    return frozenset(found)


def _number(text: str, place: int) -> int:
    names = {3: _MONTHS, 4: _DAYS}.get(place, [])
    return names.index(text.upper()) + 1 if text.upper() in names else int(text)
