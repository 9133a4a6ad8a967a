"""API request rates that AWS throttles per account, as token buckets on the run's clock.

Limits that belong to one resource (a shard, a connection, a job) live with the resource.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from simulator.cloud.engine import Engine
from simulator.cloud.errors import AwsError
from simulator.cloud.operations import Params


@dataclass(frozen=True, slots=True)
class Rate:
    """A bucket of ``burst`` requests that refills with ``per_s`` requests a second."""

    burst: float
    per_s: float
    code: str = "ThrottlingException"


# Step Functions: "Quotas related to API action throttling" in its developer guide.
# The Kinesis control plane: CreateStream and DescribeStream in the service's API reference.
RATES: Mapping[tuple[str, str], Rate] = {
    ("stepfunctions", "StartExecution"): Rate(1300, 300),
    ("kinesis", "CreateStream"): Rate(5, 5, "LimitExceededException"),
    ("kinesis", "DescribeStream"): Rate(10, 10, "LimitExceededException"),
    ("kinesis", "ListStreams"): Rate(5, 5, "LimitExceededException"),
    ("kinesis", "DescribeStreamSummary"): Rate(20, 20, "LimitExceededException"),
}


class Quotas:
    """The account's buckets; root (the loader, a person) is metered like everybody."""

    def __init__(
        self,
        engine: Engine,
        rates: Mapping[tuple[str, str], Rate] = RATES,
        account: str = "000000000000",
    ) -> None:
        self._engine = engine
        self._account = account
        self._rates = rates
        self._levels: dict[tuple[str, str], tuple[float, float]] = {}

    def admit(self, service: str, operation: str, params: Params) -> None:
        """Take one token, or raise the throttling error of the operation."""
        rate = self._rates.get((service, operation))
        if rate is None:
            return
        now_s = self._engine.env.now
        level, at_s = self._levels.get((service, operation), (rate.burst, now_s))
        level = min(rate.burst, level + (now_s - at_s) * rate.per_s)
        if level < 1.0:
            self._levels[service, operation] = (level, now_s)
            raise AwsError(rate.code, self._message(service, params))
        self._levels[service, operation] = (level - 1.0, now_s)

    def _message(self, service: str, params: Params) -> str:
        """Return the text of the refusal; Kinesis names the stream (recorded)."""
        if service == "kinesis" and "StreamName" in params:
            return f"Rate exceeded for stream {params['StreamName']} under account {self._account}."
        return "Rate exceeded"
