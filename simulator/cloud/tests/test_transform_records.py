"""What a transform job does to bytes: records, payloads, filters, joins."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.cloud import transform_paths
from simulator.cloud.transform_association import association
from simulator.cloud.transform_records import (
    MIB,
    BadRecord,
    Parameters,
    assembled,
    batches,
    lines,
    parameters,
    payload,
    records,
)

LINES = st.lists(st.binary(max_size=8).filter(lambda line: not set(line) & set(b"\r\n")))


@given(LINES)
def test_the_lines_of_joined_lines_are_the_lines(found: list[bytes]) -> None:
    assert lines(b"".join(line + b"\n" for line in found)) == found
    assert lines(b"".join(line + b"\r\n" for line in found)) == found


@given(st.lists(st.integers(0, 2 * MIB), max_size=12), st.sampled_from([1, 2, 3]))
def test_payloads_hold_all_records_in_order_and_as_many_as_fit(
    sizes: list[int], payload_mb: int
) -> None:
    found = [bytes([number]) * min(size, payload_mb * MIB) for number, size in enumerate(sizes)]
    cut = list(batches(found, Parameters(payload_mb=payload_mb), whole=False))
    assert [record for batch in cut for record in batch] == found
    assert all(len(payload(batch)) <= payload_mb * MIB for batch in cut)
    for batch, following in pairwise(cut):
        assert len(payload([*batch, following[0]])) > payload_mb * MIB


@given(LINES)
def test_single_records_go_one_by_one(found: list[bytes]) -> None:
    cut = batches(found, Parameters(strategy="SingleRecord"), whole=False)
    assert list(cut) == [[record] for record in found]


def test_a_record_beyond_the_payload_is_bad_but_for_a_payload_without_limit() -> None:
    big = b"x" * (MIB + 1)
    with pytest.raises(BadRecord, match="max payload"):
        list(batches([b"a", big], Parameters(payload_mb=1), whole=False))
    assert list(batches([big], Parameters(payload_mb=0), whole=True)) == [[big]]


@pytest.mark.parametrize(
    ("request_", "container", "expected"),
    [
        ({}, {}, Parameters(1, "MultiRecord", 6)),
        (
            {},
            {"MaxConcurrentTransforms": 4, "BatchStrategy": "SINGLE_RECORD", "MaxPayloadInMB": 2},
            Parameters(4, "SingleRecord", 2),
        ),
        (
            {"MaxConcurrentTransforms": 2, "BatchStrategy": "MultiRecord", "MaxPayloadInMB": 0},
            {"MaxConcurrentTransforms": 4, "BatchStrategy": "SINGLE_RECORD", "MaxPayloadInMB": 2},
            Parameters(2, "MultiRecord", 0),
        ),
        ({"MaxConcurrentTransforms": 0}, {"MaxConcurrentTransforms": 3}, Parameters(3)),
    ],
)
def test_the_request_is_stronger_than_the_container_and_that_than_the_defaults(
    request_: dict[str, Any], container: dict[str, Any], expected: Parameters
) -> None:
    assert parameters(request_, container) == expected


@pytest.mark.parametrize(
    "container",
    [
        {"MaxPayloadInMB": 101},
        {"MaxConcurrentTransforms": 20},
        {"BatchStrategy": "ALL"},
        {"MaxPayloadInMB": "6"},
        {"MaxConcurrentTransforms": 0},
    ],
)
def test_a_container_may_not_ask_for_what_is_beyond_the_limits(container: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"must not exceed|not valid"):
        parameters({}, container)


def test_assembling_by_line_ends_every_result_once() -> None:
    assert assembled([b"a", b"b\n", b"c\nd"], "Line") == b"a\nb\nc\nd\n"
    assert assembled([b"a", b"b\n"], "None") == b"ab\n"
    assert records(b"a\nb", "None") == [b"a\nb"]


VALUE = {"id": 7, "in": {"a": 1, "b": 2}, "rows": [10, 11, 12, 13]}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("$", VALUE),
        ("$.id", 7),
        ("$['id']", 7),
        ("$['id','in']", {"id": 7, "in": {"a": 1, "b": 2}}),
        ("$.in.['a','b']", {"a": 1, "b": 2}),
        ("$.in.*", [1, 2]),
        ("$.rows[1]", 11),
        ("$.rows[-1]", 13),
        ("$.rows[0,-1]", [10, 13]),
        ("$.rows[0,2:]", [10, 12, 13]),
        ("$.rows[1:3]", [11, 12]),
        ("$.rows[:-1]", [10, 11, 12]),
        ("$.rows[*]", [10, 11, 12, 13]),
    ],
)
def test_a_path_selects_what_jsonpath_would(path: str, expected: Any) -> None:
    assert transform_paths.select(transform_paths.parse(path), VALUE) == expected


@pytest.mark.parametrize("path", ["id", "$..id", "$[?(@.a)]", "$[0:4:2]", "$.", "$['a'", "$[1.5]"])
def test_what_the_subset_does_not_have_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="JSONPath"):
        transform_paths.parse(path)


@pytest.mark.parametrize("path", ["$.none", "$.id.deep", "$.rows[4]", "$.id[0]", "$['id','x']"])
def test_what_is_not_there_is_told(path: str) -> None:
    with pytest.raises(LookupError):
        transform_paths.select(transform_paths.parse(path), VALUE)


def _asked(media: str, by: str = "Line", **processing: str) -> dict[str, Any]:
    return {
        "TransformInput": {"ContentType": media, "SplitType": by},
        "TransformOutput": {"Accept": media, "AssembleWith": by},
        "DataProcessing": processing,
    }


def test_csv_rows_are_filtered_joined_and_filtered_again() -> None:
    kept = association(
        _asked("text/csv", InputFilter="$[1:]", JoinSource="Input", OutputFilter="$[0,-1]")
    )
    rows = [b'"a, b",1,2', b"c,3,4"]
    assert [kept.to_model(row) for row in rows] == [b"1,2", b"3,4"]
    assert kept.results(rows, b"3\n7\n") == [b'"a, b",3', b"c,7"]
    with pytest.raises(BadRecord, match="mismatched line count"):
        kept.results(rows, b"3\n")


def test_json_lines_are_filtered_joined_and_filtered_again() -> None:
    kept = association(
        _asked(
            "application/jsonlines",
            InputFilter="$.features",
            JoinSource="Input",
            OutputFilter="$['id','SageMakerOutput']",
        )
    )
    given_ = [b'{"id": 1, "features": [1.5, 2]}', b'{"id": 2, "features": []}']
    assert [kept.to_model(each) for each in given_] == [b"[1.5,2]", b"[]"]
    assert kept.results(given_, b'{"score": 1}\n0.5\n') == [
        b'{"id":1,"SageMakerOutput":{"score":1}}',
        b'{"id":2,"SageMakerOutput":0.5}',
    ]


def test_what_is_no_object_is_joined_into_one() -> None:
    kept = association(_asked("application/json", "None", JoinSource="Input"))
    (joined,) = kept.results([b"[1, 2]"], b"[3]")
    assert json.loads(joined) == {"SageMakerInput": [1, 2], "SageMakerOutput": [3]}


@pytest.mark.parametrize("record", [b"{", b'{"a": 1}'])
def test_a_record_that_has_no_such_part_is_bad(record: bytes) -> None:
    kept = association(_asked("application/json", InputFilter="$.features"))
    with pytest.raises(BadRecord):
        kept.to_model(record)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (_asked("text/csv", "None", JoinSource="Input"), "must be Line"),
        (_asked("text/csv", InputFilter="$.a"), "with indexes"),
        (_asked("application/x-npy", JoinSource="Input"), "same value"),
        (
            {
                **_asked("application/json", JoinSource="Input"),
                "TransformOutput": {"Accept": "application/json"},
            },
            "must be the same",
        ),
    ],
)
def test_settings_that_do_not_go_together_are_refused(asked: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        association(asked)
