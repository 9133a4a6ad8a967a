"""How the functions' boto3 clients are set up; nothing about *where* they connect to."""

from __future__ import annotations

from botocore.config import Config

CLIENT_CONFIG = Config(
    connect_timeout=2,
    read_timeout=20,
    retries={"mode": "standard", "max_attempts": 4},
    # The calls' shapes are fixed in the code and tested; the check costs as much as the call.
    parameter_validation=False,
    # S3 still checks integrity by the body's length over TLS; objects are gzip with a CRC.
    request_checksum_calculation="when_required",
    response_checksum_validation="when_required",
)
"""A hanging connection must not eat a function's time-out; throttled calls are tried again."""
