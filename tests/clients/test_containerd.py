"""Images that ctr, containerd's own client, pushes and pulls.

Most tests fetch, which is a pull that unpacks nothing: that is possible in more places.
"""

from __future__ import annotations

import json
import os
import tarfile
from typing import TYPE_CHECKING

import pytest

from tests.clients.commands import Command, needs
from tests.clients.mounts import count_mounts
from tests.tools.layouts import TAG, Layout, make_image, make_index, make_layer

if TYPE_CHECKING:
    from pathlib import Path

    from tests.tools.daemon import Daemon

pytestmark = [needs("containerd"), needs("ctr")]


@pytest.fixture
def small_image(tmp_path: Path) -> Layout:
    """Smaller than for others: ctr 1.6.20 can lose its stream from containerd in a larger layer, with any registry."""
    return make_image(tmp_path / "small", *(make_layer(f"file-{number}", os.urandom(1000)) for number in range(2)))


def test_ctr_pulls_what_it_pushed_byte_for_byte(
    daemon: Daemon, ctr: Command, small_image: Layout, tmp_path: Path
) -> None:
    image = f"{daemon.host}/team/app:1"

    _push(ctr, small_image, image)
    _forget(ctr)
    _fetch(ctr, image)

    assert _images(ctr) == {image: small_image.digest}
    assert daemon.request("GET", "/v2/team/app/manifests/1")[2] == small_image.manifest
    for digest in [small_image.digest, *(layer["digest"] for layer in small_image.layers)]:
        assert ctr("content", "get", digest) == small_image.blob_path(digest).read_bytes()


@pytest.mark.usefixtures("need_mounts")
def test_ctr_unpacks_what_it_pulled(daemon: Daemon, ctr: Command, tmp_path: Path) -> None:
    """The native snapshotter keeps files as they are; of one layer, the chain's name is that of the layer."""
    layer, image = make_layer("file", os.urandom(1000)), f"{daemon.host}/team/app:1"
    made = make_image(tmp_path / "made", layer)
    _push(ctr, made, image)
    _forget(ctr)

    ctr("images", "pull", "--plain-http", "--snapshotter", "native", image)

    assert _images(ctr) == {image: made.digest}
    assert layer.diff_id in ctr("snapshots", "--snapshotter", "native", "ls").decode()


def test_ctr_pulls_by_digest(daemon: Daemon, ctr: Command, small_image: Layout) -> None:
    image = f"{daemon.host}/team/app"
    _push(ctr, small_image, f"{image}:1")
    _forget(ctr)

    _fetch(ctr, f"{image}@{small_image.digest}")

    assert _images(ctr) == {f"{image}@{small_image.digest}": small_image.digest}


def test_ctr_pushes_and_pulls_an_index_with_all_its_images(daemon: Daemon, ctr: Command, tmp_path: Path) -> None:
    layers = {architecture: [make_layer("file", os.urandom(1000))] for architecture in ("amd64", "arm64")}
    made, image = make_index(tmp_path / "made", layers), f"{daemon.host}/team/app:1"

    _push(ctr, made, image, "--all-platforms")
    _forget(ctr)
    _fetch(ctr, image, "--all-platforms")

    assert _images(ctr) == {image: made.digest}
    for child in json.loads(made.manifest)["manifests"]:
        assert ctr("content", "get", child["digest"]) == made.blob_path(child["digest"]).read_bytes()


def test_ctr_pushes_to_a_second_repository_by_mounting(daemon: Daemon, ctr: Command, small_image: Layout) -> None:
    first, second = f"{daemon.host}/team/first:1", f"{daemon.host}/team/second:1"
    _push(ctr, small_image, first)
    _forget(ctr)
    _fetch(ctr, first)

    ctr("images", "push", "--plain-http", second, first)

    assert daemon.request("GET", "/v2/team/second/manifests/1")[2] == small_image.manifest
    assert count_mounts(daemon, "team/second") == len(small_image.layers) + 1, "a layer or the config was sent again"


def test_ctr_pulls_after_sigkill_what_it_pushed_before(daemon: Daemon, ctr: Command, small_image: Layout) -> None:
    image = f"{daemon.host}/team/app:1"
    _push(ctr, small_image, image)
    _forget(ctr)

    daemon.kill()
    daemon.start()
    _fetch(ctr, image)

    assert _images(ctr) == {image: small_image.digest}


def test_ctr_is_told_that_there_is_no_such_image(daemon: Daemon, ctr: Command) -> None:
    assert "not found" in ctr.error_of("images", "pull", "--plain-http", f"{daemon.host}/team/app:1")


def _push(ctr: Command, layout: Layout, image: str, *words: str) -> None:
    """By way of containerd's own content store; ``words`` say what to take into it."""
    archive = layout.folder.with_suffix(".tar")
    with tarfile.open(archive, "w") as tar:
        tar.add(layout.folder, ".")
    ctr("images", "import", "--no-unpack", "--base-name", "local/made", *words, archive)
    ctr("images", "push", "--plain-http", image, f"local/made:{TAG}")


def _fetch(ctr: Command, image: str, *words: str) -> None:
    ctr("content", "fetch", "--plain-http", *words, image)


def _forget(ctr: Command) -> None:
    """Leave nothing in the content store, so that a pull has to fetch all."""
    ctr("images", "rm", "--sync", *_images(ctr))
    assert ctr("content", "ls", "--quiet") == b""


def _images(ctr: Command) -> dict[str, str]:
    """The digest of each image that containerd knows by name."""
    rows = [line.split() for line in ctr("images", "ls").decode().splitlines()[1:]]
    return {row[0]: row[2] for row in rows}
