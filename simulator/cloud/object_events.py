"""S3's event "Object Created" as EventBridge has it: which writes make it, and what it says.

Used by `events`. Source: S3 User Guide, "EventBridge event message structure".
"""

from __future__ import annotations

from typing import Any

from simulator.cloud.s3_index import Entry

OBJECT_CREATED = "aws.s3", "Object Created"
"""Source and detail type."""
REASONS = {
    "ObjectCreated:Put": "PutObject",
    "ObjectCreated:Copy": "CopyObject",
    "ObjectCreated:CompleteMultipartUpload": "CompleteMultipartUpload",
}
GIVEN_LATE = ('"id"', '"time"', '"request-id"')
"""What an event gets only when its turn has come, as a pattern names it."""


def detail_of(account: str, bucket: str, entry: Entry, event: str) -> dict[str, Any]:
    """Return the detail without its request id."""
    return {
        "version": "0",
        "bucket": {"name": bucket},
        "object": {
            "key": entry.key,
            "size": entry.size,
            "etag": entry.etag,
            "sequencer": f"{entry.mtime_ns:016X}",
        },
        "requester": account,
        "source-ip-address": "127.0.0.1",
        "reason": REASONS[event],
    }
