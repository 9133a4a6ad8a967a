"""Logs: groups, streams, events by time and page; what is put is what comes back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.cloud.errors import AwsError
from simulator.cloud.logs import Logs
from simulator.cloud.tests.fakes import START, Twin, fake_twin

NOW_MS = int(START.timestamp() * 1000)
DAY_MS = 24 * 3_600_000


@pytest.fixture
def twin(tmp_path: Path) -> Iterator[Twin]:
    made = with_logs(tmp_path)
    yield made
    made.context.logs.close()
    made.close()


def with_logs(state: Path) -> Twin:
    made = fake_twin(state)
    logs = Logs(made.context)
    made.context.logs = logs
    made.dispatch.register("logs", logs.operations())
    made.do("logs", "CreateLogGroup", logGroupName="g")
    made.do("logs", "CreateLogStream", logGroupName="g", logStreamName="s")
    return made


def put(twin: Twin, *events: tuple[int, str], stream: str = "s") -> dict[str, Any]:
    answer: dict[str, Any] = twin.do(
        "logs",
        "PutLogEvents",
        logGroupName="g",
        logStreamName=stream,
        logEvents=[{"timestamp": NOW_MS + at, "message": text} for at, text in events],
    )
    return answer


def got(twin: Twin, **params: Any) -> tuple[list[str], dict[str, Any]]:
    answer = twin.do("logs", "GetLogEvents", logGroupName="g", logStreamName="s", **params)
    return [event["message"] for event in answer["events"]], answer


def filtered(twin: Twin, **params: Any) -> tuple[list[str], dict[str, Any]]:
    answer = twin.do("logs", "FilterLogEvents", logGroupName="g", **params)
    return [event["message"] for event in answer["events"]], answer


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.lists(st.integers(-1000, 1000), max_size=6).map(sorted), max_size=4),
    st.integers(1, 5),
)
def test_pages_of_events_put_together_are_all_events_in_time_order(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[int]], limit: int
) -> None:
    twin = with_logs(tmp_path_factory.mktemp("logs"))
    for batch in batches:
        if batch:
            put(twin, *[(at, str(at)) for at in batch])
    expected = [str(at) for at in sorted(at for batch in batches for at in batch)]
    forward, answer = got(twin, startFromHead=True, limit=limit)
    while True:
        more, following = got(twin, nextToken=answer["nextForwardToken"], limit=limit)
        if following["nextForwardToken"] == answer["nextForwardToken"]:
            break
        forward, answer = forward + more, following
    assert forward == expected
    backward, answer = got(twin, limit=limit)
    while answer["nextBackwardToken"] != "b/0":
        more, answer = got(twin, nextToken=answer["nextBackwardToken"], limit=limit)
        backward = more + backward
    assert backward == expected
    found, answer = filtered(twin, limit=limit)
    while "nextToken" in answer:
        more, answer = filtered(twin, limit=limit, nextToken=answer["nextToken"])
        found += more
    assert found == expected
    twin.context.logs.close()
    twin.close()


def test_the_end_of_a_range_is_outside_for_get_and_inside_for_filter(twin: Twin) -> None:
    put(twin, (0, "a"), (1, "b"), (2, "c"))
    times = {"startTime": NOW_MS, "endTime": NOW_MS + 1}
    assert got(twin, **times)[0] == ["a"]
    assert filtered(twin, **times)[0] == ["a", "b"]


def test_filter_looks_only_into_the_streams_that_are_named(twin: Twin) -> None:
    twin.do("logs", "CreateLogStream", logGroupName="g", logStreamName="other")
    put(twin, (0, "a"))
    put(twin, (0, "b"), stream="other")
    assert filtered(twin)[0] == ["b", "a"]
    assert filtered(twin, logStreamNames=["s"])[0] == ["a"]
    assert filtered(twin, logStreamNamePrefix="ot")[0] == ["b"]
    with pytest.raises(AwsError, match="stream does not exist"):
        filtered(twin, logStreamNames=["none"])
    with pytest.raises(AwsError, match="term 'a-b'"):
        filtered(twin, filterPattern="a-b")


def test_streams_are_listed_by_name_or_by_their_last_event(twin: Twin) -> None:
    twin.do("logs", "CreateLogStream", logGroupName="g", logStreamName="t")
    put(twin, (9, "late"))
    put(twin, (1, "early"), stream="t")

    def names(**params: Any) -> list[str]:
        answer = twin.do("logs", "DescribeLogStreams", logGroupName="g", **params)
        return [stream["logStreamName"] for stream in answer["logStreams"]]

    assert names() == ["s", "t"]
    assert names(orderBy="LastEventTime") == ["t", "s"]
    assert names(orderBy="LastEventTime", descending=True, limit=1) == ["s"]


def test_groups_are_found_by_prefix_and_part_of_the_name_and_keep_their_retention(
    twin: Twin,
) -> None:
    for name in ("/aws/lambda/a", "/aws/lambda/b"):
        twin.do("logs", "CreateLogGroup", logGroupName=name)
    twin.do("logs", "PutRetentionPolicy", logGroupName="/aws/lambda/a", retentionInDays=30)

    def groups(**params: Any) -> list[tuple[str, int | None]]:
        found = twin.do("logs", "DescribeLogGroups", **params)["logGroups"]
        return [(group["logGroupName"], group.get("retentionInDays")) for group in found]

    assert groups(logGroupNamePrefix="/aws") == [("/aws/lambda/a", 30), ("/aws/lambda/b", None)]
    assert groups(logGroupNamePattern="LAMBDA/b") == [("/aws/lambda/b", None)]
    first = twin.do("logs", "DescribeLogGroups", limit=2)
    assert groups(limit=2, nextToken=first["nextToken"]) == [("g", None)]
    twin.do("logs", "DeleteLogGroup", logGroupName="/aws/lambda/a")
    assert len(groups()) == 2
    with pytest.raises(AwsError, match="retention"):
        twin.do("logs", "PutRetentionPolicy", logGroupName="g", retentionInDays=2)


def test_appended_lines_make_their_group_and_can_be_read_in_a_file(
    twin: Twin, tmp_path: Path
) -> None:
    logs: Logs = twin.context.logs
    logs.append("/aws/lambda/new", "one", ["first", "second"])
    twin.engine.run(61.0)
    logs.append("/aws/lambda/new", "one", ["third"])
    assert logs.lines("/aws/lambda/new") == ["first", "second", "third"]
    logs.close()
    text = (tmp_path / "logs/aws/lambda/new.log").read_text()
    assert text.splitlines()[-1] == "2026-01-05T00:01:01Z one third"


def test_a_groups_file_stays_in_the_folder_of_logs(twin: Twin, tmp_path: Path) -> None:
    logs: Logs = twin.context.logs
    logs.append("a/../../../escape", "s", ["line"])
    logs.close()
    inside = (tmp_path / "logs").resolve()
    assert [p for p in inside.rglob("*.log") if p.name == "escape.log"]


def test_metrics_in_events_that_a_client_puts_are_recorded(twin: Twin) -> None:
    line = {
        "_aws": {
            "Timestamp": NOW_MS,
            "CloudWatchMetrics": [
                {"Namespace": "Fleet", "Dimensions": [["pump"]], "Metrics": [{"Name": "m"}]}
            ],
        },
        "pump": "1",
        "m": 4,
    }
    put(twin, (0, json.dumps(line)), (1, "no metric"))
    assert twin.cloudwatch.points == [("Fleet", "m", {"pump": "1"}, 4.0, "None", START.timestamp())]


def test_events_outside_the_time_that_is_taken_are_rejected_by_index(twin: Twin) -> None:
    two_hours = 2 * 3_600_000
    answer = put(twin, (0, "now"), (two_hours, "edge"), (two_hours + 1, "too new"))
    assert answer["rejectedLogEventsInfo"] == {"tooNewLogEventStartIndex": 2}
    answer = put(twin, (-14 * DAY_MS - 1, "too old"), (-14 * DAY_MS, "edge of the past"))
    assert answer["rejectedLogEventsInfo"] == {"tooOldLogEventEndIndex": 1}
    assert got(twin, startFromHead=True)[0] == ["edge of the past", "now", "edge"]


@pytest.mark.parametrize(
    ("events", "text"),
    [
        (
            [(1, "b"), (0, "a")],
            "Log events in a single PutLogEvents request must be in chronological order.",
        ),
        ([(0, "a"), (DAY_MS + 1, "b")], "24 hours"),
        ([(0, "x")] * 10_001, "10000"),
        ([(0, "x" * (1_048_576 - 25))], "Upload too large"),
    ],
)
def test_a_batch_over_a_limit_is_refused_whole(
    twin: Twin, events: list[tuple[int, str]], text: str
) -> None:
    with pytest.raises(AwsError) as error:
        put(twin, *events)
    assert error.value.code == "InvalidParameterException"
    assert text in error.value.message
    assert got(twin)[0] == []


def test_what_does_not_exist_is_said_in_awss_words(twin: Twin) -> None:
    with pytest.raises(AwsError, match="log group does not exist"):
        twin.do("logs", "DescribeLogStreams", logGroupName="none")
    with pytest.raises(AwsError, match="log stream does not exist"):
        put(twin, (0, "x"), stream="none")
    with pytest.raises(AwsError, match="already exists"):
        twin.do("logs", "CreateLogGroup", logGroupName="g")
    with pytest.raises(AwsError, match="already exists"):
        twin.do("logs", "CreateLogStream", logGroupName="g", logStreamName="s")
    with pytest.raises(AwsError, match="regular expression"):
        twin.do("logs", "CreateLogGroup", logGroupName="white space")


def test_a_group_may_be_named_by_its_arn(twin: Twin) -> None:
    put(twin, (0, "a"))
    arn = "arn:aws:logs:us-east-1:000000000000:log-group:g:*"
    answer = twin.do("logs", "GetLogEvents", logGroupIdentifier=arn, logStreamName="s")
    assert [event["message"] for event in answer["events"]] == ["a"]


def test_events_leave_with_the_retention_and_never_come_back(twin: Twin) -> None:
    put(twin, (0, "old"), (3_600_000, "new"))
    twin.do("logs", "PutRetentionPolicy", logGroupName="g", retentionInDays=1)
    assert got(twin, startFromHead=True)[0] == ["old", "new"]
    twin.engine.run(DAY_MS / 1000)
    assert got(twin, startFromHead=True)[0] == ["old", "new"], "exactly as old as the retention"
    twin.engine.run(DAY_MS / 1000 + 1)
    before = filtered(twin)[1]["events"]
    twin.do("logs", "DeleteRetentionPolicy", logGroupName="g")
    assert got(twin, startFromHead=True)[0] == ["new"]
    assert [event["message"] for event in before] == ["new"]
    assert before[0]["eventId"].endswith("01"), "an event's id does not change"
    assert "retentionInDays" not in twin.do("logs", "DescribeLogGroups")["logGroups"][0]
