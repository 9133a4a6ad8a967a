"""The size of a function's folder: its Python, and nothing that is hidden in a checkout."""

from __future__ import annotations

from pathlib import Path

from simulator.cloud.function_code import code_of


def test_the_size_of_a_folder_is_that_of_the_python_which_is_not_hidden(tmp_path: Path) -> None:
    for name, text in (
        ("handler.py", "one"),
        ("package/part.py", "four"),
        ("package/notes.txt", "not Python"),
        (".venv/lib/other.py", "nobody's code"),
        ("package/.cache/old.py", "nobody's either"),
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "gone.py").symlink_to("nowhere.py")
    found = code_of("key", tmp_path, tmp_path / "unpacked")
    assert found.folder == tmp_path
    assert found.size_b == len("one" + "four" + "nowhere.py")
