"""DataSync's locations and agents: what a task copies from and to.

`simulator.cloud.datasync` joins these operations with those of tasks. An NFS or SMB server is a
local folder by `Locations.exports`; agents are recorded, reaching a folder needs none. Other
kinds of location (EFS, FSx, HDFS, object storage, Azure) have no operations here, so `dispatch`
refuses them by name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import simpy

from simulator.cloud.context import Context
from simulator.cloud.datasync_settings import invalid
from simulator.cloud.errors import AwsError, NotSupportedByTwin
from simulator.cloud.operations import Answer, Call, Operation, Params, Principal
from simulator.cloud.pages import page

SERVICE = "datasync.amazonaws.com"
_BUCKET_ARN = re.compile(r"arn:aws:s3:::([a-z0-9.\-]{3,63})")
PAGE = 100


@dataclass(frozen=True)
class Location:
    """One location. ``kind`` is ``nfs``, ``smb`` or ``s3``; ``uri`` as the service shows it.

    ``folder`` is the part below the export or the bucket, without slashes at its ends.
    """

    arn: str
    kind: str
    uri: str
    host: str
    folder: str
    params: Params
    created: datetime

    @property
    def identifier(self) -> str:
        """Return ``loc-...``."""
        return self.arn.rpartition("/")[2]


@dataclass
class _Agent:
    arn: str
    params: Params
    created: datetime


class Locations:
    """Locations and agents of one account.

    ``exports`` maps the host names of file servers to folders of this machine; whoever starts
    the twin fills it.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self.exports: dict[str, Path] = {}
        self.in_use: Callable[[str], bool] = lambda arn: False
        self._locations: dict[str, Location] = {}
        self._agents: dict[str, _Agent] = {}

    def operations(self) -> dict[str, Operation]:
        """Return the operations on locations and agents."""
        table = {
            "CreateLocationNfs": Operation(self._create_nfs),
            "CreateLocationSmb": Operation(self._create_smb),
            "CreateLocationS3": Operation(self._create_s3),
            "ListLocations": Operation(self._list),
            "DeleteLocation": Operation(self._delete, _location_arn),
            "CreateAgent": Operation(self._create_agent),
            "DescribeAgent": Operation(self._describe_agent, _agent_arn),
            "ListAgents": Operation(self._list_agents),
            "DeleteAgent": Operation(self._delete_agent, _agent_arn),
        }
        for kind, name in (("nfs", "Nfs"), ("smb", "Smb"), ("s3", "S3")):
            table[f"DescribeLocation{name}"] = Operation(self._describer(kind), _location_arn)
        return table

    # -- for tasks

    def location(self, arn: str) -> Location:
        """Return a location or raise InvalidRequestException."""
        found = self._locations.get(arn)
        if found is None:
            raise invalid(f"Location {arn.rpartition('/')[2]} is not found.", "LocationNotFound")
        return found

    def local_folder(self, location: Location) -> Path:
        """Return the folder behind a file server's location; raise FileNotFoundError.

        A folder that leads out of its export, by a symbolic link for instance, counts as none.
        """
        root = self.exports.get(location.host)
        if root is None:
            raise FileNotFoundError(f"no file server {location.host} is exported to this twin")
        root = root.resolve()
        folder = (root / location.folder).resolve()
        if not folder.is_dir() or not folder.is_relative_to(root):
            raise FileNotFoundError(f"{location.uri}: no such folder")
        return folder

    def session(self, role_arn: str, arn: str) -> Principal:
        """Assume a location's or a report's role as the service does; raises AccessDenied."""
        context = {"aws:SourceAccount": self._context.account, "aws:SourceArn": arn}
        name = f"AwsSync-{arn.rpartition('/')[2]}"
        return self._context.iam.principal_for_role(role_arn, name, SERVICE, context)

    # -- locations

    def _new_arn(self, what: str, prefix: str) -> str:
        identifier = self._context.engine.new_id().replace("-", "")[:17]
        return self._context.arn("datasync", f"{what}/{prefix}-{identifier}")

    def change(self, location: Location, host: str, params: Params) -> None:
        """Have a location lead elsewhere, or be reached otherwise; its ARN stays."""
        folder, uri = _place(location.kind, host, params)
        kept = {name: value for name, value in params.items() if name != "Password"}
        self._locations[location.arn] = replace(
            location, host=host, folder=folder, uri=uri, params=kept
        )

    def _add(self, kind: str, host: str, call: Call) -> Answer:
        folder, uri = _place(kind, host, call.params)
        params = {name: value for name, value in call.params.items() if name != "Password"}
        location = Location(
            self._new_arn("location", "loc"),
            kind,
            uri,
            host,
            folder,
            params,
            self._context.engine.now(),
        )
        self._locations[location.arn] = location
        return {"LocationArn": location.arn}

    def require_agents(self, arns: Sequence[str]) -> None:
        """Raise InvalidRequestException for an agent that does not exist."""
        for arn in arns:
            if arn not in self._agents:
                raise invalid(f"Agent {arn.rpartition('/')[2]} does not exist.", "AgentNotFound")

    def _create_nfs(self, call: Call) -> Answer:
        self.require_agents(call.params["OnPremConfig"]["AgentArns"])
        return self._add("nfs", call.params["ServerHostname"], call)

    def _create_smb(self, call: Call) -> Answer:
        params = call.params
        for name in ("CmkSecretConfig", "CustomSecretConfig"):
            if name in params:
                raise NotSupportedByTwin(f"datasync:CreateLocationSmb with {name}")
        if params.get("AuthenticationType") == "KERBEROS":
            raise NotSupportedByTwin("datasync:CreateLocationSmb with KERBEROS")
        if "User" not in params or "Password" not in params:
            raise invalid("Invalid parameter: NTLM authentication needs User and Password.")
        self.require_agents(params["AgentArns"])
        return self._add("smb", params["ServerHostname"], call)

    def _create_s3(self, call: Call) -> Answer:
        params = call.params
        matched = _BUCKET_ARN.fullmatch(params["S3BucketArn"])
        if matched is None:
            raise NotSupportedByTwin(f"datasync: the S3 location {params['S3BucketArn']}")
        if "AgentArns" in params or params.get("S3StorageClass") == "OUTPOSTS":
            raise NotSupportedByTwin("datasync: S3 on Outposts")
        role = params["S3Config"]["BucketAccessRoleArn"]
        if call.principal.role_arn is not None:
            passed = {"iam:PassedToService": SERVICE}
            self._context.iam.authorise(call.principal, "iam:PassRole", role, passed)
        answer = self._add("s3", matched[1], call)
        try:
            self.test_access(self._locations[answer["LocationArn"]], role)
        except AwsError:
            del self._locations[answer["LocationArn"]]
            raise
        return answer

    def test_access(self, location: Location, role: str) -> None:
        """List the place as the role, as DataSync does before it makes an S3 location."""
        try:
            caller = self.session(role, location.arn)
        except AwsError:
            raise invalid(
                f"Unable to assume role. Reason: Access denied when calling sts:AssumeRole on"
                f" {role}.",
                "AssumeRoleAccessDenied",
            ) from None
        wanted: Params = {"Bucket": location.host, "MaxKeys": 1}
        if location.folder:
            wanted["Prefix"] = location.folder + "/"
        try:
            answer = self._context.dispatch(caller, "s3", "ListObjectsV2", wanted)
        except AwsError as error:
            raise invalid(
                "DataSync location access test failed: could not perform s3:ListObjectsV2 in"
                f" bucket {location.host}: {error.message}",
                "S3AccessDenied" if error.status == 403 else error.code,
            ) from None
        assert not isinstance(answer, simpy.Event)

    def _describer(self, kind: str) -> Callable[[Call], Answer]:
        def describe(call: Call) -> Answer:
            location = self.location(call.params["LocationArn"])
            if location.kind != kind:
                raise invalid(f"Location {location.identifier} is not of type {kind.upper()}.")
            return {
                "LocationArn": location.arn,
                "LocationUri": location.uri,
                "CreationTime": location.created,
                **_SHOWN[kind](location.params),
            }

        return describe

    def _list(self, call: Call) -> Answer:
        found = [one for one in self._locations.values() if _passes(one, call.params)]
        shown = [{"LocationArn": one.arn, "LocationUri": one.uri} for one in found]
        return paged("Locations", shown, call.params)

    def _delete(self, call: Call) -> Answer:
        location = self.location(call.params["LocationArn"])
        if self.in_use(location.arn):
            raise invalid(f"Location {location.identifier} is in use by a task.", "LocationInUse")
        del self._locations[location.arn]
        return {}

    # -- agents

    def _create_agent(self, call: Call) -> Answer:
        for name in ("VpcEndpointId", "SubnetArns", "SecurityGroupArns"):
            if name in call.params:
                raise NotSupportedByTwin(f"datasync:CreateAgent with {name}")
        agent = _Agent(self._new_arn("agent", "agent"), call.params, self._context.engine.now())
        self._agents[agent.arn] = agent
        return {"AgentArn": agent.arn}

    def rename_agent(self, arn: str, name: str) -> None:
        """Give an agent another name; none is the empty one."""
        agent = self._agent(arn)
        agent.params = {**agent.params, "AgentName": name}

    def _agent(self, arn: str) -> _Agent:
        self.require_agents([arn])
        return self._agents[arn]

    def _describe_agent(self, call: Call) -> Answer:
        agent = self._agent(call.params["AgentArn"])
        return {
            **_agent_line(agent),
            "CreationTime": agent.created,
            "LastConnectionTime": self._context.engine.now(),
            "EndpointType": "PUBLIC",
        }

    def _list_agents(self, call: Call) -> Answer:
        return paged("Agents", [_agent_line(one) for one in self._agents.values()], call.params)

    def _delete_agent(self, call: Call) -> Answer:
        agent = self._agent(call.params["AgentArn"])
        if any(agent.arn in agents_of(one) for one in self._locations.values()):
            raise invalid("The agent is in use by a location.", "AgentInUse")
        del self._agents[agent.arn]
        return {}


def _place(kind: str, host: str, params: Params) -> tuple[str, str]:
    """Return the folder and the URI of a location."""
    given = params.get("Subdirectory", "/")
    parts = [part for part in given.split("/") if part]
    if any(part in (".", "..") for part in parts):
        raise invalid(f"Invalid parameter: Subdirectory {given!r} leads out of the location.")
    folder = "/".join(parts)
    return folder, f"{kind}://{host}/{folder}" + ("/" if folder else "")


def agents_of(location: Location) -> Sequence[str]:
    """Return the agents through which a location is reached."""
    config = location.params.get("OnPremConfig", location.params)
    found: Sequence[str] = config.get("AgentArns", ())
    return found


def _location_arn(params: Params) -> Sequence[str]:
    return (params["LocationArn"],)


def _agent_arn(params: Params) -> Sequence[str]:
    return (params["AgentArn"],)


def _agent_line(agent: _Agent) -> Answer:
    line: Answer = {"AgentArn": agent.arn, "Status": "ONLINE"}
    if agent.params.get("AgentName"):
        line["Name"] = agent.params["AgentName"]
    return line


def _some(params: Params, *names: str) -> Answer:
    return {name: params[name] for name in names if name in params}


_SHOWN: Mapping[str, Callable[[Params], Answer]] = {
    "nfs": lambda params: {
        "OnPremConfig": params["OnPremConfig"],
        "MountOptions": params.get("MountOptions", {"Version": "AUTOMATIC"}),
    },
    "smb": lambda params: {
        **_some(params, "AgentArns", "User", "Domain", "DnsIpAddresses"),
        "MountOptions": params.get("MountOptions", {"Version": "AUTOMATIC"}),
        "AuthenticationType": "NTLM",
    },
    "s3": lambda params: {
        "S3StorageClass": params.get("S3StorageClass", "STANDARD"),
        "S3Config": params["S3Config"],
    },
}


def _passes(location: Location, params: Params) -> bool:
    """Tell whether a location passes all filters of a list request."""
    for rule in params.get("Filters", ()):
        name, operator, values = rule["Name"], rule["Operator"], rule["Values"]
        have = {"LocationType": location.kind.upper(), "LocationUri": location.uri}.get(name)
        test = _TESTS.get(operator)
        if have is None or test is None:
            raise NotSupportedByTwin(f"datasync:ListLocations by {name} with {operator}")
        if not test(have, values):
            return False
    return True


_TESTS: Mapping[str, Callable[[str, Sequence[str]], bool]] = {
    "Equals": lambda have, values: have in values,
    "In": lambda have, values: have in values,
    "NotEquals": lambda have, values: have not in values,
    "Contains": lambda have, values: any(value in have for value in values),
    "NotContains": lambda have, values: not any(value in have for value in values),
    "BeginsWith": lambda have, values: have.startswith(tuple(values)),
}


def paged(member: str, items: Sequence[Any], params: Params) -> Answer:
    """Return a page of a list answer."""
    limit = min(params.get("MaxResults", PAGE), PAGE)
    shown, token = page(items, limit, params.get("NextToken"), "InvalidRequestException")
    return {member: shown, **({"NextToken": token} if token else {})}
