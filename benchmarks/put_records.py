"""Client of the PutRecords measurement, in a process of its own so that it costs no server time.

Run by `benchmarks.pipeline` with the environment of the server under test:
``python -m benchmarks.put_records STREAM REQUESTS``. Prints one line of JSON.
"""

from __future__ import annotations

import json
import random
import sys
import time

import boto3

RECORDS = 500
RECORD_BYTES = 200
WARM_UP = 2


def main(stream: str, requests: int) -> None:
    """Put ``requests`` times RECORDS records; print seconds and records refused."""
    client = boto3.client("kinesis")
    rng = random.Random(0)
    failed = 0
    began = 0.0
    for number in range(requests + WARM_UP):
        if number == WARM_UP:
            began = time.perf_counter()
        records = [
            {"Data": rng.randbytes(RECORD_BYTES), "PartitionKey": f"{rng.getrandbits(64):x}"}
            for _ in range(RECORDS)
        ]
        failed += client.put_records(StreamName=stream, Records=records)["FailedRecordCount"]
    print(json.dumps({"seconds": time.perf_counter() - began, "failed": failed}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
