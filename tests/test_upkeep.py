"""The operator's commands, on a running daemon and where none runs."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from registry.cli import main
from tests.tools.content import CONFIG, digest_of, image
from tests.tools.daemon import Daemon, running
from tests.tools.life import flip

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from click.testing import Result

NAME = "team/app"
LAYER = b"layer"
SLOW_SCRUB = {"CARGOHOLD_SCRUB__BYTES_PER_SECOND": "1"}
SHORT_LEASE = {"CARGOHOLD_GC__LEASE_SECONDS": "0.001"}


def cargohold(data: Path, *arguments: str, **settings: str) -> Result:
    return CliRunner().invoke(main, [*arguments, "--data", str(data)], env=settings)


def said(data: Path, *arguments: str, status: int = 0, **settings: str) -> str:
    """What a command says; on stderr stands nothing but what the daemon logs that it is for a moment."""
    done = cargohold(data, *arguments, **settings)
    assert done.exit_code == status, done.output
    assert all(line.startswith("{") for line in done.stderr.splitlines()), done.stderr
    return done.stdout


def document(data: Path, *arguments: str, status: int = 0, **settings: str) -> Any:
    return json.loads(said(data, *arguments, "--json", status=status, **settings))


def push_blob(daemon: Daemon, content: bytes) -> str:
    digest = digest_of(content)
    assert daemon.request("POST", f"/v2/{NAME}/blobs/uploads/?digest={digest}", content)[0] == 201
    return digest


def push_image(daemon: Daemon, tag: str, layer: bytes) -> bytes:
    push_blob(daemon, CONFIG)
    push_blob(daemon, layer)
    manifest = image(layer)
    headers = {"Content-Type": "application/vnd.oci.image.manifest.v1+json"}
    assert daemon.request("PUT", f"/v2/{NAME}/manifests/{tag}", manifest, headers)[0] == 201
    return manifest


@pytest.fixture(autouse=True)
def _log_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARGOHOLD_LOG__FORMAT", "json")


def blob(data: Path, content: bytes) -> Path:
    return data / "blobs" / digest_of(content).replace(":", "/")


@pytest.fixture(params=[True, False], ids=["running", "none"])
def data(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A folder with the image ``1`` and a blob that nothing refers to; a daemon serves it, or none does."""
    with running(tmp_path / "data", {**SLOW_SCRUB, **SHORT_LEASE}) as daemon:
        push_image(daemon, "1", LAYER)
        push_blob(daemon, b"garbage")
        if not request.param:
            daemon.stop()
        yield daemon.data


def test_garbage_collection_by_hand(data: Path) -> None:
    status = document(data, "gc", "status")
    assert (status["inventory"]["blobs"], status["inventory"]["condemned_blobs"]) == (3, 0)
    assert status["inventory"]["unreferenced_links"] == 1
    assert "blobs: 3, 14 bytes" in said(data, "gc", "status")
    nothing = document(data, "gc", "run", **SHORT_LEASE)
    assert set(nothing.values()) == {0}
    foreseen = document(data, "gc", "run", "--dry-run", "--now", **SHORT_LEASE)
    assert (foreseen["links"], foreseen["condemned_blobs"], foreseen["condemned_bytes"]) == (1, 1, 7)
    assert "blobs would be condemned: 1, 7 bytes" in said(data, "gc", "run", "--dry-run", "--now", **SHORT_LEASE)
    assert document(data, "gc", "run", "--now", **SHORT_LEASE) == foreseen
    assert "condemned: 1, 7 bytes" in said(data, "gc", "status")
    assert "blobs condemned: 0, 0 bytes" in said(data, "gc", "run", "--now", **SHORT_LEASE)
    assert blob(data, b"garbage").exists()


def test_explain(data: Path) -> None:
    assert said(data, "gc", "explain", digest_of(LAYER)) == f"It is a blob of 5 bytes.\n{NAME} holds it by 1.\n"
    assert "where the tag 1 may lead to it; it stays" in said(data, "gc", "explain", digest_of(image(LAYER)))
    assert "does not know this digest" in said(data, "gc", "explain", digest_of(b"none"))
    done = cargohold(data, "gc", "explain", "sha256:short")
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (1, "", 1)


def test_a_lease_is_kept_whatever_is_asked_for(tmp_path: Path) -> None:
    with running(tmp_path / "data") as daemon:
        push_blob(daemon, b"garbage")
        assert "kept for clients that may be about to use them (gc.lease_seconds): 1 links" in said(
            daemon.data, "gc", "run", "--now"
        )


def test_fsck_finds_nothing_where_nothing_is(data: Path) -> None:
    assert said(data, "fsck") == "all is well, as far as was looked\n"
    assert document(data, "fsck", "--full") == {"findings": [], "notes": [], "stopped_at": None}


def test_fsck_tells_what_it_finds_by_its_exit_status(data: Path) -> None:
    flip(blob(data, LAYER))
    orphan = blob(data, b"orphan")
    orphan.write_bytes(b"orphan")
    quick = document(data, "fsck")
    assert (quick["findings"], [note["subject"] for note in quick["notes"]]) == ([], [f"blobs/sha256/{orphan.name}"])
    [finding] = document(data, "fsck", "--full", status=1)["findings"]
    assert finding["subject"] == digest_of(LAYER)
    text = said(data, "fsck", "--full", status=1)
    assert text.startswith(f"{digest_of(LAYER)} has other content")
    assert "note: blobs/sha256/" in text
    assert text.endswith("1 findings\n")
    blob(data, LAYER).unlink()
    assert said(data, "fsck", status=1).startswith(f"{digest_of(LAYER)} has no file\n")


def test_fsck_in_pieces(data: Path) -> None:
    """Each call takes one step and tells where the next one goes on."""
    flip(blob(data, LAYER))
    after, stages, findings = "", [], []
    while after is not None:
        done = cargohold(data, "fsck", "--full", "--time-box", "0", "--json", *(["--after", after] if after else []))
        assert done.exit_code in {0, 1}, done
        step = json.loads(done.stdout)
        findings += step["findings"]
        after = step["stopped_at"]
        stages.append(str(after).partition(":")[0])
    assert stages == ["rows", "uploads", "names", "files", "manifests", "contents", "None"]
    assert [finding["subject"] for finding in findings] == [digest_of(LAYER)]
    text = said(data, "fsck", "--time-box", "0")
    assert text.endswith("it is not at its end; go on with --after rows:\n")


def test_fsck_that_can_not_run(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"")
    done = cargohold(file, "fsck")
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    done = cargohold(tmp_path / "data", "fsck", "--after", "nonsense:")
    assert (done.exit_code, "stage: expected one of" in done.stderr) == (2, True)


# A place that no check ever told is a fault of ours instead of a wrong parameter.
def test_fsck_after_a_place_that_is_none(tmp_path: Path) -> None:
    done = cargohold(tmp_path / "data", "fsck", "--full", "--after", "manifests:nowhere")
    assert done.exit_code == 2
    assert "500" not in done.stderr


def test_scrub(data: Path) -> None:
    assert said(data, "scrub") == "all blobs are what their digests say\n"
    flip(blob(data, LAYER))
    assert said(data, "scrub", status=1) == f"{digest_of(LAYER)} is damaged; push it again\n"
    assert document(data, "gc", "status")["inventory"]["damaged_blobs"] == 1
    assert "damaged: 1 blobs" in said(data, "gc", "status")
    assert said(data, "fsck", status=1).startswith(f"{digest_of(LAYER)} is corrupt; push it again\n")


def test_recover_where_there_is_nothing_to_end(data: Path) -> None:
    assert "there was nothing to end" in said(data, "recover")


def restore_old(daemon: Daemon) -> None:
    """SIGKILL, and a snapshot copied over from before the image ``2``, whose files are then taken away too."""
    push_image(daemon, "1", LAYER)
    daemon.restart()
    snapshot = daemon.data / "backup/registry.db"
    kept = daemon.data.with_name("kept.db")
    shutil.copy(snapshot, kept)
    push_image(daemon, "2", b"newer")
    daemon.kill()
    assert (daemon.data / "registry.db-wal").stat().st_size > 0
    shutil.copy(kept, daemon.data / "registry.db")
    blob(daemon.data, LAYER).unlink()


def is_looked_through(daemon: Daemon) -> bool:
    return any(entry["event"].startswith("restored: looked at every blob") for entry in daemon.entries())


def test_after_a_restoration_while_the_daemon_runs(tmp_path: Path) -> None:
    with running(tmp_path / "data", SLOW_SCRUB) as daemon:
        restore_old(daemon)
        daemon.start()
        assert (daemon.data / "registry.db-wal.stale").exists()
        while not is_looked_through(daemon):
            os.sched_yield()
        assert daemon.request("GET", f"/v2/{NAME}/manifests/1")[0] == 200
        assert daemon.request("GET", f"/v2/{NAME}/manifests/2")[0] == 404
        assert said(daemon.data, "gc", "status").endswith("paused: the database was restored; see cargohold recover\n")
        done = cargohold(daemon.data, "gc", "run")
        assert (done.exit_code, "cargohold recover" in done.stderr) == (1, True)
        assert said(daemon.data, "recover").splitlines() == [
            f"{digest_of(LAYER)} is missing; push it again",
            f"{NAME}:1 is broken: it needs something of that",
            "garbage collection goes on; files that the database does not know go after gc.horizon",
        ]
        push_blob(daemon, LAYER)
        assert "there was nothing to end" in said(daemon.data, "recover")
        assert said(daemon.data, "fsck", "--full").endswith("all is well, as far as was looked\n")


# ``recover`` asks what is lost, and ends the state, before anybody has looked at the files.
def test_after_a_restoration_where_no_daemon_runs(tmp_path: Path) -> None:
    with running(tmp_path / "data", SLOW_SCRUB) as daemon:
        for number in range(50):
            push_blob(daemon, b"%d" % number)
        restore_old(daemon)
        assert said(daemon.data, "recover").splitlines()[:2] == [
            f"{digest_of(LAYER)} is missing; push it again",
            f"{NAME}:1 is broken: it needs something of that",
        ]


def test_a_database_that_is_damaged_is_said_in_one_line(tmp_path: Path) -> None:
    with running(tmp_path / "data") as daemon:
        daemon.stop()
        (daemon.data / "registry.db").write_bytes(b"x" * 8192)
        for command in (["fsck"], ["gc", "status"], ["scrub"], ["recover"]):
            done = cargohold(daemon.data, *command)
            assert (done.exit_code, done.stderr.count("\n")) == (2 if command == ["fsck"] else 1, 1), done


def test_the_snapshot_of_a_stop_copied_back_is_not_the_past(tmp_path: Path) -> None:
    with running(tmp_path / "data") as daemon:
        push_image(daemon, "1", LAYER)
        daemon.stop()
        shutil.copy(daemon.data / "backup/registry.db", daemon.data / "registry.db")
        daemon.start()
        assert not document(daemon.data, "gc", "status")["is_restored"]
        assert daemon.request("GET", f"/v2/{NAME}/blobs/{digest_of(LAYER)}")[2] == LAYER
