"""What may come in as a file, and as nested text: kind, size and depth are looked at before anything is read."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from ran.config.doors import MOST_DEPTH, check_regular, parse_json, read_bytes, read_json
from ran.config.yaml_file import MOST_BYTES, MOST_NODES, parse, read_mapping
from ran.errors import InputError

#: Nine levels of nine aliases: 9^9 values from a few hundred bytes.
LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 9)
)
MERGES = "a0: &a0 {k: 1}\n" + "".join(f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 9)}]}}\n" for i in range(1, 9))


def one_line(error: pytest.ExceptionInfo[InputError]) -> str:
    text = str(error.value)
    assert "\n" not in text
    assert len(text) < 500
    return text


@pytest.mark.parametrize("kind", ["pipe", "folder", "device", "endless", "missing", "long", "zero byte"])
def test_only_regular_files_are_opened(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "file.yaml"
    if kind == "pipe":
        os.mkfifo(path)  # nobody writes to it: opened plainly it would wait for ever
    elif kind == "folder":
        path.mkdir()
    elif kind in ("device", "endless"):
        path = Path("/dev/null" if kind == "device" else "/dev/zero")
    elif kind == "long":
        path = tmp_path / ("x" * 5000)
    elif kind == "zero byte":
        path = tmp_path / "a\0b"
    for read in (check_regular, read_mapping, read_json, lambda file: read_bytes(file, 10)):
        with pytest.raises(InputError, match="cannot be read") as error:
            read(path)
        one_line(error)


def test_the_limit_is_in_the_message(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 11)
    assert read_bytes(path, 11) == b"x" * 11
    with pytest.raises(InputError, match="got 11 bytes; allowed: up to 10"):
        read_bytes(path, 10)
    with path.open("wb") as file:
        file.truncate(2**40)  # takes no space
    with pytest.raises(InputError, match=f"allowed: up to {MOST_BYTES}"):
        read_mapping(path)


def test_json_may_be_nested_so_deep() -> None:
    deep = "[" * (MOST_DEPTH - 1) + "1" + "]" * (MOST_DEPTH - 1)
    assert parse_json(deep, "text")
    for depth in (MOST_DEPTH + 2, 100_000):
        with pytest.raises(InputError, match=f"allowed: up to {MOST_DEPTH}") as error:
            parse_json("[" * depth + "]" * depth, "text")
        one_line(error)
    for text in ("", "{", "[1e]", "9" * 5000, b"\xff\xfe\xff", '{"a": 1'):
        with pytest.raises(InputError, match="text: not valid JSON"):
            parse_json(text, "text")


@pytest.mark.parametrize("text", [LAUGHS, MERGES], ids=["lists", "merged keys"])
def test_yaml_is_counted_before_it_is_unfolded(text: str) -> None:
    with pytest.raises(InputError, match=f"allowed: up to {MOST_NODES}") as error:
        parse(text, "bomb.yaml")
    assert one_line(error).startswith("bomb.yaml: not valid YAML: line ")


def test_yaml_has_limits_of_size_depth_and_number() -> None:
    assert parse("a: &a [1, 2]\nb: *a\nc: {<<: {d: 1}, e: 2}\n", "text") == {
        "a": [1, 2],
        "b": [1, 2],
        "c": {"d": 1, "e": 2},
    }
    for text, allowed in (
        ("[" * 200 + "]" * 200, MOST_DEPTH),
        ("[" * 100_000, MOST_DEPTH),
        ("- " * (MOST_DEPTH + 5) + "1", MOST_DEPTH),
        ("x" * (MOST_BYTES + 1), MOST_BYTES),
        ("[" + "1," * (MOST_NODES + 1) + "]", MOST_NODES),
    ):
        with pytest.raises(InputError, match=f"allowed: up to {allowed}"):
            parse(text, "text")


@pytest.mark.parametrize("text", ["a: &a [*a]", "&a {b: {c: *a}}", 'name: "\\ud800"', 'name: "a\\0b"'])
def test_yaml_without_end_or_without_characters_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="text: not valid YAML: line 1"):
        parse(text, "text")


def test_a_bomb_takes_no_memory(tmp_path: Path) -> None:
    file = tmp_path / "bomb.yaml"
    file.write_text(MERGES + LAUGHS.replace("a", "b"))
    code = (
        "import sys; from pathlib import Path; from ran.config.yaml_file import read_mapping; "
        "from ran.errors import InputError\n"
        "try: read_mapping(Path(sys.argv[1]))\n"
        "except InputError as error: print(error); sys.exit(2)"
    )
    limit = 300 * 2**20
    done = subprocess.run(
        [sys.executable, "-c", code, str(file)],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
    )
    assert done.returncode == 2, done.stderr
    assert f"allowed: up to {MOST_NODES}" in done.stdout
