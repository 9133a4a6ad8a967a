"""Credentials for the files of one table: what Lake Formation vends to engines outside of it.

Part of `lake_formation`. Whoever is granted a part of a table is refused: the twin has no engine
outside of it that would filter. They end after their time on the run's clock.
"""

from __future__ import annotations

from collections.abc import Generator
from datetime import timedelta
from typing import Any

import simpy

from simulator.cloud.context import Context
from simulator.cloud.errors import AwsError, NotSupportedByTwin
from simulator.cloud.job_files import split_uri
from simulator.cloud.lake_formation_access import LakePermissions, denied
from simulator.cloud.lake_formation_loans import SERVICE, SESSION, lent
from simulator.cloud.lake_formation_resources import invalid, plain
from simulator.cloud.lake_formation_tags import Tags
from simulator.cloud.operations import Answer, Call, Operation, any_resource

DURATION_S = 3_600
"""How long they last when nothing is asked (API reference)."""
_WRITES = frozenset({"ALL", "INSERT", "DELETE"})


class TableCredentials:
    """GetTemporaryGlueTableCredentials."""

    def __init__(self, context: Context, tags: Tags, permissions: LakePermissions) -> None:
        self._context = context
        self._tags = tags
        self._permissions = permissions

    def operations(self) -> dict[str, Operation]:
        """Return the operation, keyed by botocore's name."""
        action = "lakeformation:GetDataAccess"
        return {
            "GetTemporaryGlueTableCredentials": Operation(self._credentials, any_resource, action)
        }

    def _credentials(self, call: Call) -> Answer:
        """Give a session that may read (or write) one table's files, to whom all of it is granted.

        The twin has no engine outside of it that filters rows, so whoever is granted a part is
        refused. Source: API reference, GetTemporaryGlueTableCredentials.
        """
        params = call.params
        for name in ("QuerySessionContext", "AuditContext"):
            if name == "QuerySessionContext" and params.get(name):
                raise NotSupportedByTwin(f"lakeformation credentials with {name}")
        place = params["TableArn"].partition(":table/")[2].lower().split("/")
        if len(place) != 2:
            raise invalid(f"TableArn {params['TableArn']} is not the ARN of a table.")
        database, name = place
        wanted = {plain(one) for one in params.get("Permissions", ["SELECT"])}
        if not self._permissions.store.settings.get("AllowFullTableExternalDataAccess"):
            raise denied(name)
        self._permissions.require(call.principal, "SELECT", database, name)
        table = self._tags.require_place(database, name)
        assert table is not None
        for permission in sorted(wanted - {"DESCRIBE"}):
            self._permissions.require(call.principal, permission, database, name)
        if not self._permissions.table_access(call.principal, database, name).is_whole:
            raise AwsError(
                "PermissionTypeMismatchException",
                f"Only a part of {name} is granted: its cells cannot be had with credentials.",
            )
        if not self._permissions.is_registered(table.location):
            raise invalid(f"The location of {name} is not registered with Lake Formation.")
        role = self._permissions.lender(database, name)[0]
        return self._vended(role, table.location, wanted, params.get("DurationSeconds", DURATION_S))

    def _vended(self, lender: str, location: str, wanted: set[str], duration_s: int) -> Answer:
        context = self._context
        bucket, prefix = split_uri(location)
        actions = ["s3:GetObject"]
        if wanted & _WRITES:
            actions += ["s3:PutObject", "s3:DeleteObject"]
        may = lent(context, lender, location, (*actions, "s3:ListBucket"))
        files = f"arn:aws:s3:::{bucket}/{prefix.rstrip('/')}/*"
        listing = {
            "Effect": "Allow",
            "Action": "s3:ListBucket",
            "Resource": f"arn:aws:s3:::{bucket}",
            "Condition": {"StringLike": {"s3:prefix": [f"{prefix.rstrip('/')}/*"]}},
        }
        role = f"arn:aws:iam::{context.account}:role/lakeformation/{context.engine.new_id()}"
        trust = {
            "Effect": "Allow",
            "Principal": {"Service": SERVICE},
            "Action": "sts:AssumeRole",
        }
        allowed: list[dict[str, Any]] = [
            {"Effect": "Allow", "Action": action, "Resource": files}
            for action in actions
            if action in may
        ]
        if "s3:ListBucket" in may:
            allowed.append(listing)
        # The twin's sessions have no policies of their own: a role that lives as long does it.
        context.iam.put_role(role, {"Statement": trust}, {"table": {"Statement": allowed}})
        key, secret, token = context.iam.issue_credentials(role, SESSION, "")
        context.engine.process(self._expire(role, key, duration_s))
        return {
            "AccessKeyId": key,
            "SecretAccessKey": secret,
            "SessionToken": token,
            "Expiration": context.engine.now() + timedelta(seconds=duration_s),
        }

    def _expire(self, role: str, key: str, duration_s: int) -> Generator[simpy.Event, Any, None]:
        yield self._context.engine.env.timeout(duration_s)
        self._context.iam.revoke(key)
        self._context.iam.remove_role(role)
