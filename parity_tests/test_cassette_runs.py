"""Cassettes with a run in them, and several times of a conversation: kept, compared, told."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from parity_tests.test_cassettes import COMMITTED, DAY, LOCALSTACKS, changed
from simulator.cli_commands import app
from simulator.errors import ParityError
from simulator.parity.cassette import Cassette
from simulator.parity.conversation import STEPS
from simulator.parity.journey import load
from simulator.parity.latency_diff import LEAST, SAME, latencies
from simulator.parity.recorded_run import RecordedRun
from simulator.parity.recorder import Partner, record
from simulator.parity.sides import calls_difference, calls_words, side, traces_of
from simulator.run import Options
from simulator.testing.twin import Twin
from simulator.tests.test_latency_diff import exponential
from simulator.tests.test_parity_diff import sample, written
from simulator.tests.test_run import Page

TIMES = 3
seconds = st.floats(0.0, 1e6, allow_nan=False)


def finished(out: Path, factor: float = 1.0) -> Path:
    """Write what a run leaves, with 300 samples of two hops."""
    written(sample(), out)
    rows = [
        {"hop": hop, "began_s": number / 2, "took_s": round(factor * took_s, 6)}
        for number, took_s in enumerate(exponential(300, 7).tolist())
        for hop in ("read", "s3:PutObject")
    ]
    (out / "traces.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (out / "billable.json").write_text('{"Lambda requests": 300.0}')
    return out


def parity(*words: object) -> Any:
    return CliRunner().invoke(app, ["parity", *map(str, words)])


@pytest.fixture
def partner(fleetwin: Twin) -> Partner:
    """Return the embedded twin, each of whose calls takes longer than the one before."""
    ticks = iter(range(1_000_000))
    return Partner(
        "embedded", "us-east-1", fleetwin.client, fleetwin.advance, lambda: next(ticks) ** 2
    )


@pytest.fixture
def cassette(tmp_path: Path) -> Path:
    """Return the committed cassette with a finished run in it."""
    run = RecordedRun.of_folder(finished(tmp_path / "run"))
    path = tmp_path / "with-run.jsonl"
    dataclasses.replace(Cassette.load(COMMITTED), runs=(run,)).save(path)
    return path


# -- several times


def test_each_time_adds_a_latency_of_each_call_and_changes_no_answer(partner: Partner) -> None:
    once = record(partner, STEPS, "fleetwin-parity", DAY)
    several = record(partner, STEPS, "fleetwin-parity-x", DAY, TIMES)
    for one, each in zip(once.played, several.played, strict=True):
        assert (each.answer, each.error, each.steady) == (one.answer, one.error, True)
        assert len(each.latencies_s) == each.tries == TIMES * one.tries
        assert len(set(each.latencies_s)) == len(each.latencies_s)
    requests = {name: each["requests"] for name, each in once.billable.items()}
    assert {name: each["requests"] for name, each in several.billable.items()} == {
        name: TIMES * count for name, count in requests.items()
    }


def test_latencies_are_a_distribution_of_each_operation_and_refusals_are_apart(
    partner: Partner,
) -> None:
    cassette = record(partner, STEPS, "fleetwin-parity", DAY, TIMES)
    found = cassette.latencies()
    of_step = {each.step.name: each.latencies_s for each in cassette.played}
    assert found["s3:GetObject"].tolist() == [*of_step["read it"], *of_step["a part of it"]]
    assert len(found["s3:GetObject (refused)"]) == 3 * TIMES
    assert sum(map(len, found.values())) == sum(each.tries for each in cassette.played)


def test_a_step_that_is_answered_otherwise_later_is_not_steady(partner: Partner) -> None:
    names = iter(["one", "two", "two"])

    def client(service: str) -> Any:
        made, name = partner.client(service), next(names)
        made.list_buckets = lambda: {"Owner": {"DisplayName": name}}
        return made

    (step,) = (each for each in STEPS if each.name == "list")
    listing = (dataclasses.replace(step, operation="ListBuckets", params={}),)
    found = record(dataclasses.replace(partner, client=client), listing, "r", DAY, 3)
    assert [each.steady for each in found.played] == [False]


def test_a_cassette_of_the_first_format_is_read_with_its_one_latency_a_step(
    tmp_path: Path,
) -> None:
    head, *rows = map(json.loads, COMMITTED.read_text("utf-8").splitlines())
    for number, row in enumerate(rows):
        del row["latencies_s"], row["steady"]
        row["latency_s"] = number / 10
    old = tmp_path / "old.jsonl"
    old.write_text("\n".join(map(json.dumps, [{**head, "format": 1}, *rows])))
    cassette = Cassette.load(old)
    assert [each.latencies_s for each in cassette.played] == [(n / 10,) for n in range(len(rows))]
    assert cassette.runs == ()


def test_localstacks_cassette_has_enough_calls_of_each_operation_to_be_compared() -> None:
    cassette = Cassette.load(LOCALSTACKS)
    assert all(each.steady for each in cassette.played)
    found = cassette.latencies()
    assert min(map(len, found.values())) >= LEAST
    assert all(took.min() > 0.0 for took in found.values())
    same = latencies(found, found)
    assert {each.verdict(0.1) for each in same.hops} == {SAME}


# -- a run


@given(
    st.dictionaries(
        st.sampled_from(["read", "rule", "s3:PutObject"]),
        st.lists(st.tuples(seconds, seconds), min_size=1, max_size=5).map(tuple),
    ),
    st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 2**41), seconds), max_size=6),
)
def test_a_run_survives_its_rows(hops: Any, scores: Any) -> None:
    report = {
        **{"scenario": "tiny", "seed": 1, "target": "aws", "readings": {"stored": 3}},
        **{"alerts": 0, "detections": []},
    }
    # As runs write them: machine by machine.
    units = {"Lambda requests": 3.0}
    run = RecordedRun(report, tuple(sorted(scores, key=lambda row: row[0])), hops, units)
    rows = [json.loads(json.dumps(row)) for row in run.rows()]
    assert RecordedRun.all_of_rows(rows) == (run,)
    assert RecordedRun.all_of_rows([*rows, *rows]) == (run, run)
    assert RecordedRun.all_of_rows([]) == ()


def test_a_cassette_says_of_its_run_what_the_folder_said(cassette: Path, tmp_path: Path) -> None:
    (run,) = Cassette.load(cassette).runs
    assert dataclasses.replace(run.journey(""), name="") == dataclasses.replace(
        load(tmp_path / "run"), name=""
    )
    (kept,), (there,) = traces_of(cassette), traces_of(tmp_path / "run")
    assert list(kept) == list(there) == ["read", "s3:PutObject"]
    assert all(np.array_equal(kept[hop], there[hop]) for hop in kept)
    assert run.hops["read"][3][0] == 1.5
    assert run.journey("").billable == {"Lambda requests": 300.0}


def test_a_run_and_the_cassette_made_of_it_are_the_same(cassette: Path, tmp_path: Path) -> None:
    done = parity("diff", tmp_path / "run", cassette, "--latency", "0.05")
    assert done.exit_code == 0, done.output
    assert "300  300" in done.stdout
    slower = finished(tmp_path / "slower", 2.0)
    done = parity("diff", cassette, slower, "--latency", "0.05")
    assert done.exit_code == 1
    assert "DIFFERENT by more than 5%: read, s3:PutObject" in done.stdout
    assert parity("latency", cassette, slower).exit_code == 1
    assert parity("latency", cassette, cassette).exit_code == 0
    models = tmp_path / "models.json"
    assert parity("fit", cassette, models, "--source", "recorded").exit_code == 0
    assert "read" in json.loads(models.read_text())["hops"]


def test_replay_keeps_the_run_and_says_what_it_compared(cassette: Path) -> None:
    done = parity("replay", cassette)
    assert done.exit_code == 0, done.output
    assert "kept and not compared: journey with seed 1 on embedded" in done.stdout
    assert "traces of 2 hops (600 samples)" in done.stdout
    assert f"fleetwin parity diff out {cassette}" in done.stdout
    assert "40 of 40 steps are answered" in done.stdout.splitlines()[-1]


def test_record_keeps_a_finished_run_or_runs_a_scenario(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What running a scenario is, other tests show: here it leaves what a run leaves."""
    made: list[Options] = []

    def run(options: Options) -> None:
        made.append(options)
        options.out.rmdir()
        finished(options.out)

    monkeypatch.setattr("simulator.run.run", run)
    path = tmp_path / "c.jsonl"
    once = ("--times", "1")
    done = parity("record", path, *once, "--scenario", "tiny")
    assert done.exit_code == 0, done.output
    assert [(each.scenario.name, each.target) for each in made] == [("tiny", "embedded")]
    ran = Cassette.load(path).runs
    done = parity("record", path, *once, "--run", finished(tmp_path / "out"))
    assert done.exit_code == 0, done.output
    assert "kept journey with seed 1 on embedded: 1 detections, 30 scores" in done.stdout
    assert Cassette.load(path).runs == ran
    assert len(made) == 1
    done = parity("record", path, *once, "--scenario", "tiny", "--runs", "3")
    assert done.exit_code == 0, done.output
    first = made[0].scenario.seed
    assert [each.scenario.seed for each in made[1:]] == [first, first + 1, first + 2]
    assert len(Cassette.load(path).runs) == 3


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--run", "{out}", "--scenario", "tiny"), "take either"),
        (("--run", "{out}", "--target", "localstack"), "was run on embedded"),
        (("--run", "{out}/twin"), "must be what `fleetwin run --out` wrote"),
    ],
)
def test_a_run_that_cannot_be_kept_is_refused_before_any_call(
    words: tuple[str, ...], told: str, tmp_path: Path
) -> None:
    out = finished(tmp_path / "out")
    path = tmp_path / "c.jsonl"
    done = parity("record", path, *(word.replace("{out}", str(out)) for word in words))
    assert isinstance(done.exception, ParityError)
    assert told in str(done.exception)
    assert not path.exists()


# -- several runs


def with_seed(out: Path, seed: int, factor: float = 1.0) -> Path:
    """Write what a run with another seed leaves."""
    finished(out, factor)
    report = json.loads((out / "report.json").read_text())
    (out / "report.json").write_text(json.dumps({**report, "seed": seed}))
    return out


def test_several_runs_a_side_are_joined_by_seed_and_their_latencies_are_pooled(
    tmp_path: Path,
) -> None:
    # Runs of one target, the second much slower: of one each, hops would surely differ.
    runs = [with_seed(tmp_path / f"run-{n}", n, 1.0 + 2.0 * (n == 2)) for n in (1, 2, 3)]
    path, values = tmp_path / "runs.jsonl", tmp_path / "d.json"
    kept = [word for run in runs for word in ("--run", run)]
    assert parity("record", path, "--times", "1", *kept).exit_code == 0
    assert len(Cassette.load(path).runs) == 3
    assert parity("diff", runs[0], path, "--latency", "0.1").exit_code == 0
    done = parity("diff", runs[2], path, "--here", runs[1], "--json", values, "--latency", "0.1")
    assert done.exit_code == 0, done.output
    assert "of 2 runs here and 3 there" in done.stdout
    assert "seed 2: the same" in done.stdout
    found = json.loads(values.read_text())
    assert found["here"]["seed"] == found["there"]["seed"] == 3
    assert [each["there"]["seed"] for each in found["further_runs"]] == [2]
    assert found["latency"]["hops"][0]["samples"] == [600, 900]
    done = parity("latency", runs[0], runs[1])
    assert done.exit_code == 1
    assert "one run here and there" in done.stdout
    assert parity("latency", runs[0], runs[2], "--here", runs[1], "--there", path).exit_code == 0


def test_runs_of_two_scenarios_or_without_a_seed_in_common_are_refused(tmp_path: Path) -> None:
    one, two = with_seed(tmp_path / "one", 1), with_seed(tmp_path / "two", 2)
    assert "run the same on both" in str(parity("diff", one, two).exception)
    report = json.loads((two / "report.json").read_text())
    (two / "report.json").write_text(json.dumps({**report, "scenario": "other"}))
    assert "runs of journey and other" in str(parity("diff", one, one, "--there", two).exception)


# -- two cassettes


def test_two_cassettes_are_compared_by_answers_and_by_operation(tmp_path: Path) -> None:
    cassette = Cassette.load(COMMITTED)
    quick, slow = (
        [
            dataclasses.replace(each, latencies_s=tuple(exponential(40, number, factor)))
            for number, each in enumerate(cassette.played)
        ]
        for factor in (1.0, 9.0)
    )
    here, there = tmp_path / "here.jsonl", tmp_path / "there.jsonl"
    dataclasses.replace(cassette, played=tuple(quick)).save(here)
    wrong = {"Code": "Wrong", "Message": "The specified key does not exist.", "Status": 404}
    other = dataclasses.replace(cassette, played=tuple(slow), target="localstack")
    changed(other, "no such key", error={**wrong}).save(there)
    assert parity("diff", here, here).exit_code == 0
    html, values = tmp_path / "d.html", tmp_path / "d.json"
    done = parity("diff", here, there, "--html", html, "--json", values)
    assert done.exit_code == 1
    assert "there Code: 'Wrong', was 'NoSuchKey' here" in done.stdout
    assert "39 of 40 steps are answered the same" in done.stdout
    assert "recorded without a scenario" in done.stdout
    calls = json.loads(values.read_text())["calls"]
    assert [each["step"] for each in calls["answered_otherwise"]] == ["no such key"]
    assert "s3:PutObject" in calls["latency"]["different"]
    page = html.read_text("utf-8")
    assert Page(page).open == []
    assert "s3:GetObject (refused): DIFFERENT" in page


def test_latency_of_calls_counts_where_a_tolerance_is_given() -> None:
    one = side(COMMITTED)
    assert one.cassette is not None
    played = [
        dataclasses.replace(each, latencies_s=(0.5,) * 30 * len(each.latencies_s))
        for each in one.cassette.played
    ]
    other = dataclasses.replace(
        one, cassette=dataclasses.replace(one.cassette, played=tuple(played))
    )
    told, counted = (calls_difference(other, other, share) for share in (None, 0.1))
    assert told is not None and counted is not None  # noqa: PT018
    assert told.same
    assert counted.same
    slow = [dataclasses.replace(each, latencies_s=(1.0,) * 60) for each in played]
    slower = dataclasses.replace(
        other, cassette=dataclasses.replace(one.cassette, played=tuple(slow))
    )
    told, counted = (calls_difference(other, slower, share) for share in (None, 0.1))
    assert told is not None and counted is not None  # noqa: PT018
    assert told.same
    assert not counted.same
    assert "DIFFERENT by more than 10%" in calls_words(counted)


@pytest.mark.parametrize("command", ["diff", "latency", "fit"])
@pytest.mark.parametrize("is_old", [True, False])
def test_whatever_uses_an_expired_cassette_says_so_and_goes_on(
    command: str, is_old: bool, cassette: Path, tmp_path: Path
) -> None:
    on = date(2020, 1, 1) if is_old else datetime.now(UTC).date()
    dataclasses.replace(Cassette.load(cassette), recorded=on).save(cassette)
    other = tmp_path / ("models.json" if command == "fit" else "run")
    done = parity(command, cassette, other)
    assert done.exit_code == 0, done.output
    assert ("record it again" in done.stderr) == is_old
    # The folder of the run is none.
    assert done.stderr.count(str(cassette)) == is_old


def test_what_has_no_run_in_common_is_refused_with_the_cure(tmp_path: Path) -> None:
    done = parity("diff", finished(tmp_path / "out"), COMMITTED)
    assert isinstance(done.exception, ParityError)
    assert "record it again with --scenario NAME" in str(done.exception)
    with pytest.raises(ParityError, match="has no traces"):
        traces_of(COMMITTED)
    other = side(COMMITTED)
    assert other.cassette is not None
    none = dataclasses.replace(other, cassette=dataclasses.replace(other.cassette, played=()))
    with pytest.raises(ParityError, match="no step is in both"):
        calls_difference(none, other)
