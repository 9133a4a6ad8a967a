"""Filter patterns: the examples of the user guide, properties of terms and conditions, refusals."""

from __future__ import annotations

import json
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.cloud.errors import AwsError
from simulator.cloud.log_patterns import compile_pattern

REQUEST = '127.0.0.1 Prod frank [10/Oct/2000:13:25:15 -0700] "GET /index.html HTTP/1.0" 404 1534'
BAD, UNAUTHORIZED = "[ERROR 400] BAD REQUEST", "[ERROR 401] UNAUTHORIZED REQUEST"
MISSING, INVALID = "[ERROR 419] MISSING ARGUMENTS", "[ERROR 420] INVALID ARGUMENTS"
INFO = "INFO 09/25/2014 12:00:00 GET /service/resource/67 1200"
PART = "INFO 09/25/2014 12:00:01 POST /service/resource/67/part/111 1310"
WARNING = "WARNING 09/25/2014 12:00:02 Invalid user request"
ERROR = "ERROR 09/25/2014 12:00:02 Failed to process request"
TRAIL = json.dumps(
    {
        "eventType": "UpdateTrail",
        "sourceIPAddress": "111.111.111.111",
        "arrayKey": ["value", "another value"],
        "objectList": [{"name": "a", "id": 1}, {"name": "b", "id": 2}],
        "SomeObject": None,
        "cluster.name": "c",
        "flag": True,
        "count": 3,
    }
)
USERS = json.dumps(
    {
        "user": {"id": 1, "email": "John.Stiles@example.com"},
        "users": [{"id": 2, "email": "John.Doe@example.com"}, {"id": 3, "email": "x"}],
        "actions": ["GET", "PUT", "DELETE"],
        "coordinates": [[0, 1, 2], [4, 5, 6], [7, 8, 9]],
    }
)


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("", [BAD, INFO, ""], []),
        ('" "', [BAD, "word", ""], []),
        ("ERROR", [BAD, MISSING, "Exiting with ERRORCODE: -1"], [INFO, "error"]),
        ("ERROR ARGUMENTS", [MISSING, INVALID], [BAD, UNAUTHORIZED]),
        ("?ERROR ?ARGUMENTS", [BAD, MISSING, "ARGUMENTS"], [INFO]),
        # Beside another term those with a question mark have no effect.
        ("?ERROR ?ARGUMENTS REQUEST", ["[INFO] REQUEST FAILED", BAD], [MISSING]),
        ('"INTERNAL SERVER ERROR"', ["[ERROR 500] INTERNAL SERVER ERROR"], ["INTERNAL ERROR"]),
        ("ERROR -ARGUMENTS", [BAD, UNAUTHORIZED], [MISSING, INVALID, INFO]),
        ('ERROR -"UNAUTHORIZED REQUEST"', [BAD, MISSING], [UNAUTHORIZED]),
        ("-ERROR", [INFO], [BAD]),
        ("%AUTHORIZED%", [UNAUTHORIZED, "[SUCCESS 200] AUTHORIZED REQUEST"], [BAD]),
        ("%^[hc]at%", ["hat trick", "cat"], ["the cat", "bat"]),
        ("%colou?r%", ["color", "colour"], ["colouur"]),
        ("%^starting|^shutting down%", ["starting", "shutting down now"], ["skip starting"]),
        (r"%\[.\]%", ["[a]", "x [7]"], ["a", "[]"]),
        (r"%10\.10\.0\.1%", ["10.10.0.1"], ["10010,051"]),
        (r"%\x28%", ["f(x)"], ["fx"]),
        ("%a{3,5}%", ["aaa", "aaaa"], ["aa"]),
        ('"say \\"hi\\""', ['say "hi"'], ["say hi"]),
    ],
)
def test_terms_are_found_as_documented(
    pattern: str, matching: list[str], others: list[str]
) -> None:
    compiled = compile_pattern(pattern)
    assert [m for m in matching if not compiled.matches(m)] == []
    assert [m for m in others if compiled.matches(m)] == []


@pytest.mark.parametrize(
    ("pattern", "message", "expected"),
    [
        ('{ $.eventType = "UpdateTrail" }', TRAIL, True),
        ("{$.eventType=UpdateTrail}", TRAIL, True),
        ("{ $.sourceIPAddress != 123.123.* }", TRAIL, True),
        ("{ $.sourceIPAddress = 111.*.111 }", TRAIL, True),
        ('{ $.arrayKey[0] = "value" }', TRAIL, True),
        ("{ $.arrayKey[1] = value }", TRAIL, False),
        ("{ $.eventType = %Trail% }", TRAIL, True),
        ("{ $.arrayKey[*] = %val.{2}% }", TRAIL, True),
        (r"{ $.* = %111\.111\.111\.1[0-9]{1,2}% }", TRAIL, True),
        ("{ $.['cluster.name'] = \"c\" }", TRAIL, True),
        ("{ $.SomeObject IS NULL }", TRAIL, True),
        ("{ $.eventType IS NULL }", TRAIL, False),
        ("{ $.flag IS TRUE }", TRAIL, True),
        ("{ $.flag IS FALSE }", TRAIL, False),
        ("{ $.SomeOtherObject NOT EXISTS }", TRAIL, True),
        ("{ $.SomeObject NOT EXISTS }", TRAIL, False),
        ("{ $.objectList[*].id = 2 }", TRAIL, True),
        ("{ $.objectList[0].id = 2 }", TRAIL, False),
        ('{ $.arrayKey != "value" }', TRAIL, False),
        ('{ $.nothing != "value" }', TRAIL, False),
        ('{ $.SomeObject != "x" }', TRAIL, False),
        ("{ $.flag = true }", TRAIL, False),
        ("{ $.eventType > 2 }", TRAIL, False),
        ("{ $.bandwidth > 75 }", '{"bandwidth": 76}', True),
        ("{ $.latency < 50 }", '{"latency": 50}', False),
        ("{ $.refreshRate >= 60 }", '{"refreshRate": 60}', True),
        ("{ $.responseTime <= 5 }", '{"responseTime": 5.5}', False),
        ("{ $.errorCode = 400}", '{"errorCode": 400}', True),
        ("{ $.errorCode = 4* }", '{"errorCode": 404}', True),
        ("{ $.errorCode != 500 }", '{"errorCode": 500}', False),
        ("{ $.number[0] = 1e+3 }", '{"number": [1000]}', True),
        ("{ $.number[0] != 1e-3 }", '{"number": [0.001]}', False),
        ('{ ($.user.id = 1) && ($.users[0].email = "John.Doe@example.com") }', USERS, True),
        ('{ $.user.id = 1 || $.coordinates[0][1] = "no" && $.actions[2] = "no" }', USERS, True),
        ('{ ($.user.id = 1 || $.coordinates[0][1] = "no") && $.actions[2] = "no" }', USERS, False),
        ('{ ($.user.id = 2 && $.users[0].email = "no") || $.actions[2] = "GET" }', USERS, False),
        ("{ $.coordinates[1][2] = 6 }", USERS, True),
        ('{ $.a = "b" }', "no JSON", False),
        ("{ $.a NOT EXISTS }", "no JSON", False),
        ("{ $.a NOT EXISTS }", "[1]", False),
    ],
)
def test_json_is_looked_into_as_documented(pattern: str, message: str, expected: bool) -> None:
    assert compile_pattern(pattern).matches(message) is expected


@pytest.mark.parametrize(
    ("pattern", "message", "expected"),
    [
        (
            r"[ip=%127\.0\.0\.[1-9]%, user, username, timestamp, request =*.html*,"
            " status_code = 4*, bytes]",
            REQUEST,
            True,
        ),
        ("[..., request =*.html*, status_code = 4*, bytes]", REQUEST, True),
        ("[..., status_code = 404 || status_code = 410, bytes]", REQUEST, True),
        ("[..., status_code >= 400 && status_code < 404, bytes]", REQUEST, False),
        ("[ip, ..., bytes > 1000]", REQUEST, True),
        ("[a, b, c, d, e, f, g, h]", REQUEST, False),
        ("[a, b, c, d, e, f, g, h, ...]", REQUEST, False),
        ("[]", "", True),
        ("[w1=ERROR, w2]", ERROR, True),
        ("[w1=ERROR, w2]", INFO, False),
        ("[w1=ERROR]", ERROR, False),
        ("[w1=ERROR || w1=WARNING, w2]", WARNING, True),
        ("[w1!=ERROR&&w1!=WARNING, w2]", WARNING, False),
        ("[w1!=ERROR && w1!=WARNING, w2]", INFO, True),
        ("[w1 = ERROR && (w1 != FOO || w1 = WARNING), w2]", ERROR, True),
        ("[(w1 = ERROR || w1 = FOO), w2]", ERROR, True),
        ("[l, d, t, method, url=%/service/resource/[0-9]+$%, response_time]", INFO, True),
        ("[l, d, t, method, url=%/service/resource/[0-9]+$%, response_time]", PART, False),
    ],
)
def test_columns_are_looked_at_as_documented(pattern: str, message: str, expected: bool) -> None:
    assert compile_pattern(pattern).matches(message) is expected


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("[ip, user, rest]", "$ip $user $rest"),
        ("[..., size]", "$1 $2 $3 $4 $5 $6 $size"),
        ("[]", "$1 $2 $3 $4 $5 $6 $7"),
        ("[..., request=*.html*, status=4*,]", "$1 $2 $3 $4 $7 $request $status"),
    ],
)
def test_a_match_of_columns_tells_them_by_name_or_position(pattern: str, names: str) -> None:
    found = compile_pattern(pattern).find(REQUEST)
    assert found is not None
    assert list(found.extracted) == names.split()
    assert found.value("$3") == found.extracted.get("$rest", "frank")
    assert found.value("$other") is None


@pytest.mark.parametrize(
    "pattern",
    [
        *["a-b", "ERROR: x", '"open', "%(a)%", "%a!%", r"%\b%", "%a% %b% %c%", "%[%"],
        *["{ $.a = }", "{ $.a }", "{ $.a = 1", "{ $.a = 1 } x", "{ a = 1 }", "{ $.a == 1 }"],
        *["{ $.a = 1 && }", "{ ($.a = 1 }", "{ $.a IS MAYBE }", "{ $.a EXISTS }", "{ $.a > b }"],
        *["{ $.a[x] = 1 }", "{ $.*.* = 1 }", "{ $.* = 1 && $.* = 2 && $.* = 3 && $.* = 4 }"],
        *["[a, ..., b, ..., c]", "[a, a]", "[a = ]", "[a, b", "[a] x", "[a = 1 ||]", "[1a]"],
        *["[a=x || c=y]", "[w1=ERROR AND w1=FOO, w2]", "[w1==ERROR, w2]", "[w1=ERROR && || w1=x]"],
    ],
)
def test_what_is_no_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(AwsError) as error:
        compile_pattern(pattern)
    assert error.value.code == "InvalidParameterException"


words = st.text(string.ascii_letters + string.digits + "_", min_size=1, max_size=6)
messages = st.lists(words, max_size=8).map(" ".join)
scalars = st.one_of(st.integers(-1000, 1000), st.floats(-1e6, 1e6, allow_nan=False), words)
documents = st.dictionaries(words, scalars, max_size=4)


@given(messages, st.lists(words, min_size=1, max_size=3), st.lists(words, max_size=2))
def test_terms_mean_all_of_these_and_none_of_those(
    message: str, needed: list[str], excluded: list[str]
) -> None:
    pattern = compile_pattern(" ".join([*needed, *(f"-{word}" for word in excluded)]))
    expected = all(w in message for w in needed) and not any(w in message for w in excluded)
    assert pattern.matches(message) == expected


SIGNS = st.sampled_from(["<", "<=", "=", ">=", ">", "!="])


@given(documents, words, st.integers(-1000, 1000), SIGNS)
def test_a_comparison_with_a_number_is_that_of_numbers(
    document: dict[str, object], name: str, bound: int, sign: str
) -> None:
    value = document.get(name)
    found = compile_pattern(f"{{ $.{name} {sign} {bound} }}").matches(json.dumps(document))
    if isinstance(value, (int, float)):
        signs = {"<": value < bound, "<=": value <= bound, "=": value == bound}
        signs |= {">": value > bound, ">=": value >= bound, "!=": value != bound}
        assert found == signs[sign]
    elif value is None:
        assert not found


@given(documents, words, words, words, words)
def test_and_binds_closer_than_or(
    document: dict[str, object], name: str, a: str, b: str, c: str
) -> None:
    text = json.dumps(document)

    def holds(condition: str) -> bool:
        return compile_pattern(f"{{ {condition} }}").matches(text)

    one, two, three = (f'$.{name} = "{a}"', f'$.{name} != "{b}"', f"$.{c} NOT EXISTS")
    assert holds(f"{one} || {two} && {three}") == (holds(one) or (holds(two) and holds(three)))
    assert holds(f"({one} || {two}) && {three}") == ((holds(one) or holds(two)) and holds(three))


@given(st.lists(words, min_size=1, max_size=6), st.integers(1, 6))
def test_columns_put_together_are_the_event(fields: list[str], count: int) -> None:
    names = [f"c{number}" for number in range(count)]
    found = compile_pattern(f"[{', '.join(names)}]").find(" ".join(fields))
    assert (found is not None) == (count <= len(fields))
    if found is not None:
        assert " ".join(found.extracted[f"${name}"] for name in names) == " ".join(fields)
