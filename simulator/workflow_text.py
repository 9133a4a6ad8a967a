"""An execution of a workflow as text: its states, when each worked, waited and failed.

`fleetwin workflow show` and `list` print it. `workflow_svg` draws the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from textwrap import wrap

from simulator.workflow_lines import Line, lines_of
from simulator.workflow_runs import Attempt, StateRun, WorkflowRun, visits

WORKS, WAITS, FAILS, STAYS = "=", ".", "x", "-"
LEGEND = f"{WORKS} works   {STAYS} stays   {WAITS} waits to try again   {FAILS} an attempt failed"
_WIDEST, _TOLD, _WHOLE = 92, 64, 2_000
_REASONS = ("ErrorMessage", "FailureReason", "errorMessage")
"""Where jobs of Glue, jobs of SageMaker and functions say what went wrong."""


def text_of(run: WorkflowRun, width: int = 100) -> str:
    """Return the picture for a terminal of ``width`` columns."""
    lines = list(lines_of(run.states))
    left = max([2 * line.depth + len(line.label) for line in lines if line.visits] + [5]) + 2
    columns = max(12, width - left - 27)
    total = f" {lasting(_seconds(run.started, run.ended))}"
    head = "0" + total.rjust(columns - 1)
    text = [*_head(run, width), "", f"{'state':<{left}}{'type':<9}{'time':>12}  |{head}|"]
    for line in lines:
        text += _row(run, line, left, columns)
    if any(state.retries or state.error for state in visits(run.states)):
        text += ["", LEGEND]
    return "\n".join(line.rstrip() for line in text)


def _row(run: WorkflowRun, line: Line, left: int, columns: int) -> Iterator[str]:
    name = "  " * line.depth + line.label
    if not line.visits:
        yield name
        return
    spent_s = sum(_seconds(state.entered, state.left or run.ended) for state in line.visits)
    cells = _cells(run, line.visits, columns)
    status = line.visits[-1].status
    tail = "" if status == "succeeded" else f" {status}"
    yield f"{name:<{left}}{line.visits[0].kind:<9}{lasting(spent_s):>12}  |{cells}|{tail}"
    for state in line.visits:
        yield from (f"{'  ' * (line.depth + 1)}{words}" for words in told(state))


def _head(run: WorkflowRun, width: int) -> Iterator[str]:
    yield f"{run.name}  {outcome(run)}"
    redrives = f", redrives: {run.redrives}" if run.redrives else ""
    started = f"{run.started:%Y-%m-%d %H:%M:%S} UTC"
    yield f"{run.machine}, started {started}, {run.events} events{redrives}"
    yield f"input   {shortened(run.input)}"
    if run.output is not None:
        yield f"output  {shortened(run.output)}"
    if run.error is not None or run.cause is not None:
        # In full: what to do about it is mostly at its end.
        yield from wrap(
            named(run.error, run.cause, _WHOLE),
            width,
            initial_indent="error   ",
            subsequent_indent=" " * 8,
            break_on_hyphens=False,
        )


def told(state: StateRun) -> Iterator[str]:
    """Yield what went wrong in a state, attempt by attempt, and what was done about it."""
    for number, attempt in enumerate(state.attempts):
        if attempt.error is None or attempt.end is None:
            continue
        if number < state.retries:
            following = state.attempts[number + 1]
            wait = lasting(_seconds(attempt.end, following.start))
            after = f"again after {wait}"
        else:
            after = _after(state)
        why = named(attempt.error, attempt.cause, _TOLD)
        yield f"{FAILS} {attempt.end:%H:%M:%S} {why}; {after}"
    if not state.attempts and state.error is not None:
        yield f"{FAILS} {named(state.error, state.cause, _TOLD)}; {_after(state)}"


def _after(state: StateRun) -> str:
    if state.status == "caught":
        return f"caught, to {state.follows or 'the end'}"
    return "not caught" if state.status == "failed" else state.status


def _cells(run: WorkflowRun, states: Sequence[StateRun], columns: int) -> str:
    total_s = max(1e-9, _seconds(run.started, run.ended))

    def column(at: datetime) -> int:
        return min(columns - 1, int(_seconds(run.started, at) / total_s * columns))

    cells = [" "] * columns
    for state in states:
        first, last = column(state.entered), column(state.left or run.ended)
        # What is not a task passes its time without working; a task between attempts waits.
        cells[first : last + 1] = [WAITS if state.attempts else STAYS] * (last + 1 - first)
        for attempt in state.attempts:
            begin, end = column(attempt.start), column(_end(attempt, state, run))
            cells[begin : end + 1] = [WORKS] * (end + 1 - begin)
        for attempt in state.attempts:
            if attempt.error is not None and attempt.end is not None:
                cells[column(attempt.end)] = FAILS
    return "".join(cells)


def _end(attempt: Attempt, state: StateRun, run: WorkflowRun) -> datetime:
    return attempt.end or state.left or run.ended


def table_of(runs: Sequence[WorkflowRun]) -> str:
    """Return a list of executions, one a line; errors only where some are known.

    ListExecutions does not name them.
    """
    rows = [
        (
            f"{run.started:%Y-%m-%d %H:%M:%S}",
            run.machine,
            run.name,
            run.status,
            "" if run.stopped is None else lasting(_seconds(run.started, run.stopped)),
            "" if run.error is None else shortened(run.error, 40),
        )
        for run in runs
    ]
    head = ("started (UTC)", "workflow", "execution", "status", "time", "error")
    columns = list(zip(head, *rows, strict=True))
    if not any(row[-1] for row in rows):
        del columns[-1]
    widths = [max(map(len, column)) for column in columns]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in zip(*columns, strict=True)
    )


def named(error: str | None, cause: str | None, most: int = _WIDEST) -> str:
    """Return an error with its cause, in one line; of a job's whole description its reason."""
    reason = reason_of(cause or "")
    return shortened(": ".join(each for each in (error, reason) if each) or "(no name)", most)


def reason_of(cause: str) -> str:
    """Return the reason in a cause that describes a job or an error as JSON, or else the cause.

    What stands before the JSON (`Alerted: `) stays.
    """
    before, brace, rest = cause.partition("{")
    try:
        described = json.loads(brace + rest)
    except ValueError:
        return cause
    reasons = [described[name] for name in _REASONS if described.get(name)]
    return f"{before}{reasons[0]}" if reasons else cause


def shortened(text: str, most: int = _WIDEST) -> str:
    """Return a text in one line of at most so many characters."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 3] + "..."


def outcome(run: WorkflowRun) -> str:
    """Return an execution's status and when it came; of one that runs, how far it is known."""
    took = lasting(_seconds(run.started, run.ended))
    if run.status == "RUNNING":
        return f"RUNNING, known until {took} after its start"
    return f"{run.status} after {took}"


def lasting(seconds: float) -> str:
    """Return a duration in its two largest units."""
    if seconds < 60:
        return f"{seconds:.3g} s"
    whole = round(seconds)
    for size, unit, less, small in (
        (86_400, "d", 3_600, "h"),
        (3_600, "h", 60, "min"),
        (60, "min", 1, "s"),
    ):
        if whole >= size:
            rest = whole % size // less
            return f"{whole // size} {unit}" + (f" {rest} {small}" if rest else "")
    return f"{whole} s"


def _seconds(first: datetime, last: datetime) -> float:
    return max(0.0, (last - first).total_seconds())
