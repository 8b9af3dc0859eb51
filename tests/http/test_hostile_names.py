"""Names never reach paths: ten thousand hostile names, digests, queries find nothing, leave nothing, break nothing."""

from __future__ import annotations

import json
import os
import random
import sys
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trio

from registry.http.app import make_app
from registry.service.policy import Policy
from registry.service.registry import Registry, open_registry
from tests.http.hostile_targets import CONTENT, HEX, MANIFEST, NAMES, RESERVED, TAGS, Hostile, hostile
from tests.tools.asgi import ERROR_CODES, Client, Reply
from tests.tools.content import begin_upload, digest_of, index, push_blob, push_image, push_manifest
from tests.tools.daemon import running
from tests.tools.raw import connect, request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Iterator, Mapping

SEED = "cargohold"
REQUESTS = 10_000
REQUESTS_ON_A_SOCKET = 300
AT_ONCE = 32
SECRET = b"a secret beside the data folder"
ABSENT = {"BLOB_UNKNOWN", "BLOB_UPLOAD_UNKNOWN", "MANIFEST_UNKNOWN", "NAME_UNKNOWN"}

_watched: list[str] | None = None
"""The paths that this process has opened, made, renamed or removed, while somebody wants to know."""


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if _watched is not None and event in {"open", "os.mkdir", "os.rename", "os.remove", "os.link", "os.scandir"}:
        _watched.extend(os.fsdecode(each) for each in arguments[:2] if isinstance(each, (str, bytes, os.PathLike)))


sys.addaudithook(_watch)


@contextmanager
def watched_paths() -> Iterator[list[str]]:
    global _watched  # noqa: PLW0603 (an audit hook has no other way, and can't be removed)
    paths: list[str] = []
    _watched = paths
    try:
        yield paths
    finally:
        _watched = None


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder some levels below the folder that is watched, and a file on each level."""
    folder = tmp_path / "one" / "two" / "data"
    folder.parent.mkdir(parents=True)
    for parent in (tmp_path, tmp_path / "one", folder.parent):
        (parent / "secret").write_bytes(SECRET)
    return folder


@pytest.fixture
async def registry(data: Path) -> AsyncIterator[Registry]:
    async with open_registry(data, Policy()) as registry:
        yield registry


@pytest.fixture
async def client(registry: Registry) -> Client:
    return Client(make_app(registry))


async def prepare(client: Client) -> str:
    """Two repositories, and an open upload of five bytes in ``a``; its location."""
    await push_image(client, "a", "keep", b"layer")
    await push_image(client, "b", "keep", b"layer")
    location = await begin_upload(client, "a")
    assert (await client("PATCH", location, b"begun")).status == 202
    return location


def files(folder: Path) -> dict[str, int]:
    """Every file below the folder; the size of those whose bytes don't change with the database."""
    paths = (path for path in folder.rglob("*") if not path.is_dir())
    return {str(path): 0 if "registry.db" in path.name else path.stat().st_size for path in paths}


def problem(sent: Hostile, status: int, headers: Mapping[str, str], body: bytes) -> str | None:
    """What is wrong with an answer to a request that nothing may come of."""
    if sent.method in {"GET", "HEAD"} and 200 <= status < 300:
        is_leak = SECRET in body or b"SQLite format" in body or b"root:" in body or CONTENT in body
        return "a leak" if is_leak else None
    if status == 202 and sent.may_open_an_upload:
        return None
    if not 400 <= status < 500:
        return f"status {status}"
    if sent.method == "HEAD":
        return None if body == b"" else "a body"
    codes = {error["code"] for error in json.loads(body)["errors"]}
    return None if codes and codes <= ERROR_CODES else f"codes {codes}"


async def test_nothing_comes_of_hostile_names(client: Client, data: Path, tmp_path: Path) -> None:
    location = await prepare(client)
    before = files(tmp_path)
    requests = islice(hostile(random.Random(SEED), location.rpartition("/")[2]), REQUESTS)
    problems: list[tuple[Hostile, str]] = []
    opened: list[str] = []
    with watched_paths() as paths:
        async with trio.open_nursery() as nursery:
            for _ in range(AT_ONCE):  # so that they share what they wait for on the disk
                nursery.start_soon(send_all, client, requests, problems, opened)
    assert problems == []
    assert files(tmp_path) == before
    known = {*before, *(str(data / "uploads" / upload) for upload in opened)}
    assert [path for path in paths if not is_expected(path, data, known)] == []
    assert await repositories(client) == {"a": ["keep"], "b": ["keep"]}
    assert (await client("GET", location)).headers["range"] == "0-4"
    assert (await client("PUT", f"{location}?digest={digest_of(b'begun')}")).status == 201


def is_expected(path: str, data: Path, known: Collection[str]) -> bool:
    """Whether it is a known file of the data folder, or code that Python loads on use."""
    if Path(path).is_relative_to(data):
        return path in known or Path(path).is_dir()
    code = (sys.prefix, sys.base_prefix, str(Path(__file__).parents[2]))
    return path == os.path.normpath(path) and path.startswith(code)


async def send_all(
    client: Client, requests: Iterator[Hostile], problems: list[tuple[Hostile, str]], opened: list[str]
) -> None:
    """Send what is left of the requests; cancel the uploads that are opened, and add their ids."""
    for each in requests:
        reply = await client(each.method, each.target, each.body)
        wrong = problem(each, reply.status, reply.headers, reply.body)
        problems += [(each, wrong)] if wrong else []
        if reply.status == 202 and each.may_open_an_upload:
            opened.append(reply.headers["docker-upload-uuid"])
            assert (await client("DELETE", reply.headers["location"])).status == 204


async def repositories(client: Client) -> dict[str, list[str]]:
    """All of them, with their tags."""
    names = (await client("GET", "/v2/_catalog")).json()["repositories"]
    return {name: (await client("GET", f"/v2/{name}/tags/list")).json()["tags"] for name in names}


def test_hostile_names_over_a_socket(data: Path, tmp_path: Path) -> None:
    with running(data) as daemon:
        location = daemon.request("POST", "/v2/a/blobs/uploads/")[1]["location"]
        assert daemon.request("PATCH", location, b"begun")[0] == 202
        before = files(tmp_path)
        requests = hostile(random.Random(f"{SEED} on a socket"), location.rpartition("/")[2])
        for each in islice(requests, REQUESTS_ON_A_SOCKET):
            with connect(daemon.port) as connection:
                connection.send(request(each.method, each.target, body=each.body))
                reply = connection.answer(each.method)
            assert problem(each, reply.status, reply.headers, reply.body) is None, (each, reply)
            if reply.status == 202 and each.may_open_an_upload:
                assert daemon.request("DELETE", reply.headers["location"])[0] == 204
        assert files(tmp_path).keys() == before.keys()
        assert json.loads(daemon.request("GET", "/v2/_catalog")[2]) == {"repositories": []}
        assert daemon.request("GET", location)[1]["range"] == "0-4"
        assert daemon.stop() == 0
        assert [entry for entry in daemon.entries() if entry["level"] == "error"] == []


async def test_names_like_end_points_are_names(client: Client) -> None:
    """What is pushed to each is there, and nowhere else."""
    manifests = {name: index(annotations={"name": name}) for name in RESERVED}
    for name, manifest in manifests.items():
        assert (await push_manifest(client, name, "list", manifest)).status == 201
        await push_blob(client, name, name.encode())
    assert await repositories(client) == {name: ["list"] for name in sorted(RESERVED)}
    for name in RESERVED:
        assert (await client("GET", f"/v2/{name}/manifests/list")).body == manifests[name]
        for other in RESERVED:
            digests = digest_of(manifests[other]), digest_of(other.encode())
            targets = f"/v2/{name}/manifests/{digests[0]}", f"/v2/{name}/blobs/{digests[1]}"
            statuses = {(await client("GET", target)).status for target in targets}
            assert statuses == ({200} if name == other else {404}), (name, other)


@pytest.mark.parametrize("name", ["n" * 255, "n/" * 127 + "n", "0" * 255])
async def test_the_longest_name(client: Client, name: str) -> None:
    assert (await push_manifest(client, name, "t" * 128, MANIFEST)).status == 201
    assert await repositories(client) == {name: ["t" * 128]}
    assert_refused(await push_manifest(client, f"{name}n", "t", MANIFEST), "NAME_INVALID")
    assert_refused(await push_manifest(client, name, "t" * 129, MANIFEST), "MANIFEST_INVALID")
    assert await repositories(client) == {name: ["t" * 128]}


async def test_an_invalid_name_is_said_to_be_one(client: Client) -> None:
    for name in (name for name in NAMES if not set(name) & set("#?\n\0") and name[0] != "/"):
        assert_refused(await push_manifest(client, name, "keep", MANIFEST), "NAME_INVALID")
        assert_refused(await client("POST", f"/v2/{name}/blobs/uploads/"), "NAME_INVALID")
        assert_refused(await client("GET", f"/v2/{name}/tags/list"), "NAME_INVALID")


async def test_an_invalid_tag_is_said_to_be_one(client: Client) -> None:
    for tag in (tag for tag in TAGS if tag.isascii() and not set(tag) & set("#?%/:\n\0") and tag):
        assert_refused(await push_manifest(client, "a", tag, MANIFEST), "MANIFEST_INVALID")
        assert (await client("GET", f"/v2/a/manifests/{tag}")).codes[0] in ABSENT
        assert (await client("DELETE", f"/v2/a/manifests/{tag}")).codes[0] in ABSENT


async def test_an_upload_of_another_repository_is_unknown(client: Client) -> None:
    location = await prepare(client)
    upload = location.rpartition("/")[2]
    for other in (f"/v2/b/blobs/uploads/{upload}", f"/v2/a/blobs/uploads/{upload.upper()}x", f"{location}.copy"):
        for method, target in (
            ("GET", other),
            ("PATCH", other),
            ("DELETE", other),
            ("PUT", f"{other}?digest=sha256:{HEX}"),
        ):
            assert_refused(await client(method, target), "BLOB_UPLOAD_UNKNOWN", 404)


def assert_refused(reply: Reply, code: str, status: int = 400) -> None:
    assert (reply.status, reply.codes) == (status, [code]), reply
