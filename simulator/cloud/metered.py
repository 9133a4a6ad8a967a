"""Counts what is charged for by the request: operations, records of streams, MQTT messages.

`dispatch` has one, through which all operations go; the broker tells it of messages. What the
counts make is said by `billable`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from simulator.cloud.operations import Params

PAYLOAD_UNIT_BYTES = 25_600
"""Kinesis charges for each record by units of 25 KiB (its pricing page)."""

MESSAGE_UNIT_BYTES = 5_120
"""IoT Core charges for each message by units of 5 KiB (its pricing page)."""


class Metered:
    """Counts the requests that were carried out, by service and operation."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, str]] = Counter()
        self.payload_units = 0
        self.messages = 0

    def published(self, sizes: Sequence[int]) -> None:
        """Count MQTT messages that the broker took, by the bytes of their payloads."""
        self.messages += _units(sizes, MESSAGE_UNIT_BYTES)

    def count(self, service: str, operation: str, params: Params, answer: object) -> None:
        """Count one request; of Kinesis what its records are charged for, too."""
        self.requests[service, operation] += 1
        if service == "kinesis" and operation in ("PutRecord", "PutRecords"):
            records = params["Records"] if operation == "PutRecords" else (params,)
            sizes = [len(each["Data"]) + len(each["PartitionKey"]) for each in records]
            units = _units(sizes, PAYLOAD_UNIT_BYTES)
            refused = answer.get("FailedRecordCount", 0) if isinstance(answer, dict) else 0
            self.payload_units += max(0, units - refused)


def _units(sizes: Sequence[int], unit: int) -> int:
    """Return how many units these sizes are charged as, one at least for each."""
    # Of a fleet's readings each is one: a loop over all would cost a hundredth of a reading.
    if max(sizes, default=0) <= unit:
        return len(sizes)
    return sum(max(1, -(-size // unit)) for size in sizes)
