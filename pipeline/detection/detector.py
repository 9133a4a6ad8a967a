"""Entry point of the detector's function: ``pipeline.detection.detector.handler``.

Settings are read and clients made when the module is imported, which on Lambda happens once per
worker, before its first event. The work is in `stream_batch`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import boto3

from pipeline.aws import CLIENT_CONFIG
from pipeline.detection.stream_batch import Detector
from pipeline.settings import DetectorSettings
from pipeline.state_table import StateTable


def _detector() -> Detector:
    settings = DetectorSettings.from_environment()
    return Detector(
        settings,
        StateTable(boto3.client("dynamodb", config=CLIENT_CONFIG), settings.state_table),
        boto3.client("sagemaker-runtime", config=CLIENT_CONFIG),
        boto3.client("s3", config=CLIENT_CONFIG),
        boto3.client("sns", config=CLIENT_CONFIG),
    )


_DETECTOR = _detector()


def handler(event: Mapping[str, Any], context: object) -> dict[str, list[Any]]:
    """Handle one event of the Kinesis mapping; no failures are reported item by item."""
    return _DETECTOR.handle(event)
