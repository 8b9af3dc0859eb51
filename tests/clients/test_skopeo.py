"""Images that skopeo pushes, looks at, copies, deletes and pulls."""

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

pytestmark = needs("skopeo")


def test_skopeo_pulls_what_it_pushed_byte_for_byte(
    daemon: Daemon, skopeo: Command, small_image: Layout, tmp_path: Path
) -> None:
    pulled = Layout(tmp_path / "pulled")
    skopeo("copy", str(small_image), f"docker://{daemon.host}/team/app:1")
    skopeo("copy", f"docker://{daemon.host}/team/app:1", str(pulled))
    assert_same(small_image, pulled)


def test_skopeo_inspects_what_it_pushed(daemon: Daemon, skopeo: Command, small_image: Layout) -> None:
    image = f"docker://{daemon.host}/team/app"
    skopeo("copy", str(small_image), f"{image}:1")

    inspected = json.loads(skopeo("inspect", f"{image}:1"))

    assert inspected["Digest"] == small_image.digest
    assert inspected["Layers"] == [layer["digest"] for layer in small_image.layers]
    assert inspected["RepoTags"] == ["1"]
    assert skopeo("inspect", "--raw", f"{image}:1") == small_image.manifest
    assert skopeo("inspect", "--raw", f"{image}@{small_image.digest}") == small_image.manifest


def test_skopeo_lists_tags(daemon: Daemon, skopeo: Command, small_image: Layout) -> None:
    image = f"docker://{daemon.host}/team/app"
    for tag in ("2", "1", "latest"):
        skopeo("copy", str(small_image), f"{image}:{tag}")

    assert json.loads(skopeo("list-tags", image))["Tags"] == ["1", "2", "latest"]


def test_skopeo_finds_nothing_after_it_deleted_an_image(daemon: Daemon, skopeo: Command, small_image: Layout) -> None:
    image = f"docker://{daemon.host}/team/app"
    skopeo("copy", str(small_image), f"{image}:1")

    skopeo("delete", f"{image}:1")

    assert "manifest unknown" in skopeo.error_of("inspect", f"{image}:1")
    assert "manifest unknown" in skopeo.error_of("inspect", f"{image}@{small_image.digest}")
    skopeo("copy", str(small_image), f"{image}:1")
    assert skopeo("inspect", "--raw", f"{image}:1") == small_image.manifest


def test_skopeo_pushes_and_pulls_an_index_with_all_its_images(daemon: Daemon, skopeo: Command, tmp_path: Path) -> None:
    shared = make_layer("shared", os.urandom(1000))
    own = {architecture: make_layer(architecture, os.urandom(1000)) for architecture in ("amd64", "arm64", "s390x")}
    made = make_index(tmp_path / "made", {architecture: [shared, layer] for architecture, layer in own.items()})
    image, pulled = f"docker://{daemon.host}/team/app", Layout(tmp_path / "pulled")

    skopeo("copy", "--all", str(made), f"{image}:1")
    skopeo("copy", "--all", f"{image}:1", str(pulled))

    assert skopeo("inspect", "--raw", f"{image}:1") == made.manifest
    for child in json.loads(made.manifest)["manifests"]:
        raw = skopeo("inspect", "--raw", f"{image}@{child['digest']}")
        assert raw == made.blob_path(child["digest"]).read_bytes()
    assert_same(made, pulled)


def test_skopeo_pulls_the_image_of_one_architecture_from_an_index(
    daemon: Daemon, skopeo: Command, tmp_path: Path
) -> None:
    layers = {architecture: [make_layer("file", os.urandom(1000))] for architecture in ("amd64", "arm64")}
    skopeo("copy", "--all", str(make_index(tmp_path / "made", layers)), f"docker://{daemon.host}/team/app:1")
    pulled = Layout(tmp_path / "pulled")

    skopeo("--override-arch", "arm64", "copy", f"docker://{daemon.host}/team/app:1", str(pulled))

    assert pulled.diff_ids == [layers["arm64"][0].diff_id]


def test_skopeo_mounts_layers_that_another_repository_has(
    daemon: Daemon, skopeo: Command, small_image: Layout, tmp_path: Path
) -> None:
    second, pulled = f"docker://{daemon.host}/team/second:1", Layout(tmp_path / "pulled")
    skopeo("copy", str(small_image), f"docker://{daemon.host}/team/first:1")

    skopeo("copy", str(small_image), second)
    skopeo("copy", second, str(pulled))

    assert_same(small_image, pulled)
    mounts = count_mounts(daemon, "team/second")
    assert mounts == len(small_image.layers), "a layer was sent again where a mount was asked for"


def test_skopeo_pulls_after_a_restart_what_it_pushed_before(
    daemon: Daemon, skopeo: Command, small_image: Layout, tmp_path: Path
) -> None:
    image, pulled = f"docker://{daemon.host}/team/app:1", Layout(tmp_path / "pulled")
    skopeo("copy", str(small_image), image)

    daemon.restart()

    assert json.loads(skopeo("inspect", image))["Digest"] == small_image.digest
    skopeo("copy", image, str(pulled))
    assert_same(small_image, pulled)


def test_skopeo_pulls_after_sigkill_what_it_pushed_before(
    daemon: Daemon, skopeo: Command, small_image: Layout, tmp_path: Path
) -> None:
    image, pulled = f"docker://{daemon.host}/team/app:1", Layout(tmp_path / "pulled")
    skopeo("copy", str(small_image), image)

    daemon.kill()
    daemon.start()

    skopeo("copy", image, str(pulled))
    assert_same(small_image, pulled)
