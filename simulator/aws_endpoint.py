"""Which AWS a command may talk to; what changes or reaches something on a target asks here.

A twin is behind a loopback address. A command that was meant for the twin must not reach a real
account because a variable is missing, so an account has to be named: ``--target aws``.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import boto3
import botocore.session

from simulator.errors import EnvironmentMissing

TARGETS = ("embedded", "aws")

LOCALSTACK = "http://127.0.0.1:4566"
"""Where `make localstack` starts it."""


def endpoint_of(target: str, environment: Mapping[str, str]) -> str | None:
    """Return the endpoint for boto3's clients, None for AWS's own; raises EnvironmentMissing."""
    url = environment.get("AWS_ENDPOINT_URL", "")
    if target == "aws":
        if url:
            raise EnvironmentMissing(
                f"--target aws, but AWS_ENDPOINT_URL is {url}: unset it to reach the account"
            )
        return None
    if target != "embedded":
        raise EnvironmentMissing(f"--target {target}: must be one of {', '.join(TARGETS)}")
    if not url:
        raise EnvironmentMissing(
            "AWS_ENDPOINT_URL is not set: export what `fleetwin up` prints, or give --target aws"
        )
    if not is_loopback(url):
        raise EnvironmentMissing(
            f"AWS_ENDPOINT_URL is {url}, which is not on this machine: give --target aws to "
            "work on an account"
        )
    return url


def is_loopback(url: str) -> bool:
    """Tell whether a URL's host is this machine, without asking any name server."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return False
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def local_session(key: str, secret: str, region: str) -> boto3.session.Session:
    """Return a session that knows nothing of the profiles and files of whoever runs this."""
    nothing: Any = (None, [], None, None)
    names = ("profile", "config_file", "credentials_file")
    inner = botocore.session.Session(dict.fromkeys(names, nothing))
    return boto3.session.Session(key, secret, region_name=region, botocore_session=inner)


def account_session() -> boto3.session.Session:
    """Return a session of the user's own account; raises EnvironmentMissing for what it lacks."""
    session = boto3.session.Session()
    if session.region_name is None:
        raise EnvironmentMissing("--target aws: no region: export AWS_REGION, or AWS_PROFILE")
    if session.get_credentials() is None:
        raise EnvironmentMissing("--target aws: no credentials: export AWS_PROFILE, or log in")
    return session


def not_of_aws(url: str) -> None:
    """Raise EnvironmentMissing for what is no URL, or one of AWS's."""
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".")
    if parts.scheme not in ("http", "https") or not host:
        raise EnvironmentMissing(f"--endpoint {url}: must be a URL such as {LOCALSTACK}")
    if host.endswith(AWS_DOMAINS):
        raise EnvironmentMissing(
            f"--endpoint {url}: is AWS; a run never talks to it, name a LocalStack of your own"
        )


def only_here(endpoint: str | None) -> None:
    """Raise EnvironmentMissing unless an endpoint is on loopback."""
    host = urlsplit(endpoint or "").hostname
    if host not in ("127.0.0.1", "localhost", "::1"):
        raise EnvironmentMissing(
            f"--endpoint {endpoint}: must be on this machine, such as http://127.0.0.1:4566"
        )


AWS_DOMAINS = (
    "amazonaws.com",
    "amazonaws.com.cn",
    "amazonaws.eu",
    "api.aws",
    "aws.amazon.com",
    "on.aws",
)
"""Below these everything is AWS's."""
