"""Twins for tests: one that forwards to another endpoint, and those with tuning jobs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from simulator.cloud.cloud import Cloud
from simulator.cloud.remote_endpoint import RemoteEndpoint
from simulator.cloud.tests.remote_server import moto_server
from simulator.cloud.tests.tuning_fakes import Make, twins
from simulator.cloud.tests.twin import START


@pytest.fixture(
    scope="module", params=["moto", pytest.param("localstack", marks=pytest.mark.localstack)]
)
def endpoint(request: pytest.FixtureRequest) -> Iterator[str]:
    """Return the URL of moto's server in another process, or of LocalStack where it is prepared."""
    if request.param == "moto":
        with moto_server() as url:
            yield url
        return
    yield request.getfixturevalue("localstack")


@pytest.fixture(scope="module")
def there(endpoint: str) -> RemoteEndpoint:
    """Return the endpoint past the twin."""
    return RemoteEndpoint(endpoint)


@pytest.fixture(scope="module")
def forwarding_twin(endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """Return a twin that forwards to the endpoint."""
    remote = RemoteEndpoint(endpoint)
    # LocalStack has to download its DynamoDB.
    assert set(remote.check()) <= {"dynamodb"}
    cloud = Cloud(START, tmp_path_factory.mktemp("twin"), remote=remote)
    yield cloud
    cloud.close()


@pytest.fixture
def new_twin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Return what makes a twin with training and tuning jobs; a job that hangs ends in time."""
    monkeypatch.setattr("simulator.cloud.engine.STALL_S", 30.0)
    with twins(tmp_path) as make:
        yield make
