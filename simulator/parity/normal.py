"""Makes the answers of two accounts comparable: what differs by nature becomes a token.

Equal values get equal tokens, numbered in the order in which they come up, so that "the same id
as before" still shows. Everything else is left as it was answered.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from simulator.parity.cassette import plain

VOLATILE = {
    *("RequestId", "HostId", "MessageId", "SequenceNumber", "StartingSequenceNumber"),
    *("EndingSequenceNumber", "ShardIterator", "NextShardIterator", "ReceiptHandle", "VersionId"),
    *("SubscriptionArn", "TableId", "UploadId", "MD5OfMessageAttributes", "StreamId", "UUID"),
    *("nextForwardToken", "nextBackwardToken", "nextSequenceToken", "uploadSequenceToken"),
    *("ingestionTime", "creationTime", "timestamp", "RevisionId"),
}
"""Members whose values are new in each account and run."""

LEFT_OUT = {"ResponseMetadata", "EncryptionType", "ServerSideEncryption", "BucketRegion"}
"""Members that say how an account is set up or how the call travelled, not what it led to."""

_ARN_PLACE = re.compile(r"(?<=:)([a-z]{2}-[a-z]+-\d)?:(\d{12})(?=:)")
_ACCOUNT = re.compile(r"(?<!\d)(?<!shardId-)\d{12}(?!\d)")
_HOST = re.compile(r"https?://[^/\s]+")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Normaliser:
    """Replaces what is volatile; one for a whole conversation, since tokens are numbered."""

    def __init__(self, run: str) -> None:
        self._run = run
        self._tokens: dict[tuple[str, Any], str] = {}

    def of(self, value: Any, name: str = "") -> Any:
        """Return a value as it is compared."""
        if name in VOLATILE and not isinstance(value, dict | list):
            return self._token(name, value)
        if isinstance(value, datetime):
            return "<time>"
        if isinstance(value, Mapping):
            kept = {key: each for key, each in value.items() if key not in LEFT_OUT}
            return {str(key): self.of(each, str(key)) for key, each in kept.items()}
        if isinstance(value, list | tuple):
            return [self.of(each, name) for each in value]
        if isinstance(value, str):
            return self.text(value)
        return plain(value)

    def text(self, value: str) -> str:
        """Return a text without the run's names, accounts, regions, hosts and ids."""
        value = value.replace(self._run, "{run}")
        value = _HOST.sub("<endpoint>", value)
        value = _ARN_PLACE.sub("<region>:<account>", value)
        value = _UUID.sub(lambda found: self._token("id", found[0]), value)
        return _ACCOUNT.sub("<account>", value)

    def _token(self, name: str, value: Any) -> str:
        key = name.removeprefix("Next"), value
        if key not in self._tokens:
            number = sum(known[0] == key[0] for known in self._tokens) + 1
            self._tokens[key] = f"<{key[0]} {number}>"
        return self._tokens[key]


def differences(wanted: Any, got: Any, path: str = "") -> list[str]:
    """Return where two normalised values differ, a line for each place."""
    if isinstance(wanted, dict) and isinstance(got, dict):
        found = []
        for name in sorted({*wanted, *got}):
            place = f"{path}.{name}" if path else name
            if name not in got:
                found.append(f"{place}: missing, was {_short(wanted[name])}")
            elif name not in wanted:
                found.append(f"{place}: {_short(got[name])}, was not there")
            else:
                found += differences(wanted[name], got[name], place)
        return found
    if isinstance(wanted, list) and isinstance(got, list) and len(wanted) == len(got):
        return [
            line
            for number, (a, b) in enumerate(zip(wanted, got, strict=True))
            for line in differences(a, b, f"{path}[{number}]")
        ]
    return [] if wanted == got else [f"{path}: {_short(got)}, was {_short(wanted)}"]


def same_error(wanted: str, got: str) -> bool:
    """Tell whether two error texts say the same; several validation errors have no order."""
    return _errors(wanted) == _errors(got)


def _errors(text: str) -> set[str]:
    head, colon, rest = text.partition(" detected: ")
    return set(rest.split("; ")) if colon and "validation error" in head else {text}


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 100 else text[:97] + "..."
