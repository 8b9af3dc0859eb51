"""The commands for users, groups, robots and rules, on a running daemon and where none runs."""

from __future__ import annotations

import base64
import json
import os
import pty
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from registry.cli import main
from tests.tools.daemon import Daemon, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from click.testing import Result

TOKEN_MODE = {"CARGOHOLD_ACCESS__MODE": "token"}
PASSWORD = "correct horse"


def cargohold(data: Path, *arguments: str, stdin: str | bytes = "") -> Result:
    return CliRunner().invoke(main, [*arguments, "--data", str(data)], env=TOKEN_MODE, input=stdin)


def said(data: Path, *arguments: str, stdin: str = "") -> str:
    done = cargohold(data, *arguments, stdin=stdin)
    assert done.exit_code == 0, done.output
    return done.stdout


def document(data: Path, *arguments: str) -> Any:
    return json.loads(said(data, *arguments, "--json"))


@pytest.fixture(params=[True, False], ids=["running", "none"])
def data(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    if not request.param:
        yield tmp_path / "data"
        return
    with running(tmp_path / "data", TOKEN_MODE) as daemon:
        yield daemon.data


def test_users_and_groups(data: Path) -> None:
    add = ["user", "add", "alice", "--group", "dev", "--password-stdin"]
    assert said(data, *add, stdin=f"{PASSWORD}\n") == "user alice added\n"
    assert said(data, "user", "password", "alice", "--password-stdin", stdin="x" * 1024).endswith("another password\n")
    done = cargohold(data, "group", "add", "dev", "alice", "robot:ci")
    assert done.stdout == "alice was in the group dev\nrobot:ci is in the group dev\n"
    assert done.stderr == "note: robot:ci is not known yet\n"
    assert document(data, "group", "list") == [{"name": "dev", "members": ["alice", "robot:ci"]}]
    assert said(data, "group", "list") == "GROUP  MEMBERS\ndev    alice robot:ci\n"
    assert said(data, "group", "remove", "dev", "robot:ci", "bob") == (
        "robot:ci is no more in the group dev\nbob was not in the group dev\n"
    )
    [listed] = document(data, "user", "list")
    assert (listed["name"], listed["groups"], listed["used_ms"]) == ("alice", ["dev"], None)
    header, row = said(data, "user", "list").splitlines()
    assert header.split("  ")[0] == "NAME"
    assert row.startswith("alice  dev")
    assert said(data, "user", "remove", "alice") == "user alice removed\n"
    assert document(data, "user", "list") == document(data, "group", "list") == []


def test_rules(data: Path) -> None:
    done = cargohold(data, "grant", "add", "alice", "team/**", "push")
    assert done.stdout == "alice on team/**: push (before: nothing)\n"
    assert [line.partition(": ")[2] for line in done.stderr.splitlines()] == [
        "alice is not known yet",
        "clients look for what is there before they push, and fail where no rule lets them pull",
    ]
    assert said(data, "grant", "add", "alice", "team/**", "pull,push", "delete") == (
        "alice on team/**: pull push delete (before: push)\n"
    )
    said(data, "grant", "add", "anonymous", "*", "pull")
    assert document(data, "grant", "list", "anonymous") == [
        {"subject": "anonymous", "pattern": "*", "rights": ["pull"]}
    ]
    assert said(data, "grant", "list").splitlines()[1:] == [
        "alice      team/**  pull push delete",
        "anonymous  *        pull",
    ]
    assert said(data, "grant", "check", "alice", "team/app") == (
        "alice may do in team/app: pull push delete\n  by the rule: alice  team/**  pull push delete\n"
    )
    assert said(data, "grant", "check", "alice", "other/app") == "alice may do in other/app: nothing\n"
    assert document(data, "grant", "check", "alice", "app")["rights"] == ["pull"]
    assert said(data, "grant", "remove", "alice", "team/**", "push") == (
        "alice on team/**: pull delete (before: pull push delete)\n"
    )
    assert "nothing" in said(data, "grant", "remove", "alice", "team/**")
    assert document(data, "grant", "list", "alice") == []


def test_robots(data: Path) -> None:
    scopes = ["--scope", "team/**:pull", "--scope", "lib/*:pull,push", "--scope", "team/**:push"]
    done = cargohold(data, "robot", "add", "ci", *scopes, "--expires", "90d")
    assert (done.exit_code, done.stdout.count("\n")) == (0, 1)
    assert done.stdout.startswith("rt_")
    assert done.stdout.strip() not in done.stderr
    [listed] = document(data, "robot", "list")
    assert (listed["name"], listed["rules"]) == ("robot:ci", ["lib/*:pull,push", "team/**:pull,push"])
    assert listed["expires_ms"] - listed["created_ms"] == 90 * 24 * 3600 * 1000
    assert "lib/*:pull,push team/**:pull,push" in said(data, "robot", "list")
    rotated = said(data, "robot", "rotate", "ci")
    assert rotated.partition("_")[2].partition("_")[0] == done.stdout.partition("_")[2].partition("_")[0]
    assert rotated != done.stdout
    assert document(data, "robot", "list")[0]["expires_ms"] == listed["expires_ms"]
    assert said(data, "robot", "remove", "ci") == "robot:ci removed\n"
    assert document(data, "robot", "list") == document(data, "grant", "list") == []


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["grant", "add", "alice", "team/**", "pul"], 1, "'pul' is no right"),
        (["grant", "add", "team/**", "alice", "pull"], 1, "'team/**' is nobody who could have rights"),
        (["grant", "add", "alice", "Team", "pull"], 1, "no pattern of repository names"),
        (["grant", "remove", "alice", "team"], 1, "there is no rule for alice on team"),
        (["grant", "check", "alice", "Team"], 1, "a repository name has"),
        (["user", "remove", "alice"], 1, "there is no user alice"),
        (["user", "add", "a:b", "--password-stdin"], 1, "'a:b' is no user's name"),
        (["user", "add", "alice", "--password-stdin"], 1, "at least 8 characters"),
        (["user", "add", "alice"], 2, "--password-stdin"),
        (["robot", "add", "Ci"], 1, "'Ci' is no robot's name"),
        (["robot", "add", "ci", "--scope", "team"], 1, "'team' is no scope"),
        (["robot", "add", "ci", "--expires", "soon"], 2, "such as 12h or 90d"),
        (["robot", "rotate", "ci"], 1, "there is no robot:ci"),
        (["group", "add", "dev", "group:ops"], 1, "can't be a member"),
        (["audit", "--since", "tomorrow"], 2, "2026-11-01"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, arguments: list[str], status: int, words: str) -> None:
    done = cargohold(tmp_path / "data", *arguments)
    assert (done.exit_code, done.stdout) == (status, "")
    assert words in done.stderr
    assert "500" not in done.stderr


def test_a_password_that_is_no_text(tmp_path: Path) -> None:
    done = cargohold(tmp_path / "data", "user", "add", "alice", "--password-stdin", stdin=b"\xff" * 10)
    assert (done.exit_code, "UTF-8" in done.stderr) == (2, True)


def test_a_password_is_asked_for_twice_on_a_terminal(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "registry", "user", "add", "alice", "--data", str(tmp_path / "data")]
    ours, theirs = pty.openpty()
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True) as process:
        os.close(theirs)
        shown = b""
        for prompt, answer in ((b"Password for alice: ", PASSWORD), (b"Repeat for confirmation: ", PASSWORD)):
            while not shown.endswith(prompt):
                shown += os.read(ours, 1000)
            os.write(ours, f"{answer}\n".encode())
        assert process.wait(60) == 0
    assert PASSWORD.encode() not in shown
    os.close(ours)
    assert [each["name"] for each in document(tmp_path / "data", "user", "list")] == ["alice"]


def log_in(daemon: Daemon, name: str, password: str) -> int:
    encoded = base64.b64encode(f"{name}:{password}".encode()).decode()
    return daemon.request("GET", "/token", headers={"Authorization": f"Basic {encoded}"})[0]


def test_what_the_commands_change_counts_at_once(tmp_path: Path) -> None:
    with running(tmp_path / "data", TOKEN_MODE) as daemon:
        data = daemon.data
        assert daemon.request("GET", "/v2/team/app/tags/list")[0] == 401
        said(data, "grant", "add", "anonymous", "team/*", "pull")
        assert daemon.request("GET", "/v2/team/app/tags/list")[0] == 404
        secret = said(data, "robot", "add", "ci", "--scope", "team/**:pull").strip()
        assert log_in(daemon, "ci", secret) == 200
        another = said(data, "robot", "rotate", "ci").strip()
        assert (log_in(daemon, "ci", secret), log_in(daemon, "ci", another)) == (401, 200)
        said(data, "user", "add", "alice", "--password-stdin", stdin=PASSWORD)
        assert log_in(daemon, "alice", PASSWORD) == 200
        said(data, "user", "remove", "alice")
        assert log_in(daemon, "alice", PASSWORD) == 401
        assert daemon.request("GET", "/admin/users")[0] == 404
        text = daemon.log.read_text()
        assert all(hidden not in text for hidden in (secret, another, PASSWORD))
