"""AWS Lake Formation: settings, registered locations, and grants.

Tags and filters are in `lake_formation_tags`, credentials in
`lake_formation_credentials`, the decisions in `lake_formation_access`, which
the catalog, jobs and `fleetwin sql` ask. Called by `dispatch`.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from simulator.cloud.context import Context
from simulator.cloud.errors import AwsError, NotSupportedByTwin
from simulator.cloud.glue_guard import IAM_ALLOWED_PRINCIPALS
from simulator.cloud.glue_store import CatalogStore
from simulator.cloud.lake_formation_access import LakePermissions, denied
from simulator.cloud.lake_formation_credentials import TableCredentials
from simulator.cloud.lake_formation_loans import SERVICE
from simulator.cloud.lake_formation_resources import (
    check_permissions,
    invalid,
    key_of,
    plain,
    s3_uri,
    shown,
)
from simulator.cloud.lake_formation_store import Key, PermissionStore
from simulator.cloud.lake_formation_tags import Tags
from simulator.cloud.operations import Answer, Call, Operation, Params, any_resource
from simulator.cloud.pages import page

_NOT_AUTHORISED = (
    "Resource does not exist or requester is not authorized to access requested permissions."
)
_SETTINGS = (
    "DataLakeAdmins",
    "CreateDatabaseDefaultPermissions",
    "CreateTableDefaultPermissions",
    "AllowFullTableExternalDataAccess",
    "AllowExternalDataFiltering",
    "ExternalDataFilteringAllowList",
    "AuthorizedSessionTagValueList",
    "Parameters",
)


class LakeFormation:
    """The service of one account. Used on the engine's thread only."""

    def __init__(self, context: Context, catalog: CatalogStore) -> None:
        self._context = context
        self._catalog = catalog
        self._store = PermissionStore(context.state / "lakeformation" / "permissions.json")
        self.permissions = LakePermissions(self._store, catalog)
        self._tags = Tags(context, self._store, catalog, self.permissions)
        self._credentials = TableCredentials(context, self._tags, self.permissions)

    def close(self) -> None:
        """Write the permissions, so that a catalog that is left has them beside it."""
        self._store.changed()

    def operations(self) -> dict[str, Operation]:
        """Return every operation that runs here, keyed by botocore's name."""
        own: dict[str, Any] = {
            "GetDataLakeSettings": self._get_settings,
            "PutDataLakeSettings": self._put_settings,
            "DeregisterResource": self._deregister,
            "DescribeResource": self._describe_resource,
            "ListResources": self._list_resources,
            "GrantPermissions": self._grant,
            "RevokePermissions": self._revoke,
            "BatchGrantPermissions": self._grant_many,
            "BatchRevokePermissions": self._revoke_many,
            "ListPermissions": self._list,
            "GetEffectivePermissionsForPath": self._list_path,
        }
        table = {name: Operation(execute, any_resource) for name, execute in own.items()}
        for name, execute in (
            ("RegisterResource", self._register),
            ("UpdateResource", self._update_resource),
        ):
            table[name] = Operation(execute, any_resource, passes_role={"RoleArn": SERVICE})
        return {**table, **self._tags.operations(), **self._credentials.operations()}

    # -- settings

    def _get_settings(self, call: Call) -> Answer:
        self._check_catalog(call.params)
        return {"DataLakeSettings": copy.deepcopy(self._store.settings)}

    def _put_settings(self, call: Call) -> Answer:
        self._check_catalog(call.params)
        self._require_admin(call)
        given = call.params["DataLakeSettings"]
        for name, value in given.items():
            if name not in _SETTINGS and value:
                raise NotSupportedByTwin(f"lakeformation:PutDataLakeSettings with {name}")
        kept = {name: copy.deepcopy(given[name]) for name in _SETTINGS if name in given}
        self._store.settings = {
            "DataLakeAdmins": [],
            "CreateDatabaseDefaultPermissions": [],
            "CreateTableDefaultPermissions": [],
            **kept,
        }
        self._store.changed()
        return {}

    def _require_admin(self, call: Call) -> None:
        if call.principal.role_arn is not None and not self.permissions.is_admin(call.principal):
            raise denied("Catalog", "ADMINISTER")

    def _check_catalog(self, params: Mapping[str, Any]) -> None:
        if params.get("CatalogId", self._context.account) != self._context.account:
            raise NotSupportedByTwin(f"lakeformation with the catalog {params['CatalogId']}")

    # -- locations

    def _location(self, params: Params) -> dict[str, Any]:
        found = self._store.locations.get(params["ResourceArn"].rstrip("/"))
        if found is None:
            raise AwsError(
                "EntityNotFoundException", f"Resource is not registered: {params['ResourceArn']}"
            )
        return found

    def _register(self, call: Call) -> Answer:
        self._require_admin(call)
        params = call.params
        arn = params["ResourceArn"].rstrip("/")
        if not arn.startswith("arn:aws:s3:::"):
            raise invalid(f"ResourceArn {arn} is not a location in S3.")
        for name in ("WithFederation", "HybridAccessEnabled", "WithPrivilegedAccess"):
            if params.get(name):
                raise NotSupportedByTwin(f"lakeformation:RegisterResource with {name}")
        if params.get("UseServiceLinkedRole"):
            raise NotSupportedByTwin(
                "lakeformation:RegisterResource with the service-linked role (give RoleArn)"
            )
        if "RoleArn" not in params:
            raise invalid("RoleArn is required.")
        if arn in self._store.locations:
            raise AwsError("AlreadyExistsException", "Resource is already registered")
        self._store.locations[arn] = {"RoleArn": params["RoleArn"], "LastModified": self._now()}
        self._store.changed()
        return {}

    def _update_resource(self, call: Call) -> Answer:
        self._require_admin(call)
        found = self._location(call.params)
        found |= {"RoleArn": call.params["RoleArn"], "LastModified": self._now()}
        self._store.changed()
        return {}

    def _deregister(self, call: Call) -> Answer:
        self._require_admin(call)
        self._location(call.params)
        del self._store.locations[call.params["ResourceArn"].rstrip("/")]
        self._store.changed()
        return {}

    def _now(self) -> float:
        return self._context.engine.epoch_s()

    def _described(self, arn: str) -> Answer:
        found = self._store.locations[arn]
        modified = self._context.engine.now() - timedelta(
            seconds=self._now() - float(found["LastModified"])
        )
        return {"ResourceArn": arn, "RoleArn": found["RoleArn"], "LastModified": modified}

    def _describe_resource(self, call: Call) -> Answer:
        self._location(call.params)
        return {"ResourceInfo": self._described(call.params["ResourceArn"].rstrip("/"))}

    def _list_resources(self, call: Call) -> Answer:
        if call.params.get("FilterConditionList"):
            raise NotSupportedByTwin("lakeformation:ListResources with FilterConditionList")
        found = [self._described(arn) for arn in sorted(self._store.locations)]
        return _paged("ResourceInfoList", found, call.params)

    # -- grants

    def _change(self, call: Call, given: Mapping[str, Any], *, is_grant: bool) -> None:
        """Make one grant or revocation; raises what the operation on its own would answer."""
        self._check_catalog(given)
        if given.get("Condition"):
            raise NotSupportedByTwin("lakeformation:GrantPermissions with Condition")
        key = key_of(given["Resource"], self._context.account)
        permissions = {plain(one) for one in given.get("Permissions", [])}
        passed_on = {plain(one) for one in given.get("PermissionsWithGrantOption", [])}
        check_permissions(key, permissions | passed_on)
        if not self.permissions.may_grant(call.principal, key, permissions | passed_on):
            raise AwsError("AccessDeniedException", _NOT_AUTHORISED)
        self._require_existing(key)
        principal = self._principal(given["Principal"])
        if is_grant:
            if principal == IAM_ALLOWED_PRINCIPALS and passed_on:
                raise invalid("IAM_ALLOWED_PRINCIPALS cannot have grant options.")
            self._store.add(principal, key, permissions, passed_on)
            return
        held = self._store.grants.get((principal, key))
        missing = permissions - held.permissions if held is not None else permissions
        if held is None or missing:
            raise invalid(
                "No permissions revoked. Grantee does not have: "
                f"[{', '.join(sorted(missing or permissions))}]"
            )
        self._store.remove(principal, key, permissions, passed_on)

    def _principal(self, given: Mapping[str, Any]) -> str:
        name = str(given["DataLakePrincipalIdentifier"])
        if name == IAM_ALLOWED_PRINCIPALS:
            return name
        is_of_reports = name.startswith("arn:aws:quicksight:") and ":group/" in name
        if ":role/" not in name and ":user/" not in name and not is_of_reports:
            raise NotSupportedByTwin(f"lakeformation with the principal {name}")
        if ":role/" in name and name not in self._context.iam.role_arns():
            raise invalid(f"Invalid principal, {name}")
        return name

    def _require_existing(self, key: Key) -> None:
        """Raise EntityNotFoundException for a grant on what is not there."""
        kind = key[0]
        if kind in ("DATABASE", "TABLE", "COLUMNS", "FILTER"):
            self._tags.require_place(*(part for part in key[1:3] if part != "*"))
        if kind == "COLUMNS":
            self._tags.require_columns(key[1], key[2], key[4])
        if kind == "FILTER" and key[1:] not in self._store.filters:
            raise AwsError("EntityNotFoundException", f"Data cells filter {key[3]} not found.")
        if kind == "LOCATION" and key[1] not in self._store.locations:
            raise AwsError("EntityNotFoundException", f"Resource is not registered: {key[1]}")
        if kind == "TAG":
            self._tags.require_values(key[1], key[2])
        if kind == "POLICY":
            for name, values in key[2]:
                self._tags.require_values(name, values)

    def _grant(self, call: Call) -> Answer:
        self._change(call, call.params, is_grant=True)
        self._store.changed()
        return {}

    def _revoke(self, call: Call) -> Answer:
        self._change(call, call.params, is_grant=False)
        self._store.changed()
        return {}

    def _grant_many(self, call: Call) -> Answer:
        return self._change_many(call, is_grant=True)

    def _revoke_many(self, call: Call) -> Answer:
        return self._change_many(call, is_grant=False)

    def _change_many(self, call: Call, *, is_grant: bool) -> Answer:
        self._check_catalog(call.params)
        failures = []
        for entry in call.params["Entries"]:
            try:
                self._change(call, entry, is_grant=is_grant)
            except NotSupportedByTwin:
                raise
            except AwsError as error:
                told = {"ErrorCode": error.code, "ErrorMessage": error.message}
                failures.append({"RequestEntry": entry, "Error": told})
        self._store.changed()
        return {"Failures": failures}

    def _shown(self, principal: str, key: Key) -> Answer:
        grant = self._store.grants[principal, key]
        return {
            "Principal": {"DataLakePrincipalIdentifier": principal},
            "Resource": shown(key, self._context.account),
            "Permissions": sorted(grant.permissions),
            "PermissionsWithGrantOption": sorted(grant.grantable),
        }

    def _list(self, call: Call) -> Answer:
        params = call.params
        self._check_catalog(params)
        if params.get("IncludeRelated", "FALSE").upper() == "TRUE":
            raise NotSupportedByTwin("lakeformation:ListPermissions with IncludeRelated")
        wanted = params.get("Principal", {}).get("DataLakePrincipalIdentifier")
        key = key_of(params["Resource"], self._context.account) if "Resource" in params else None
        kind = params.get("ResourceType")
        is_all = call.principal.role_arn is None or self.permissions.is_admin(call.principal)
        found = [
            self._shown(principal, at)
            for principal, at in sorted(self._store.grants, key=repr)
            if wanted in (None, principal)
            and key in (None, at)
            and (kind is None or _type_of(at) == kind)
            and (is_all or principal == call.principal.role_arn)
        ]
        return _paged("PrincipalResourcePermissions", found, params)

    def _list_path(self, call: Call) -> Answer:
        self._check_catalog(call.params)
        self._require_admin(call)
        uri = s3_uri(call.params["ResourceArn"])
        places = {
            (database.name, table.name)
            for database in self._catalog.databases.values()
            for table in database.tables.values()
            if (table.location.rstrip("/") + "/").startswith(uri)
        }
        found = [
            self._shown(principal, at)
            for principal, at in sorted(self._store.grants, key=repr)
            if (at[0] == "LOCATION" and s3_uri(at[1]).startswith(uri)) or at[1:3] in places
        ]
        return _paged("Permissions", found, call.params)


def _type_of(key: Key) -> str:
    """Return a key's DataLakeResourceType."""
    kinds = {
        "COLUMNS": "TABLE",
        "FILTER": "TABLE",
        "LOCATION": "DATA_LOCATION",
        "TAG": "LF_TAG",
        "POLICY": f"LF_TAG_POLICY_{key[1]}" if key[0] == "POLICY" else "",
    }
    return kinds.get(key[0], str(key[0]))


def _paged(member: str, items: Sequence[Any], params: Params) -> Answer:
    found, token = page(
        items, params.get("MaxResults", 1_000), params.get("NextToken"), "InvalidInputException"
    )
    return {member: found, **({"NextToken": token} if token is not None else {})}
