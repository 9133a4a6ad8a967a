"""Access keys that every run repeats. Used by `iam`, which knows whose they are."""

from __future__ import annotations

import base64
import hashlib


def credentials(prefix: str, seed: str) -> tuple[str, str, str]:
    """Return (access key, secret, session token); ``prefix`` is AKIA or ASIA."""
    digest = hashlib.sha512(seed.encode()).digest()
    key = prefix + base64.b32encode(digest[:10]).decode()
    secret = base64.b64encode(digest[10:40]).decode()
    token = base64.b64encode(hashlib.sha512(digest).digest() * 2).decode()
    return key, secret, token
