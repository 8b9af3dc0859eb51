"""The command that shows the audit."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
from datetime import datetime
from typing import TYPE_CHECKING

import pytest

from tests.test_accounts import TOKEN_MODE, cargohold, document, said
from tests.tools.daemon import running

if TYPE_CHECKING:
    from pathlib import Path

COMMAND = [sys.executable, "-m", "registry", "audit"]


@pytest.mark.parametrize("is_running", [True, False], ids=["running", "none"])
def test_one_line_for_each_change(tmp_path: Path, is_running: bool) -> None:
    with running(tmp_path / "data", TOKEN_MODE) as daemon:
        if not is_running:
            daemon.stop()
        said(daemon.data, "grant", "add", "alice", "team/*", "pull")
        said(daemon.data, "grant", "add", "alice", "team/*", "push")
        said(daemon.data, "group", "add", "dev", "alice")
        first, second, third = said(daemon.data, "audit").splitlines()
        user = f"operator  unix uid {os.getuid()}"
        assert datetime.fromisoformat(first.partition("  ")[0]).tzinfo is not None
        assert first.partition("  ")[2] == f"{user}  rule added  team/*  alice  - -> pull"
        assert second.partition("  ")[2] == f"{user}  rule changed  team/*  alice  pull -> pull push"
        assert third.partition("  ")[2] == f"{user}  group joined  -  alice  - -> dev"
        entries = [json.loads(line) for line in said(daemon.data, "audit", "--json").splitlines()]
        assert [entry["action"] for entry in entries] == ["rule added", "rule changed", "group joined"]
        assert (entries[0]["repository"], entries[0]["before"], entries[0]["after"]) == ("team/*", None, "pull")


def test_since(tmp_path: Path) -> None:
    said(tmp_path / "data", "group", "add", "dev", "alice")
    for since in ("1h", "2026-01-01", "2026-01-01T00:00:00+00:00"):
        assert said(tmp_path / "data", "audit", "--since", since).count("\n") == 1
    assert said(tmp_path / "data", "audit", "--since", "9998-12-01") == ""


HOSTILE = "\x1b[31mev il\n2026 operator\x9b\u202e\x7f"


def test_names_of_strangers_reach_no_terminal_as_they_are(tmp_path: Path) -> None:
    with running(tmp_path / "data", TOKEN_MODE) as daemon:
        encoded = base64.b64encode(f"{HOSTILE}:wrong password".encode()).decode()
        assert daemon.request("GET", "/token", headers={"Authorization": f"Basic {encoded}"})[0] == 401
        [line] = said(daemon.data, "audit").splitlines()
        assert line.isprintable()
        assert line.endswith(f"  {HOSTILE!r}  127.0.0.1  login failed  -  -  - -> wrong name or password")
        [text] = said(daemon.data, "audit", "--json").splitlines()
        assert text.isprintable()
        assert text.isascii()
        assert json.loads(text)["principal"] == HOSTILE


def test_follow_goes_on_until_ctrl_c(tmp_path: Path) -> None:
    with running(tmp_path / "data", TOKEN_MODE) as daemon:
        said(daemon.data, "group", "add", "dev", "alice")
        command = [*COMMAND, "--follow", "--data", str(daemon.data)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as following:
            assert following.stdout is not None
            assert "alice" in following.stdout.readline()
            said(daemon.data, "group", "add", "dev", "bob")
            assert "bob" in following.stdout.readline()
            following.send_signal(signal.SIGINT)
            assert (following.wait(60), following.stdout.read()) == (0, "")


def test_follow_ends_with_the_daemon(tmp_path: Path) -> None:
    with running(tmp_path / "data", TOKEN_MODE) as daemon:
        said(daemon.data, "group", "add", "dev", "alice")
        command = [*COMMAND, "--follow", "--data", str(daemon.data)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as following:
            assert following.stdout is not None
            assert "alice" in following.stdout.readline()
            assert daemon.stop() == 0
            assert following.communicate(timeout=60) == ("", "cargohold: the daemon has stopped\n")
        assert following.returncode == 1


def test_follow_where_nothing_can_follow_ends(tmp_path: Path) -> None:
    said(tmp_path / "data", "group", "add", "dev", "alice")
    done = cargohold(tmp_path / "data", "audit", "--follow")
    assert (done.exit_code, done.stdout.count("\n")) == (0, 1)
    assert "no daemon runs" in done.stderr


def test_a_reader_that_has_enough_is_no_failure(tmp_path: Path) -> None:
    said(tmp_path / "data", "group", "add", "dev", "alice", "bob", "carol")
    ours, theirs = os.pipe()
    os.close(ours)
    done = subprocess.run(
        [*COMMAND, "--data", str(tmp_path / "data")], stdout=theirs, stderr=subprocess.PIPE, timeout=60, check=False
    )
    os.close(theirs)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_collection_by_hand(tmp_path: Path) -> None:
    document(tmp_path / "data", "gc", "run", "--dry-run")
    document(tmp_path / "data", "gc", "run", "--now")
    assert said(tmp_path / "data", "audit").rstrip().endswith("gc run  -  -  - -> without grace")
