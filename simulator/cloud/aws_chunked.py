"""Bodies in S3's ``aws-chunked`` encoding: pieces with signatures, then trailing headers.

Clients use it to send a checksum behind a body that they have not read yet ("Signature
Version 4: chunked upload", S3 API reference). Used by `simulator.cloud.protocols`. Signatures
are not verified: the twin knows no secrets.
"""

from __future__ import annotations

from collections.abc import Mapping

from simulator.cloud.errors import AwsError


def is_chunked(headers: Mapping[str, str]) -> bool:
    """Tell whether a request (headers in lower case) says that its body is aws-chunked."""
    return "aws-chunked" in headers.get("content-encoding", "") or headers.get(
        "x-amz-content-sha256", ""
    ).startswith("STREAMING-")


def unchunk(headers: Mapping[str, str], body: bytes) -> tuple[dict[str, str], bytes]:
    """Return the headers with the trailers among them, and the body itself.

    Raises IncompleteBody when pieces and stated length do not agree.
    """
    merged = dict(headers)
    encodings = [one.strip() for one in headers.get("content-encoding", "").split(",")]
    remaining = [one for one in encodings if one not in ("aws-chunked", "")]
    merged.pop("content-encoding", None)
    if remaining:
        merged["content-encoding"] = ",".join(remaining)
    stated = headers.get("x-amz-decoded-content-length")

    if stated is not None and len(body) == int(stated):
        # botocore's chunks double as HTTP chunks, so a server may have undone them already;
        # a body that really is in chunks is always longer than what it carries.
        return merged, body
    whole, trailers = _pieces(body)
    if stated is not None and len(whole) != int(stated):
        raise _incomplete()
    for name in headers.get("x-amz-trailer", "").lower().split(","):
        if name.strip() and name.strip() not in trailers:
            raise AwsError(
                "MalformedTrailerError",
                "The request contained trailing data that was not well-formed or did not conform"
                " to our published schema.",
            )
    merged.update(trailers)
    return merged, whole


def _pieces(body: bytes) -> tuple[bytes, dict[str, str]]:
    pieces: list[bytes] = []
    at = 0
    while True:
        end = body.find(b"\r\n", at)
        if end < 0:
            raise _incomplete()
        try:
            size = int(body[at:end].partition(b";")[0], 16)
        except ValueError:
            raise _incomplete() from None
        at = end + 2
        if size == 0:
            break
        if at + size > len(body):
            raise _incomplete()
        pieces.append(body[at : at + size])
        at += size + 2
    trailers = {}
    for line in body[at:].decode("latin-1").split("\r\n"):
        name, colon, value = line.partition(":")
        if colon:
            trailers[name.strip().lower()] = value.strip()
    return b"".join(pieces), trailers


def _incomplete() -> AwsError:
    return AwsError(
        "IncompleteBody",
        "The request body terminated unexpectedly",
    )
