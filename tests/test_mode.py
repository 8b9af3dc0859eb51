"""The command that makes the registry read-only, on a running daemon and where none runs."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from tests.test_accounts import cargohold, document, said
from tests.tools.content import CONFIG, digest_of
from tests.tools.daemon import Daemon, running

if TYPE_CHECKING:
    from pathlib import Path

UPLOADS = f"/v2/team/app/blobs/uploads/?digest={digest_of(CONFIG)}"
BLOB = f"/v2/team/app/blobs/{digest_of(CONFIG)}"


def refusal(daemon: Daemon, method: str = "POST", target: str = UPLOADS) -> str:
    """What a client is told who wants to change something."""
    status, headers, body = daemon.request(method, target, CONFIG)
    [error] = json.loads(body)["errors"]
    assert (status, error["code"]) == (405, "UNSUPPORTED")
    assert set(headers["allow"].split(", ")) <= {"", "GET", "HEAD"}
    return str(error["message"])


def complaints(daemon: Daemon) -> list[str]:
    status, _, body = daemon.request("GET", "/ready?verbose")
    assert status == 200
    return list(json.loads(body)["degraded"])


def test_it_counts_at_once_and_over_restarts(tmp_path: Path) -> None:
    with running(tmp_path / "data") as daemon:
        assert said(daemon.data, "mode") == "read-write\n"
        assert daemon.request("POST", UPLOADS, CONFIG)[0] == 201
        assert said(daemon.data, "mode", "read-only", "--reason", "moving house") == "read-only: moving house\n"
        for _ in range(2):
            told = "this registry is read-only: moving house"
            assert {refusal(daemon), refusal(daemon, "DELETE", BLOB)} == {told}
            assert complaints(daemon) == [told]
            assert daemon.request("GET", BLOB)[2] == CONFIG
            assert document(daemon.data, "mode") == {"reason": "moving house", "by_settings": False}
            daemon.stop()
            daemon.start()
        assert said(daemon.data, "mode", "read-write") == "read-write\n"
        assert daemon.request("POST", UPLOADS, CONFIG)[0] == 201
        assert complaints(daemon) == []


def test_it_is_switched_where_no_daemon_runs(tmp_path: Path) -> None:
    said(tmp_path / "data", "mode", "read-only", "--reason", "moving house")
    with running(tmp_path / "data") as daemon:
        assert refusal(daemon) == "this registry is read-only: moving house"


def test_the_audit_has_what_was_switched_and_nothing_else(tmp_path: Path) -> None:
    data = tmp_path / "data"
    for arguments in (["read-write"], *[["read-only", "--reason", why] for why in ("a", "a", "b")], ["read-write"]):
        said(data, "mode", *arguments)
    entries = [json.loads(line) for line in said(data, "audit", "--json").splitlines()]
    states = ["read-write", "read-only: a", "read-only: b", "read-write"]
    expected = [("mode changed", before, after) for before, after in pairwise(states)]
    assert [(entry["action"], entry["before"], entry["after"]) for entry in entries] == expected


def test_the_settings_win(tmp_path: Path) -> None:
    with running(tmp_path / "data", {"CARGOHOLD_ACCESS__READ_ONLY": "true"}) as daemon:
        said(daemon.data, "mode", "read-only", "--reason", "moving house")
        for arguments in (["mode"], ["mode", "read-write"]):
            done = cargohold(daemon.data, *arguments)
            assert done.stderr.startswith("note: access.read_only is set")
            assert refusal(daemon) == "this registry is read-only (access.read_only)"
            assert complaints(daemon) == ["this registry is read-only (access.read_only)"]
        assert document(daemon.data, "mode") == {"reason": None, "by_settings": True}


@pytest.mark.parametrize(
    "arguments",
    [["read-only"], ["--reason", "x"], ["read-write", "--reason", "x"], ["off"]],
)
def test_a_command_that_says_too_little_or_too_much(tmp_path: Path, arguments: list[str]) -> None:
    assert cargohold(tmp_path / "data", "mode", *arguments).exit_code == 2


@pytest.mark.parametrize("reason", ["", " ", "x\ny", "\x1b[31m", "x" * 501])
def test_a_reason_is_a_line(tmp_path: Path, reason: str) -> None:
    done = cargohold(tmp_path / "data", "mode", "read-only", "--reason", reason)
    assert (done.exit_code, done.stderr) == (
        1,
        "cargohold: reason: expected one line of text, at most 500 characters\n",
    )
    assert said(tmp_path / "data", "mode") == "read-write\n"
