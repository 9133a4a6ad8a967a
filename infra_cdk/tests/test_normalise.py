"""Only the infrastructure shows in a snapshot, not the contents of the assets."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra_cdk.normalise import normalised

HASHES = st.text("0123456789abcdef", min_size=64, max_size=64)
THREE_HASHES = st.lists(HASHES, min_size=3, max_size=3, unique=True)
SOURCES = {"code": {"path": "code"}, "image": {"path": "code"}}


def snapshot_of(hashes: list[str], file_name: str = "code", image_name: str = "image") -> Any:
    code, image, template = hashes
    files = {
        "manifest.json": {
            "version": "1",
            "artifacts": {
                "S.assets": {"type": "cdk:asset-manifest", "properties": {"file": "S.assets.json"}},
                "S": {
                    "type": "aws:cloudformation:stack",
                    "properties": {"templateFile": "S.template.json", "url": f"s3://{template}"},
                    "metadata": {"/S": ["where it was made"]},
                },
                "Tree": {"type": "cdk:tree", "properties": {"file": "tree.json"}},
            },
        },
        "S.assets.json": {
            "files": {
                code: {
                    "displayName": file_name,
                    "source": {"path": f"asset.{code}"},
                    "destinations": {f"current_account-current_region-{code[:8]}": {}},
                },
                template: {"displayName": "S Template", "source": {"path": "S.template.json"}},
            },
            "dockerImages": {image: {"displayName": image_name, "source": {}}},
        },
        "S.template.json": {"Resources": {"F": {"Key": f"{code}.zip", "Image": f"r:{image}"}}},
    }
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            Path(folder, name).write_text(json.dumps(content))
        return normalised(Path(folder), SOURCES)


@given(THREE_HASHES, THREE_HASHES)
def test_other_contents_of_the_assets_give_the_same_snapshot(
    one: list[str], other: list[str]
) -> None:
    assert snapshot_of(one) == snapshot_of(other)


@given(THREE_HASHES)
def test_the_snapshot_names_assets_and_holds_no_metadata(hashes: list[str]) -> None:
    snapshot = snapshot_of(hashes)
    assert json.loads(snapshot["S.template.json"])["Resources"]["F"] == {
        "Key": "code.zip",
        "Image": "r:image",
    }
    assert json.loads(snapshot["manifest.json"])["artifacts"].keys() == {"S", "S.assets"}
    assert "where it was made" not in snapshot["manifest.json"]
    assert not [key for key in hashes if any(key in text for text in snapshot.values())]


def test_an_asset_without_a_source_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="strange"):
        snapshot_of(["a" * 64, "b" * 64, "c" * 64], file_name="strange")
