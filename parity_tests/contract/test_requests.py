"""Whatever does not fit botocore's model of a request is refused by name, before anything is done.

Of every operation, those that are forwarded to moto included: without each member that it requires,
with one that there is not, with one of a wrong type or too short, two levels deep.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from parity_tests.contract.malformed import least, malformed, not_refused
from parity_tests.contract.world import START
from simulator.cloud.cloud import Cloud
from simulator.cloud.errors import AwsError
from simulator.cloud.validation import operation_model, validate_request


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """Return an empty account."""
    made = Cloud(START, tmp_path_factory.mktemp("requests"))
    yield made
    made.close()


def test_the_least_request_of_each_operation_fits_its_model(cloud: Cloud) -> None:
    """Or else a request with one defect more would have two."""
    refused = []
    for service, operation in cloud.dispatch.supported():
        shape = operation_model(service, operation).input_shape
        try:
            if shape is not None:
                validate_request(service, operation, least(shape))
        except AwsError as error:
            refused.append(f"{service}:{operation}: {error.message}")
    assert refused == []


def test_each_malformed_request_is_refused_by_name_in_the_shape_of_an_error(cloud: Cloud) -> None:
    found, kinds = [], Counter[str]()
    for service, operation in cloud.dispatch.supported():
        for request in malformed(service, operation):
            kinds[request.defect.split()[0]] += 1
            found.append(not_refused(cloud, request))
    assert [each for each in found if each is not None] == []
    assert set(kinds) == {"without", "unknown", "wrong", "too"}
    assert len(found) > 10 * len(cloud.dispatch.supported())


def test_a_request_that_was_accepted_would_be_noticed(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("simulator.cloud.validation.validate_request", lambda *_: None)
    wrong = [not_refused(cloud, each) for each in malformed("logs", "CreateLogGroup")]
    assert None not in wrong
    assert any("was accepted" in str(each) for each in wrong)
