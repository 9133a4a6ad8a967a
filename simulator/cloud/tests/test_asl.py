"""The States Language itself: choices and functions against plain Python, and paths."""

from __future__ import annotations

import base64
import hashlib
import json
import operator
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.cloud.asl_choice import matches
from simulator.cloud.asl_paths import PathNotFound, Scope, read, write
from simulator.cloud.asl_payload import IntrinsicFailure, PayloadPathError, dumps, evaluate, render
from simulator.cloud.errors import NotSupportedByTwin

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-99, 99) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    ),
    max_leaves=8,
)
quick = settings(max_examples=60, deadline=None)


def holds(rule: dict[str, Any], data: Any) -> bool:
    return matches(rule, Scope(data, {}))


def call(function: str, data: Any = None) -> Any:
    return render({"x.$": function}, Scope(data, {}))["x"]


# -- Choice

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "Equals": operator.eq,
    "LessThan": operator.lt,
    "GreaterThan": operator.gt,
    "LessThanEquals": operator.le,
    "GreaterThanEquals": operator.ge,
}


def _of_kind(kind: str, value: Any) -> bool:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return {"String": isinstance(value, str), "Numeric": number}[kind]


@quick
@given(JSON, JSON, st.sampled_from(["String", "Numeric"]), st.sampled_from(sorted(ORDER)))
def test_a_comparison_is_pythons_for_values_of_its_kind_and_false_for_others(
    left: Any, right: Any, kind: str, order: str
) -> None:
    expected = _of_kind(kind, left) and _of_kind(kind, right) and ORDER[order](left, right)
    data = {"l": left, "r": right}
    assert holds({"Variable": "$.l", f"{kind}{order}Path": "$.r"}, data) is expected
    if _of_kind(kind, right):
        assert holds({"Variable": "$.l", f"{kind}{order}": right}, data) is expected


TIMES = st.integers(0, 10**15).map(lambda us: EPOCH + timedelta(microseconds=us))


@quick
@given(TIMES, TIMES, st.integers(-12, 12), st.sampled_from(sorted(ORDER)))
def test_times_are_compared_as_instants_whatever_their_offset(
    left: datetime, right: datetime, hours: int, order: str
) -> None:
    offset = f"{'-' if hours < 0 else '+'}{abs(hours):02d}:00"
    there = (left + timedelta(hours=hours)).replace(tzinfo=None)
    rule = {"Variable": "$", f"Timestamp{order}": right.isoformat().replace("+00:00", "Z")}
    assert holds(rule, f"{there.isoformat()}{offset}") is ORDER[order](left, right)


@pytest.mark.parametrize(
    "text", ["2026-01-05", "2026-01-05t00:00:00Z", "2026-01-05T00:00:00", "20260105T000000Z", 5]
)
def test_what_is_no_time_with_an_offset_is_no_timestamp(text: Any) -> None:
    assert not holds({"Variable": "$", "IsTimestamp": True}, text)
    assert holds({"Variable": "$", "IsTimestamp": False}, text)


@quick
@given(JSON)
def test_a_value_is_of_the_type_that_python_says(value: Any) -> None:
    number = isinstance(value, int) and not isinstance(value, bool)
    for name, is_one in {
        "IsNull": value is None,
        "IsBoolean": isinstance(value, bool),
        "IsNumeric": number,
        "IsString": isinstance(value, str),
        "IsPresent": True,
    }.items():
        for asked in (True, False):
            assert holds({"Variable": "$.v", name: asked}, {"v": value}) is (is_one is asked)


RULES = st.recursive(
    st.sampled_from("pqr"),
    lambda inner: st.one_of(
        st.tuples(st.just("Not"), inner),
        st.tuples(st.sampled_from(["And", "Or"]), st.lists(inner, min_size=1, max_size=3)),
    ),
    max_leaves=6,
)


def _rule(tree: Any) -> dict[str, Any]:
    if isinstance(tree, str):
        return {"Variable": f"$.{tree}", "BooleanEquals": True}
    name, inner = tree
    return {name: _rule(inner) if name == "Not" else [_rule(part) for part in inner]}


def _truth(tree: Any, data: dict[str, bool]) -> bool:
    if isinstance(tree, str):
        return data[tree]
    name, inner = tree
    if name == "Not":
        return not _truth(inner, data)
    return (all if name == "And" else any)(_truth(part, data) for part in inner)


@quick
@given(RULES, st.fixed_dictionaries(dict.fromkeys("pqr", st.booleans())))
def test_and_or_and_not_are_those_of_logic(tree: Any, data: dict[str, bool]) -> None:
    assert holds(_rule(tree), data) is _truth(tree, data)


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("log-*.txt", "log-2026.txt", True),
        ("log-*.txt", "log-.txt.gz", False),
        ("*", "", True),
        ("a.c", "abc", False),
        (r"a\*c", "a*c", True),
        (r"a\*c", "abc", False),
        (r"a\\*", "a\\anything", True),
        ("*a*b", "xxayyb\nb", True),
    ],
)
def test_a_pattern_has_one_wildcard_and_a_backslash_takes_its_meaning(
    pattern: str, text: str, expected: bool
) -> None:
    assert holds({"Variable": "$", "StringMatches": pattern}, text) is expected


def test_a_variable_that_is_not_there_is_an_error_unless_presence_is_asked() -> None:
    assert holds({"Variable": "$.x", "IsPresent": False}, {})
    with pytest.raises(PathNotFound):
        holds({"Variable": "$.x", "IsNull": True}, {})


# -- intrinsic functions


@quick
@given(st.lists(JSON, max_size=5), JSON, st.integers(1, 4))
def test_array_functions_do_what_python_does(items: list[Any], wanted: Any, size: int) -> None:
    data = {"a": items, "w": wanted, "n": size}
    assert call("States.ArrayLength($.a)", data) == len(items)
    chunks = call("States.ArrayPartition($.a, $.n)", data)
    assert [item for chunk in chunks for item in chunk] == items
    assert all(len(chunk) == size for chunk in chunks[:-1])
    texts = [dumps(item) for item in items]
    assert call("States.ArrayContains($.a, $.w)", data) is (dumps(wanted) in texts)
    unique = [dumps(item) for item in call("States.ArrayUnique($.a)", data)]
    assert unique == list(dict.fromkeys(texts))
    assert call("States.Array($.a, $.w, 'x')", data) == [items, wanted, "x"]
    for index in range(len(items)):
        assert call(f"States.ArrayGetItem($.a, {index})", data) == items[index]


@quick
@given(JSON, st.text(max_size=8))
def test_encodings_undo_each_other(value: Any, text: str) -> None:
    assert call("States.StringToJson(States.JsonToString($.v))", {"v": value}) == value
    encoded = call("States.Base64Encode($.t)", {"t": text})
    assert encoded == base64.b64encode(text.encode()).decode()
    assert call("States.Base64Decode($.e)", {"e": encoded}) == text
    found = call("States.Hash($.t, 'SHA-256')", {"t": text})
    assert found == hashlib.sha256(text.encode()).hexdigest()


@quick
@given(st.integers(-20, 20), st.integers(-20, 20), st.integers(-5, 5).filter(bool))
def test_a_range_has_both_its_ends_and_numbers_add_up(first: int, last: int, step: int) -> None:
    found = call(f"States.ArrayRange({first}, {last}, {step})")
    assert found == list(range(first, last + (1 if step > 0 else -1), step))
    assert call(f"States.MathAdd({first}, {last})") == first + last


@quick
@given(st.lists(JSON, max_size=3))
def test_a_format_puts_text_as_it_is_and_the_rest_as_json(values: list[Any]) -> None:
    data = {f"v{n}": value for n, value in enumerate(values)}
    arguments = "".join(f", $.v{n}" for n in range(len(values)))
    template = "<" + "|".join("{}" for _ in values) + ">"
    shown = [value if isinstance(value, str) else dumps(value) for value in values]
    assert call(f"States.Format('{template}'{arguments})", data) == f"<{'|'.join(shown)}>"


def test_escapes_in_a_template_are_text() -> None:
    assert call(r"States.Format('it\'s \{\} \\ {}', 1)") == r"it's {} \ 1"
    assert call("States.Format($.t, 1)", {"t": "{}!"}) == "1!"


def test_functions_nest_and_take_paths_literals_and_the_context() -> None:
    found = call("States.JsonMerge(States.StringToJson('{\"a\":1}'), $.b, false)", {"b": {"c": 2}})
    assert found == {"a": 1, "c": 2}
    scope = Scope({}, {"Execution": {"Name": "n"}}, {"v": [1, 2]})
    template = {"x.$": "States.Array($$.Execution.Name, $v[1], true, null, -1.5)"}
    assert render(template, scope) == {"x": ["n", 2, True, None, -1.5]}
    assert call("States.StringSplit('This.is+a,test', '.+,')") == ["This", "is", "a", "test"]
    assert call("States.MathRandom(1, 10, 7)") == call("States.MathRandom(1, 10, 7)")


@pytest.mark.parametrize(
    "function",
    [
        "States.ArrayGetItem($.a, 3)",
        "States.ArrayGetItem($.a, -1)",
        "States.ArrayLength('abc')",
        "States.ArrayContains('abc', 'a')",
        "States.ArrayPartition($.a, 0)",
        "States.ArrayRange(1, 5, 0)",
        "States.ArrayRange(1, 5000, 1)",
        "States.MathAdd('a', 'b')",
        "States.MathAdd(1, true)",
        "States.JsonMerge($, $, true)",
        "States.JsonMerge($.a, $, false)",
        "States.StringToJson('{')",
        "States.Base64Decode('&')",
        "States.Base64Encode(5)",
        "States.Hash('x', 'CRC')",
        "States.StringSplit('a', '')",
        "States.Format('{} {}', 1)",
        "States.Array(1",
        "States.ArrayLength($.a, 1)",
    ],
)
def test_a_function_refuses_arguments_that_it_cannot_take(function: str) -> None:
    with pytest.raises(IntrinsicFailure):
        call(function, {"a": [1, 2]})


def test_a_function_that_the_twin_does_not_have_is_named() -> None:
    with pytest.raises(NotSupportedByTwin, match=r"States\.Sin"):
        call("States.Sin(1)")


def test_what_is_random_on_aws_is_drawn_from_the_ids_of_the_run() -> None:
    ids = iter(f"id-{number}" for number in range(100))
    scope = Scope({}, {}, {}, lambda: next(ids))
    assert evaluate("States.UUID()", scope, "x") == "id-0"
    numbers = [evaluate("States.MathRandom(1, 9)", scope, "x") for _ in range(20)]
    assert set(numbers) <= set(range(1, 9))
    assert len(set(numbers)) > 3
    seeded = {evaluate("States.MathRandom(1, 999, 7)", scope, "x") for _ in range(5)}
    assert len(seeded) == 1
    for wrong in ("States.UUID(1)", "States.MathRandom(1)", "States.MathRandom(1, 2, 3, 4)"):
        with pytest.raises(IntrinsicFailure):
            evaluate(wrong, scope, "x")


# -- paths


@quick
@given(st.dictionaries(st.sampled_from("abc"), JSON, max_size=3), JSON)
def test_what_is_written_to_a_path_is_read_there_and_nothing_else_changes(
    data: dict[str, Any], value: Any
) -> None:
    at = {name: data[name] for name in data if name != "b"}
    document = {"keep": [data], "at": at}
    before = json.dumps(document)
    written = write("$.at.b['c d']", document, value)
    assert read("$.at.b['c d']", Scope(written, {})) == value
    assert dumps(written) == dumps({"keep": [data], "at": {**at, "b": {"c d": value}}})
    assert json.dumps(document) == before


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("$.a[1]", 2),
        ("$.a[-1]", 3),
        ("$.a[0:2]", [1, 2]),
        ("$.a[*]", [1, 2, 3]),
        ("$['b c'].d", 4),
        ("$..d", [4]),
        ("$.items[?(@.n > 1)].n", [2]),
        ("$.none[*]", []),
    ],
)
def test_a_path_reads_what_it_names(path: str, expected: Any) -> None:
    data = {"a": [1, 2, 3], "b c": {"d": 4}, "items": [{"n": 1}, {"n": 2}]}
    assert read(path, Scope(data, {})) == expected


@pytest.mark.parametrize("path", ["$['a','b']", "$.a[0,1]", "$.a.length()", "a", ""])
def test_a_path_that_cannot_be_followed_is_refused_and_not_misread(path: str) -> None:
    with pytest.raises(NotSupportedByTwin):
        read(path, Scope({"a": [1]}, {}))


@pytest.mark.parametrize("path", ["$.a[5]", "$.a[-1]", "$.a.b"])
def test_a_result_goes_only_where_there_is_a_place(path: str) -> None:
    with pytest.raises(PathNotFound):
        write(path, {"a": []}, 1)


def test_a_template_names_the_path_and_the_field_that_led_nowhere() -> None:
    with pytest.raises(PayloadPathError) as error:
        render({"a": [{"b.$": "$.c"}]}, Scope({}, {}))
    assert (error.value.path, error.value.name) == ("$.c", "b.$")
