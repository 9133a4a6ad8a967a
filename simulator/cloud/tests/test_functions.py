"""Functions in real worker processes: answers, errors, time-outs, logs, metrics."""

from __future__ import annotations

import json
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from simulator.cloud.embedded_metrics import points_in
from simulator.cloud.errors import AwsError, NotSupportedByTwin
from simulator.cloud.functions import Functions
from simulator.cloud.tests.fakes import ROLE, Twin, fake_twin

CODE = """
    import json, os, sys, time

    COUNT = 0

    def handler(event, context):
        global COUNT
        COUNT += 1
        do = event.get("do")
        if do == "raise":
            raise ValueError("no good")
        if do == "exit":
            os._exit(3)
        if do == "hang":
            while True:
                pass
        if do == "big":
            return "x" * 6_291_557
        if do == "scribble":
            os.write(int(sys.argv[2]), b"what no frame begins with")
        if do == "set":
            return {1, 2}
        if do == "print":
            print("one\\ntwo", end="")
            print(json.dumps({"_aws": {"Timestamp": 1767571207250, "CloudWatchMetrics": [
                {"Namespace": "Fleetwin", "Dimensions": [["stage"]],
                 "Metrics": [{"Name": "rows", "Unit": "Count"}]}]}, "stage": "dev", "rows": 7}),
                file=sys.stderr)
        return {"count": COUNT, "event": event, "name": context.function_name,
                "setting": os.environ.get("SETTING"), "id": context.aws_request_id}
"""


@pytest.fixture
def twin(tmp_path: Path) -> Iterator[Twin]:
    """Return a twin with the asset ``code`` whose handler obeys its event."""
    made = fake_twin(tmp_path / "state")
    folder = tmp_path / "asset" / "app"
    folder.mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "main.py").write_text(textwrap.dedent(CODE))
    made.context.assets["code"] = folder.parent
    yield made
    made.close()


@pytest.fixture
def functions(twin: Twin) -> Functions:
    """Return the service, registered, with one function ``f``."""
    service = Functions(twin.context, wall_floor_s=0.0)
    twin.dispatch.register("lambda", service.operations())
    create(twin, "f")
    return service


def create(twin: Twin, name: str, handler: str = "app.main.handler", **more: Any) -> Any:
    """Create a function from the asset."""
    return twin.do(
        "lambda",
        "CreateFunction",
        FunctionName=name,
        Runtime="python3.11",
        Role=ROLE,
        Handler=handler,
        Code={"S3Bucket": "assets", "S3Key": "code.zip"},
        **more,
    )


def invoke(twin: Twin, event: Any, name: str = "f") -> tuple[Any, bool]:
    """Invoke and return the answer's JSON and whether it is an error."""
    answer = twin.do("lambda", "Invoke", FunctionName=name, Payload=json.dumps(event).encode())
    assert answer["StatusCode"] == 200
    return json.loads(answer["Payload"]), "FunctionError" in answer


def test_a_worker_stays_warm_between_invocations(twin: Twin, functions: Functions) -> None:
    assert [invoke(twin, {"n": n})[0]["count"] for n in range(3)] == [1, 2, 3]
    assert twin.cloudwatch.total("Invocations") == 3
    assert twin.cloudwatch.total("Errors") == 0


def test_an_exception_is_answered_in_lambdas_shape(twin: Twin, functions: Functions) -> None:
    error, failed = invoke(twin, {"do": "raise"})
    assert failed
    assert error["errorType"] == "ValueError"
    assert error["errorMessage"] == "no good"
    assert "raise ValueError" in error["stackTrace"][0]
    assert twin.cloudwatch.total("Errors") == 1
    assert any("ValueError" in line for line in twin.logs.groups["/aws/lambda/f"])
    assert invoke(twin, {})[0]["count"] == 2


def test_a_function_logs_where_its_settings_say(twin: Twin, functions: Functions) -> None:
    create(twin, "g", LoggingConfig={"LogGroup": "/plant/g"})
    invoke(twin, {}, "g")
    assert twin.logs.groups["/plant/g"]
    assert "/aws/lambda/g" not in twin.logs.groups


@pytest.mark.parametrize(
    ("do", "kind", "text"),
    [
        ("exit", "Runtime.ExitError", "exit status 3"),
        ("scribble", "Runtime.ExitError", "signal: 9"),
        ("big", "Function.ResponseSizeTooLarge", "(6291556 bytes)"),
        ("set", "Runtime.MarshalError", "not JSON serializable"),
    ],
)
def test_what_goes_wrong_is_named_and_the_function_works_on(
    twin: Twin, functions: Functions, do: str, kind: str, text: str
) -> None:
    error, failed = invoke(twin, {"do": do})
    assert failed
    assert error["errorType"] == kind
    assert text in error["errorMessage"]
    assert not invoke(twin, {})[1]


def test_a_handler_that_hangs_is_killed_and_times_out(twin: Twin, functions: Functions) -> None:
    create(twin, "slow", Timeout=1)
    invoke(twin, {}, "slow")
    error, failed = invoke(twin, {"do": "hang"}, "slow")
    assert failed
    assert error["errorType"] == "Sandbox.Timedout"
    assert error["errorMessage"].endswith("Error: Task timed out after 1.00 seconds")
    assert invoke(twin, {}, "slow")[0]["count"] == 1


@pytest.mark.parametrize(
    ("handler", "kind"),
    [
        ("app.nothing.handler", "Runtime.ImportModuleError"),
        ("app.main.nothing", "Runtime.HandlerNotFound"),
    ],
)
def test_a_handler_that_is_not_there_is_named(
    twin: Twin, functions: Functions, handler: str, kind: str
) -> None:
    create(twin, "lost", handler=handler)
    error, failed = invoke(twin, {}, "lost")
    assert failed
    assert error["errorType"] == kind


def test_printed_lines_are_logs_and_metrics_with_their_own_time(
    twin: Twin, functions: Functions
) -> None:
    invoke(twin, {"do": "print"})
    lines = twin.logs.groups["/aws/lambda/f"]
    assert lines[0].startswith("START RequestId: ")
    assert lines[-1].startswith("REPORT ")
    assert lines[1] == "one"
    rows = [point for point in twin.cloudwatch.points if point[1] == "rows"]
    assert rows == [("Fleetwin", "rows", {"stage": "dev"}, 7.0, "Count", 1767571207.25)]


def test_a_function_whose_role_may_not_write_logs_runs_without_them_and_their_metrics(
    twin: Twin, functions: Functions
) -> None:
    twin.iam.denied.add("logs:PutLogEvents")
    _, failed = invoke(twin, {"do": "print"})
    assert not failed
    assert twin.logs.groups == {}
    assert {point[0] for point in twin.cloudwatch.points} == {"AWS/Lambda"}


def test_a_changed_environment_starts_a_new_worker(twin: Twin, functions: Functions) -> None:
    assert invoke(twin, {})[0]["setting"] is None
    twin.do(
        "lambda",
        "UpdateFunctionConfiguration",
        FunctionName="f",
        Environment={"Variables": {"SETTING": "on"}},
    )
    answer, _ = invoke(twin, {})
    assert answer["setting"] == "on"
    assert answer["count"] == 1


def test_the_modelled_time_comes_from_the_input_only(twin: Twin, functions: Functions) -> None:
    twin.engine.run(functions.prewarm())
    assert twin.engine.env.now == 0.0
    for _ in range(2):
        before_s = twin.engine.env.now
        invoke(twin, {})
        assert twin.engine.env.now - before_s == pytest.approx(0.02)


def test_an_asynchronous_event_is_tried_three_times(twin: Twin, functions: Functions) -> None:
    twin.do(
        "lambda",
        "Invoke",
        FunctionName="f",
        InvocationType="Event",
        Payload=b'{"do":"raise"}',
    )
    twin.engine.run(1000.0)
    assert twin.cloudwatch.total("Errors") == 3
    assert functions.idle()


def test_a_worker_that_waits_on_the_runs_clock_times_out_there(
    twin: Twin, functions: Functions
) -> None:
    """A wait of a killed worker must not stop the clock when it is over."""
    create(twin, "waits", Timeout=5)
    done = twin.dispatch(
        twin.dispatch.root,
        "lambda",
        "Invoke",
        {"FunctionName": "waits", "Payload": b'{"do":"hang"}'},
    )
    functions.invocations._wall_floor_s = 60.0

    def block() -> None:
        twin.engine.blocked("lambda:waits", twin.engine.env.timeout(20.0))

    as_if_through_the_gateway = threading.Timer(1.0, twin.engine.post, [block])
    as_if_through_the_gateway.start()
    answer = twin.engine.run(done)
    assert json.loads(answer["Payload"])["errorType"] == "Sandbox.Timedout"
    twin.engine.run(60.0)
    assert twin.engine.env.now == 60.0


REFUSALS: list[tuple[Callable[[Twin], Any], str]] = [
    (lambda t: t.do("lambda", "Invoke", FunctionName="g"), "ResourceNotFoundException"),
    (
        lambda t: t.do("lambda", "Invoke", FunctionName="f", Payload=b"{"),
        "InvalidRequestContentException",
    ),
    (
        lambda t: t.do("lambda", "Invoke", FunctionName="f", Payload=b"1" * 6_291_457),
        "RequestTooLargeException",
    ),
    (lambda t: create(t, "f"), "ResourceConflictException"),
    (lambda t: create(t, "h", Layers=["arn:x"]), "NotSupportedByTwin"),
]


@pytest.mark.parametrize(("call", "code"), REFUSALS)
def test_wrong_calls_get_lambdas_codes(
    twin: Twin, functions: Functions, call: Callable[[Twin], Any], code: str
) -> None:
    with pytest.raises(AwsError) as refused:
        call(twin)
    assert refused.value.code == code


def test_answers_fit_botocores_shapes(twin: Twin, functions: Functions) -> None:
    twin.do("lambda", "GetFunction", FunctionName="f")
    twin.do("lambda", "GetFunctionConfiguration", FunctionName="f")
    assert len(twin.do("lambda", "ListFunctions")["Functions"]) == 1
    twin.do(
        "lambda",
        "AddPermission",
        FunctionName="f",
        StatementId="iot",
        Action="lambda:InvokeFunction",
        Principal="iot.amazonaws.com",
        SourceArn="arn:aws:iot:us-east-1:000000000000:rule/r",
    )
    twin.do("lambda", "GetPolicy", FunctionName="f")
    twin.do("lambda", "DeleteFunction", FunctionName="f")
    assert twin.do("lambda", "ListFunctions")["Functions"] == []


def test_lines_that_are_not_metrics_are_only_lines() -> None:
    assert list(points_in(['{"_aws": 3}', '{"_aws', "text", '{"_aws":{"Timestamp":1}}'])) == []


def test_code_that_is_not_an_asset_is_refused(twin: Twin, functions: Functions) -> None:
    with pytest.raises(NotSupportedByTwin):
        twin.do(
            "lambda",
            "CreateFunction",
            FunctionName="z",
            Runtime="python3.11",
            Role=ROLE,
            Handler="a.b",
            Code={"ZipFile": b"PK"},
        )
