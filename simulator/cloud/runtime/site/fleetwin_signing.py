"""A quicker form of botocore's Signature Version 4 in a function's process.

The signature is the one that botocore makes (a property compares them); what is spared is asking
the same request for its host, its headers and its body several times, and the four keys that a day
has in common. Whatever is unusual (a query string, headers that
are there already, another signer, logging at DEBUG) is signed by botocore's own code. Imports
nothing of the project.
"""

from __future__ import annotations

import hmac
import importlib
import importlib.util
import io
import logging
import sys
import time
from collections.abc import Callable
from functools import lru_cache
from hashlib import sha256
from typing import Any
from urllib.parse import quote

from botocore import auth
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.utils import normalize_url_path

_MADE_HERE = {
    "authorization",
    "date",
    "host",
    "x-amz-content-sha256",
    "x-amz-date",
    "x-amz-security-token",
}
_UNSIGNED = frozenset(auth.SIGNED_HEADERS_BLACKLIST)
_FEW_B = 4_096
_INNER = bytes(number ^ 0x36 for number in range(256))
_OUTER = bytes(number ^ 0x5C for number in range(256))
_SCHEME = "http://"
_EMPTY = sha256(b"").hexdigest()
_logger = logging.getLogger("botocore.auth")


def _python_sha256() -> Any:
    """Return Python's own SHA-256 if it is there (_sha2 since 3.12), else OpenSSL's.

    OpenSSL has more to do before it begins.
    """
    for name in ("_sha256", "_sha2"):
        if name in sys.builtin_module_names or importlib.util.find_spec(name) is not None:
            return importlib.import_module(name).sha256
    return sha256


sha256_of_few = _python_sha256()


class Clock:
    """The time as requests have it: one text a second."""

    def __init__(self, ask: Callable[[], float] = time.time) -> None:
        self._ask = ask
        self._made: tuple[int, str] = -1, ""

    def text(self) -> str:
        """Return the time now, such as ``20260105T030405Z``."""
        second = int(self._ask())
        if second != self._made[0]:
            self._made = second, time.strftime(auth.SIGV4_TIMESTAMP, time.gmtime(second))
        return self._made[1]


class Key:
    """A key of HMAC-SHA-256 (RFC 2104), with the blocks of its own hashed once."""

    def __init__(self, key: bytes) -> None:
        self._inner = sha256_of_few(key.ljust(64, b"\0").translate(_INNER))
        self._outer = sha256_of_few(key.ljust(64, b"\0").translate(_OUTER))

    def hexdigest(self, message: bytes) -> str:
        """Return a message's code; keys are of 64 bytes at most."""
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(message)
        outer.update(inner.digest())
        code: str = outer.hexdigest()
        return code


CLOCK = Clock()


@lru_cache(maxsize=64)
def signing_key(secret: str, day: str, region: str, service: str) -> Key:
    """Return the key of a day, a region and a service (IAM user guide, signed API requests)."""
    key = f"AWS4{secret}".encode()
    for part in (day, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return Key(key)


@lru_cache(maxsize=64)
def _host(endpoint: str) -> str:
    host: str = vars(auth)["_host_from_url"](endpoint)
    return host


@lru_cache(maxsize=256)
def _canonical_path(path: str) -> str:
    return quote(normalize_url_path(path), safe="/~")


def _sha256(data: bytes | bytearray | memoryview) -> str:
    code: str = (sha256_of_few if len(data) < _FEW_B else sha256)(data).hexdigest()
    return code


def _digest(data: Any) -> str | None:
    """Return the hash of a body, None for a kind that is not known here."""
    if data is None:
        return _EMPTY
    if isinstance(data, str):
        data = data.encode()
    if isinstance(data, (bytes, bytearray)):
        return _sha256(data)
    if type(data) is io.BytesIO:
        with data.getbuffer() as whole:
            return _sha256(whole[data.tell() :])
    return None


def _lines(headers: Any) -> dict[str, str] | None:
    """Return what is signed of the headers by lower-case name; None where any is unusual."""
    found: dict[str, str] = {}
    for name, value in headers.raw_items():
        lowered = name.lower()
        if lowered in _MADE_HERE or lowered in found or not isinstance(value, str):
            return None
        if not value.isascii():
            return None
        found[lowered] = " ".join(value.split())
    return found


def _is_ordinary(signer: Any, request: Any) -> bool:
    """Tell whether a request is signed here: its body too, nothing in its query string."""
    url = request.url
    return (
        type(signer) in (SigV4Auth, S3SigV4Auth)
        and signer.credentials is not None
        and not _logger.isEnabledFor(logging.DEBUG)
        and not request.params
        and url.startswith(_SCHEME)
        and "/" in url[len(_SCHEME) :]
        and "?" not in url
        and "#" not in url
        and not signer._is_streaming_checksum_payload(request)
        and signer._should_sha256_sign_payload(request)
        and request.context.get("payload_signing_enabled", True)
    )


def sign(signer: Any, request: Any) -> bool:
    """Sign an ordinary request; False, with nothing changed, leaves it to botocore."""
    if not _is_ordinary(signer, request):
        return False
    of_s3, credentials, url = type(signer) is S3SigV4Auth, signer.credentials, request.url
    start = url.index("/", len(_SCHEME))
    lines, digest = _lines(request.headers), _digest(request.data)
    if lines is None or digest is None:
        return False
    moment = CLOCK.text()
    request.context["timestamp"] = moment
    headers = request.headers
    headers["X-Amz-Date"] = lines["x-amz-date"] = moment
    if credentials.token:
        headers["X-Amz-Security-Token"] = credentials.token
        lines["x-amz-security-token"] = " ".join(credentials.token.split())
    if of_s3:
        headers["X-Amz-Content-SHA256"] = lines["x-amz-content-sha256"] = digest
    lines["host"] = _host(url[:start])
    names = sorted(lines.keys() - _UNSIGNED)
    path = url[start:] if of_s3 else _canonical_path(url[start:])
    signed = ";".join(names)
    text = "\n".join(f"{name}:{lines[name]}" for name in names)
    canonical = f"{request.method.upper()}\n{path}\n\n{text}\n\n{signed}\n{digest}"
    region, service, day = signer._region_name, signer._service_name, moment[:8]
    scope = f"{day}/{region}/{service}/aws4_request"
    hashed = sha256_of_few(canonical.encode()).hexdigest()
    key = signing_key(credentials.secret_key, day, region, service)
    proof = key.hexdigest(f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{hashed}".encode())
    headers["Authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={credentials.access_key}/{scope}, "
        f"SignedHeaders={signed}, Signature={proof}"
    )
    return True


def install(signer: Any = SigV4Auth) -> None:
    """Sign every request that is made from now on the quick way, where there is one."""
    long_way: Callable[[Any, Any], None] = signer.add_auth

    def add_auth(self: Any, request: Any) -> None:
        if not sign(self, request):
            long_way(self, request)

    signer.add_auth = add_auth
