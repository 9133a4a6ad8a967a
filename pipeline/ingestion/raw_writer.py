"""Entry point of the raw writer's function: ``pipeline.ingestion.raw_writer.handler``.

Settings are read and clients made when the module is imported, which on Lambda happens once per
worker, before its first event. The work is in `raw_batch`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import boto3

from pipeline.aws import CLIENT_CONFIG
from pipeline.ingestion.raw_batch import RawWriter
from pipeline.settings import RawWriterSettings
from pipeline.state_table import StateTable


def _raw_writer() -> RawWriter:
    settings = RawWriterSettings.from_environment()
    states = StateTable(boto3.client("dynamodb", config=CLIENT_CONFIG), settings.state_table)
    return RawWriter(settings, boto3.client("s3", config=CLIENT_CONFIG), states)


_WRITER = _raw_writer()


def handler(event: Mapping[str, Any], context: object) -> dict[str, list[Any]]:
    """Handle one event of the Kinesis mapping; no failures are reported item by item."""
    return _WRITER.handle(event)
