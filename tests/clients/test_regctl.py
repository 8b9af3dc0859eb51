"""Images and artifacts that regctl pushes, looks at, copies, deletes and pulls."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from registry.oci.media_types import OCI_IMAGE
from tests.clients.commands import Command, needs
from tests.clients.mounts import count_mounts
from tests.tools.content import digest_of
from tests.tools.layouts import TAG, Layout, assert_same

if TYPE_CHECKING:
    from pathlib import Path

    from tests.tools.daemon import Daemon

pytestmark = needs("regctl")

_SBOM = "application/spdx+json"
_CHUNK_BYTES = 64 * 1024


def test_regctl_pulls_what_it_pushed_byte_for_byte(
    daemon: Daemon, regctl: Command, small_image: Layout, tmp_path: Path
) -> None:
    image, pulled = f"{daemon.host}/team/app:1", Layout(tmp_path / "pulled")

    _push(regctl, small_image, image)
    regctl("image", "copy", image, f"ocidir://{pulled.folder}:1")

    assert_same(small_image, pulled)
    assert regctl("manifest", "get", "--format", "raw-body", image) == small_image.manifest


def test_regctl_asks_for_the_head_of_a_manifest(daemon: Daemon, regctl: Command, small_image: Layout) -> None:
    image = f"{daemon.host}/team/app:1"
    _push(regctl, small_image, image)

    lines = regctl("manifest", "head", "--format", "raw-headers", image).decode().splitlines()
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}

    assert regctl("manifest", "head", image).decode().strip() == small_image.digest
    assert headers["docker-content-digest"] == small_image.digest
    assert headers["content-type"] == OCI_IMAGE
    assert headers["content-length"] == str(len(small_image.manifest))


def test_regctl_copies_by_mounting(daemon: Daemon, regctl: Command, small_image: Layout) -> None:
    first, second = f"{daemon.host}/team/first:1", f"{daemon.host}/team/second:1"
    _push(regctl, small_image, first)

    regctl("image", "copy", first, second)

    assert regctl("manifest", "get", "--format", "raw-body", second) == small_image.manifest
    assert count_mounts(daemon, "team/second") == len(small_image.layers) + 1, "a layer or the config was sent again"


def test_regctl_pushes_a_blob_in_chunks(daemon: Daemon, regctl: Command) -> None:
    repository, content = f"{daemon.host}/team/app", os.urandom(10 * _CHUNK_BYTES + 1)
    size = str(_CHUNK_BYTES)
    regctl("registry", "set", daemon.host, "--blob-chunk", size, "--blob-max", size)

    pushed_digest = regctl("blob", "put", repository, body=content).decode().strip()

    assert pushed_digest == digest_of(content)
    assert regctl("blob", "get", repository, pushed_digest) == content
    assert regctl("blob", "head", repository, pushed_digest)
    daemon.stop()  # the log is whole only now
    chunks = [entry["status"] for entry in daemon.entries() if entry.get("method") == "PATCH"]
    assert chunks == [202] * 11


def test_regctl_lists_and_deletes_tags(daemon: Daemon, regctl: Command, small_image: Layout) -> None:
    image = f"{daemon.host}/team/app"
    for tag in ("2", "1", "latest"):
        _push(regctl, small_image, f"{image}:{tag}")
    assert regctl("tag", "ls", image).split() == [b"1", b"2", b"latest"]
    assert regctl("repo", "ls", daemon.host).split() == [b"team/app"]

    regctl("tag", "delete", f"{image}:1")

    assert regctl("tag", "ls", image).split() == [b"2", b"latest"]
    assert "404" in regctl.error_of("manifest", "head", f"{image}:1")
    assert regctl("manifest", "head", f"{image}@{small_image.digest}").decode().strip() == small_image.digest


def test_regctl_deletes_an_image_with_all_its_tags(daemon: Daemon, regctl: Command, small_image: Layout) -> None:
    image = f"{daemon.host}/team/app"
    for tag in ("1", "2"):
        _push(regctl, small_image, f"{image}:{tag}")

    regctl("manifest", "delete", f"{image}@{small_image.digest}")

    assert regctl("tag", "ls", image).split() == []
    assert "404" in regctl.error_of("manifest", "head", f"{image}@{small_image.digest}")


def test_regctl_finds_the_artifacts_of_an_image(daemon: Daemon, regctl: Command, small_image: Layout) -> None:
    image = f"{daemon.host}/team/app:1"
    _push(regctl, small_image, image)

    sbom = _attach(regctl, image, _SBOM, b"what is in it")
    signature = _attach(regctl, image, "application/vnd.example.signature", b"signed")

    assert _artifacts(regctl, image) == {sbom, signature}
    assert _artifacts(regctl, image, "--filter-artifact-type", _SBOM) == {sbom}
    assert regctl("artifact", "get", "--subject", image, "--filter-artifact-type", _SBOM) == b"what is in it"
    assert regctl("tag", "ls", f"{daemon.host}/team/app").split() == [b"1"], "regctl fell back to a tag of referrers"


def test_regctl_copies_an_image_with_its_artifacts(daemon: Daemon, regctl: Command, small_image: Layout) -> None:
    first, second = f"{daemon.host}/team/first:1", f"{daemon.host}/team/second:1"
    _push(regctl, small_image, first)
    sbom = _attach(regctl, first, _SBOM, b"what is in it")

    regctl("image", "copy", "--referrers", first, second)

    assert _artifacts(regctl, second) == {sbom}
    assert regctl("artifact", "get", "--subject", second) == b"what is in it"


def test_regctl_finds_no_artifact_that_it_deleted(daemon: Daemon, regctl: Command, small_image: Layout) -> None:
    image = f"{daemon.host}/team/app"
    _push(regctl, small_image, f"{image}:1")
    sbom, other = (_attach(regctl, f"{image}:1", _SBOM, content) for content in (b"one", b"two"))

    regctl("manifest", "delete", f"{image}@{sbom}")

    assert _artifacts(regctl, f"{image}:1") == {other}


def test_regctl_turns_an_image_to_sha512(daemon: Daemon, regctl: Command, small_image: Layout, tmp_path: Path) -> None:
    image, pulled = f"{daemon.host}/team/app", Layout(tmp_path / "pulled")
    _push(regctl, small_image, f"{image}:1")

    regctl("image", "mod", "--digest-algo", "sha512", "--create", f"{image}:2", f"{image}:1")
    regctl("image", "copy", f"{image}:2", f"ocidir://{pulled.folder}:2")

    assert pulled.digest == digest_of(pulled.manifest, "sha512")
    assert regctl("manifest", "head", f"{image}:2").decode().strip() == pulled.digest
    assert pulled.diff_ids


def _push(regctl: Command, layout: Layout, image: str) -> None:
    regctl("image", "copy", f"ocidir://{layout.folder}:{TAG}", image)


def _attach(regctl: Command, image: str, artifact_type: str, content: bytes) -> str:
    """Push an artifact whose subject is the image; its digest."""
    words = ("--artifact-type", artifact_type, "--subject", image, "--format", "{{.Manifest.GetDescriptor.Digest}}")
    return regctl("artifact", "put", *words, body=content).decode().strip()


def _artifacts(regctl: Command, image: str, *words: str) -> set[str]:
    """The digests of those that refer to the image."""
    listed = json.loads(regctl("artifact", "list", "--format", "body", *words, image))
    return {entry["digest"] for entry in listed["manifests"]}
