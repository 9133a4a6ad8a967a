"""As much of the program `docker` as the SageMaker SDK's local mode asks for, by bubblewrap.

Started by the script `docker` that `test_sdk_local_mode` puts first on PATH where no Docker runs.
Every service of a compose file is the image of `pipeline/model/Dockerfile`, whatever its name. Not
here: building, networks, more than one service.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn, cast

from simulator.cloud.containers import image, on_this_python
from simulator.cloud.context import Context
from simulator.cloud.isolation import Bubblewrap
from simulator.targets import ROOT

VERSION = "Docker Compose version v2.0.0 (a stand-in)"
CONTEXT = [{"Endpoints": {"docker": {"Host": "unix:///var/run/docker.sock"}}}]


def main(words: list[str]) -> None:
    """Do what a command line of docker asks for; `up` does not return."""
    if words == ["compose", "version"]:
        print(VERSION)
    elif words == ["context", "inspect"]:
        print(json.dumps(CONTEXT))
    elif words[:2] == ["images", "-q"]:
        print("stand-in")
    elif words[:2] == ["compose", "-f"] and "up" in words:
        services = import_module("yaml").safe_load(Path(words[2]).read_text("utf-8"))["services"]
        (service,) = services.values()
        up(service)
    else:
        sys.exit(f"docker stand-in: {' '.join(words)}: not known")


def up(service: dict[str, Any]) -> NoReturn:
    """Become the one container of a compose file."""
    folder = Path(tempfile.mkdtemp(prefix="container-"))
    (folder / "ml").mkdir()
    context = SimpleNamespace(assets={"pipeline": ROOT / "pipeline"}, state=folder)
    built = image(cast(Context, context), "stand-in:pipeline")
    said = dict(each.split("=", 1) for each in service["environment"])
    path = f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"
    environ = built.environ({"PATH": path, "LANG": "C.UTF-8", "PYTHONPATH": ""}, said)
    for published in service.get("ports", []):
        outside, _ = published.split(":")
        # The network is this machine's: what is published as a port is listened on there.
        environ |= {"SAGEMAKER_BIND_TO_PORT": outside, "SAGEMAKER_BIND_TO_HOST": "127.0.0.1"}
    command = service.get("command", [])
    words = [
        *service.get("entrypoint", built.entrypoint),
        *([command] if isinstance(command, str) else command),
    ]
    start = Bubblewrap().launch(on_this_python(words), environ, built, folder / "ml")
    argv = start.argv
    at = argv.index("--chdir")
    argv[at:at] = _volumes(service["volumes"])
    # Without `env --ignore-signal`: docker compose ends its containers when it gets SIGTERM.
    bwrap = argv[2:]
    os.execve(bwrap[0], bwrap, start.environ)


def _volumes(maps: list[str]) -> list[str]:
    """Return bubblewrap's arguments for compose's volumes, outer places before inner ones."""
    pairs = sorted((each.split(":")[1], each.split(":")[0]) for each in maps)
    arguments = []
    for inside, outside in pairs:
        Path(outside).mkdir(parents=True, exist_ok=True)
        arguments += ["--bind", outside, inside]
    return arguments


if __name__ == "__main__":
    main(sys.argv[1:])
