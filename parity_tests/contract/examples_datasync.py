"""Examples of DataSync: agents, locations, tasks and executions that copy one file."""

from __future__ import annotations

from functools import partial
from typing import Any

from parity_tests.contract.examples import Examples
from parity_tests.contract.world import World

datasync = Examples("datasync")

KEY = "AAAAA-BBBBB-CCCCC-DDDDD-EEEEE"
EXCLUDES = [{"FilterType": "SIMPLE_PATTERN", "Value": "*.tmp"}]


def agent(w: World) -> str:
    """Return a new agent."""
    return str(w.do("datasync", "CreateAgent", ActivationKey=KEY, AgentName="plant")["AgentArn"])


def nfs_params(w: World) -> dict[str, Any]:
    """Return what makes an NFS location on a server with one file."""
    host = w.new("plant")
    folder = w.folder / host
    (folder / "history").mkdir(parents=True)
    (folder / "history" / "pump-001.csv").write_text("t,x\n1,2\n")
    w.cloud.datasync.exports[host] = folder
    return {
        "ServerHostname": host,
        "Subdirectory": "/history",
        "OnPremConfig": {"AgentArns": [agent(w)]},
        "Tags": [{"Key": "site", "Value": "plant"}],
    }


def smb_params(w: World) -> dict[str, Any]:
    """Return what makes an SMB location."""
    given = nfs_params(w)
    return {
        "ServerHostname": given["ServerHostname"],
        "Subdirectory": "/history",
        "AgentArns": given["OnPremConfig"]["AgentArns"],
        "User": "reader",
        "Password": "not-a-secret",
        "Domain": "plant.example",
    }


def s3_params(w: World) -> dict[str, Any]:
    """Return what makes an S3 location on a new bucket."""
    bucket = w.new("transfer")
    w.do("s3", "CreateBucket", Bucket=bucket)
    return {
        "S3BucketArn": f"arn:aws:s3:::{bucket}",
        "Subdirectory": "/landing",
        "S3Config": {"BucketAccessRoleArn": w.role},
        "S3StorageClass": "STANDARD",
    }


def location(w: World, kind: str = "Nfs") -> dict[str, Any]:
    """Return LocationArn of a new location."""
    make = {"Nfs": nfs_params, "Smb": smb_params, "S3": s3_params}[kind]
    made = w.do("datasync", f"CreateLocation{kind}", **make(w))
    return {"LocationArn": made["LocationArn"]}


def task_params(w: World) -> dict[str, Any]:
    """Return what makes a task from a server to a bucket."""
    return {
        "SourceLocationArn": location(w)["LocationArn"],
        "DestinationLocationArn": location(w, "S3")["LocationArn"],
        "Name": w.new("history"),
        "Excludes": EXCLUDES,
        "Options": {"VerifyMode": "ONLY_FILES_TRANSFERRED"},
        "Schedule": {"ScheduleExpression": "rate(12 hours)", "Status": "DISABLED"},
    }


def task(w: World, **more: Any) -> dict[str, Any]:
    """Return TaskArn of a new task."""
    made = w.do("datasync", "CreateTask", **{**task_params(w), **more})
    return {"TaskArn": made["TaskArn"]}


def execution(w: World) -> dict[str, Any]:
    """Return TaskExecutionArn of an execution that has just been started."""
    made = w.do("datasync", "StartTaskExecution", **task(w))
    return {"TaskExecutionArn": made["TaskExecutionArn"]}


def _ended(w: World) -> dict[str, Any]:
    started = execution(w)
    w.cloud.engine.run(w.cloud.datasync.wait_event(started["TaskExecutionArn"]))
    return started


def _with_execution(w: World) -> dict[str, Any]:
    arn = execution(w)["TaskExecutionArn"]
    return {"TaskArn": arn.rpartition("/execution/")[0]}


def _several(w: World) -> dict[str, Any]:
    location(w)
    location(w, "S3")
    return {"MaxResults": 1}


def _moved(kind: str, w: World) -> dict[str, Any]:
    return {**location(w, kind), "Subdirectory": "/other"}


datasync.add("CreateAgent", lambda w: {"ActivationKey": KEY, "AgentName": "plant"}, "AgentArn")
datasync.add(
    "DescribeAgent",
    lambda w: {"AgentArn": agent(w)},
    "AgentArn Name Status CreationTime EndpointType",
)
datasync.add(
    "ListAgents",
    lambda w: {"MaxResults": [agent(w), agent(w), 1][2]},
    "Agents.AgentArn Agents.Status NextToken",
)
datasync.add("DeleteAgent", lambda w: {"AgentArn": agent(w)})
datasync.add("UpdateAgent", lambda w: {"AgentArn": agent(w), "Name": "hall"})
for _kind in ("Nfs", "Smb", "S3"):
    datasync.add(f"UpdateLocation{_kind}", partial(_moved, _kind))
datasync.add("CreateLocationNfs", nfs_params, "LocationArn")
datasync.add("CreateLocationSmb", smb_params, "LocationArn")
datasync.add("CreateLocationS3", s3_params, "LocationArn")
datasync.add(
    "DescribeLocationNfs",
    location,
    "LocationArn LocationUri OnPremConfig.AgentArns MountOptions CreationTime",
)
datasync.add(
    "DescribeLocationSmb",
    lambda w: location(w, "Smb"),
    "LocationArn LocationUri AgentArns User Domain MountOptions CreationTime",
)
datasync.add(
    "DescribeLocationS3",
    lambda w: location(w, "S3"),
    "LocationArn LocationUri S3StorageClass S3Config.BucketAccessRoleArn CreationTime",
)
datasync.add("ListLocations", _several, "Locations.LocationArn Locations.LocationUri NextToken")
datasync.add("DeleteLocation", location)
datasync.add("CreateTask", task_params, "TaskArn")
datasync.add(
    "DescribeTask",
    _with_execution,
    "TaskArn Status Name CurrentTaskExecutionArn SourceLocationArn DestinationLocationArn "
    "Options.VerifyMode Excludes.Value Schedule.ScheduleExpression CreationTime TaskMode",
)
datasync.add(
    "ListTasks",
    lambda w: {"MaxResults": [task(w), task(w), 1][2]},
    "Tasks.TaskArn Tasks.Status Tasks.Name Tasks.TaskMode NextToken",
)
datasync.add("UpdateTask", lambda w: {**task(w), "Options": {"BytesPerSecond": 1_000_000}})
datasync.add("DeleteTask", task)
datasync.add("StartTaskExecution", task, "TaskExecutionArn")
datasync.add(
    "DescribeTaskExecution",
    _ended,
    "TaskExecutionArn Status Options.VerifyMode Excludes.Value StartTime LaunchTime EndTime "
    "FilesTransferred FilesVerified BytesWritten FilesListed.AtSource Result.TransferStatus "
    "Result.TotalDuration TaskMode",
)
datasync.add(
    "ListTaskExecutions",
    _with_execution,
    "TaskExecutions.TaskExecutionArn TaskExecutions.Status TaskExecutions.TaskMode",
)
datasync.add(
    "UpdateTaskExecution", lambda w: {**execution(w), "Options": {"BytesPerSecond": 1_000}}
)
datasync.add("CancelTaskExecution", execution)
