"""Lists of objects: ListObjectsV2 and ListObjects with prefix, delimiter and pages.

`simulator.cloud.s3` joins their table with the others'. Order is that of UTF-8 bytes.
"""

from __future__ import annotations

import base64
import binascii
from urllib.parse import quote

from simulator.cloud.errors import AwsError
from simulator.cloud.operations import Answer, Call, Operation, Params
from simulator.cloud.s3_index import Entry
from simulator.cloud.s3_objects import bucket_arn
from simulator.cloud.s3_store import ObjectStore, timestamp, typed

CHECKSUMS = ("ChecksumCRC32", "ChecksumSHA1", "ChecksumSHA256")
"""The checksums that the twin keeps with an object (`s3_store.check_body`)."""

MAX_KEYS = 1_000
"""Most keys and common prefixes in one answer (S3 API reference, ListObjectsV2)."""


class ListOperations:
    """Answers of the two list operations."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def operations(self) -> dict[str, Operation]:
        """Return the table; IAM checks both on the bucket."""
        return {
            "ListObjectsV2": Operation(self._list_v2, bucket_arn, "s3:ListBucket"),
            "ListObjects": Operation(self._list_v1, bucket_arn, "s3:ListBucket"),
        }

    def _list_v2(self, call: Call) -> Answer:
        params = call.params
        after = params.get("StartAfter", "")
        token = params.get("ContinuationToken")
        if token is not None:
            after = _decode_token(token)
        keys, prefixes, last = self._page(params, after, at=token is not None)
        answer = _common(params, keys, prefixes)
        answer["KeyCount"] = len(keys) + len(prefixes)
        answer["IsTruncated"] = last is not None
        if last is not None:
            answer["NextContinuationToken"] = _encode_token(last)
        if token is not None:
            answer["ContinuationToken"] = token
        if "StartAfter" in params:
            answer["StartAfter"] = _encoded(params["StartAfter"], params)
        return answer

    def _list_v1(self, call: Call) -> Answer:
        params = call.params
        marker = params.get("Marker", "")
        delimiter = params.get("Delimiter", "")
        # A marker that is a common prefix stands for everything in it.
        inside = delimiter and marker.endswith(delimiter) and marker != params.get("Prefix", "")
        after = _following(marker) if inside else marker
        keys, prefixes, last = self._page(params, after, at=bool(inside))
        answer = _common(params, keys, prefixes)
        answer["Marker"] = _encoded(marker, params)
        answer["IsTruncated"] = last is not None
        if last is not None and delimiter:
            newest = max([entry.key for entry in keys[-1:]] + prefixes[-1:])
            answer["NextMarker"] = _encoded(newest, params)
        return answer

    def _page(
        self, params: Params, after: str, *, at: bool
    ) -> tuple[list[Entry], list[str], str | None]:
        """Return keys, common prefixes and, if there is more, the key at which it goes on.

        ``at`` says that a key equal to ``after`` belongs to the page.
        """
        bucket, prefix = params["Bucket"], params.get("Prefix", "")
        delimiter = params.get("Delimiter", "")
        limit = min(params.get("MaxKeys", MAX_KEYS), MAX_KEYS)
        keys: list[Entry] = []
        prefixes: list[str] = []
        self._store.require_bucket(bucket)
        if limit <= 0:
            return keys, prefixes, None
        rows = self._store.walk(bucket, prefix, after, at=at)
        while (entry := next(rows, None)) is not None:
            cut = entry.key.find(delimiter, len(prefix)) if delimiter else -1
            if cut < 0:
                if len(keys) + len(prefixes) == limit:
                    return keys, prefixes, entry.key
                keys.append(entry)
                continue
            common = entry.key[: cut + len(delimiter)]
            if len(keys) + len(prefixes) == limit:
                return keys, prefixes, entry.key
            prefixes.append(common)
            rows = self._store.walk(bucket, prefix, _following(common), at=True)
        return keys, prefixes, None


def _following(common: str) -> str:
    """Return the first text that sorts behind everything that starts with ``common``."""
    head, last = common[:-1], ord(common[-1])
    if last == 0x10FFFF:
        return _following(head) if head else common
    # The range of surrogates has no characters in UTF-8.
    return head + chr(0xE000 if last == 0xD7FF else last + 1)


def _common(params: Params, keys: list[Entry], prefixes: list[str]) -> Answer:
    answer: Answer = {
        "Name": params["Bucket"],
        "Prefix": _encoded(params.get("Prefix", ""), params),
        "MaxKeys": params.get("MaxKeys", MAX_KEYS),
    }
    for name in ("Delimiter", "EncodingType"):
        if name in params:
            answer[name] = _encoded(params[name], params) if name == "Delimiter" else params[name]
    if keys:
        answer["Contents"] = [
            {
                "Key": _encoded(entry.key, params),
                "LastModified": timestamp(entry.modified_s),
                "ETag": f'"{entry.etag}"',
                "Size": entry.size,
                "StorageClass": entry.attributes.get("StorageClass", "STANDARD"),
                **_algorithms(entry),
            }
            for entry in keys
        ]
    if prefixes:
        answer["CommonPrefixes"] = [{"Prefix": _encoded(one, params)} for one in prefixes]
    return answer


def _algorithms(entry: Entry) -> Answer:
    """Return which checksums an object has, and their type, if any (S3 API, Object)."""
    names = [name.removeprefix("Checksum") for name in CHECKSUMS if name in entry.attributes]
    return typed({"ChecksumAlgorithm": names} if names else {})


def _encoded(text: str, params: Params) -> str:
    """Return a key as the request's EncodingType wants it; boto3 asks for ``url`` and undoes it.

    Calls from within the twin (no boto3) do not ask and get the key itself.
    """
    return quote(text, safe="/") if params.get("EncodingType") == "url" else text


def _encode_token(key: str) -> str:
    return base64.urlsafe_b64encode(key.encode()).decode()


def _decode_token(token: str) -> str:
    try:
        return base64.b64decode(token.encode(), altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeError):
        raise AwsError(
            "InvalidArgument",
            "The continuation token provided is incorrect",
            fields={"ArgumentName": "continuation-token"},
        ) from None
