"""The memory of what was told of a window."""

from __future__ import annotations

import io
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from pipeline.monitoring.told import Memory, Told

DETAILS = st.none() | st.fixed_dictionaries({"retrain": st.booleans(), "endpoint": st.text()})
HOUR_MS = 3_600_000


class Bucket:
    """Stands for boto3's client of S3; `code` is the error that each GetObject ends with."""

    def __init__(self, code: str | None = None) -> None:
        self.objects: dict[tuple[str, str], bytes] = {}
        self.code = code

    def get_object(self, *, Bucket: str, Key: str) -> Any:
        code = self.code or ("NoSuchKey" if (Bucket, Key) not in self.objects else None)
        if code is not None:
            raise ClientError({"Error": {"Code": code, "Message": Key}}, "GetObject")
        return {"Body": io.BytesIO(self.objects[Bucket, Key])}

    def put_object(self, *, Bucket: str, Key: str, Body: bytes) -> Any:
        self.objects[Bucket, Key] = Body


@given(metrics=st.booleans(), drift=DETAILS, end_h=st.integers(1, 500_000))
def test_what_was_kept_of_a_window_is_known_of_it_and_of_no_other(
    metrics: bool, drift: dict[str, Any] | None, end_h: int
) -> None:
    bucket, told = Bucket(), Told(metrics, drift)
    window = (end_h - 1) * HOUR_MS, end_h * HOUR_MS
    Memory(bucket, "s3://b/a/told/").keep(*window, told)
    memory = Memory(bucket, "s3://b/a/told")
    assert memory.of(*window) == told
    assert memory.of(window[0] - HOUR_MS, window[1]) == Told()
    assert memory.of(window[1], window[1] + HOUR_MS) == Told()
    assert Memory(bucket, "s3://b/another/told").of(*window) == Told()


@pytest.mark.parametrize("code", ["AccessDenied", "SlowDown", "NoSuchBucket"])
def test_a_memory_that_cannot_be_read_is_not_taken_for_an_empty_one(code: str) -> None:
    with pytest.raises(ClientError, match=code):
        Memory(Bucket(code), "s3://b/told").of(0, HOUR_MS)


@pytest.mark.parametrize(
    ("before", "now", "lacks"),
    [
        (None, None, False),
        (None, False, True),
        (None, True, True),
        (False, None, False),
        (False, False, False),
        (False, True, True),
        (True, None, False),
        (True, False, False),
        (True, True, False),
    ],
)
def test_news_is_the_first_drift_and_the_first_to_train_on(
    before: bool | None, now: bool | None, lacks: bool
) -> None:
    details = [None if each is None else {"retrain": each} for each in (before, now)]
    assert Told(True, details[0]).lacks(details[1]) is lacks
