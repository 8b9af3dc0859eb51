"""The commands for repositories and their tags, on a running daemon and where none runs."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.test_accounts import cargohold, document, said
from tests.tools.content import CONFIG, digest_of, image
from tests.tools.daemon import Daemon, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TYPE = {"Content-Type": "application/vnd.oci.image.manifest.v1+json"}
SHARED, OWN, OTHER = b"shared " * 100, b"own " * 10, b"other"


def push(daemon: Daemon, name: str, tag: str, *layers: bytes) -> str:
    for blob in (CONFIG, *layers):
        assert daemon.request("POST", f"/v2/{name}/blobs/uploads/?digest={digest_of(blob)}", blob)[0] == 201
    manifest = image(*layers)
    assert daemon.request("PUT", f"/v2/{name}/manifests/{tag}", manifest, TYPE)[0] == 201
    return digest_of(manifest)


@pytest.fixture(params=[True, False], ids=["running", "none"])
def data(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """Two repositories that share a layer; of ``team/app`` the tag ``1`` was moved, and an upload is open."""
    with running(tmp_path / "data") as daemon:
        push(daemon, "team/app", "1", SHARED)
        push(daemon, "team/app", "1", SHARED, OWN)
        push(daemon, "team/other", "1", SHARED, OTHER)
        assert daemon.request("POST", "/v2/team/app/blobs/uploads/")[0] == 202
        if not request.param:
            daemon.stop()
        yield daemon.data


def audited(data: Path, action: str) -> list[dict[str, Any]]:
    entries = [json.loads(line) for line in said(data, "audit", "--json").splitlines()]
    return [entry for entry in entries if entry["action"] == action]


def test_stats_are_exact(data: Path) -> None:
    found = document(data, "stats")
    app, other = found["repositories"]
    assert app == {
        "repository": "team/app",
        "tags": 1,
        "manifests": 2,
        "blobs": 3,
        "logical_bytes": 2 * len(CONFIG) + 2 * len(SHARED) + len(OWN),
        "unique_bytes": len(CONFIG) + len(SHARED) + len(OWN),
        "exclusive_blobs": 1,
        "exclusive_bytes": len(OWN),
    }
    assert (other["repository"], other["exclusive_bytes"]) == ("team/other", len(OTHER))
    total = len(CONFIG) + len(SHARED) + len(OWN) + len(OTHER)
    assert found["total"] == {"blobs": 4, "bytes": total, "condemned_blobs": 0, "condemned_bytes": 0}
    assert document(data, "stats", "--repository", "team/app")["repositories"] == [app]
    head, row, *_ = said(data, "stats").splitlines()
    assert head.split() == ["REPOSITORY", "TAGS", "MANIFESTS", "BLOBS", "LOGICAL", "UNIQUE", "EXCLUSIVE"]
    assert row.split() == ["team/app", "1", "2", "3", "1,444", "742", "40"]
    assert cargohold(data, "stats", "--repository", "no/such").exit_code == 1


def test_a_repository_is_deleted_with_all_that_it_has(data: Path) -> None:
    assert said(data, "repo", "list") == "team/app\nteam/other\n"
    done = cargohold(data, "repo", "delete", "team/app", stdin="n\n")
    assert done.exit_code == 1
    assert done.stderr.startswith("team/app has 1 tags, 2 manifests and 3 blobs; to delete it frees 40 bytes\n")
    assert document(data, "repo", "list") == ["team/app", "team/other"]
    done = cargohold(data, "repo", "delete", "team/app", stdin="y\n")
    assert done.stdout.splitlines() == [
        "deleted: 1 tags, 2 manifests, 3 blobs, 1 open uploads",
        "blobs condemned: 1, 40 bytes, freed after gc.horizon",
    ]
    assert said(data, "repo", "list") == "team/other\n"
    assert list((data / "uploads").iterdir()) == []
    found = document(data, "stats")
    assert (found["total"]["condemned_blobs"], found["total"]["condemned_bytes"]) == (1, len(OWN))
    assert found["repositories"][0]["exclusive_blobs"] == 3
    assert said(data, "fsck", "--full") == "all is well, as far as was looked\n"
    [entry] = audited(data, "repository deleted")
    assert (entry["repository"], entry["before"]) == ("team/app", "1 tags, 2 manifests, 3 blobs")
    done = cargohold(data, "repo", "delete", "team/app", "--yes")
    assert (done.exit_code, done.stderr.count("\n")) == (1, 1)
    assert "there is no repository team/app" in done.stderr


def test_it_can_be_pushed_again(tmp_path: Path) -> None:
    with running(tmp_path / "data", {"CARGOHOLD_GC__BATCH": "1"}) as daemon:
        digest = push(daemon, "team/app", "1", SHARED)
        deleted = document(daemon.data, "repo", "delete", "team/app", "--yes")
        assert (deleted["tags"], deleted["manifests"], deleted["condemned_blobs"]) == (1, 1, 2)
        assert daemon.request("GET", "/v2/team/app/manifests/1")[0] == 404
        assert daemon.request("GET", f"/v2/team/app/blobs/{digest_of(SHARED)}")[0] == 404
        assert push(daemon, "team/app", "1", SHARED) == digest
        assert daemon.request("GET", f"/v2/team/app/blobs/{digest_of(SHARED)}")[2] == SHARED
        assert len(document(daemon.data, "tag", "history", "team/app")) == 1


def test_a_tag_goes_back_to_what_it_was(data: Path) -> None:
    first, second = digest_of(image(SHARED)), digest_of(image(SHARED, OWN))
    assert said(data, "tag", "list", "team/app") == "1\n"
    changes = document(data, "tag", "history", "team/app:1")
    assert [(each["before"], each["after"]) for each in changes] == [(None, first), (first, second)]
    assert said(data, "tag", "restore", "team/app:1") == f"team/app:1 names {first} (before: {second})\n"
    assert said(data, "tag", "restore", "team/app:1", "--to", first) == f"team/app:1 names {first} (as before)\n"
    done = document(data, "tag", "restore", "team/app:2", "--to", second)
    assert done == {"before": None, "after": second}
    assert said(data, "tag", "list", "team/app") == "1\n2\n"
    lines = said(data, "tag", "history", "team/app").splitlines()
    assert [line.split()[1:] for line in lines[1:]] == [
        ["1", "anonymous", "-", first],
        ["1", "anonymous", first, second],
        ["1", "operator", second, first],
        ["2", "operator", "-", second],
    ]
    [moved] = [entry for entry in audited(data, "tag moved") if entry["principal"] == "operator"]
    assert (moved["before"], moved["after"]) == (second, first)


def test_a_tag_goes_back_to_a_time(tmp_path: Path) -> None:
    with running(tmp_path / "data") as daemon:
        digests, moments = [], []
        for layer in (b"1", b"2", b"3"):
            digests.append(push(daemon, "team/app", "1", layer))
            changed_ms = document(daemon.data, "tag", "history", "team/app:1")[-1]["at_ms"]
            while time.time() * 1000 < changed_ms + 2:
                pass
            moments.append(f"{time.time():.3f}")
        for moment, digest in zip(moments[:2], digests, strict=False):
            text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(float(moment))) + moment[-4:] + "+00:00"
            assert document(daemon.data, "tag", "restore", "team/app:1", "--before", text)["after"] == digest
        done = cargohold(daemon.data, "tag", "restore", "team/app:1", "--before", "2020-01-01")
        assert (done.exit_code, done.stdout) == (1, "")
        assert "team/app:1 named nothing at that time" in done.stderr


def test_what_is_gone_is_refused(data: Path) -> None:
    gone = digest_of(image(b"never pushed"))
    for arguments, message in (
        (["team/app:1", "--to", gone], f"{gone} is not in team/app any more"),
        (["team/app:none"], "team/app:none named nothing before its last change"),
        (["team/other:1"], "team/other:1 named nothing before its last change"),
        (["no/such:1"], "there is no repository no/such"),
    ):
        done = cargohold(data, "tag", "restore", *arguments)
        assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (1, "", 1)
        assert message in done.stderr
    for wrong in (["team/app"], ["team/app:1", "--to", gone, "--before", "1h"]):
        assert cargohold(data, "tag", "restore", *wrong).exit_code == 2


def test_a_deleted_tag_comes_back_while_its_manifest_stands(tmp_path: Path) -> None:
    with running(tmp_path / "data") as daemon:
        digest = push(daemon, "team/app", "1", SHARED)
        assert daemon.request("DELETE", "/v2/team/app/manifests/1")[0] == 202
        assert document(daemon.data, "tag", "restore", "team/app:1") == {"before": None, "after": digest}
        assert daemon.request("GET", "/v2/team/app/manifests/1")[2] == image(SHARED)
        assert daemon.request("DELETE", f"/v2/team/app/manifests/{digest}")[0] == 202
        assert "was deleted, or collected" in cargohold(daemon.data, "tag", "restore", "team/app:1").stderr
