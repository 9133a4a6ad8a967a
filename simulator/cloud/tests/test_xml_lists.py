"""S3's lists as XML: byte for byte what moto's serializer writes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.cloud.protocols import _serialize_with_moto, serialize_answer
from simulator.cloud.xml_lists import OPERATIONS

texts = st.text(st.characters(min_codepoint=32, exclude_categories=["Cs"]), max_size=12)
times = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
entries = st.fixed_dictionaries(
    {
        "Key": texts.filter(str.strip),
        "LastModified": times,
        "ETag": texts.map(lambda text: f'"{text}"'),
        "Size": st.integers(0, 2**40),
        "StorageClass": st.just("STANDARD"),
    },
    optional={
        "ChecksumAlgorithm": st.just(["CRC32"]),
        "ChecksumType": st.just("FULL_OBJECT"),
    },
)


@pytest.mark.parametrize("operation", sorted(OPERATIONS))
@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_a_list_is_written_as_moto_writes_it(operation: str, data: st.DataObject) -> None:
    more = (
        {"KeyCount": st.integers(0, 9), "NextContinuationToken": texts.filter(str.strip)}
        if operation == "ListObjectsV2"
        else {"Marker": texts.filter(str.strip)}
    )
    answer: dict[str, Any] = data.draw(
        st.fixed_dictionaries(
            {
                "Name": st.just("bucket"),
                "MaxKeys": st.integers(0, 1000),
                "IsTruncated": st.booleans(),
            },
            optional={
                "Prefix": texts.filter(str.strip),
                "Delimiter": st.just("/"),
                "EncodingType": st.just("url"),
                "Contents": st.lists(entries, min_size=1, max_size=3),
                "CommonPrefixes": st.lists(
                    st.fixed_dictionaries({"Prefix": texts.filter(str.strip)}), min_size=1
                ),
                **more,
            },
        )
    )
    status, headers, body = serialize_answer("s3", operation, answer)
    _, extra, wanted = _serialize_with_moto("s3", operation, answer)
    assert status == 200
    assert headers["Content-Type"] == extra["Content-Type"]
    assert body == wanted
