"""Turn a cloud assembly into a snapshot that only a change of the infrastructure changes.

Used by `synth`; needs no CDK. Hashes of assets are replaced by the assets' names, so that a
change in the pipeline's code does not show; what the CDK only reports about itself is left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SOURCES_FILE = "sources.json"
_STACK = "aws:cloudformation:stack"
_ASSETS = "cdk:asset-manifest"
_REPORTED = ("metadata", "additionalMetadataFile")
# The CDK tells an asset's destinations apart by a hash that follows the asset's.
_DESTINATION = re.compile(r"(current_account-current_region)-[0-9a-f]{8}")


def normalised(folder: Path, sources: Mapping[str, Any]) -> dict[str, str]:
    """Return the snapshot of the assembly in ``folder``: file name to text.

    ``sources`` says by asset name which folder each asset comes from. Raises ValueError when
    the assembly has not exactly these assets.
    """
    manifest = _read(folder / "manifest.json")
    artifacts = {
        name: {key: value for key, value in artifact.items() if key not in _REPORTED}
        for name, artifact in manifest["artifacts"].items()
        if artifact["type"] in (_STACK, _ASSETS)
    }
    files: dict[str, Any] = {
        "manifest.json": {"version": manifest["version"], "artifacts": artifacts},
        SOURCES_FILE: sources,
    }
    names: dict[str, str] = {}
    for artifact in artifacts.values():
        properties = artifact["properties"]
        file = properties["templateFile" if artifact["type"] == _STACK else "file"]
        files[file] = _read(folder / file)
        if artifact["type"] == _ASSETS:
            names |= _asset_names(files[file])
    _check(
        names,
        {artifact["properties"].get("templateFile") for artifact in artifacts.values()},
        sources,
    )
    return {file: _named(_text(content), names) for file, content in sorted(files.items())}


def _asset_names(assets: Mapping[str, Any]) -> dict[str, str]:
    """Return hash to name; a template, which is an asset too, is named after its file."""
    images = {key: asset["displayName"] for key, asset in assets.get("dockerImages", {}).items()}
    files = {
        key: asset["source"]["path"].removesuffix(".json")
        if asset["source"]["path"].endswith(".template.json")
        else asset["displayName"]
        for key, asset in assets.get("files", {}).items()
    }
    return files | images


def _check(names: Mapping[str, str], templates: set[Any], sources: Mapping[str, Any]) -> None:
    expected = set(sources) | {str(file).removesuffix(".json") for file in templates if file}
    different = expected.symmetric_difference(names.values())
    if different:
        raise ValueError(
            f"assets {', '.join(sorted(different))}: each needs a source and contents of its own"
        )


def _named(text: str, names: Mapping[str, str]) -> str:
    for key, name in names.items():
        text = text.replace(key, name)
    return _DESTINATION.sub(r"\1", text)


def _read(file: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return content


def _text(content: Mapping[str, Any]) -> str:
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"
