"""The lake of a twin's state folder, asked as its root or as one of its roles.

Works beside a running twin and after it: catalog, permissions, roles and objects are files.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from simulator.cloud import iam_store
from simulator.cloud.errors import AccessDenied, AwsError
from simulator.cloud.glue_store import CatalogStore, Table
from simulator.cloud.iam import Iam
from simulator.cloud.iam_conditions import RequestContext
from simulator.cloud.job_files import split_uri
from simulator.cloud.key_use import DECRYPT, via
from simulator.cloud.lake_access import TableAccess
from simulator.cloud.lake_formation_access import LakePermissions
from simulator.cloud.lake_formation_store import PermissionStore
from simulator.cloud.lake_query import LakeQuery, MayRead
from simulator.cloud.operations import Principal
from simulator.cloud.s3_encryption import bucket_keys
from simulator.errors import ScenarioError

ACCOUNT, REGION = "000000000000", "us-east-1"
SESSION = "fleetwin-sql"


def lake_of(state: Path, database: str = "", role: str = "") -> LakeQuery:
    """Return what answers statements; ``role`` a name or ARN, empty for the root.

    Raises ScenarioError for a role that the twin does not have.
    """
    state = state.resolve()
    iam = iam_store.load(state, ACCOUNT, REGION)
    store = CatalogStore(state / "glue" / "catalog.json")
    permissions = LakePermissions(
        PermissionStore(state / "lakeformation" / "permissions.json"), store
    )
    may_read = reader(iam, permissions, _principal(iam, role), bucket_keys(state))
    return LakeQuery(store, state, may_read, database)


def _principal(iam: Iam, role: str) -> Principal:
    if not role:
        return iam.root
    known = iam.role_arns()
    arn = role if role.startswith("arn:") else f"arn:aws:iam::{iam.account}:role/{role}"
    if arn not in known:
        names = ", ".join(one.rpartition("/")[2] for one in known) or "none"
        raise ScenarioError(f"--role {role}: the twin has no such role; it has {names}")
    name = arn.rpartition("/")[2]
    return Principal(f"arn:aws:sts::{iam.account}:assumed-role/{name}/{SESSION}", arn)


def reader(
    iam: Iam,
    permissions: LakePermissions,
    principal: Principal,
    keys: Mapping[str, str] = MappingProxyType({}),
) -> MayRead:
    """Return the decision about tables: IAM first, then Lake Formation where it governs.

    The files of a registered location are read with what Lake Formation vends, for which IAM is
    asked once (``lakeformation:GetDataAccess``); those of any other with the role's own rights,
    also to the key of the bucket in ``keys``. What state a key is in is not asked.
    """

    def may_read(table: Table) -> TableAccess:
        _authorise_table(iam, principal, table)
        access = permissions.table_access(principal, table.database, table.name)
        is_open = permissions.is_open(table.database, table.name)
        if permissions.is_registered(table.location) and not is_open:
            _authorise(iam, principal, "lakeformation:GetDataAccess", "*")
        else:
            _authorise_files(iam, principal, table, keys)
        return access

    return may_read


def _authorise_table(iam: Iam, principal: Principal, table: Table) -> None:
    for resource in (
        "catalog",
        f"database/{table.database}",
        f"table/{table.database}/{table.name}",
    ):
        arn = f"arn:aws:glue:{iam.region}:{iam.account}:{resource}"
        _authorise(iam, principal, "glue:GetTable", arn)


def _authorise_files(iam: Iam, principal: Principal, table: Table, keys: Mapping[str, str]) -> None:
    bucket, prefix = split_uri(table.location)
    probe = f"arn:aws:s3:::{bucket}/{prefix.rstrip('/')}/part"
    _authorise(iam, principal, "s3:GetObject", probe)
    if bucket in keys:
        _authorise(iam, principal, DECRYPT, keys[bucket], via(iam, "s3"))


def _authorise(
    iam: Iam,
    principal: Principal,
    action: str,
    resource: str,
    context: RequestContext | None = None,
) -> None:
    """Raise IAM's denial with the reason that Athena puts before it."""
    try:
        iam.authorise(principal, action, resource, context)
    except AccessDenied as error:
        raise AwsError("AccessDeniedException", f"PERMISSION_DENIED: {error.message}") from None
