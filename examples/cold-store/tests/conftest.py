"""These tests boot the cold store's own stack, from what the CDK wrote."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def fleetwin_assembly() -> Path:
    """Return the assembly that twins boot from."""
    return Path(__file__).parents[1] / "synthesized"
