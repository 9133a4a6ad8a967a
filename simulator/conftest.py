"""What tests of several packages share: a LocalStack of their own, where one was prepared."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from simulator import localstack_host


@pytest.fixture(scope="session")
def localstack() -> Iterator[str]:
    """Yield the URL of a LocalStack that is started for this session, on a free port."""
    environment = localstack_host.prepared()
    if environment is None:
        pytest.skip(
            "no LocalStack was named: run `make localstack` once, then the tests with "
            f"{localstack_host.VARIABLE}=.venv-localstack, the environment that it made"
        )
    # Its environment, and not what it refers to, says where Python finds its packages.
    python = environment / "bin" / "python"
    with localstack_host.running(python, environment / "files") as (url, _):
        yield url
