"""What a service does in a role's name beside the code: pull an image, write what code prints."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from simulator.cloud import image_pulls, role_logs
from simulator.cloud.errors import AccessDenied
from simulator.cloud.image_pulls import LAYER_ACTIONS
from simulator.cloud.operations import Principal
from simulator.cloud.sagemaker_endpoints import CREATE_S, Endpoints
from simulator.cloud.sagemaker_jobs import TrainingJobs
from simulator.cloud.sagemaker_processing import ProcessingJobs
from simulator.cloud.tests.job_fakes import ACCOUNT, IMAGE, ROLE, JobTwin, job_twin
from simulator.cloud.tests.test_endpoints import SERVE, _model
from simulator.cloud.tests.test_processing_jobs import _create as create_processing
from simulator.cloud.tests.test_training_jobs import _create as create_training

PLACE = f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group:g"
REPOSITORY = f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/container-assets"
PULL = ["GetAuthorizationToken", *LAYER_ACTIONS]
LOG = ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"]
EVERYTHING = (["s3:*"], ["*"])


@pytest.fixture
def twin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[JobTwin]:
    monkeypatch.setattr("simulator.cloud.engine.STALL_S", 30.0)
    made = job_twin(tmp_path / "twin")
    made.bucket("data", {"rows/1.csv": "1\n", "train/1.csv": "1\n"})
    for name in ("results", "models"):
        made.bucket(name)
    yield made
    made.close()


def principal(twin: JobTwin) -> Principal:
    return twin.iam.principal_for_role(ROLE, "SageMaker", "sagemaker.amazonaws.com")


def pull_without(twin: JobTwin, missing: str, repository: str = REPOSITORY) -> None:
    """Let the role pull images of a repository, but for one action."""
    own = [f"ecr:{action}" for action in PULL[1:] if action != missing]
    token = [] if missing == PULL[0] else [([f"ecr:{PULL[0]}"], ["*"])]
    twin.allow(EVERYTHING, *token, (own, [repository]), own=LOG)


@pytest.mark.parametrize("missing", PULL)
def test_an_image_is_pulled_with_four_actions_and_the_missing_one_is_named(
    twin: JobTwin, missing: str
) -> None:
    pull_without(twin, missing)
    assert image_pulls.denied_action(twin.context, principal(twin), IMAGE) == missing
    assert {(each.action, each.allowed) for each in twin.iam.observed} >= {
        (f"ecr:{missing}", False)
    }


def test_an_image_of_another_repository_is_not_pulled_and_none_of_no_registry_is_asked_for(
    twin: JobTwin,
) -> None:
    pull_without(twin, "", f"{REPOSITORY}-2")
    asked = image_pulls.denied_action(twin.context, principal(twin), IMAGE)
    assert asked == "BatchCheckLayerAvailability"
    assert image_pulls.denied_action(twin.context, principal(twin), "container-assets:tiny") == ""
    pull_without(twin, "")
    assert image_pulls.denied_action(twin.context, principal(twin), IMAGE) == ""


def test_a_job_whose_role_may_not_pull_its_image_fails_and_runs_nothing(
    twin: JobTwin, tmp_path: Path
) -> None:
    twin.container(tmp_path / "image", "print('ran')")
    training, processing = TrainingJobs(twin.context), ProcessingJobs(twin.context)
    twin.dispatch.register("sagemaker", training.operations())
    twin.dispatch.register("sagemaker", processing.operations())
    pull_without(twin, "BatchGetImage")
    create_training(twin, "job")
    create_processing(twin, "job")
    twin.engine.run(training.wait_event("job") & processing.wait_event("job"))
    for kind in ("Training", "Processing"):
        named = {f"{kind}JobName": "job"}
        found = twin.do("sagemaker", f"Describe{kind}Job", **named)
        assert found[f"{kind}JobStatus"] == "Failed"
        assert found["FailureReason"] == f"ClientError: {image_pulls.CANNOT_PULL}"
        assert twin.logs.text(f"/aws/sagemaker/{kind}Jobs") == ""


def test_an_endpoint_whose_role_may_not_pull_the_image_fails_in_awss_words(
    twin: JobTwin, tmp_path: Path
) -> None:
    twin.container(tmp_path / "image", SERVE)
    service = Endpoints(twin.context)
    twin.dispatch.register("sagemaker", service.operations())
    pull_without(twin, "BatchGetImage")
    _model(twin, "one", 10)
    twin.do("sagemaker", "CreateEndpoint", EndpointName="e", EndpointConfigName="one")
    twin.engine.run(twin.engine.env.now + CREATE_S + 10.0)
    found = twin.do("sagemaker", "DescribeEndpoint", EndpointName="e")
    service.close()
    assert found["EndpointStatus"] == "Failed"
    words = f"The role '{ROLE}' does not have BatchGetImage permission for the image: '{IMAGE}'."
    assert found["FailureReason"] == words


def test_a_job_whose_role_may_not_write_logs_runs_and_its_lines_are_nowhere(
    twin: JobTwin, tmp_path: Path
) -> None:
    twin.container(tmp_path / "image", "print('said')")
    jobs = ProcessingJobs(twin.context)
    twin.dispatch.register("sagemaker", jobs.operations())
    for name, own in (("mute", ["ecr:*"]), ("heard", ["ecr:*", *LOG])):
        twin.allow(EVERYTHING, own=own)
        create_processing(twin, name)
        twin.engine.run(jobs.wait_event(name))
        found = twin.do("sagemaker", "DescribeProcessingJob", ProcessingJobName=name)
        assert found["ProcessingJobStatus"] == "Completed"
    assert [stream.split("/")[0] for _, stream in twin.logs.groups] == ["heard"]
    denied = {each.action for each in twin.iam.observed if not each.allowed}
    assert denied == {"logs:CreateLogGroup"}


@pytest.mark.parametrize("missing", LOG)
def test_lines_are_written_with_three_actions_the_first_for_a_group_that_is_not_there(
    twin: JobTwin, missing: str
) -> None:
    twin.allow(([each for each in LOG if each != missing], [f"{PLACE}*"]), own=["ecr:*"])
    assert not role_logs.append(twin.context, principal(twin), "g", "s", ["a"])
    twin.context.logs.append("g", "other", ["b"])
    needed = missing != "logs:CreateLogGroup"
    assert role_logs.append(twin.context, principal(twin), "g", "s", ["a"]) != needed
    assert (("g", "s") in twin.logs.groups) != needed


def test_a_stream_is_asked_for_by_its_own_arn(twin: JobTwin) -> None:
    twin.allow((LOG, [PLACE, f"{PLACE}:log-stream:mine/*"]), own=["ecr:*"])
    assert role_logs.append(twin.context, principal(twin), "g", "mine/1", ["a"])
    assert not role_logs.append(twin.context, principal(twin), "g", "yours/1", ["a"])
    with pytest.raises(AccessDenied):
        twin.iam.authorise(principal(twin), LOG[2], f"{PLACE}:log-stream:yours/1")
