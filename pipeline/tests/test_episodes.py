"""Episodes: properties of the rule that turns scores into openings and closings."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.detection.episodes import EpisodeState, Rule, Step, advance

HOP_MS = 1_000
levels = st.lists(st.floats(0.0, 3.0), max_size=60)
rules = st.builds(
    Rule,
    smoothing_rows=st.integers(1, 4),
    enter=st.just(1.0),
    exit=st.sampled_from([0.5, 0.8, 1.0]),
    enter_rows=st.integers(1, 4),
    exit_rows=st.integers(1, 4),
    max_gap_ms=st.just(10 * HOP_MS),
)
PLAIN = Rule(
    smoothing_rows=1, enter=1.0, exit=0.8, enter_rows=2, exit_rows=2, max_gap_ms=10 * HOP_MS
)


def run(
    rule: Rule, scores: list[float], state: EpisodeState | None = None, start: int = 0
) -> tuple[EpisodeState, list[Step]]:
    state = state or EpisodeState()
    steps = []
    for row, score in enumerate(scores, start):
        state, step = advance(state, rule, row * HOP_MS, score)
        steps.append(step)
    return state, steps


@given(rule=rules, scores=levels)
def test_openings_and_closings_take_turns(rule: Rule, scores: list[float]) -> None:
    state, steps = run(rule, scores)
    turns = [step.opened for step in steps if step.opened or step.closed]
    assert turns == [position % 2 == 0 for position in range(len(turns))]
    assert state.is_open == (len(turns) % 2 == 1)


@given(rule=rules, scores=levels, cut=st.integers(0, 60))
def test_a_state_that_was_stored_goes_on_as_if_it_had_not_been(
    rule: Rule, scores: list[float], cut: int
) -> None:
    cut = min(cut, len(scores))
    whole_state, whole = run(rule, scores)
    state, first = run(rule, scores[:cut])
    stored = EpisodeState.from_bytes(state.to_bytes())
    state, second = run(rule, scores[cut:], stored, start=cut)
    assert (state, first + second) == (whole_state, whole)


@given(rule=rules, scores=levels)
def test_an_episode_opens_only_after_enough_rows_above_in_a_row(
    rule: Rule, scores: list[float]
) -> None:
    _, steps = run(rule, scores)
    for row, step in enumerate(steps):
        if step.opened:
            last = steps[row - rule.enter_rows + 1 : row + 1]
            assert len(last) == rule.enter_rows
            assert all(one.smoothed is not None and one.smoothed > rule.enter for one in last)
            assert step.episode is not None
            assert step.episode.started_ms == step.event_time_ms
            assert step.episode.above_since_ms == last[0].event_time_ms or rule.enter_rows > 1


@given(rule=rules, scores=levels)
def test_rows_that_come_again_change_nothing(rule: Rule, scores: list[float]) -> None:
    state, _ = run(rule, scores)
    again, steps = run(rule, scores, state)
    assert again == state
    assert not any(step.opened or step.closed for step in steps)


@given(rule=rules, scores=levels)
def test_the_smoothing_is_the_mean_of_the_last_rows_and_none_before(
    rule: Rule, scores: list[float]
) -> None:
    _, steps = run(rule, scores)
    for row, step in enumerate(steps):
        recent = scores[max(0, row - rule.smoothing_rows + 1) : row + 1]
        if len(recent) < rule.smoothing_rows:
            assert step.smoothed is None
        else:
            assert step.smoothed is not None
            assert abs(step.smoothed - sum(recent) / len(recent)) < 1e-9


@given(scores=st.lists(st.floats(0.0, 1.0), max_size=60), rule=rules)
def test_scores_at_or_below_the_threshold_never_open_an_episode(
    scores: list[float], rule: Rule
) -> None:
    # A mean of equal numbers can be one rounding above them.
    rule = Rule(rule.smoothing_rows, 1.0 + 1e-12, 0.8, rule.enter_rows, 1, rule.max_gap_ms)
    assert not any(step.opened for step in run(rule, scores)[1])


def test_between_exit_and_enter_nothing_changes() -> None:
    _, steps = run(PLAIN, [2.0, 2.0, 0.9, 0.9, 0.9, 0.9, 0.7, 0.7, 0.9, 0.9])
    assert [row for row, step in enumerate(steps) if step.opened] == [1]
    assert [row for row, step in enumerate(steps) if step.closed] == [7]


def test_a_gap_empties_the_smoothing_but_closes_nothing() -> None:
    rule = Rule(3, 1.0, 0.8, 1, 1, max_gap_ms=5_000)
    state, steps = run(rule, [2.0, 2.0, 2.0])
    assert steps[-1].opened
    state, step = advance(state, rule, 60_000, 0.0)
    assert step.smoothed is None
    assert state.is_open
    state, _ = advance(state, rule, 61_000, 0.0)
    state, step = advance(state, rule, 62_000, 0.0)
    assert step.closed


def test_a_closed_episode_tells_its_peak() -> None:
    _, steps = run(PLAIN, [1.5, 1.6, 2.5, 0.1, 0.1])
    assert steps[-1].closed
    assert steps[-1].episode is not None
    assert steps[-1].episode.peak == 2.5


SLOW = Rule(
    smoothing_rows=1,
    enter=1.0,
    exit=0.8,
    enter_rows=2,
    exit_rows=2,
    max_gap_ms=10 * HOP_MS,
    memory_rows=20,
    level_sensors=("flow", "heat"),
)
vectors = st.tuples(st.floats(-2.0, 2.0), st.floats(-2.0, 2.0))


def run_slowly(
    scored: list[tuple[float, tuple[float, float]]], *, stored: bool = False
) -> tuple[EpisodeState, list[Step]]:
    state, steps = EpisodeState(), []
    for row, (score, deviations) in enumerate(scored):
        state, step = advance(state, SLOW, row * HOP_MS, score, deviations)
        steps.append(step)
        if stored:
            state = EpisodeState.from_bytes(state.to_bytes())
    return state, steps


@given(st.lists(st.tuples(st.floats(0.0, 3.0), vectors), max_size=60))
def test_a_slow_mean_that_was_stored_goes_on_as_if_it_had_not_been(
    scored: list[tuple[float, tuple[float, float]]],
) -> None:
    assert run_slowly(scored, stored=True) == run_slowly(scored)


def test_a_small_shift_that_stays_opens_an_episode_and_names_the_sensor() -> None:
    state, steps = run_slowly([(0.4, (0.1, 2.0))] * 60)
    opened = [step for step in steps if step.opened]
    assert len(opened) == 1
    episode = opened[0].episode
    assert episode is not None
    assert episode.is_slow
    shares = dict(episode.slow_shares(SLOW))
    assert shares["heat"] > 0.95
    assert abs(sum(shares.values()) - 1.0) < 1e-12
    assert state.is_open


def test_shifts_to_both_sides_take_each_other_away() -> None:
    _, steps = run_slowly([(0.4, (0.0, 2.0)), (0.4, (0.0, -2.0))] * 60)
    assert not any(step.opened for step in steps)


def test_a_strong_fault_is_not_remembered_when_it_is_over() -> None:
    strong, usual = (9.0, (50.0, 50.0)), (0.4, (0.0, 0.0))
    _, steps = run_slowly([usual] * 30 + [strong] * 100 + [usual] * 10)
    assert [row for row, step in enumerate(steps) if step.opened] == [31]
    assert [row for row, step in enumerate(steps) if step.closed] == [131]


def test_a_gap_empties_the_slow_mean() -> None:
    state, _ = run_slowly([(0.4, (1.0, 1.0))] * 60)
    state, _ = advance(state, SLOW, 1_000 * HOP_MS, 0.4, (0.0, 0.0))
    assert state.slow_score == 0.0


@given(rule=rules, scores=levels)
def test_levels_mean_nothing_to_a_rule_without_a_memory(rule: Rule, scores: list[float]) -> None:
    state = EpisodeState()
    for row, score in enumerate(scores):
        state, _ = advance(state, rule, row * HOP_MS, score, (9.0, 9.0))
    assert state == run(rule, scores)[0]
