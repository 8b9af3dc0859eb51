"""``--read-only``: nothing is written, and what is read is what the user named."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from conformance import content, lifecycle
from conformance.__main__ import main
from conformance.client import Client
from conformance.target import Shared, Target
from tests.conformance.broken import Answer, Fault, Request, broken

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conformance.content import Manifest


@pytest.fixture(scope="module")
def host() -> Iterator[str]:
    with lifecycle.running() as daemon:
        yield daemon.url.removeprefix("http://")


@pytest.fixture(scope="module")
def image(host: str) -> Manifest:
    """An image in the repository ``given/image`` under two tags."""
    client = Client(f"http://{host}")
    try:
        target = Target("image", client, Shared("given"))
        return target.push(content.image(content.random_blob(4000)), "one", "two")
    finally:
        client.close()


def _refuse_writes(request: Request) -> Answer | None:
    return None if request.method in {"GET", "HEAD"} else Answer(405)


def _run(host: str, *arguments: str) -> tuple[int, str]:
    with broken(host, Fault("read-only", "", _refuse_writes)) as url:
        result = CliRunner().invoke(main, ["--url", url, "--read-only", "--repository", "given/image", *arguments])
    return result.exit_code, result.output


def test_pull_and_discovery_of_what_is_there(host: str, image: Manifest) -> None:
    status, output = _run(host, "--manifest", image.digest, "--tag", "one", "--tag", "two")
    assert status == 0, output
    for group in ("pull", "digest-headers", "ranges", "tags", "referrers"):
        assert f"\n{group} " in output
    assert "management" not in output
    assert "push" not in output


def test_a_blob_of_the_users_choice(host: str, image: Manifest) -> None:
    config = content.digest_of(image.blobs[0])
    status, output = _run(host, "--manifest", image.digest, "--blob", config, "--case", "pull-blob", "--trace")
    assert status == 0, output
    assert f"/blobs/{config}" in output


@pytest.mark.parametrize("option", ["--manifest", "--blob"])
def test_content_that_is_not_there(host: str, image: Manifest, option: str) -> None:
    status, output = _run(host, "--manifest", image.digest, option, content.unknown_digest())
    assert status == 2
    assert "the content to read is not there: expected status 200" in output
