"""Examples of Lambda, Glue and SageMaker."""

from __future__ import annotations

from typing import Any

from parity_tests.contract.examples import Examples, below
from parity_tests.contract.things import function_of, training_of, variant_of
from parity_tests.contract.world import World

functions = Examples("lambda")
glue = Examples("glue")
sagemaker = Examples("sagemaker")
runtime = Examples("sagemaker-runtime")


def _f(w: World) -> dict[str, Any]:
    return {"FunctionName": w.function()}


# -- Lambda

_CONFIGURATION = """FunctionName FunctionArn Runtime Role Handler CodeSize CodeSha256 Description
Timeout MemorySize LastModified Version State LastUpdateStatus PackageType Architectures
LoggingConfig.LogFormat LoggingConfig.LogGroup Environment.Variables.LEVEL TracingConfig.Mode
RevisionId EphemeralStorage.Size"""
functions.add("CreateFunction", lambda w: function_of(w, w.new("made")), _CONFIGURATION)
functions.add(
    "GetFunction",
    _f,
    f"{below('Configuration', _CONFIGURATION)} Code.RepositoryType Code.Location Tags.project",
)
functions.add("GetFunctionConfiguration", _f, _CONFIGURATION)
functions.add("UpdateFunctionConfiguration", lambda w: {**_f(w), "Timeout": 60}, _CONFIGURATION)
functions.add(
    "UpdateFunctionCode",
    lambda w: {**_f(w), **function_of(w, w.new("code"))["Code"]},
    _CONFIGURATION,
)
functions.add("DeleteFunction", _f, "StatusCode")
functions.add("ListFunctions", lambda w: _f(w) and {"MaxItems": 1}, "Functions NextMarker")
functions.add("Invoke", lambda w: {**_f(w), "Payload": b"{}"}, "StatusCode ExecutedVersion Payload")
functions.add(
    "Invoke",
    lambda w: {**_f(w), "Payload": b'{"fail": 1}', "LogType": "Tail"},
    "StatusCode ExecutedVersion Payload FunctionError LogResult",
    "failing",
)
functions.add("Invoke", lambda w: {**_f(w), "InvocationType": "Event"}, "StatusCode", "event")
functions.add("Invoke", lambda w: {**_f(w), "InvocationType": "DryRun"}, "StatusCode", "dry run")
PERMISSION = {
    "StatementId": "alerts",
    "Action": "lambda:InvokeFunction",
    "Principal": "sns.amazonaws.com",
    "SourceArn": "arn:aws:sns:us-east-1:000000000000:fleetwin-dev-alerts",
}
functions.add("AddPermission", lambda w: {**_f(w), **PERMISSION}, "Statement")


def _permitted(w: World) -> dict[str, Any]:
    named = _f(w)
    w.do("lambda", "AddPermission", **named, **PERMISSION)
    return named


functions.add(
    "RemovePermission", lambda w: {**_permitted(w), "StatementId": PERMISSION["StatementId"]}
)


functions.add("GetPolicy", _permitted, "Policy RevisionId")
_MAPPING = """UUID BatchSize MaximumBatchingWindowInSeconds ParallelizationFactor EventSourceArn
EventSourceMappingArn FunctionArn LastModified LastProcessingResult State StateTransitionReason
DestinationConfig.OnFailure MaximumRecordAgeInSeconds BisectBatchOnFunctionError
MaximumRetryAttempts TumblingWindowInSeconds FunctionResponseTypes StartingPosition"""
functions.add(
    "CreateEventSourceMapping",
    lambda w: {
        **_f(w),
        "EventSourceArn": w.cloud.context.arn("kinesis", f"stream/{w.stream()}"),
        "StartingPosition": "AT_TIMESTAMP",
        "StartingPositionTimestamp": w.now,
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
        "MaximumRecordAgeInSeconds": 60,
        "DestinationConfig": {
            "OnFailure": {"Destination": "arn:aws:sqs:us-east-1:000000000000:failed"}
        },
    },
    f"{_MAPPING} StartingPositionTimestamp DestinationConfig.OnFailure.Destination",
)
functions.add("GetEventSourceMapping", lambda w: {"UUID": w.mapping()}, _MAPPING)
functions.add(
    "UpdateEventSourceMapping", lambda w: {"UUID": w.mapping(), "BatchSize": 10}, _MAPPING
)
functions.add("DeleteEventSourceMapping", lambda w: {"UUID": w.mapping()}, _MAPPING)
functions.add("ListEventSourceMappings", lambda w: {}, below("EventSourceMappings", _MAPPING))

# -- Glue


def job_of(w: World) -> dict[str, Any]:
    """Return the parameters of a Glue job."""
    return {
        "Name": w.new("job"),
        "Role": w.role,
        "Command": {
            "Name": "glueetl",
            "ScriptLocation": "s3://assets/features_job.py",
            "PythonVersion": "3",
        },
        "DefaultArguments": {"--window_s": "60"},
        "GlueVersion": "5.0",
        "WorkerType": "G.1X",
        "NumberOfWorkers": 2,
        "Timeout": 30,
        "Tags": {"project": "fleetwin"},
    }


def _job(w: World) -> dict[str, Any]:
    params = job_of(w)
    w.do("glue", "CreateJob", **params)
    return {"JobName": params["Name"]}


def _stopped_run(w: World) -> dict[str, Any]:
    """Return a run that was stopped before it asked for Spark."""
    named = _job(w)
    run = w.do("glue", "StartJobRun", **named)["JobRunId"]
    w.do("glue", "BatchStopJobRun", **named, JobRunIds=[run])
    w.run()
    return {**named, "RunId": run}


_JOB = """Name Role CreatedOn LastModifiedOn ExecutionProperty.MaxConcurrentRuns Command.Name
Command.ScriptLocation DefaultArguments MaxRetries AllocatedCapacity MaxCapacity Timeout
WorkerType NumberOfWorkers GlueVersion"""
_RUN = """Id Attempt JobName StartedOn LastModifiedOn CompletedOn JobRunState PredecessorRuns
AllocatedCapacity ExecutionTime Timeout MaxCapacity WorkerType NumberOfWorkers LogGroupName
GlueVersion"""
glue.add("CreateJob", job_of, "Name")
glue.add(
    "UpdateJob",
    lambda w: {
        **_job(w),
        "JobUpdate": {k: v for k, v in job_of(w).items() if k not in ("Name", "Tags")},
    },
    "JobName",
)
glue.add("GetJob", _job, below("Job", _JOB))
glue.add("DeleteJob", _job, "JobName")


def _starting(w: World) -> dict[str, Any]:
    """Return a job; the deletion at its end keeps the run from Spark."""
    named = _job(w)
    w.later(lambda: w.do("glue", "DeleteJob", **named))
    return named


glue.add("StartJobRun", _starting, "JobRunId")
glue.add("GetJobRun", _stopped_run, below("JobRun", _RUN))
glue.add(
    "GetJobRuns",
    lambda w: {"JobName": _stopped_run(w)["JobName"]},
    below("JobRuns", _RUN),
)


def _two_runs(w: World) -> dict[str, Any]:
    named = _job(w)
    run = w.do("glue", "StartJobRun", **named)["JobRunId"]
    return {**named, "JobRunIds": [run, "jr_0"]}


glue.add(
    "BatchStopJobRun",
    _two_runs,
    "SuccessfulSubmissions.JobName SuccessfulSubmissions.JobRunId Errors.JobName Errors.JobRunId"
    " Errors.ErrorDetail.ErrorCode Errors.ErrorDetail.ErrorMessage",
)

# -- SageMaker: training


def _training(w: World) -> dict[str, Any]:
    name = w.new("training")
    w.do("sagemaker", "CreateTrainingJob", **training_of(w, name))
    w.later(lambda: w.do("sagemaker", "StopTrainingJob", TrainingJobName=name))
    return {"TrainingJobName": name}


_TRAINING = """TrainingJobName TrainingJobArn ModelArtifacts.S3ModelArtifacts TrainingJobStatus
SecondaryStatus HyperParameters AlgorithmSpecification RoleArn InputDataConfig OutputDataConfig
ResourceConfig StoppingCondition CreationTime LastModifiedTime EnableNetworkIsolation
SecondaryStatusTransitions.Status SecondaryStatusTransitions.StartTime
SecondaryStatusTransitions.StatusMessage"""
sagemaker.add("CreateTrainingJob", lambda w: training_of(w, w.new("training")), "TrainingJobArn")
sagemaker.add("DescribeTrainingJob", _training, _TRAINING)
sagemaker.add(
    "DescribeTrainingJob",
    lambda w: {"TrainingJobName": w.trained},
    f"{_TRAINING} TrainingStartTime TrainingEndTime TrainingTimeInSeconds BillableTimeInSeconds"
    " FinalMetricDataList.MetricName FinalMetricDataList.Value FinalMetricDataList.Timestamp"
    " SecondaryStatusTransitions.EndTime",
    "completed",
)
sagemaker.add(
    "ListTrainingJobs",
    lambda w: {"NameContains": w.trained},
    below(
        "TrainingJobSummaries",
        "TrainingJobName TrainingJobArn CreationTime LastModifiedTime TrainingEndTime"
        " TrainingJobStatus SecondaryStatus",
    ),
)


def _to_stop(w: World) -> dict[str, Any]:
    name = w.new("training")
    w.do("sagemaker", "CreateTrainingJob", **training_of(w, name))
    return {"TrainingJobName": name}


sagemaker.add("StopTrainingJob", _to_stop)

# -- SageMaker: models and endpoints

sagemaker.add(
    "CreateModel",
    lambda w: {
        "ModelName": w.new("model"),
        "PrimaryContainer": {"Image": w.image, "Mode": "SingleModel"},
        "ExecutionRoleArn": w.role,
    },
    "ModelArn",
)
sagemaker.add(
    "DescribeModel",
    lambda w: {"ModelName": w.model()},
    "ModelName ModelArn CreationTime ExecutionRoleArn EnableNetworkIsolation"
    " PrimaryContainer.Image PrimaryContainer.ModelDataUrl PrimaryContainer.Environment"
    " PrimaryContainer.Mode",
)
sagemaker.add("DeleteModel", lambda w: {"ModelName": w.model()})
sagemaker.add(
    "CreateEndpointConfig",
    lambda w: {
        "EndpointConfigName": w.new("config"),
        "ProductionVariants": [variant_of(w.model())],
    },
    "EndpointConfigArn",
)
sagemaker.add(
    "DescribeEndpointConfig",
    lambda w: {"EndpointConfigName": w.endpoint_config()},
    "EndpointConfigName EndpointConfigArn CreationTime ProductionVariants.VariantName"
    " ProductionVariants.ModelName ProductionVariants.InstanceType",
)
sagemaker.add("DeleteEndpointConfig", lambda w: {"EndpointConfigName": w.endpoint_config()})
_ENDPOINT = "EndpointName EndpointArn EndpointConfigName EndpointStatus CreationTime"
_ENDPOINT += " LastModifiedTime"
_VARIANT = """VariantName DeployedImages.SpecifiedImage DeployedImages.ResolutionTime CurrentWeight
DesiredWeight CurrentInstanceCount DesiredInstanceCount"""


def _to_delete(w: World) -> dict[str, Any]:
    """Return an endpoint that failed: one under way cannot be deleted."""
    name, config = w.new("endpoint"), w.endpoint_config()
    described = w.do("sagemaker", "DescribeEndpointConfig", EndpointConfigName=config)
    model = described["ProductionVariants"][0]["ModelName"]
    w.do("sagemaker", "CreateEndpoint", EndpointName=name, EndpointConfigName=config)
    w.do("sagemaker", "DeleteModel", ModelName=model)
    w.cloud.engine.run(w.cloud.endpoints.wait_event(name))
    return {"EndpointName": name}


def _to_create(w: World) -> dict[str, Any]:
    """Return the parameters of an endpoint that, its model gone, never starts a process."""
    config = w.endpoint_config()
    described = w.do("sagemaker", "DescribeEndpointConfig", EndpointConfigName=config)
    w.do("sagemaker", "DeleteModel", ModelName=described["ProductionVariants"][0]["ModelName"])
    return {"EndpointName": w.new("endpoint"), "EndpointConfigName": config}


sagemaker.add("CreateEndpoint", _to_create, "EndpointArn")
sagemaker.add(
    "DescribeEndpoint",
    lambda w: {"EndpointName": w.endpoint},
    f"{_ENDPOINT} {below('ProductionVariants', _VARIANT)}",
)
sagemaker.add("DescribeEndpoint", _to_delete, f"{_ENDPOINT} FailureReason", "failed")
sagemaker.add(
    "UpdateEndpoint",
    lambda w: {
        **_to_delete(w),
        "EndpointConfigName": _to_create(w)["EndpointConfigName"],
    },
    "EndpointArn",
)
sagemaker.add("DeleteEndpoint", _to_delete)
runtime.add(
    "InvokeEndpoint",
    lambda w: {
        "EndpointName": w.endpoint,
        "ContentType": "application/json",
        "Body": b'{"rows": []}',
    },
    "Body ContentType InvokedProductionVariant CustomAttributes",
)
