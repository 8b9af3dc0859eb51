"""README tells the truth."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

from registry import config

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def section(title: str) -> str:
    return README.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def blocks(title: str, language: str) -> list[str]:
    """The code blocks of a section."""
    found = re.findall(rf"```{language}\n(.*?)```", section(title), re.DOTALL)
    assert found, title
    return found


def test_the_settings_are_those_of_the_program_with_their_defaults() -> None:
    rows = re.findall(r"^\| `([a-z_.]+)` \| `(.+?)` \|", section("Settings"), re.MULTILINE)
    _, effective = config.load(None, {})
    assert sorted(rows) == sorted((setting.key, json.dumps(setting.value)) for setting in effective)


def test_the_files_it_names_are_there() -> None:
    for path in re.findall(r"(?<!/)(?:systemd|\.ci|monitoring)/[\w.-]+", README):
        assert (ROOT / path).exists(), path


def test_the_first_screen_has_the_two_commands() -> None:
    first_screen = README.splitlines()[:24]
    assert "pip install . && cargohold serve" in first_screen
    assert "pip install -e '.[test]' && python -m pytest" in first_screen


def test_the_packages_it_needs_are_those_that_pyproject_names() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["requires-python"] == ">=3.11"
    assert "Python 3.11 or later" in README


def test_the_example_of_embedding_runs(tmp_path: Path) -> None:
    [example] = blocks("Inside another application", "python")
    example = example.partition("if __name__")[0] + CLIENT
    done = subprocess.run(
        [sys.executable, "-c", example],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "data/registry.db").exists()


CLIENT = """
async def main():
    with trio.fail_after(30):
        await ask()

async def ask():
    async with trio.open_nursery() as nursery:
        config = Config.from_mapping(bind=["127.0.0.1:0"], errorlog=None)
        [url] = await nursery.start(serve, app, config)
        stream = await trio.open_tcp_stream("127.0.0.1", int(url.rpartition(":")[2]))
        for path, expected in ((b"/v2/", b"{}"), (b"/", b"the registry is at /v2/")):
            await stream.send_all(b"GET " + path + b" HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
            received = b""
            while not received.endswith(expected):
                piece = await stream.receive_some()
                assert piece, received
                received += piece
        await stream.aclose()
        nursery.cancel_scope.cancel()

trio.run(main)
"""


def test_the_commands_of_the_operator_run(tmp_path: Path) -> None:
    """Where no daemon runs, too."""
    for title in ("Who may do what", "Garbage collection", "Verify"):
        for command in blocks(title, "sh")[0].splitlines():
            done = run(command, tmp_path)
            assert done.returncode == 0, (command, done.stderr)


def test_a_snapshot_is_copied_back_as_it_says(tmp_path: Path) -> None:
    assert run("cargohold gc status", tmp_path).returncode == 0
    copy, serve = blocks("Back up and restore", "sh")[0].strip().split(" && ")
    assert serve == "cargohold serve"
    assert run(copy, tmp_path).returncode == 0
    assert run("cargohold fsck", tmp_path).returncode == 0
    assert "belong together" in run("cargohold recover", tmp_path).stdout


def test_the_commands_for_backups_run(tmp_path: Path) -> None:
    _, commands = blocks("Back up and restore", "sh")
    for command in commands.splitlines():
        done = run(command, tmp_path)
        assert done.returncode == 0, (command, done.stderr)


def run(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """In a shell, in the folder, with the program of this environment first on the path."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(
        command, shell=True, cwd=folder, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False
    )
