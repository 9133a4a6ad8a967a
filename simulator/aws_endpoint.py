"""Which AWS a command may talk to; the commands that change what lies on a target ask here.

A twin is behind a loopback address. A command that was meant for the twin must not reach a real
account because a variable is missing, so an account has to be named: ``--target aws``.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from urllib.parse import urlsplit

from simulator.errors import EnvironmentMissing

TARGETS = ("embedded", "aws")


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
