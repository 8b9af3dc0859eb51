"""Images that crane pushes, looks at, copies, tags, deletes and pulls."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from tests.clients.commands import Command, needs
from tests.clients.mounts import count_mounts
from tests.tools.layouts import Layout, assert_same, make_index, make_layer

if TYPE_CHECKING:
    from pathlib import Path

    from tests.tools.daemon import Daemon

pytestmark = needs("crane")


def test_crane_pulls_what_it_pushed_byte_for_byte(
    daemon: Daemon, crane: Command, small_image: Layout, tmp_path: Path
) -> None:
    image, pulled = f"{daemon.host}/team/app:1", Layout(tmp_path / "pulled")

    crane("push", small_image.folder, image)
    crane("pull", "--format", "oci", image, pulled.folder)

    assert crane("digest", image).decode().strip() == small_image.digest
    assert crane("manifest", image) == small_image.manifest
    assert_same(small_image, pulled)
    crane("validate", "--remote", image)


def test_crane_pushes_and_pulls_an_index_with_all_its_images(daemon: Daemon, crane: Command, tmp_path: Path) -> None:
    layers = {architecture: [make_layer("file", os.urandom(1000))] for architecture in ("amd64", "arm64")}
    made, pulled = make_index(tmp_path / "made", layers), Layout(tmp_path / "pulled")
    image = f"{daemon.host}/team/app:1"

    crane("push", made.folder, image)
    crane("pull", "--format", "oci", image, pulled.folder)

    assert_same(made, pulled)
    [_, child] = json.loads(made.manifest)["manifests"]
    assert crane("digest", "--platform", "linux/arm64", image).decode().strip() == child["digest"]


def test_crane_copies_by_mounting(daemon: Daemon, crane: Command, small_image: Layout) -> None:
    first, second = f"{daemon.host}/team/first:1", f"{daemon.host}/team/second:1"
    crane("push", small_image.folder, first)

    crane("copy", first, second)

    assert crane("manifest", second) == small_image.manifest
    crane("validate", "--remote", second)
    assert count_mounts(daemon, "team/second") == len(small_image.layers) + 1, "a layer or the config was sent again"


def test_crane_appends_a_layer_to_an_image(daemon: Daemon, crane: Command, small_image: Layout, tmp_path: Path) -> None:
    base, more = f"{daemon.host}/team/app:1", f"{daemon.host}/team/app:2"
    layer = make_layer("more", os.urandom(1000))
    (tmp_path / "layer.tar.gz").write_bytes(layer.content)
    crane("push", small_image.folder, base)

    crane("append", "--base", base, "--new_layer", tmp_path / "layer.tar.gz", "--new_tag", more)

    config = json.loads(crane("config", more))
    assert config["rootfs"]["diff_ids"] == [*small_image.diff_ids, layer.diff_id]
    crane("validate", "--remote", more)


def test_crane_lists_tags_and_repositories(daemon: Daemon, crane: Command, small_image: Layout) -> None:
    for name in ("team/app:2", "team/app:latest", "team/other:1"):
        crane("push", small_image.folder, f"{daemon.host}/{name}")

    crane("tag", f"{daemon.host}/team/app:2", "1")

    assert crane("ls", f"{daemon.host}/team/app").split() == [b"1", b"2", b"latest"]
    assert crane("catalog", daemon.host).split() == [b"team/app", b"team/other"]
    assert crane("digest", f"{daemon.host}/team/app:1").decode().strip() == small_image.digest


def test_crane_deletes_a_tag_and_an_image(daemon: Daemon, crane: Command, small_image: Layout) -> None:
    image = f"{daemon.host}/team/app"
    crane("push", small_image.folder, f"{image}:1")
    crane("tag", f"{image}:1", "2")

    crane("delete", f"{image}:1")

    assert crane("ls", image).split() == [b"2"]
    assert "MANIFEST_UNKNOWN" in crane.error_of("manifest", f"{image}:1")

    crane("delete", f"{image}@{small_image.digest}")

    assert crane("ls", image).split() == []
    assert "MANIFEST_UNKNOWN" in crane.error_of("manifest", f"{image}@{small_image.digest}")
