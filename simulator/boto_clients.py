"""boto3 clients of endpoints that are not this process's own: a LocalStack's, or AWS's.

For `fleetwin parity record` and tests; a run's own endpoint is `simulator.targets`' business.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

import boto3
import botocore.session
from botocore.config import Config

from simulator.cloud.remote_endpoint import RemoteEndpoint
from simulator.errors import EnvironmentMissing


def local_session(key: str, secret: str, region: str) -> boto3.session.Session:
    """Return a session that knows nothing of the profiles and files of whoever runs this."""
    nothing: Any = (None, [], None, None)
    names = ("profile", "config_file", "credentials_file")
    inner = botocore.session.Session(dict.fromkeys(names, nothing))
    return boto3.session.Session(key, secret, region_name=region, botocore_session=inner)


def clients_of(target: str, region: str, endpoint: str | None) -> Callable[[str], Any]:
    """Return what makes boto3 clients of a target that is not ours, for conversations.

    ``localstack`` is an endpoint of this machine, and nothing is ever sent elsewhere. ``aws`` is
    the account of the credentials that boto3 finds: the caller must have been asked for it.
    Raises EnvironmentMissing for another target, or an endpoint that is not on loopback.
    """
    if target == "localstack":
        _only_here(endpoint)
        session = local_session("test", "test", region)
        address = {"endpoint_url": endpoint}
    elif target == "aws" and endpoint is None:
        session, address = boto3.session.Session(region_name=region), {}
    else:
        raise EnvironmentMissing(f"--target {target}: choose embedded, localstack or aws")
    make: Any = session.client  # Its overloads want a literal.
    # A throttled call is an answer like any other and must not be asked again.
    once = Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"})
    return lambda service: make(service, config=once, **address)


def absent_at(endpoint: str) -> Sequence[str]:
    """Return the services that an endpoint of this machine does not execute and need not.

    Raises EnvironmentMissing for an address elsewhere, and what `RemoteEndpoint.check` raises.
    """
    _only_here(endpoint)
    remote = RemoteEndpoint(endpoint)
    try:
        return remote.check()
    finally:
        remote.close()


def _only_here(endpoint: str | None) -> None:
    host = urlsplit(endpoint or "").hostname
    if host not in ("127.0.0.1", "localhost", "::1"):
        raise EnvironmentMissing(
            f"--endpoint {endpoint}: must be on this machine, such as http://127.0.0.1:4566"
        )
