"""What Lake Formation lends of a table's files: at most what the registered role may do there.

Whoever registers a location names a role; Lake Formation assumes it to lend the files below to
those with a grant. Used by `job_files` for Glue jobs and by `lake_formation_credentials`.
Source: Lake Formation Developer Guide, "Requirements for roles used to register locations".
"""

from __future__ import annotations

from collections.abc import Iterable

from simulator.cloud.context import Context
from simulator.cloud.errors import AccessDenied

SERVICE = "lakeformation.amazonaws.com"
SESSION = "AWSLF"
PROBE = "fleetwin-probe"


def lent(context: Context, role_arn: str, location: str, actions: Iterable[str]) -> list[str]:
    """Return those of some S3 actions that a role may do with the files at a location.

    What is denied counts as a denied call. Nothing is lent of a role that is not trusted.
    """
    bucket, _, prefix = location.removeprefix("s3://").rstrip("/").partition("/")
    place = f"arn:aws:s3:::{bucket}"
    may = []
    try:
        principal = context.iam.principal_for_role(role_arn, SESSION, SERVICE)
    except AccessDenied:
        return []
    for action in actions:
        try:
            if action == "s3:ListBucket":
                context.iam.authorise(principal, action, place, {"s3:prefix": f"{prefix}/"})
            else:
                context.iam.authorise(principal, action, f"{place}/{prefix}/{PROBE}")
        except AccessDenied:
            continue
        may.append(action)
    return may
