"""The functions' worker process with its steps timed; started instead of it by `hops`.

A plain script with the worker's own arguments. After each invocation it writes what its steps took
so far, in seconds, to the file ``BENCH_TIMES`` with the function's name and the process added.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

BESIDE = [
    str(Path(__file__).parents[1] / "simulator" / "cloud" / "runtime"),
    str(Path(__file__).parent),
]
sys.path[:0] = BESIDE

import function_worker  # type: ignore[import-not-found]  # noqa: E402
from self_time import SelfTime  # type: ignore[import-not-found]  # noqa: E402

# Nothing else may be found there: a module of the benchmarks is named like the pipeline.
sys.path[:] = [place for place in sys.path if place not in BESIDE]
TIMES = SelfTime()
OF_BATCH = {
    "records": "event's records read",
    "decode_records": "messages decoded and checked",
    "raw_objects": "lines of the raw zone, gzip",
    "embedded_metrics": "metrics of the batch",
    "spans": "metrics of the batch",
    "advance": "features",
    "score_rows": "rows for the endpoint and its answer",
}


def load(handler: str) -> Any:
    """Import the handler and time its steps."""
    found = _load(handler)
    from botocore.client import BaseClient
    from fleetwin_transport import Transport  # type: ignore[import-not-found]

    for name in ("pipeline.ingestion.raw_batch", "pipeline.detection.stream_batch"):
        module = sys.modules.get(name)
        for function, words in OF_BATCH.items():
            if hasattr(module, function):
                TIMES.wrap(module, function, words)
    TIMES.wrap(BaseClient, "_make_api_call", lambda client, operation, _: f"boto3, {operation}")
    TIMES.wrap(Transport, "send", "bytes over HTTP")
    return found


def answer(handler: Any, head: Any, body: bytes) -> Any:
    """Answer one invocation and write the times."""
    found = _answer(handler, head, body)
    function = os.environ["AWS_LAMBDA_FUNCTION_NAME"]
    path = f"{os.environ['BENCH_TIMES']}.{function}.{os.getpid()}"
    Path(path).write_text(json.dumps(TIMES.taken_s), encoding="utf-8")
    return found


_load, function_worker.load = function_worker.load, load
TIMES.wrap(function_worker, "answer", "states, sequences, episodes, and the event's JSON")
_answer, function_worker.answer = function_worker.answer, answer

if __name__ == "__main__":
    function_worker.main()
