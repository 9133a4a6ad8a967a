"""The expressions of GetPartitions choose what SQL would choose."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.cloud.errors import AwsError
from simulator.cloud.partition_expressions import NULL_PARTITION, compile_expression

KEYS = [("dt", "string"), ("hour", "int"), ("day", "date")]
TYPES = {"dt": "VARCHAR", "hour": "INTEGER", "day": "DATE"}

texts = st.sampled_from(["2026-01-05", "2026-01-06", "2026-02-01", "x", "it''s"])
numbers = st.integers(-3, 24).map(str)
days = st.sampled_from(["2026-01-05", "2026-01-06", "2026-02-28"])
literals = {
    "dt": texts.map(lambda text: f"'{text}'"),
    "hour": numbers,
    "day": days.map(lambda text: f"'{text}'"),
}


@st.composite
def comparisons(draw: st.DrawFn) -> str:
    key = draw(st.sampled_from(sorted(TYPES)))
    value = literals[key]
    spelled = draw(st.sampled_from([key, key.upper()]))
    sign = draw(st.sampled_from(["=", "<>", "!=", "<", ">", "<=", ">="]))
    negation = draw(st.sampled_from(["", "NOT "]))
    listed = ", ".join(draw(st.lists(value, min_size=1, max_size=3)))
    pattern = draw(st.sampled_from(["2026-01%", "%-06", "____-02-01", "%", "2026.01%"]))
    return draw(
        st.sampled_from(
            [
                f"{spelled} {sign} {draw(value)}",
                f"{draw(value)} {sign} {spelled}",
                f"{spelled} {negation}IN ({listed})",
                f"{spelled} {negation}between {draw(value)} and {draw(value)}",
                f"dt {negation}LIKE '{pattern}'",
                f"{spelled} IS {negation}NULL",
            ]
        )
    )


expressions = st.recursive(
    comparisons(),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["AND", "or"]), inner).map(" ".join),
        inner.map(lambda text: f"({text})"),
        inner.map(lambda text: f"NOT ({text})"),
    ),
    max_leaves=5,
)
rows = st.lists(
    st.tuples(
        st.one_of(texts.map(lambda text: text.replace("''", "'")), st.just(NULL_PARTITION)),
        st.one_of(numbers, st.just(NULL_PARTITION)),
        st.one_of(days, st.just(NULL_PARTITION)),
    ),
    max_size=6,
)


@given(expressions, rows)
def test_an_expression_chooses_what_sql_would(
    expression: str, partitions: list[tuple[str, str, str]]
) -> None:
    matches = compile_expression(expression, KEYS)
    assert [matches(values) for values in partitions] == [
        _by_sql(expression, values) for values in partitions
    ]


def _by_sql(expression: str, values: Sequence[str]) -> bool:
    columns = ", ".join(
        f"CAST(${number} AS {TYPES[name]}) AS {name}"
        for number, (name, _) in enumerate(KEYS, start=1)
    )
    given_values = [None if value == NULL_PARTITION else value for value in values]
    found = duckdb.execute(
        f"SELECT count(*) FROM (SELECT {columns}) WHERE {expression}", given_values
    ).fetchone()
    assert found is not None
    return bool(found[0])


@pytest.mark.parametrize(
    "expression",
    [
        "temperature = '1'",
        "dt = ",
        "dt = '1' AND",
        "(dt = '1'",
        "dt == '1'",
        "dt = '1'; DROP",
        "hour = 'seven'",
        "hour LIKE '1%'",
        "day > '5 January'",
        "dt NOT '1'",
        "dt IN ()",
        "lower(dt) = 'x'",
        "dt = 'open",
    ],
)
def test_what_is_no_expression_over_the_keys_is_refused(expression: str) -> None:
    with pytest.raises(AwsError) as caught:
        compile_expression(expression, KEYS)
    assert caught.value.code == "InvalidInputException"


@given(st.text(max_size=30))
def test_any_text_is_compiled_or_refused(text: str) -> None:
    found = False
    with suppress(AwsError):
        found = compile_expression(text, KEYS)(["a", "1", "2026-01-05"])
    assert found in (True, False)


def test_numbers_compare_as_numbers_and_a_misfit_is_null() -> None:
    matches = compile_expression("hour < 9", KEYS)
    assert matches(["x", "08", "x"])
    assert not matches(["x", "10", "x"])
    assert not matches(["x", "eight", "x"])
    assert compile_expression("price <= 1.50", [("price", "decimal(5,2)")])(["1.5"])
    at = compile_expression("t >= '2026-01-05 07:00:00'", [("t", "timestamp")])
    assert at(["2026-01-05 07:00:00.5"])
    assert not at(["2026-01-05"])
