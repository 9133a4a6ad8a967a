"""S3, Kinesis and SQS over HTTP: requests a second, beside moto's server and LocalStack.

``python -m benchmarks.http_services`` writes `results/http_services.json`. One client asks, one
request after the other, over kept connections; PutRecords with many records is in `pipeline`.
LocalStack is asked where one answers (``--endpoint``), else one is started where it is prepared
(docs/localstack.md) and ended afterwards; where neither is so, it is named as absent.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.by_processes import answer_of
from benchmarks.moto_server import client_variables, moto_server
from benchmarks.result import finish, parser
from benchmarks.row import Row
from simulator import localstack_host
from simulator.aws_endpoint import LOCALSTACK
from simulator.cloud.cloud import Cloud
from simulator.errors import SimulatorError
from simulator.targets import remote_of

START = datetime(2026, 1, 5, tzinfo=UTC)
CLIENT = "benchmarks.http_client"
Rates = dict[str, float]


def main(arguments: Sequence[str]) -> int:
    """Measure, print and write; return the exit code."""
    options = parser("http_services", __doc__)
    options.add_argument("--endpoint", default=LOCALSTACK, help="a LocalStack of this machine")
    chosen = options.parse_args(arguments)
    scale, rounds = (0.2, 1) if chosen.quick else (1.0, 2)
    ours: list[Rates] = []
    moto: list[Rates] = []
    # By turns, so that what else the machine does meets both.
    for _ in range(rounds):
        ours.append(asked_ours(scale))
        moto.append(asked_moto(scale))
    peers = {"moto's server": best(moto)}
    said = ""
    try:
        with localstack(chosen.endpoint) as url:
            variables = client_variables(url)
            peers["LocalStack"] = rates(answer_of(CLIENT, scale, variables=variables))
            said = url
    except SimulatorError as error:
        said = f"no LocalStack: {error}"
        print(said, flush=True)
    mine = best(ours)
    rows = [
        Row(name, rate, "requests/s", peer, theirs[name], floor=1.0, limits="ratio")
        for peer, theirs in peers.items()
        for name, rate in mine.items()
    ]
    return finish("http_services", rows, chosen, {"localstack": said})


@contextmanager
def localstack(endpoint: str) -> Iterator[str]:
    """Yield the URL of the LocalStack that listens at ``endpoint``, or of a prepared one's.

    Raises SimulatorError, which says how to get one, where there is neither.
    """
    try:
        remote_of("localstack", endpoint)
    except SimulatorError:
        environment = localstack_host.prepared()
        if environment is None:
            raise
    else:
        yield endpoint
        return
    python = environment / "bin" / "python"
    with localstack_host.running(python, environment / "files") as (url, _):
        remote_of("localstack", url)
        yield url


def asked_ours(scale: float) -> Rates:
    """Return the rates through our gateway, on the real clock."""
    with tempfile.TemporaryDirectory(prefix="fleetwin-bench-") as folder:
        cloud = Cloud(START, Path(folder), speed=1.0)
        try:
            cloud.engine.run_in_background_until_called()
            return rates(answer_of(CLIENT, scale, variables=cloud.environment()))
        finally:
            cloud.engine.interrupt()
            cloud.close()


def asked_moto(scale: float) -> Rates:
    """Return the rates through moto's server."""
    with moto_server() as (variables, _):
        return rates(answer_of(CLIENT, scale, variables=variables))


def rates(answer: Rates) -> Rates:
    """Return what a client measured."""
    return {name: rate for name, rate in answer.items() if name != "process_s"}


def best(found: Sequence[Rates]) -> Rates:
    """Return the highest rate of each operation: what it does undisturbed."""
    return {name: max(each[name] for each in found) for name in found[0]}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
