"""Filter policies of SNS: documented examples, recorded refusals, properties."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.cloud.errors import AwsError
from simulator.cloud.sns_filters import ATTRIBUTES, BODY, attribute_values, compile_policy


def attribute(kind: str, value: Any) -> dict[str, Any]:
    return {"DataType": kind, "StringValue": value if kind == "String" else json.dumps(value)}


ORDER = {
    "customer_interests": attribute("String.Array", ["soccer", "rugby", "hockey"]),
    "store": attribute("String", "example_corp"),
    "event": attribute("String", "order_placed"),
    "price_usd": attribute("Number", 210.75),
    "source_ip": attribute("String", "10.0.0.7"),
    "photo": {"DataType": "Binary", "BinaryValue": b"x"},
}


def wants(policy: Any, attributes: dict[str, Any]) -> bool:
    return compile_policy(json.dumps(policy), ATTRIBUTES)(attribute_values(attributes))


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ({"store": ["example_corp"]}, True),
        ({"store": ["Example_corp"]}, False),
        ({"store": ["example_corp"], "event": ["order_cancelled"]}, False),
        ({"store": ["example_corp"], "event": [{"anything-but": "order_cancelled"}]}, True),
        ({"customer_interests": ["rugby", "football", "baseball"]}, True),
        ({"customer_interests": ["football"]}, False),
        ({"customer_interests": [{"anything-but": ["rugby", "tennis"]}]}, True),
        ({"event": [{"anything-but": {"prefix": "order-"}}]}, True),
        ({"event": [{"anything-but": {"prefix": "order_"}}]}, False),
        ({"event": [{"anything-but": {"suffix": "placed"}}]}, False),
        ({"price_usd": [{"anything-but": [100, 500]}]}, True),
        ({"price_usd": [{"anything-but": [210.75]}]}, False),
        ({"customer_interests": [{"prefix": "rug"}]}, True),
        ({"event": [{"suffix": "placed"}]}, True),
        ({"event": [{"equals-ignore-case": "ORDER_placed"}]}, True),
        ({"price_usd": [{"numeric": [">=", 100]}]}, True),
        ({"price_usd": [{"numeric": [">", 0, "<", 210.75]}]}, False),
        ({"price_usd": [{"numeric": ["=", 210.75]}]}, True),
        ({"price_usd": [210.75]}, True),
        ({"price_usd": ["210.75"]}, False),
        ({"store": [{"exists": True}]}, True),
        ({"store": [{"exists": False}]}, False),
        ({"missing": [{"exists": False}]}, True),
        ({"photo": [{"exists": True}]}, False),
        ({"missing": [{"anything-but": "x"}]}, False),
        ({"missing": [None, {"anything-but": "x"}]}, True),
        ({"source_ip": [{"cidr": "10.0.0.0/24"}]}, True),
        ({"source_ip": [{"cidr": "10.0.1.0/24"}]}, False),
        ({"store": [{"cidr": "10.0.1.0/24"}]}, False),
        ({"$or": [{"store": ["x"]}, {"price_usd": [{"numeric": [">", 1]}]}]}, True),
        ({"$or": [{"store": ["x"]}, {"price_usd": [1]}]}, False),
        ({"event": ["order_placed"], "$or": [{"store": ["x"]}, {"store": ["example_corp"]}]}, True),
    ],
)
def test_attributes_pass_as_documented(policy: Any, expected: bool) -> None:
    assert wants(policy, ORDER) is expected


BODY_MESSAGE = {
    "store": "example_corp",
    "items": [{"sku": "a", "price": 5}, {"sku": "b", "price": 50}],
    "customer": {"member": True, "address": {"country": "NO"}, "note": None},
}


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ({"customer": {"address": {"country": ["NO", "SE"]}}}, True),
        ({"customer": {"member": [False]}}, False),
        ({"customer": {"member": [True], "note": [None]}}, True),
        ({"items": {"price": [{"numeric": [">", 40]}]}}, True),
        ({"items": {"price": [{"numeric": [">", 60]}]}}, False),
        ({"customer": {"phone": [{"exists": False}]}}, True),
        ({"nothing": {"inside": ["x"]}}, False),
        ({"customer": {"$or": [{"member": [False]}, {"address": {"country": ["NO"]}}]}}, True),
    ],
)
def test_bodies_pass_as_documented(policy: Any, expected: bool) -> None:
    assert compile_policy(json.dumps(policy), BODY)(BODY_MESSAGE) is expected


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (["value"], "Match value must be String, number, true, false, or null"),
        ({"wrong-operator": True}, "Unrecognized match type wrong-operator"),
        ({"suffix": "a", "prefix": "b"}, "Only one key allowed in match expression"),
        ({"suffix": 100}, "suffix match pattern must be a string"),
        ({"suffix": None}, "suffix match pattern must be a string"),
        ({"numeric": []}, "Invalid member in numeric match: ]"),
        ({"numeric": ["operator"]}, "Unrecognized numeric range operator: operator"),
        ({"numeric": [1, "<="]}, "Invalid member in numeric match: 1"),
        ({"numeric": ["=", "000"]}, "Value of equals must be numeric"),
        ({"numeric": [">="]}, "Value of >= must be numeric"),
        ({"numeric": ["<", 100, ">", 10]}, "Too many elements in numeric expression"),
        ({"numeric": [">=", 1, ">", 2]}, "Bad numeric range operator: >"),
        ({"numeric": [">", 3, "<", 1]}, "Bottom must be less than top"),
        ({"numeric": [">", 20, "<="]}, "Value of <= must be numeric"),
        ({"numeric": [">", 20, 30]}, "Bad value in numeric range: 30"),
        ({"numeric": [">", 20, "<", 30, "<", 50]}, "Too many terms in numeric range expression"),
        ({"exists": None}, "exists match pattern must be either true or false."),
        ({"exists": "no"}, "exists match pattern must be either true or false."),
        ({"anything-but": [None]}, "Inside anything but list"),
        ({"cidr": "10.0.0.0/99"}, "Malformed CIDR"),
    ],
)
def test_an_entry_that_is_none_is_refused_in_recorded_words(entry: Any, said: str) -> None:
    with pytest.raises(AwsError) as error:
        compile_policy(json.dumps({"key": [entry]}), ATTRIBUTES, "Attributes Reason: ")
    assert error.value.code == "InvalidParameter"
    start = f"Invalid parameter: Attributes Reason: FilterPolicy: {said}"
    assert error.value.message.startswith(start)


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ({"key": "value"}, '"key" must be an object or an array'),
        ({"key": []}, "Empty arrays are not allowed"),
        ({f"k{number}": ["a"] for number in range(6)}, "more than 5 keys"),
        ({"a": [str(n) for n in range(151)]}, "too complex"),
        ({"a": [str(n) for n in range(13)], "b": [str(n) for n in range(12)]}, "too complex"),
        ([], "must be a JSON object"),
    ],
)
def test_a_policy_beyond_its_limits_is_refused(policy: Any, said: str) -> None:
    with pytest.raises(AwsError, match=said):
        compile_policy(json.dumps(policy), BODY)


def test_only_bodies_have_nested_policies_and_depth_counts() -> None:
    nested = json.dumps({"a": {"b": {"c": [str(n) for n in range(51)]}}})
    with pytest.raises(AwsError, match="MessageAttributes does not support nested"):
        compile_policy(nested, ATTRIBUTES)
    with pytest.raises(AwsError, match="too complex"):
        compile_policy(nested, BODY)
    with pytest.raises(AwsError, match="failed to parse JSON"):
        compile_policy("{", BODY)


@pytest.mark.parametrize(
    ("listed", "given", "expected"),
    [
        (["rugby", "tennis"], ["baseball"], True),
        (["rugby", "tennis"], ["rugby", "baseball"], True),
        (["rugby", "tennis"], ["rugby"], False),
        (["rugby", "tennis"], ["tennis", "rugby"], False),
        ([100, 500], [100, 50], True),
        ([100, 500], [100, 500], False),
    ],
)
def test_anything_but_wants_an_array_with_an_element_that_is_not_listed(
    listed: list[Any], given: list[Any], expected: bool
) -> None:
    policy = {"interests": [{"anything-but": listed}]}
    assert wants(policy, {"interests": attribute("String.Array", given)}) is expected
    assert compile_policy(json.dumps(policy), BODY)({"interests": given}) is expected


@pytest.mark.parametrize(
    ("key", "message", "expected"),
    [
        ("object.nested", {"object": {"nested": "value"}}, True),
        ("object.nested", {"object.nested": "value"}, True),
        ("object.nested", {"object": {"nested": "other"}}, False),
        ("object.nested.test", {"object": {"nested": {"test": "value"}}}, True),
        ("object.nested.test", {"object.nested.test": "value"}, True),
        ("object.nested.test", {"object.nested": {"test": "value"}}, True),
        ("object.nested.test", {"object": {"nested.test": "value"}}, True),
        ("object.nested.test", {"object": {"nested": {"test": "other"}}}, False),
    ],
)
def test_a_key_with_dots_is_a_path_as_recorded(
    key: str, message: dict[str, Any], expected: bool
) -> None:
    assert compile_policy(json.dumps({key: ["value"]}), BODY)(message) is expected


@pytest.mark.parametrize(
    ("wanted", "message", "expected"),
    [
        ([{"exists": False}], {"a": {"c": 1}}, True),
        ([{"exists": False}], {"a": {"b": 1}}, False),
        (["x"], {"a": [{"b": "y"}, {"b": "x"}]}, True),
        (["x"], {"a": "b"}, False),
        (["x"], {"a": {"b": "y"}, "a.b": "x"}, True),
    ],
)
def test_a_path_may_lead_nowhere_or_to_several_values(
    wanted: list[Any], message: dict[str, Any], expected: bool
) -> None:
    assert compile_policy(json.dumps({"a.b": wanted}), BODY)(message) is expected
    assert compile_policy(json.dumps({"o": {"a.b": wanted}}), BODY)({"o": message}) is expected


scalars = st.one_of(st.booleans(), st.integers(-99, 99), st.sampled_from(["a", "b", "ab", "B"]))
flat = st.dictionaries(st.sampled_from("xyz"), scalars, max_size=3)
policies = st.dictionaries(
    st.sampled_from("xyz"), st.lists(scalars, min_size=1, max_size=3), min_size=1, max_size=3
)


@given(policies, flat)
def test_every_key_must_match_one_of_its_values(policy: Any, message: dict[str, Any]) -> None:
    expected = all(
        any(type(message.get(k)) is type(one) and message[k] == one for one in wanted)
        for k, wanted in policy.items()
    )
    assert compile_policy(json.dumps(policy), BODY)(message) == expected


@given(policies, policies, flat)
def test_or_wants_what_either_wants(first: Any, second: Any, message: dict[str, Any]) -> None:
    either = compile_policy(json.dumps({"$or": [first, second]}), BODY)
    one, two = (compile_policy(json.dumps(each), BODY) for each in (first, second))
    assert either(message) == (one(message) or two(message))


@given(st.integers(-50, 50), st.integers(-50, 50), st.integers(-60, 60))
def test_a_range_wants_the_numbers_between(low: int, high: int, value: int) -> None:
    if low < high:
        policy = json.dumps({"x": [{"numeric": [">=", low, "<", high]}]})
        assert compile_policy(policy, BODY)({"x": value}) == (low <= value < high)
