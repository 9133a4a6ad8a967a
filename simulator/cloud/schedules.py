"""Rate and cron expressions of DataSync tasks and EventBridge rules, on the run's clock in UTC.

What AWS takes in a field beyond numbers, names, lists, ranges and steps (``L``, ``W``, ``#``) is
refused by name, and so are ranges that run over the end (``FRI-MON``), of which the guide says
nothing. Source: EventBridge user guide, "Setting a schedule pattern". That a step is refused which
is larger than its field is recorded of minutes (``*/60``) and taken for true of the others.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta

from simulator.cloud.errors import AwsError, NotSupportedByTwin

Next = Callable[[datetime], datetime | None]
"""Returns the first time after a given one, None when there is none any more."""

_RATE = re.compile(r"rate\((\d+) (minute|hour|day)(s?)\)")
_SECONDS = {"minute": 60, "hour": 3_600, "day": 86_400}
HOUR_S = 3_600
_MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
_DAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]
_NOT_HERE = {2: re.compile(r"L(-\d+)?|LW|\d+W"), 4: re.compile(r"L|\w+L|\w+#\d")}
"""What the guide has for days of the month and of the week, and the twin has not."""
_RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (1, 7), (1970, 2199))
_HORIZON = timedelta(days=366 * 8)
"""No valid day is further away: 29 February, over a century's turn."""


def parse(expression: str, code: str, least_s: int = 60, said: str = "") -> Next:
    """Return the schedule of an expression that is due at most every ``least_s`` seconds.

    Raises AwsError with ``code`` for one that is wrong or due more often; ``said`` is the service's
    own text, which gives no reason: that is in the error's notes.
    """

    def invalid(why: str) -> AwsError:
        error = AwsError(code, said or f"Invalid schedule expression {expression!r}: {why}.")
        if said:
            error.add_note(f"{expression}: {why}")
        return error

    if matched := _RATE.fullmatch(expression):
        if (int(matched[1]) == 1) == bool(matched[3]):
            raise invalid("the unit is singular with 1 and plural with any other number")
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
    if text == "?" and place not in _NOT_HERE:
        raise invalid("a question mark stands for a day of the month or of the week")
    if text in ("*", "?"):
        return frozenset(range(low, high + 1))
    found: set[int] = set()
    for part in text.split(","):
        if place in _NOT_HERE and _NOT_HERE[place].fullmatch(part):
            raise NotSupportedByTwin(f"the schedule field {text!r}")
        span, slash, step = part.partition("/")
        first, dash, last = span.partition("-")
        try:
            begin = low if span == "*" else _number(first, place)
            end = _number(last, place) if dash else high if slash or span == "*" else begin
            each = _number(step, -1) if slash else 1
        except ValueError:
            raise invalid(f"{text!r} is no value of its field") from None
        if not (low <= begin <= high and low <= end <= high and 1 <= each <= high):
            raise invalid(f"{text!r} is out of range")
        if begin > end:
            raise NotSupportedByTwin(f"the schedule field {text!r}")
        found.update(range(begin, end + 1, each))
    return frozenset(found)


def _number(text: str, place: int) -> int:
    names = {3: _MONTHS, 4: _DAYS}.get(place, [])
    if text.upper() in names:
        return names.index(text.upper()) + 1
    if not re.fullmatch(r"[0-9]+", text):
        raise ValueError(text)
    return int(text)
