"""The pytest plug-in: `fleetwin`, a booted twin for each test.

Installed with the project (entry point ``pytest11``). A test takes the fixture by its name; a
conftest may override the others:

    @pytest.fixture(scope="session")
    def fleetwin_assembly() -> Path: ...          # what `cdk synth` wrote; default: our own stack

    @pytest.fixture
    def fleetwin_parameters() -> dict[str, str]: ...   # the template's parameters

    @pytest.fixture
    def fleetwin_isolation() -> str: ...          # "bubblewrap" for the true /opt/ml; Linux

Booting takes about two seconds for the first test of a process and a fraction of one for each
further one. What is imported here is imported by every run of pytest, so it is next to nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from simulator.testing.twin import Twin

START = datetime(2026, 1, 5, tzinfo=UTC)


@pytest.fixture(scope="session")
def fleetwin_assembly() -> Path:
    """Return the assembly that twins boot from."""
    from simulator.targets import SNAPSHOT

    return SNAPSHOT


@pytest.fixture
def fleetwin_parameters() -> dict[str, str]:
    """Return the template's parameters that differ from their defaults."""
    return {}


@pytest.fixture
def fleetwin_start() -> datetime:
    """Return the time at which the run's clock starts."""
    return START


@pytest.fixture
def fleetwin_isolation() -> str:
    """Return how the processes of SageMaker's containers are kept apart."""
    return "plain"


@pytest.fixture
def fleetwin(
    tmp_path: Path,
    fleetwin_assembly: Path,
    fleetwin_parameters: dict[str, str],
    fleetwin_start: datetime,
    fleetwin_isolation: str,
) -> Iterator[Twin]:
    """Yield a booted twin of its own; its processes end with the test."""
    from simulator.testing.twin import Twin

    twin = Twin(
        fleetwin_start,
        tmp_path / "fleetwin",
        assembly=fleetwin_assembly,
        parameters=fleetwin_parameters,
        isolation=fleetwin_isolation,
    )
    try:
        yield twin
    finally:
        twin.close()
