"""One repository out of a backup."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from registry.oci.media_types import OCI_INDEX
from tests.test_backups import cargohold
from tests.test_upkeep import LAYER, NAME, blob, push_blob, push_image
from tests.tools.content import CONFIG, digest_of, index
from tests.tools.daemon import Daemon, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(params=[True, False], ids=["running", "none"])
def daemon(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Daemon]:
    """Of the backup ``tmp_path/b.db`` with an index, all is gone but the tag ``kept``, which has moved."""
    with running(tmp_path / "data") as daemon:
        child = push_image(daemon, "kept", LAYER)
        assert put(daemon, "multi", index(child)) == 201
        arguments = ("--with-blobs", tmp_path / "blobs", "--data", daemon.data)
        cargohold("backup", "create", tmp_path / "b.db", *arguments)
        for digest in (digest_of(index(child)), digest_of(child)):
            assert daemon.request("DELETE", f"/v2/{NAME}/manifests/{digest}")[0] == 202
        push_image(daemon, "kept", b"newer")
        for content in (LAYER, CONFIG):
            daemon.request("DELETE", f"/v2/{NAME}/blobs/{digest_of(content)}")
        if not request.param:
            daemon.stop()
        yield daemon
        if daemon.process.poll() is not None:
            daemon.start()


def put(daemon: Daemon, reference: str, manifest: bytes) -> int:
    return daemon.request("PUT", f"/v2/{NAME}/manifests/{reference}", manifest, {"Content-Type": OCI_INDEX})[0]


def extract(daemon: Daemon, *arguments: str | Path, status: int = 0) -> str:
    path = daemon.data.with_name("b.db")
    return cargohold("restore", path, "--repository", NAME, *arguments, "--data", daemon.data, status=status)


def digest_of_tag(daemon: Daemon, tag: str) -> str | None:
    return daemon.request("HEAD", f"/v2/{NAME}/manifests/{tag}")[1].get("docker-content-digest")


def test_it_comes_back_beside_what_is_there(daemon: Daemon) -> None:
    blobs = ("--with-blobs", daemon.data.with_name("blobs"))
    said = extract(daemon, *blobs)
    assert said.splitlines() == [
        "manifests that came back: 2; blobs: 1; tags: 1",
        "the tag kept leads elsewhere by now and stays; --move-tags moves it",
    ]
    assert "manifests that came back: 0; blobs: 0; tags: 1" in extract(daemon, *blobs, "--move-tags")
    assert "manifests that came back: 0; blobs: 0; tags: 0" in extract(daemon, *blobs, "--move-tags")
    if daemon.process.poll() is not None:
        daemon.start()
    [child] = json.loads(daemon.request("GET", f"/v2/{NAME}/manifests/multi")[2])["manifests"]
    assert digest_of_tag(daemon, "kept") == child["digest"]
    assert daemon.request("GET", f"/v2/{NAME}/blobs/{digest_of(LAYER)}")[2] == LAYER


def test_what_is_missing_is_said_and_the_rest_comes_back(daemon: Daemon) -> None:
    blob(daemon.data, LAYER).unlink()
    if daemon.process.poll() is not None:
        daemon.start()
    push_blob(daemon, CONFIG)
    said = extract(daemon, status=1)
    assert said.startswith("manifests that came back: 0; blobs: 0; tags: 0\n")
    assert f"{digest_of(LAYER)} is not there; it did not come back" in said
    assert "multi has lost its manifest" in said


def test_what_makes_no_sense_is_refused(daemon: Daemon, tmp_path: Path) -> None:
    assert "it has no --dry-run" in extract(daemon, "--dry-run", status=2)
    arguments = ("restore", tmp_path / "b.db", "--data", daemon.data, "--repository")
    assert "the backup has no repository team/other" in cargohold(*arguments, "team/other", status=2)
    assert "cargohold: " in cargohold(*arguments, "UPPER", status=2)
