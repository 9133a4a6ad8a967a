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
    stored, end = EpisodeState.from_bytes(b"xx" + state.to_bytes(), 2)
    assert end == 2 + len(state.to_bytes())
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
