"""A quicker form of botocore's Signature Version 4 in a function's process.

The signature is the one that botocore makes (a property compares them); what is spared is asking
the same request for its host, its headers and its body several times, and the four keys that a day
has in common. Signing took a third of each call. Whatever is unusual (a query string, headers that
are there already, another signer, logging at DEBUG) is signed by botocore's own code. Imports
nothing of the project.
"""

from __future__ import annotations

import hmac
import io
import logging
from collections.abc import Callable
from datetime import UTC, datetime
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
_SCHEME = "http://"
_EMPTY = sha256(b"").hexdigest()
_logger = logging.getLogger("botocore.auth")


def _now() -> datetime:
    # A botocore of before 2025 has no function for it.
    ask: Callable[[], datetime] = vars(auth).get("get_current_datetime", _utc_now)
    return ask()


def _utc_now() -> datetime:
    return datetime.now(UTC)


@lru_cache(maxsize=64)
def signing_key(secret: str, day: str, region: str, service: str) -> bytes:
    """Return the key of a day, a region and a service (IAM user guide, signed API requests)."""
    key = f"AWS4{secret}".encode()
    for part in (day, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


@lru_cache(maxsize=64)
def _host(endpoint: str) -> str:
    host: str = vars(auth)["_host_from_url"](endpoint)
    return host


@lru_cache(maxsize=256)
def _canonical_path(path: str) -> str:
    return quote(normalize_url_path(path), safe="/~")


def _digest(data: Any) -> str | None:
    """Return the hash of a body, None for a kind that is not known here."""
    if data is None:
        return _EMPTY
    if isinstance(data, str):
        data = data.encode()
    if isinstance(data, (bytes, bytearray)):
        return sha256(data).hexdigest()
    if type(data) is io.BytesIO:
        with data.getbuffer() as whole:
            return sha256(whole[data.tell() :]).hexdigest()
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
    moment = _now().strftime(auth.SIGV4_TIMESTAMP)
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
    hashed = sha256(canonical.encode()).hexdigest()
    key = signing_key(credentials.secret_key, day, region, service)
    proof = hmac.digest(key, f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{hashed}".encode(), "sha256")
    headers["Authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={credentials.access_key}/{scope}, "
        f"SignedHeaders={signed}, Signature={proof.hex()}"
    )
    return True


def install(signer: Any = SigV4Auth) -> None:
    """Sign every request that is made from now on the quick way, where there is one."""
    long_way: Callable[[Any, Any], None] = signer.add_auth

    def add_auth(self: Any, request: Any) -> None:
        if not sign(self, request):
            long_way(self, request)

    signer.add_auth = add_auth
