"""`fleetwin replay-dead-letters`: what was refused goes on the stream again."""

from __future__ import annotations

import os
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from simulator.aws_endpoint import endpoint_of
from simulator.errors import EnvironmentMissing, ScenarioError, SimulatorError

if TYPE_CHECKING:
    from pipeline.ingestion.replay import Replayed


def replay_dead_letters(
    target: Annotated[
        str, typer.Option(help="embedded (AWS_ENDPOINT_URL on this machine) or aws (an account).")
    ] = "embedded",
    stage: Annotated[str, typer.Option(help="Whose names to read from SSM parameters.")] = "dev",
    bucket: Annotated[str | None, typer.Option(help="Raw bucket, instead of the stage's.")] = None,
    stream: Annotated[str | None, typer.Option(help="Stream, instead of the stage's.")] = None,
    reason: Annotated[str, typer.Option(help="Only letters whose reason contains this text.")] = "",
    since: Annotated[
        str | None, typer.Option(help="Only what arrived at or after this time (ISO 8601, UTC).")
    ] = None,
    until: Annotated[
        str | None, typer.Option(help="Only what arrived before this time (ISO 8601, UTC).")
    ] = None,
    rename: Annotated[
        list[str] | None, typer.Option(help="OLD=NEW: rename a sensor of the readings; repeatable.")
    ] = None,
    drop: Annotated[
        list[str] | None, typer.Option(help="Leave a sensor out of the readings; repeatable.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count, by reason.")] = False,
) -> None:
    """Put refused records, failed batches and failed messages back on the stream.

    Do it when the cause is mended: what is refused again is a dead letter again. Objects move
    to dead-letter-replayed/ once the stream has accepted them.

    Example: fleetwin replay-dead-letters --reason "unknown sensor" --drop oil_bar --dry-run
    """
    from botocore.exceptions import BotoCoreError, ClientError

    from pipeline.errors import PipelineError
    from pipeline.ingestion.dead_letters import Selection
    from pipeline.ingestion.replay import Repair, Replay

    selection = Selection(reason, _time("--since", since), _time("--until", until))
    repair = Repair(_renamed(rename or []), frozenset(drop or []))
    clients = _Clients(endpoint_of(target, os.environ))
    try:
        raw, telemetry = (
            given or clients.parameter(f"/fleetwin/{stage}/{name}")
            for given, name in ((bucket, "raw-bucket"), (stream, "stream"))
        )
        replay = Replay(clients("s3"), clients("kinesis"), raw, telemetry)
        result = replay.run(selection, repair, dry=dry_run)
    except (PipelineError, BotoCoreError, ClientError) as error:
        raise SimulatorError(f"replay stopped, run it again to go on: {error}") from error
    typer.echo("\n".join(_summary(result, dry=dry_run)))


class _Clients:
    """boto3's clients for one endpoint, whatever else the environment says of endpoints."""

    def __init__(self, endpoint: str | None) -> None:
        import boto3

        self._session = boto3.Session()
        self._endpoint = endpoint

    def __call__(self, service: str) -> Any:
        return self._session.client(service, endpoint_url=self._endpoint)  # type: ignore[call-overload]

    def parameter(self, name: str) -> str:
        ssm = self("ssm")
        try:
            return str(ssm.get_parameter(Name=name)["Parameter"]["Value"])
        except ssm.exceptions.ParameterNotFound:
            raise EnvironmentMissing(
                f"there is no SSM parameter {name}: give another --stage, or --bucket and --stream"
            ) from None


def _time(option: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ScenarioError(f"{option} {text}: must be like 2026-01-05T08:00:00Z") from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _renamed(pairs: list[str]) -> dict[str, str]:
    renamed = {}
    for pair in pairs:
        old, equals, new = pair.partition("=")
        if not (old and equals and new):
            raise ScenarioError(f"--rename {pair}: must be OLD=NEW")
        renamed[old] = new
    return renamed


def _summary(result: Replayed, *, dry: bool) -> list[str]:
    verb = "would be replayed" if dry else "replayed"
    lines = [f"{count:>9,} {verb}: {text}" for text, count in _sorted(result.reasons)]
    lines += [f"{count:>9,} left: {text}" for text, count in _sorted(result.left)]
    lines += [f"unreadable, left: {text}" for text in result.unreadable]
    lines += [f"changed meanwhile, left: {key}" for key in result.changed]
    if not dry:
        lines.append(f"{result.accepted:,} records accepted, {result.objects:,} objects moved")
    return lines or ["no dead letters"]


def _sorted(counts: Counter[str]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))
