"""Counts how often a cold room is warm, and says so: the example's one function."""

from __future__ import annotations

import base64
import json
import os
from typing import Any

import boto3

LIMIT_C = float(os.environ["LIMIT_C"])


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Take a batch of the stream; a room above the limit is counted and told."""
    rooms = boto3.client("dynamodb")
    topic = boto3.client("sns")
    for record in event["Records"]:
        reading = json.loads(base64.b64decode(record["kinesis"]["data"]))
        if reading["celsius"] <= LIMIT_C:
            continue
        rooms.update_item(
            TableName=os.environ["ROOMS"],
            Key={"room": {"S": reading["room"]}},
            UpdateExpression="SET warm = if_not_exists(warm, :none) + :one",
            ExpressionAttributeValues={":none": {"N": "0"}, ":one": {"N": "1"}},
        )
        topic.publish(TopicArn=os.environ["TOPIC"], Message=f"{reading['room']} is warm")
    return {"batchItemFailures": []}
