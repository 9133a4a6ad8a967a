"""The functions' quicker signing makes the signatures that botocore makes."""

from __future__ import annotations

import hmac
import io
import logging
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore import auth
from botocore.auth import S3SigV4Auth, SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import ReadOnlyCredentials
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simulator.cloud.tests.site_modules import load

WHEN = datetime(2026, 1, 5, 3, 4, 5, tzinfo=UTC)
CONFIG = Config()
URL = "http://127.0.0.1:4566"


SIGNING = load("fleetwin_signing")


class QuickSigner(SigV4Auth):
    """Signs with botocore's own code; the class of its own keeps botocore's as it is."""


@pytest.fixture(autouse=True)
def one_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "get_current_datetime", lambda: WHEN)
    monkeypatch.setattr(SIGNING, "CLOCK", SIGNING.Clock(WHEN.timestamp))


PATHS = st.lists(st.sampled_from(["box", "a%20b", "%C3%BC", "..", ".", "", "~x", "k=v+w"]))
PLAIN = ["X-Amz-Target", "Content-Type", "content-type", "X-Amz-Meta-A", "amz-sdk-request"]
UNUSUAL = ["User-Agent", "Expect", "Date", "Host", "X-Amz-Content-SHA256", "X-Amzn-Trace-Id"]
NAMES = st.sampled_from([*PLAIN, *PLAIN, *UNUSUAL])
TEXTS = st.text(
    st.characters(min_codepoint=32, max_codepoint=300, exclude_characters="\x7f\x85"), max_size=8
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(
    kind=st.sampled_from([SigV4Auth, S3SigV4Auth, SigV4QueryAuth]),
    method=st.sampled_from(["PUT", "POST", "GET", "HEAD", "DELETE"]),
    path=PATHS,
    query=st.sampled_from(["", "", "", "?x-id=PutObject&a=b"]),
    headers=st.lists(st.tuples(NAMES, TEXTS), max_size=4),
    body=st.none() | st.binary(max_size=30) | st.text(max_size=9) | st.just(bytes(5_000)),
    start=st.none() | st.integers(0, 30),
    token=st.sampled_from([None, "token  of two"]),
    payload_signing=st.sampled_from([None, None, True, False]),
)
def test_a_signed_request_is_the_one_that_botocore_signs(
    kind: Any,
    method: str,
    path: list[str],
    query: str,
    headers: list[tuple[str, str]],
    body: Any,
    start: int | None,
    token: str | None,
    payload_signing: bool | None,
) -> None:
    def request() -> AWSRequest:
        content = body
        if isinstance(body, bytes) and start is not None:
            content = io.BytesIO(body)
            content.seek(min(start, len(body)))
        made = AWSRequest(method, f"{URL}/{'/'.join(path)}{query}", data=content)
        for name, value in headers:
            made.headers[name] = value
        made.context["client_config"] = CONFIG
        if payload_signing is not None:
            made.context["payload_signing_enabled"] = payload_signing
        return made

    signer = kind(ReadOnlyCredentials("AKIA", "secret", token), "s3", "us-east-1")
    quick, slow = request(), request()
    before = list(quick.headers.raw_items())
    done = SIGNING.sign(signer, quick)
    if not done:
        assert list(quick.headers.raw_items()) == before
        return
    signer.add_auth(slow)
    assert list(quick.headers.raw_items()) == list(slow.headers.raw_items())
    assert quick.context == slow.context
    if isinstance(quick.data, io.BytesIO) and isinstance(slow.data, io.BytesIO):
        assert quick.data.read() == slow.data.read()


@pytest.mark.parametrize("kind", [SigV4Auth, S3SigV4Auth])
def test_an_ordinary_request_is_signed_quickly(kind: Any) -> None:
    request = AWSRequest("PUT", f"{URL}/box/key", {"X-Amz-Target": "a.B"}, b"{}")
    signer = kind(ReadOnlyCredentials("AKIA", "secret", "token"), "dynamodb", "us-east-1")
    assert SIGNING.sign(signer, request)
    assert request.headers["Authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIA/20260105/")


@given(st.binary(max_size=64), st.binary(max_size=9_000))
def test_a_kept_key_makes_the_codes_of_hmac(key: bytes, message: bytes) -> None:
    kept = SIGNING.Key(key)
    for _ in range(2):
        assert kept.hexdigest(message) == hmac.digest(key, message, "sha256").hex()


def test_the_clock_makes_a_text_a_second() -> None:
    times = [0.0, 0.9, 1.0, 1_767_582_245.5, 0.0]
    clock = SIGNING.Clock(iter(times).__next__)
    made = [clock.text() for _ in times]
    assert made == [datetime.fromtimestamp(t, UTC).strftime(auth.SIGV4_TIMESTAMP) for t in times]
    assert made[0] is made[1]


def test_what_is_unusual_is_signed_by_botocore(monkeypatch: pytest.MonkeyPatch) -> None:
    signer = QuickSigner(ReadOnlyCredentials("AKIA", "secret", None), "dynamodb", "us-east-1")
    monkeypatch.setattr(QuickSigner, "add_auth", SigV4Auth.add_auth)
    SIGNING.install(QuickSigner)
    request = AWSRequest("POST", f"{URL}/?a=b", data=b"{}")
    signer.add_auth(request)
    assert "Signature=" in request.headers["Authorization"]

    nobody: Any = None
    plain = SigV4Auth(ReadOnlyCredentials("AKIA", "secret", None), "dynamodb", "us-east-1")
    assert not SIGNING.sign(plain, AWSRequest("POST", "https://127.0.0.1/", data=b"{}"))
    assert not SIGNING.sign(plain, AWSRequest("POST", f"{URL}/", data={"a": "b"}))
    assert not SIGNING.sign(SigV4Auth(nobody, "s3", "us-east-1"), AWSRequest("GET", f"{URL}/"))
    monkeypatch.setattr(logging.getLogger("botocore.auth"), "level", logging.DEBUG)
    logging.getLogger("botocore.auth").manager._clear_cache()  # type: ignore[attr-defined]
    assert not SIGNING.sign(plain, AWSRequest("POST", f"{URL}/", data=b"{}"))
    logging.getLogger("botocore.auth").manager._clear_cache()  # type: ignore[attr-defined]
