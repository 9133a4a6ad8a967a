"""A transform job's file cut into records and payloads, and its results put together.

Used by `transform_runs`; nothing here knows of S3 or of a container. Source: SageMaker API
reference, TransformInput, TransformOutput, CreateTransformJob.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MIB = 1 << 20
MOST_MIB = 100
"""MaxPayloadInMB, and its product with MaxConcurrentTransforms (CreateTransformJob)."""


class BadRecord(ValueError):
    """A file that cannot be transformed; the text goes to the job's log."""


@dataclass(frozen=True)
class Parameters:
    """How an instance is asked. ``payload_mb`` 0: no limit, the body is sent in chunks."""

    at_once: int = 1
    strategy: str = "MultiRecord"
    payload_mb: int = 6

    def __post_init__(self) -> None:
        if self.payload_mb > MOST_MIB or self.at_once * self.payload_mb > MOST_MIB:
            raise ValueError(
                f"MaxConcurrentTransforms * MaxPayloadInMB must not exceed {MOST_MIB} MB"
            )

    @property
    def words(self) -> str:
        """Return the line with which a job's log begins."""
        strategy = "SINGLE_RECORD" if self.strategy == "SingleRecord" else "MULTI_RECORD"
        return (
            f"MaxConcurrentTransforms={self.at_once}, MaxPayloadInMB={self.payload_mb}, "
            f"BatchStrategy={strategy}"
        )


def parameters(request: Mapping[str, Any], container: Mapping[str, Any]) -> Parameters:
    """Return the request's settings, then those of /execution-parameters, then the defaults.

    Raises ValueError for a container's answer that is none.
    """
    spelled = {"SINGLE_RECORD": "SingleRecord", "MULTI_RECORD": "MultiRecord"}
    # "If MaxConcurrentTransforms is set to 0 or left unset" the container is asked.
    at_once = request.get("MaxConcurrentTransforms") or container.get("MaxConcurrentTransforms", 1)
    payload_mb = request.get("MaxPayloadInMB", container.get("MaxPayloadInMB", 6))
    said = container.get("BatchStrategy", "MULTI_RECORD")
    strategy = request.get("BatchStrategy", spelled.get(said, said))
    numbers = isinstance(at_once, int) and isinstance(payload_mb, int)
    if not numbers or at_once < 1 or payload_mb < 0 or strategy not in spelled.values():
        raise ValueError(f"/execution-parameters are not valid: {dict(container)}")
    return Parameters(at_once, strategy, payload_mb)


def asked_of_container(body: bytes) -> Mapping[str, Any]:
    """Return the object that /execution-parameters answered; raises ValueError."""
    value = json.loads(body)
    if not isinstance(value, dict):
        raise ValueError(f"/execution-parameters are no object: {value!r}")
    return value


def records(body: bytes, split: str) -> list[bytes]:
    """Return a file's records: itself, or its lines without their ends."""
    return lines(body) if split == "Line" else [body]


def lines(body: bytes) -> list[bytes]:
    r"""Return the lines of a text, which end with ``\n`` or ``\r\n``."""
    found = [line.removesuffix(b"\r") for line in body.split(b"\n")]
    return found[:-1] if found[-1] == b"" else found


def batches(
    found: Sequence[bytes], settings: Parameters, *, whole: bool
) -> Iterator[Sequence[bytes]]:
    """Yield the records of each request; ``whole`` is a file that is not split.

    MultiRecord gives as many as fit. Raises BadRecord for one that is larger than the payload.
    """
    limit = settings.payload_mb * MIB if settings.payload_mb else float("inf")
    batch: list[bytes] = []
    size = 0
    for record in found:
        if len(record) > limit:
            raise BadRecord(
                f"ClientError: too much data for max payload size ({len(record)} bytes, "
                f"MaxPayloadInMB={settings.payload_mb})"
            )
        alone = whole or settings.strategy == "SingleRecord"
        if batch and (alone or size + 1 + len(record) > limit):
            yield batch
            batch, size = [], 0
        size += len(record) + (1 if batch else 0)
        batch.append(record)
    if batch:
        yield batch


def payload(batch: Sequence[bytes]) -> bytes:
    """Return a request's body: one record as it is, several as lines."""
    return b"\n".join(batch)


def assembled(results: Sequence[bytes], assemble: str) -> bytes:
    """Return a file's output; ``Line`` ends each result with a newline that it may have."""
    if assemble != "Line":
        return b"".join(results)
    return b"".join(each if each.endswith(b"\n") else each + b"\n" for each in results)
