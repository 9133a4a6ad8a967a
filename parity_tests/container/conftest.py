"""A model that a twin has trained, once for all tests of this folder."""

from __future__ import annotations

import pytest

from parity_tests.container.jobs import archive_of, train, twin
from simulator.cloud.isolation import PLAIN


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return the model archive of a training job of a twin."""
    with twin(tmp_path_factory.mktemp("trained"), PLAIN) as cloud:
        return archive_of(cloud, train(cloud, "first"))
