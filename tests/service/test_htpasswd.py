"""The htpasswd file: what is accepted, and what counts after it changed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import bcrypt
import pytest
from structlog.testing import capture_logs

from registry.service import htpasswd
from registry.service.htpasswd import Htpasswd, HtpasswdInvalid, parse

if TYPE_CHECKING:
    from pathlib import Path

HASH = "$2y$05$" + "a" * 21 + "e" + "b" * 31
OTHER = "$2b$10$" + "c" * 21 + "." + "d" * 31
OLD = "$2a$04$" + "e" * 21 + "O" + "f" * 31


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "htpasswd"


def test_lines_comments_and_hashes(path: Path) -> None:
    path.write_text(f"# users\n\nalice:{HASH}\r\n  \nb ob@example.com:{OTHER}\nzoë:{OLD}")
    users = Htpasswd(path)
    assert [users.find(name) for name in ("alice", "b ob@example.com", "zoë", "Alice", "", "# users")] == [
        HASH,
        OTHER,
        OLD,
        None,
        None,
        None,
    ]
    assert len(users) == 3


def test_what_the_library_writes_is_accepted(path: Path) -> None:
    for prefix in (b"2a", b"2b"):
        stored = bcrypt.hashpw(b"secret", bcrypt.gensalt(4, prefix)).decode()
        assert parse(f"alice:{stored}".encode()) == ({"alice": stored}, [])


@pytest.mark.parametrize(
    "line",
    [
        b"alice",
        b":" + HASH.encode(),
        b"alice:",
        b"alice:secret",
        b"alice:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=",
        b"alice:$apr1$x$y",
        b"alice:$argon2id$v=19$m=19456,t=2,p=1$AAAA$AAAA",
        b"alice:" + HASH[:-1].encode(),
        b"alice:" + HASH.encode() + b"x",
        b"alice:" + HASH.encode() + b":comment",
        b"alice:" + HASH.replace("$2y$", "$2x$").encode(),
        b"alice:" + HASH.replace("$05$", "$03$").encode(),
        b"alice:" + HASH.replace("$05$", "$15$").encode(),
        b"alice:" + HASH.replace("ae", "aa").encode(),
        b"alice :" + HASH.encode(),
        b"al\0ice:" + HASH.encode(),
        b"\xff:" + HASH.encode(),
        b"\xef\xbb\xbfalice:" + HASH.encode(),
    ],
)
def test_at_start_a_bad_line_is_an_error_that_names_it(path: Path, line: bytes) -> None:
    path.write_bytes(b"bob:" + OTHER.encode() + b"\n# comment\n" + line + b"\n")
    with pytest.raises(HtpasswdInvalid) as caught:
        Htpasswd(path)
    assert str(caught.value).startswith(f"{path}: line 3: expected NAME:HASH")
    assert "aaa" not in str(caught.value)


def test_at_start_a_name_that_stands_twice_is_an_error(path: Path) -> None:
    path.write_text(f"alice:{HASH}\nbob:{HASH}\nalice:{OTHER}\n")
    with pytest.raises(HtpasswdInvalid, match="line 3: 'alice' stands on line 1 too"):
        Htpasswd(path)


def test_at_start_the_file_has_to_be_there(path: Path) -> None:
    with pytest.raises(HtpasswdInvalid, match="can't be read: No such file"):
        Htpasswd(path)
    os.mkfifo(path)  # opened, it would wait for a writer for ever
    with pytest.raises(HtpasswdInvalid, match="expected a file"):
        Htpasswd(path)


def test_a_change_counts_at_once_however_it_is_written(path: Path) -> None:
    path.write_text(f"alice:{HASH}\nbob:{HASH}\n")
    users = Htpasswd(path)
    path.write_text(f"bob:{HASH}\n")
    assert (users.find("alice"), users.find("bob")) == (None, HASH)
    replacement = path.with_name("new")
    replacement.write_text(f"bob:{OTHER}\n")
    replacement.rename(path)
    assert users.find("bob") == OTHER


def test_a_change_of_the_same_size_within_the_clocks_grain_counts(path: Path) -> None:
    """Linux from 6.13 on gives file times a grain that is fine enough; before that, most of these share one."""
    users = None
    for number in range(300):
        stored = HASH[:-3] + f"{number:03}"
        path.write_text(f"alice:{stored}\n")
        os.utime(path, (1, 1))
        users = Htpasswd(path) if users is None else users
        assert users.find("alice") == stored


def test_a_change_counts_although_size_and_time_are_as_before(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(htpasswd, "_SETTLED_NS", -1)  # as if each change was long ago
    path.write_text(f"alice:{HASH}\n")
    os.utime(path, (1, 1))
    before = path.stat().st_ctime_ns
    users = Htpasswd(path)
    while path.stat().st_ctime_ns == before:
        path.write_text(f"alice:{OTHER}\n")
        os.utime(path, (1, 1))
    assert users.find("alice") == OTHER


def test_a_spoilt_file_counts_only_as_far_as_it_is_right(path: Path) -> None:
    path.write_text(f"alice:{HASH}\nbob:{HASH}\ncarol:{HASH}\n")
    users = Htpasswd(path)
    with capture_logs() as logs:
        path.write_text(f"alice:{OTHER}\nbob:{HASH[:-9]}\nalice:{HASH}\ndave:{OTHER}\n")
        assert [users.find(name) for name in ("alice", "bob", "carol", "dave")] == [None, None, None, OTHER]
        assert len(users) == 1
    errors = [entry for entry in logs if entry["log_level"] == "error"]
    assert len(errors) == 1
    assert [problem.split(":")[0] for problem in errors[0]["problems"]] == ["line 2", "line 3"]
    assert HASH[7:28] not in str(errors)
    path.write_text(f"alice:{OTHER}\n")
    assert users.find("alice") == OTHER


@pytest.mark.parametrize("how", ["gone", "a folder", "unreadable name"])
def test_without_a_file_there_are_no_users_until_it_is_back(path: Path, how: str) -> None:
    path.write_text(f"alice:{HASH}\n")
    users = Htpasswd(path)
    kept = path.rename(path.with_name("kept"))
    if how == "a folder":
        path.mkdir()
    elif how == "unreadable name":
        path.symlink_to(path)
    with capture_logs() as logs:
        assert [users.find("alice"), users.find("alice"), users.pick(0.0)] == [None, None, None]
    assert [entry["log_level"] for entry in logs] == ["info", "error"]  # once, not at each look
    if how == "a folder":
        path.rmdir()
    kept.replace(path)
    assert users.find("alice") == HASH


def test_a_half_written_file_lets_nobody_in_who_is_not_in_it(path: Path) -> None:
    whole = f"alice:{HASH}\nbob:{OTHER}\n".encode()
    path.write_bytes(whole + f"mallory:{HASH}\n".encode())
    users = Htpasswd(path)
    for end in range(len(whole) + 1):
        path.write_bytes(whole[:end])
        for name, stored in (("alice", HASH), ("bob", OTHER)):
            line = f"{name}:{stored}".encode()
            assert users.find(name) == (stored if line in whole[:end] else None)
        assert users.find("mallory") is None


def test_picks_meet_all_users_evenly_and_those_of_a_kind_together(path: Path) -> None:
    costs = ["05", "10", "05", "12", "05", "10"]
    path.write_text("".join(f"user{n}:$2y${cost}${'a' * 20}{n}.{'b' * 31}\n" for n, cost in enumerate(costs)))
    users = Htpasswd(path)
    picked = [users.pick(n / 600) or "" for n in range(600)]
    assert [stored[4:6] for stored in picked] == ["05"] * 300 + ["10"] * 200 + ["12"] * 100
    assert {picked.count(stored) for stored in picked} == {100}
    assert users.pick(1 - 2**-53) == picked[-1]


def test_an_empty_file_has_no_users(path: Path) -> None:
    path.write_text("")
    assert (Htpasswd(path).find("alice"), Htpasswd(path).pick(0.5)) == (None, None)
