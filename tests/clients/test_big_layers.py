"""A layer of 300 MiB: whole, and with the daemon killed in the midst of it."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from tests.clients.commands import Command, needs
from tests.clients.waiting import LIMIT_SECONDS, wait_until
from tests.tools.layouts import Layout, assert_same

if TYPE_CHECKING:
    from pathlib import Path

    from tests.tools.daemon import Daemon

pytestmark = needs("skopeo")

_MIDST_BYTES = 8 * 1024 * 1024
"""A layer of which so much has arrived is on its way, and by far not all there."""


def test_skopeo_pulls_a_big_layer_that_it_pushed(
    daemon: Daemon, skopeo: Command, big_image: Layout, tmp_path: Path
) -> None:
    image, pulled = f"docker://{daemon.host}/team/big:1", Layout(tmp_path / "pulled")
    skopeo("copy", str(big_image), image)
    skopeo("copy", image, str(pulled))
    assert_same(big_image, pulled)


@needs("podman")
def test_podman_pulls_and_pushes_a_big_layer(
    daemon: Daemon, skopeo: Command, podman: Command, big_image: Layout
) -> None:
    first, second = f"{daemon.host}/team/big:1", f"{daemon.host}/team/second:1"
    skopeo("copy", str(big_image), f"docker://{first}")

    podman("pull", first)
    podman("push", first, second)
    podman("rmi", "--all")
    podman("pull", second)

    assert json.loads(podman("image", "inspect", second))[0]["RootFS"]["Layers"] == big_image.diff_ids


def test_a_push_that_sigkill_broke_off_succeeds_when_it_is_repeated(
    daemon: Daemon, skopeo: Command, big_image: Layout, tmp_path: Path
) -> None:
    image, pulled = f"docker://{daemon.host}/team/big:1", Layout(tmp_path / "pulled")
    with skopeo.start("copy", str(big_image), image) as push:
        wait_until(lambda: push.poll() is not None or max(_upload_sizes(daemon), default=0) >= _MIDST_BYTES)
        daemon.kill()
        _, complaint = push.communicate(timeout=LIMIT_SECONDS)
    assert push.returncode != 0, "all of the push was over before the daemon was killed"
    assert daemon.host in complaint.decode()

    daemon.start()

    assert "manifest unknown" in skopeo.error_of("inspect", image)
    skopeo("copy", str(big_image), image)
    skopeo("copy", image, str(pulled))
    assert_same(big_image, pulled)


def _upload_sizes(daemon: Daemon) -> list[int]:
    with os.scandir(daemon.data / "uploads") as uploads:
        return [upload.stat().st_size for upload in uploads]
