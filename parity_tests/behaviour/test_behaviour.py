"""Every row of the L2 tables holds on the twin."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parity_tests.behaviour import ROWS
from parity_tests.behaviour.table import DOCUMENTED, RECORDED, Behaviour, fits, validation_errors
from parity_tests.contract.world import World


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Return the project's infrastructure, booted once for all rows."""
    made = World(tmp_path_factory.mktemp("behaviour"))
    yield made
    made.close()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_twin_answers_as_aws_is_known_to(row: Behaviour, world: World) -> None:
    try:
        assert row.check(world) is None
    finally:
        world.settle()


def test_each_row_says_where_it_is_known_from_and_is_there_once() -> None:
    assert {row.source for row in ROWS} == {RECORDED, DOCUMENTED}
    assert all(row.date[:2] == "20" for row in ROWS)
    assert len({row.name for row in ROWS}) == len(ROWS)


@given(st.permutations(["Value 'a' at 'x'", "Value 'b' at 'y'", "Value null at 'z'"]))
def test_validation_errors_are_a_set(errors: list[str]) -> None:
    message = f"{len(errors)} validation errors detected: {'; '.join(errors)}"
    assert validation_errors(message) == set(errors)


@given(st.permutations(["Value 'a' at 'x'", "Value 'b' at 'y'", "Value null at 'z'"]))
def test_a_message_fits_its_errors_in_any_order_and_no_fewer_or_more(errors: list[str]) -> None:
    pattern = "'a' at; null at; 'b' at"
    message = f"3 validation errors detected: {'; '.join(errors)}"
    assert fits(pattern, message)
    assert not fits(f"{pattern}; 'c' at", message)
    assert not fits("'a' at; 'b' at", message), "one more than wanted"
    assert not fits("'a' at", message), "two more than wanted"
    assert not fits("'a' at", "2 validation errors detected: Value 'a' at 'x'; Value 'b' at 'y'")
    assert fits("'a' at", "1 validation error detected: Value 'a' at 'x'")
    assert fits("no such", "There is no such stream; look again")
    assert not fits("'a' at; 'a' at", f"2 validation errors detected: {'; '.join(errors[:2])}")
