"""DataSync's agents, locations and tasks."""

from __future__ import annotations

from simulator.cloud.resources.mapping import Outcome, Resource, maps


def _location(resource: Resource, operation: str) -> Outcome:
    params = resource.fit("datasync", operation, resource.properties.rest())
    answer = resource.call("datasync", operation, params)
    arn = str(answer["LocationArn"])
    return arn, {"LocationArn": arn}


@maps("AWS::DataSync::Agent")
def agent(resource: Resource) -> Outcome:
    """Create an agent."""
    params = resource.fit("datasync", "CreateAgent", resource.properties.rest())
    arn = str(resource.call("datasync", "CreateAgent", params)["AgentArn"])
    return arn, {"AgentArn": arn}


@maps("AWS::DataSync::LocationS3")
def location_s3(resource: Resource) -> Outcome:
    """Create a location in a bucket; its role is tried at once."""
    return _location(resource, "CreateLocationS3")


@maps("AWS::DataSync::LocationNFS")
def location_nfs(resource: Resource) -> Outcome:
    """Create a location on an NFS server."""
    return _location(resource, "CreateLocationNfs")


@maps("AWS::DataSync::LocationSMB")
def location_smb(resource: Resource) -> Outcome:
    """Create a location on an SMB server."""
    return _location(resource, "CreateLocationSmb")


@maps("AWS::DataSync::Task")
def task(resource: Resource) -> Outcome:
    """Create a task; executions are started by its schedule or by a call."""
    params = resource.fit("datasync", "CreateTask", resource.properties.rest())
    arn = str(resource.call("datasync", "CreateTask", params)["TaskArn"])
    return arn, {"TaskArn": arn, "Status": "AVAILABLE"}
