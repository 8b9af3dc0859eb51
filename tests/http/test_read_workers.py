"""Read workers: who answers what, and that it is the answer that the main process would give."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.http.express_requests import DIGEST, LARGE, LAYER, MANIFEST, MANIFEST_DIGEST, TAGS, TAKEN
from tests.tools import daemon as daemon_tool
from tests.tools.content import digest_of
from tests.tools.raw import connect, request
from tests.tools.team import IMAGE_TYPE, answered_by, ask, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.tools.daemon import Daemon
    from tests.tools.raw import Answer
    from tests.tools.team import Team

HOT = {
    "version": request("GET", "/v2/"),
    "manifest": request("GET", "/v2/a/manifests/v1"),
    "manifest, HEAD": request("HEAD", f"/v2/a/manifests/{MANIFEST_DIGEST}"),
    "small blob": request("GET", f"/v2/a/blobs/{DIGEST}"),
    "large blob": request("GET", f"/v2/a/blobs/{digest_of(LARGE)}"),
    "range": request("GET", f"/v2/a/blobs/{digest_of(LARGE)}", "Range: bytes=9-999999"),
    "blob, HEAD": request("HEAD", f"/v2/a/blobs/{DIGEST}"),
    "tags": request("GET", "/v2/a/tags/list"),
    "page of tags": request("GET", "/v2/a/tags/list?n=1"),
    "what is not there": request("GET", "/v2/b/manifests/v1"),
}
COMPARED = {**HOT, **TAKEN}
del COMPARED["mount"]  # the answer names an upload
NEW = os.urandom(1000)
UPLOAD = f"/v2/a/blobs/uploads/?digest={digest_of(NEW)}"
LATE = request("GET", "/v2/a/manifests/v1")

OTHERS = {
    "upload": ([request("POST", UPLOAD, body=NEW)], [201]),
    "upload whose body comes later": ([request("POST", UPLOAD, body=NEW)[:-1], NEW[-1:]], [201]),
    "upload in chunks": ([request("POST", UPLOAD, chunks=[NEW[:7], NEW[7:]])], [201]),
    "upload behind a pull": ([request("GET", "/v2/a/manifests/v1") + request("POST", UPLOAD, body=NEW)], [200, 201]),
    "uploads behind one another": ([request("POST", UPLOAD, body=NEW) * 3], [201] * 3),
    "a large body": ([request("POST", f"/v2/a/blobs/uploads/?digest={digest_of(LARGE)}", body=LARGE)], [201]),
    "half a head": ([LATE[:20], LATE[20:]], [200]),
    "two requests and a half": ([LATE * 2 + LATE[:9], LATE[9:]], [200] * 3),
    "deletion": ([request("DELETE", "/v2/a/manifests/none")], [404]),
    "catalog": ([request("GET", "/v2/_catalog")], [200]),
    "referrers": ([request("GET", f"/v2/a/referrers/{DIGEST}")], [200]),
    "a header twice": ([request("GET", "/v2/", "Accept: a", "Accept: b")], [200]),
    "what nothing refers to": ([request("HEAD", f"/v2/loose/blobs/{DIGEST}")], [200]),
}


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    with running(tmp_path_factory.mktemp("team") / "data", 2) as team:
        assert team.push(LAYER, LARGE) == MANIFEST
        yield team


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, team: Team) -> Iterator[Daemon]:
    with daemon_tool.running(tmp_path_factory.mktemp("alone") / "data") as alone:
        type(team).push(alone, LAYER, LARGE)  # type: ignore[arg-type]
        yield alone


def shown(answer: Answer) -> object:
    """What has to be the same."""
    headers = [(name, value) for name, value in answer.headers.items() if name not in {"x-request-id", "date"}]
    return answer.status, headers, answer.body


def test_each_worker_answers_pulls(team: Team) -> None:
    with team.one_to_each() as clients:
        assert len(clients) == 2
        for worker, client in clients.items():
            for _ in range(3):
                assert {answered_by(ask(client, message)) for message in HOT.values()} == {worker}


def test_connections_are_spread_over_all_processes(team: Team) -> None:
    with team.one_to_each(), connect(team.port) as one, connect(team.port) as two, connect(team.port) as three:
        by = {answered_by(ask(client, HOT["version"])) for client in (one, two, three)}
    assert len(by) > 1


def test_requests_behind_one_another(team: Team) -> None:
    with team.one_to_each() as clients:
        for worker, client in clients.items():
            client.send(request("GET", "/v2/a/manifests/v1") * 300)
            answers = [client.answer() for _ in range(300)]
            assert {(answer.status, answer.body, answered_by(answer)) for answer in answers} == {
                (200, MANIFEST, worker)
            }


@pytest.mark.parametrize("message", COMPARED.values(), ids=COMPARED)
def test_an_answer_is_the_one_that_a_daemon_alone_gives(team: Team, alone: Daemon, message: bytes) -> None:
    with team.one_to_each() as clients, connect(alone.port) as slow:
        expected = shown(ask(slow, message))
        for client in clients.values():
            assert shown(ask(client, message)) == expected


@pytest.mark.parametrize(("pieces", "expected"), OTHERS.values(), ids=OTHERS)
def test_what_a_worker_does_not_answer_is_answered_with_all_its_bytes(
    team: Team, pieces: list[bytes], expected: list[int]
) -> None:
    link = f"/v2/loose/blobs/uploads/?digest={DIGEST}"
    assert team.request("POST", link, LAYER)[0] == 201
    with team.one_to_each() as clients:
        for client in clients.values():
            client.send(pieces[0])
            with connect(team.port) as another:  # by now the first piece has been looked at
                assert ask(another, HOT["version"]).status == 200
            client.send(*pieces[1:])
            method = pieces[0].split(b" ", 1)[0].decode()
            answers = [client.answer(method) for _ in expected]
            assert [answer.status for answer in answers] == expected
            assert answered_by(answers[-1]) not in team.workers
            assert ask(client, HOT["manifest"]).body == MANIFEST  # and it stays where it is
            assert answered_by(ask(client, HOT["version"])) not in team.workers


def test_a_blob_that_was_not_verified_lately_is_left_to_the_main_process(tmp_path: Path) -> None:
    """Which verifies it and notes that."""
    with running(tmp_path / "data", 1, {"CARGOHOLD_SCRUB__VERIFIED_SECONDS": "0.000001"}) as old:
        old.push(LAYER)
        with old.one_to_each() as clients:
            [client] = clients.values()
            answer = ask(client, HOT["small blob"])
            assert (answer.body, answered_by(answer) in old.workers) == (LAYER, False)


@pytest.mark.parametrize("damage", ["missing", "short"])
def test_a_damaged_file_is_reported_from_a_worker(team: Team, damage: str) -> None:
    content = os.urandom(2 * 1024 * 1024)
    assert team.request("POST", f"/v2/a/blobs/uploads/?digest={digest_of(content)}", content)[0] == 201
    file = team.data / "blobs" / "sha256" / digest_of(content).removeprefix("sha256:")
    if damage == "missing":
        file.unlink()
    else:
        os.truncate(file, 1024 * 1024)
    target = f"/v2/a/blobs/{digest_of(content)}"
    with team.one_to_each() as clients:
        for client in clients.values():
            client.send(request("GET", target))
            try:
                assert client.answer().status == 404
            except EOFError:  # it began before the damage was seen
                team.wait_for("a blob is damaged")
    assert team.request("GET", target)[0] == 404
    assert team.request("POST", f"/v2/a/blobs/uploads/?digest={digest_of(content)}", content)[0] == 201
    assert team.request("GET", target)[2] == content


def test_what_is_deleted_or_moved_is_so_for_every_worker_with_the_answer(team: Team) -> None:
    moved = MANIFEST.replace(b'"schemaVersion": 2', b'"schemaVersion": 2, "annotations": {"a": "%d"}')
    with team.one_to_each() as clients:
        for number in range(50):
            manifest = moved % number
            assert team.request("PUT", "/v2/a/manifests/moving", manifest, IMAGE_TYPE)[0] == 201
            for client in clients.values():
                assert ask(client, request("GET", "/v2/a/manifests/moving")).body == manifest
            assert team.request("DELETE", "/v2/a/manifests/moving")[0] == 202
            for worker, client in clients.items():
                answer = ask(client, request("GET", "/v2/a/manifests/moving"))
                assert (answer.status, answered_by(answer)) == (404, worker)
                assert b"moving" not in ask(client, HOT["tags"]).body
        assert len(TAGS) == 3
