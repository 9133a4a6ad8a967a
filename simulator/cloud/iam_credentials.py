"""Access keys that every run repeats, and sessions. Used by `iam`, which knows whose they are."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import lru_cache

from simulator.cloud.operations import Principal

SESSIONS_REMEMBERED = 10_000


def credentials(prefix: str, seed: str) -> tuple[str, str, str]:
    """Return (access key, secret, session token); ``prefix`` is AKIA or ASIA."""
    digest = hashlib.sha512(seed.encode()).digest()
    key = prefix + base64.b32encode(digest[:10]).decode()
    secret = base64.b64encode(digest[10:40]).decode()
    token = base64.b64encode(hashlib.sha512(digest).digest() * 2).decode()
    return key, secret, token


@lru_cache(maxsize=SESSIONS_REMEMBERED)
def role_session(account: str, role_arn: str, session: str, worker: str | None) -> Principal:
    """Return a session of a role as a caller; a topic rule asks for its own with each message."""
    name = role_arn.rpartition("/")[2]
    # STS refuses other characters (RoleSessionName: [\w+=,.@-]{2,64}).
    session = re.sub(r"[^\w+=,.@-]", "-", session)[:64]
    arn = f"arn:aws:sts::{account}:assumed-role/{name}/{session}"
    return Principal(arn=arn, role_arn=role_arn, worker=worker)
