"""Rate and cron expressions: what is due when, and what is refused in whose words."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.cloud.errors import AwsError, NotSupportedByTwin
from simulator.cloud.events import checked_rule
from simulator.cloud.schedules import HOUR_S, parse

START = datetime(2026, 1, 1, tzinfo=UTC)
"""A Thursday."""
MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
DAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]
Part = tuple[str, frozenset[int]]


def spelled(number: int, names: list[str]) -> st.SearchStrategy[str]:
    return st.sampled_from([str(number), *([names[number - 1]] if names else [])])


@st.composite
def parts(draw: st.DrawFn, low: int, high: int, names: list[str]) -> Part:
    """Draw a part of a field and the values that it stands for."""
    first = draw(st.integers(low, high))
    last = draw(st.integers(first, high))
    step = draw(st.integers(1, min(high, high - low + 2)))
    begin, end = draw(spelled(first, names)), draw(spelled(last, names))
    return draw(
        st.sampled_from(
            [
                (begin, frozenset({first})),
                (f"{begin}-{end}", frozenset(range(first, last + 1))),
                (f"{begin}/{step}", frozenset(range(first, high + 1, step))),
                (f"*/{step}", frozenset(range(low, high + 1, step))),
                (f"{begin}-{end}/{step}", frozenset(range(first, last + 1, step))),
            ]
        )
    )


def fields(low: int, high: int, names: list[str] | None = None) -> st.SearchStrategy[Part]:
    """Return fields of one to three parts, with what they stand for."""
    listed = st.lists(parts(low, high, names or []), min_size=1, max_size=3)
    return listed.map(
        lambda found: (
            ",".join(text for text, _ in found),
            frozenset(value for _, values in found for value in values),
        )
    )


def due(expression: str, start: datetime, end: datetime) -> Iterator[datetime]:
    """Yield each time that is due in [start, end)."""
    following = parse(expression, "X")
    at = following(start - timedelta(minutes=1))
    while at is not None and at < end:
        yield at
        later = following(at)
        assert later is None or later > at
        at = later


@given(fields(0, 59))
def test_minutes(field: Part) -> None:
    found = due(f"cron({field[0]} * * * ? *)", START, START + timedelta(hours=1))
    assert [at.minute for at in found] == sorted(field[1])


@given(fields(0, 23))
def test_hours(field: Part) -> None:
    found = due(f"cron(7 {field[0]} * * ? *)", START, START + timedelta(days=1))
    assert [(at.hour, at.minute) for at in found] == [(hour, 7) for hour in sorted(field[1])]


@given(fields(1, 31))
def test_days_of_a_month(field: Part) -> None:
    found = list(due(f"cron(0 0 {field[0]} * ? *)", START, datetime(2026, 3, 1, tzinfo=UTC)))
    assert [at.day for at in found if at.month == 1] == sorted(field[1])
    assert [at.day for at in found if at.month == 2] == sorted(day for day in field[1] if day < 29)


@given(fields(1, 12, MONTHS))
def test_months_also_by_name(field: Part) -> None:
    found = due(f"cron(0 0 1 {field[0]} ? *)", START, datetime(2027, 1, 1, tzinfo=UTC))
    assert [at.month for at in found] == sorted(field[1])


@given(fields(1, 7, DAYS))
def test_days_of_the_week_also_by_name_where_sunday_is_the_first(field: Part) -> None:
    sunday = datetime(2026, 1, 4, tzinfo=UTC)
    found = due(f"cron(0 0 ? * {field[0]} *)", sunday, sunday + timedelta(days=7))
    assert [(at - sunday).days + 1 for at in found] == sorted(field[1])


@given(fields(1970, 2199))
def test_years(field: Part) -> None:
    found = due(f"cron(0 0 1 1 ? {field[0]})", START, datetime(2034, 1, 1, tzinfo=UTC))
    assert [at.year for at in found] == sorted(year for year in field[1] if 2026 <= year < 2034)


@given(fields(0, 59), fields(0, 23), fields(1, 7, DAYS), st.integers(0, 20_000))
def test_what_is_due_next_is_the_first_minute_in_which_all_fields_hold(
    minutes: Part, hours: Part, weekdays: Part, after_min: int
) -> None:
    after = START + timedelta(minutes=after_min)
    following = parse(f"cron({minutes[0]} {hours[0]} ? * {weekdays[0]} *)", "X")
    day = after.replace(hour=0, minute=0)
    wanted = (
        day + timedelta(days=later, hours=hour, minutes=minute)
        for later in range(9)
        if ((day + timedelta(days=later)).isoweekday() % 7 + 1) in weekdays[1]
        for hour in sorted(hours[1])
        for minute in sorted(minutes[1])
    )
    assert following(after) == next(at for at in wanted if at > after)


def test_the_last_of_a_year_that_is_over_is_none() -> None:
    assert parse("cron(0 0 1 1 ? 2020)", "X")(START) is None
    leap = parse("cron(0 0 29 2 ? *)", "X")(START)
    assert leap == datetime(2028, 2, 29, tzinfo=UTC)


@given(st.integers(2, 500), st.sampled_from([("minute", 60), ("hour", 3_600), ("day", 86_400)]))
def test_a_rates_unit_is_singular_with_one_alone(count: int, unit: tuple[str, int]) -> None:
    name, seconds = unit
    assert parse(f"rate({count} {name}s)", "X")(START) == START + timedelta(seconds=count * seconds)
    assert parse(f"rate(1 {name})", "X")(START) == START + timedelta(seconds=seconds)
    for wrong in (f"rate({count} {name})", f"rate(1 {name}s)", f"rate(0 {name}s)"):
        with pytest.raises(AwsError, match="Invalid schedule expression"):
            parse(wrong, "X")


WRONG = [
    "rate(1 minutes)",
    "rate(5 minute)",
    "rate(0 minutes)",
    "rate(-1 minutes)",
    "rate(1.5 hours)",
    "rate(2 weeks)",
    "every(1 minute)",
    "cron(0 8 * * *)",
    "cron(0 8 * * * *)",
    "cron(0 8 ? * ? *)",
    "cron(? 8 * * ? *)",
    "cron(0 ? * * ? *)",
    "cron(0 8 * ? ? *)",
    "cron(0 8 * * ? ?)",
    "cron(60 8 * * ? *)",
    "cron(0 24 * * ? *)",
    "cron(0 8 0 * ? *)",
    "cron(0 8 32 * ? *)",
    "cron(0 8 * 13 ? *)",
    "cron(0 8 ? * 8 *)",
    "cron(0 8 ? * 0 *)",
    "cron(0 8 * * ? 1969)",
    "cron(*/60 * * * ? *)",
    "cron(*/0 * * * ? *)",
    "cron(0/ * * * ? *)",
    "cron(-5 * * * ? *)",
    "cron(+5 * * * ? *)",
    "cron(L 8 * * ? *)",
    "cron(0 8 * MOON ? *)",
    "cron(0 8 * SUN ? *)",
    "cron(0 8 ? * JAN *)",
    "cron(1,,2 8 * * ? *)",
]


@pytest.mark.parametrize("expression", WRONG)
def test_a_rule_with_a_wrong_schedule_is_refused_in_awss_words_and_a_note_says_why(
    expression: str,
) -> None:
    with pytest.raises(AwsError) as caught:
        checked_rule({"Name": "r", "ScheduleExpression": expression})
    assert (caught.value.code, caught.value.message) == (
        "ValidationException",
        "Parameter ScheduleExpression is not valid.",
    )
    (note,) = caught.value.__notes__
    assert note.startswith(f"{expression}: ")


@pytest.mark.parametrize("days", ["L", "L-3", "LW", "15W", "1,15W"])
def test_days_of_a_month_that_the_twin_does_not_reckon_are_refused_by_name(days: str) -> None:
    with pytest.raises(NotSupportedByTwin, match="the schedule field"):
        parse(f"cron(0 8 {days} * ? *)", "X")


@pytest.mark.parametrize("days", ["L", "6L", "FRIL", "3#2", "TUE#1", "FRI-MON"])
def test_days_of_the_week_that_the_twin_does_not_reckon_are_refused_by_name(days: str) -> None:
    with pytest.raises(NotSupportedByTwin, match="the schedule field"):
        parse(f"cron(0 8 ? * {days} *)", "X")


def test_who_admits_an_hour_at_the_least_refuses_what_is_due_more_often() -> None:
    for often in ("rate(59 minutes)", "cron(0,30 * * * ? *)"):
        with pytest.raises(AwsError, match="more often than every 3600 s"):
            parse(often, "InvalidRequestException", HOUR_S)
    for seldom in ("rate(60 minutes)", "cron(30 * * * ? *)"):
        parse(seldom, "InvalidRequestException", HOUR_S)
