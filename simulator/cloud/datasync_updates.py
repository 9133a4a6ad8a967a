"""DataSync's locations and agents, changed in place: UpdateLocation* and UpdateAgent.

Part of `simulator.cloud.datasync`. What a request does not name stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping

from simulator.cloud.datasync_locations import Location, Locations
from simulator.cloud.datasync_settings import invalid
from simulator.cloud.errors import AwsError, NotSupportedByTwin
from simulator.cloud.operations import Answer, Call, Execute, Operation, Params

KINDS: Mapping[str, str] = {"nfs": "Nfs", "smb": "Smb", "s3": "S3"}
_SMB_REFUSED = ("CmkSecretConfig", "CustomSecretConfig", "KerberosPrincipal", "KerberosKeytab")


class Updates:
    """The operations that change locations and agents."""

    def __init__(self, locations: Locations) -> None:
        self._locations = locations

    def operations(self) -> dict[str, Operation]:
        """Return the operations that run here."""
        table = {
            f"UpdateLocation{name}": Operation(
                self._update(kind), lambda params: (params["LocationArn"],)
            )
            for kind, name in KINDS.items()
        }
        table["UpdateAgent"] = Operation(self._agent, lambda params: (params["AgentArn"],))
        return table

    def _update(self, kind: str) -> Execute:
        def update(call: Call) -> Answer:
            locations = self._locations
            location = locations.location(call.params["LocationArn"])
            if location.kind != kind:
                raise invalid(f"Location {location.identifier} is not of type {kind.upper()}.")
            given = {name: v for name, v in call.params.items() if name != "LocationArn"}
            params = {**location.params, **given}
            _check(kind, given)
            config = params.get("OnPremConfig", params)
            locations.require_agents(config.get("AgentArns", ()))
            locations.change(location, given.get("ServerHostname", location.host), params)
            if kind == "s3":
                self._try(location, params)
            return {}

        return update

    def _try(self, before: Location, params: Params) -> None:
        """List the place as the role, as DataSync does; what is refused stays as it was."""
        locations = self._locations
        role = params["S3Config"]["BucketAccessRoleArn"]
        try:
            locations.test_access(locations.location(before.arn), role)
        except AwsError:
            locations.change(before, before.host, before.params)
            raise

    def _agent(self, call: Call) -> Answer:
        self._locations.rename_agent(call.params["AgentArn"], call.params.get("Name", ""))
        return {}


def _check(kind: str, given: Params) -> None:
    if kind == "smb":
        for name in _SMB_REFUSED:
            if name in given:
                raise NotSupportedByTwin(f"datasync:UpdateLocationSmb with {name}")
        if given.get("AuthenticationType") == "KERBEROS":
            raise NotSupportedByTwin("datasync:UpdateLocationSmb with KERBEROS")
    if given.get("S3StorageClass") == "OUTPOSTS":
        raise NotSupportedByTwin("datasync: S3 on Outposts")
