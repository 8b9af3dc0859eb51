from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tests.faults.ledger import Ledger
from tests.tools.content import CONFIG, digest_of, image
from tests.tools.daemon import Daemon, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = "some/name"
LAYER = b"layer" * 4000  # too large to be verified before it is answered
MANIFEST = image(LAYER)


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with running(tmp_path / "data") as daemon:
        yield daemon


@pytest.fixture
def ledger(daemon: Daemon) -> Ledger:
    """An image with two tags, an open upload, one that was closed and one that was cancelled."""
    ledger = Ledger(daemon)
    assert (ledger.push(NAME, CONFIG), ledger.push_chunked(NAME, [LAYER[:10], LAYER[10:20], LAYER[20:]])) == (201, 201)
    assert ledger.push_manifest(NAME, MANIFEST, ["one", "two"]) == 201
    assert ledger.mount("other", LAYER, NAME) == 201
    opened, cancelled = ledger.begin("other"), ledger.begin("other")
    assert opened is not None
    assert cancelled is not None
    assert (ledger.append(opened, b"some bytes"), ledger.cancel(cancelled)) == (202, 204)
    return ledger


def kill_and_start(daemon: Daemon) -> None:
    """A kill may cut the last line of a log, so the next one begins anew."""
    daemon.kill()
    daemon.log.unlink()
    daemon.start()


def change(daemon: Daemon, sql: str) -> None:
    """Change the database behind the daemon's back, which is started again."""
    assert daemon.stop() == 0
    with closing(sqlite3.connect(daemon.data / "registry.db")) as database, database:
        assert database.execute(sql).rowcount > 0
    daemon.start()


def test_nothing_is_lost_where_nothing_happened(daemon: Daemon, ledger: Ledger) -> None:
    assert ledger.acknowledged == 11
    kill_and_start(daemon)
    assert ledger.verify(daemon) == []
    assert ledger.verify(daemon) == []


def test_every_act_may_be_in_doubt(daemon: Daemon, ledger: Ledger) -> None:
    port, daemon.port = daemon.port, 1
    assert ledger.delete_tag(NAME, "one") is None
    daemon.port = port
    assert ledger.verify(daemon) == []
    ledger._repositories[NAME].names.intend(lambda names: names.delete_tag("one"))
    daemon.request("DELETE", f"/v2/{NAME}/manifests/one")
    assert ledger.verify(daemon) == []
    assert ledger._repositories[NAME].names.is_certainly(next(iter(ledger._repositories[NAME].names.possible)))


@pytest.mark.parametrize(
    ("method", "reference", "found"),
    [
        ("DELETE", "one", "tag one names None"),
        ("DELETE", digest_of(MANIFEST), "is not there"),
        ("PUT", "three", "tag three names sha256:"),
    ],
)
def test_what_somebody_else_does_is_seen(
    daemon: Daemon, ledger: Ledger, method: str, reference: str, found: str
) -> None:
    body = MANIFEST if method == "PUT" else b""
    daemon.request(method, f"/v2/{NAME}/manifests/{reference}", body)
    assert any(found in sentence for sentence in ledger.verify(daemon))
    assert ledger.verify(daemon) == []


def test_half_of_an_act_is_not_right(daemon: Daemon, ledger: Ledger) -> None:
    ledger._repositories[NAME].names.intend(lambda names: names.delete_manifest(digest_of(MANIFEST)))
    daemon.request("DELETE", f"/v2/{NAME}/manifests/two")
    assert ledger.verify(daemon) == [
        f"{NAME}: tag two names None, not {digest_of(MANIFEST)} (nearest of 2 states that would be right)"
    ]


def test_other_bytes_are_seen(daemon: Daemon, ledger: Ledger) -> None:
    path = daemon.data / "blobs" / digest_of(LAYER).replace(":", "/")
    path.write_bytes(LAYER[:-1] + b"?")
    sentences = ledger.verify(daemon)
    assert len(sentences) == 2  # both repositories have it
    assert all("byte 19999 differs" in sentence for sentence in sentences)


def test_a_lost_link_is_seen(daemon: Daemon, ledger: Ledger) -> None:
    assert daemon.stop() == 0
    with closing(sqlite3.connect(daemon.data / "registry.db")) as database, database:
        database.execute("DELETE FROM repository_blob WHERE repository_id = (SELECT max(id) FROM repository)")
    daemon.start()
    assert [sentence for sentence in ledger.verify(daemon) if "was acknowledged and is answered with 404" in sentence]


@pytest.mark.parametrize(
    ("sql", "found"),
    [
        ("DELETE FROM upload", "10 bytes were acknowledged"),
        ('UPDATE upload SET "offset" = 9', "is at 9; 10 bytes were acknowledged"),
    ],
)
def test_a_lost_upload_is_seen(daemon: Daemon, ledger: Ledger, sql: str, found: str) -> None:
    change(daemon, sql)
    assert any(found in sentence for sentence in ledger.verify(daemon))


def test_other_bytes_in_an_upload_are_seen(daemon: Daemon, ledger: Ledger) -> None:
    (path,) = (daemon.data / "uploads").iterdir()
    path.write_bytes(b"more bytes")
    kill_and_start(daemon)
    assert any("can't be resumed at" in sentence for sentence in ledger.verify(daemon))


def test_what_was_deleted_has_to_stay_away(daemon: Daemon, ledger: Ledger) -> None:
    assert ledger.delete_blob("other", LAYER) == 202
    daemon.request("POST", f"/v2/other/blobs/uploads/?mount={digest_of(LAYER)}&from={NAME}")
    assert any("was deleted" in sentence for sentence in ledger.verify(daemon))
