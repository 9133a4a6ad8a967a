"""DataSync's agents, locations and tasks."""

from __future__ import annotations

from simulator.cloud.resources.declarations import enforced, honoured, stored
from simulator.cloud.resources.mapping import Outcome, Resource, maps


def _location(resource: Resource, operation: str) -> Outcome:
    params = resource.fit("datasync", operation, resource.properties.rest())
    answer = resource.call("datasync", operation, params)
    arn = str(answer["LocationArn"])
    return arn, {"LocationArn": arn}


@maps(
    "AWS::DataSync::Agent",
    {
        "AgentName": stored("a name for people: agents are found by ARN"),
        "ActivationKey": stored("used up by the activation, which takes any key here"),
    },
)
def agent(resource: Resource) -> Outcome:
    """Create an agent."""
    params = resource.fit("datasync", "CreateAgent", resource.properties.rest())
    arn = str(resource.call("datasync", "CreateAgent", params)["AgentArn"])
    return arn, {"AgentArn": arn}


@maps(
    "AWS::DataSync::LocationS3",
    {
        "S3BucketArn": honoured(
            "test_datasync.test_a_folder_arrives_whole_and_a_second_execution_moves_nothing"
        ),
        "Subdirectory": honoured(
            "test_datasync.test_a_folder_arrives_whole_and_a_second_execution_moves_nothing"
        ),
        "S3Config": enforced("test_datasync.test_a_denied_file_fails_alone_and_is_named"),
        "S3StorageClass": honoured(
            "test_s3_lifecycle.test_an_archived_object_is_listed_but_not_read_and_an_instant_one_is_read"
        ),
    },
)
def location_s3(resource: Resource) -> Outcome:
    """Create a location in a bucket; its role is tried at once."""
    return _location(resource, "CreateLocationS3")


@maps(
    "AWS::DataSync::LocationNFS",
    {
        "ServerHostname": honoured(
            "test_datasync.test_a_folder_arrives_whole_and_a_second_execution_moves_nothing"
        ),
        "Subdirectory": honoured(
            "test_datasync.test_a_folder_arrives_whole_and_a_second_execution_moves_nothing"
        ),
        "OnPremConfig": stored("an agent must exist; the server is a folder of this machine"),
        "MountOptions": stored("the server is a folder of this machine"),
    },
)
def location_nfs(resource: Resource) -> Outcome:
    """Create a location on an NFS server."""
    return _location(resource, "CreateLocationNfs")


@maps(
    "AWS::DataSync::LocationSMB",
    {
        "ServerHostname": honoured(
            "test_datasync.test_a_folder_arrives_whole_and_a_second_execution_moves_nothing"
        ),
        "Subdirectory": honoured(
            "test_datasync.test_a_folder_arrives_whole_and_a_second_execution_moves_nothing"
        ),
        "AgentArns": stored("an agent must exist; the server is a folder of this machine"),
        "User": stored("the server is a folder of this machine"),
        "Password": stored("the server is a folder of this machine"),
        "Domain": stored("the server is a folder of this machine"),
        "MountOptions": stored("the server is a folder of this machine"),
        "AuthenticationType": stored("the server is a folder of this machine"),
    },
)
def location_smb(resource: Resource) -> Outcome:
    """Create a location on an SMB server."""
    return _location(resource, "CreateLocationSmb")


@maps(
    "AWS::DataSync::Task",
    {
        "Name": stored("a name for people: tasks are found by ARN"),
        "SourceLocationArn": honoured(
            "test_datasync.test_a_folder_arrives_whole_and_a_second_execution_moves_nothing"
        ),
        "DestinationLocationArn": honoured(
            "test_datasync.test_a_folder_arrives_whole_and_a_second_execution_moves_nothing"
        ),
        "Includes": honoured("test_datasync.test_filters_choose_files"),
        "Excludes": honoured("test_datasync.test_filters_choose_files"),
        "Options": honoured(
            "test_datasync.test_bytes_per_second_stretch_the_transfer_and_can_be_changed_meanwhile"
        ),
        "Schedule": honoured("test_datasync.test_a_schedule_starts_the_task_on_the_runs_clock"),
        "CloudWatchLogGroupArn": honoured("test_datasync.test_a_log_group_gets_a_line_a_file"),
        "TaskReportConfig": honoured(
            "test_datasync.test_a_standard_report_lists_every_file_and_sums_up"
        ),
        "TaskMode": stored("both modes transfer alike"),
    },
)
def task(resource: Resource) -> Outcome:
    """Create a task; executions are started by its schedule or by a call."""
    params = resource.fit("datasync", "CreateTask", resource.properties.rest())
    arn = str(resource.call("datasync", "CreateTask", params)["TaskArn"])
    return arn, {"TaskArn": arn, "Status": "AVAILABLE"}
