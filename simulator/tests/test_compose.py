"""`docker-compose.yml` and the twin's image, as far as they can be checked without Docker."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from typer.main import get_command

from simulator.cli_commands import app
from simulator.cloud.remote_endpoint import OPTIONAL, REQUIRED
from simulator.scenario import Scenario

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
MEMBERS: dict[str, type | tuple[type, ...]] = {
    "build": dict,
    "command": (str, list),
    "depends_on": dict,
    "environment": dict,
    "healthcheck": dict,
    "image": str,
    "ports": list,
    "volumes": list,
}
"""Members of a service that are used here, with the types that the Compose specification gives."""
OF_A_CHECK = {"test", "interval", "timeout", "retries", "start_period"}
CONDITIONS = {"service_started", "service_healthy", "service_completed_successfully"}
PINNED = re.compile(r"[\w./-]+:\d+\.\d+\.\d+[\w.-]*")


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_has_the_members_of_the_compose_specification(name: str) -> None:
    service = SERVICES[name]
    assert set(COMPOSE) <= {"services", "volumes", "networks", "name"}
    for member, value in service.items():
        assert isinstance(value, MEMBERS[member]), member
    assert ("image" in service) != ("build" in service)
    # YAML reads 1 and true as other things than texts, which an environment is.
    assert all(isinstance(value, str) for value in service.get("environment", {}).values())


@pytest.mark.parametrize("name", SERVICES)
def test_an_image_is_pinned_to_a_version(name: str) -> None:
    image = SERVICES[name].get("image")
    if image is None:
        (image,) = re.findall(r"^FROM (\S+)", dockerfile(SERVICES[name]), re.MULTILINE)
    assert PINNED.fullmatch(image), image


@pytest.mark.parametrize("name", SERVICES)
def test_a_port_is_published_on_loopback_only(name: str) -> None:
    for port in SERVICES[name].get("ports", []):
        assert re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port)


def test_who_waits_for_a_healthy_service_waits_for_one_that_is_checked() -> None:
    for service in SERVICES.values():
        for other, wanted in service.get("depends_on", {}).items():
            assert wanted["condition"] in CONDITIONS
            if wanted["condition"] == "service_healthy":
                assert "healthcheck" in SERVICES[other]
    for name, service in SERVICES.items():
        if "ports" not in service:
            continue
        check = service["healthcheck"]  # Who is listened for is checked.
        assert set(check) <= OF_A_CHECK, name
        assert check["test"][0] in ("CMD", "CMD-SHELL")


def test_localstack_is_started_with_what_is_forwarded_to_it() -> None:
    started = SERVICES["localstack"]["environment"]["SERVICES"].split(",")
    assert sorted(started) == sorted([*REQUIRED, *OPTIONAL])


def test_the_twins_command_is_one_that_it_takes() -> None:
    comments = [
        line.removeprefix("#").strip()
        for line in (ROOT / "docker-compose.yml").read_text("utf-8").splitlines()
        if line.startswith("#   docker compose run --rm twin ")
    ]
    assert len(comments) == 1
    for text in (SERVICES["twin"]["command"], comments[0].partition(" twin ")[2]):
        name, scenario, *words = shlex.split(text)
        command = get_command(app).commands[name]  # type: ignore[attr-defined]
        known = {word for option in command.params for word in option.opts}
        given = dict(zip(words[::2], words[1::2], strict=True))
        assert set(given) <= known
        assert Scenario.load(scenario)
        address = urlsplit(given["--endpoint"])
        # The name of the service is its host in the compose network.
        assert address.hostname in SERVICES
        ports = [port.split(":")[2] for port in SERVICES[str(address.hostname)]["ports"]]
        assert str(address.port) in ports


def dockerfile(service: dict[str, Any]) -> str:
    """Return the text of the file that a service's image is built from."""
    build: dict[str, str] = service["build"]
    return (ROOT / build["context"] / build["dockerfile"]).read_text("utf-8")


def test_the_twins_image_is_built_from_files_that_exist_and_are_enough() -> None:
    text = dockerfile(SERVICES["twin"]).replace("\\\n", " ")
    copied: list[str] = []
    for line in re.findall(r"^COPY (.+)$", text, re.MULTILINE):
        *sources, _ = line.split()
        copied += sources
    assert [each for each in copied if not (ROOT / each).exists()] == []
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    packages = {
        each.rstrip("*") for each in project["tool"]["setuptools"]["packages"]["find"]["include"]
    }
    read = {project["project"]["readme"], *project["project"]["license-files"]}
    assert packages | read | {"pyproject.toml", "constraints.txt"} <= set(copied)
    (extras,) = re.findall(r"pip install .*-e \"\.\[([\w,]+)\]\"", text)
    assert set(extras.split(",")) <= set(project["project"]["optional-dependencies"])
    (entry,) = re.findall(r"^ENTRYPOINT \[\"(\w+)\"\]", text, re.MULTILINE)
    assert entry in project["project"]["scripts"]
    wanted = project["project"]["requires-python"]
    assert wanted == ">=3.11,<3.12"
    assert "python:3.11." in text
    assert "openjdk-17" in text
