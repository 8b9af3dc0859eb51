"""``--read-only``: what is read is what the user named, every write is refused, and none leaves anything behind."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner

from conformance import content
from conformance.__main__ import main
from conformance.plan import Choice
from tests.conformance.broken import Answer, Fault, Request, broken
from tests.conformance.read_only import NAME, TAGS, import_image, read_only_registry
from tests.tools.daemon import running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conformance.read_only import Served

_CASES = [case.id for case in Choice(read_only=True).select(has_daemon=False)]
_REFUSALS = [case.id for case in Choice(read_only=True, groups=["read-only"]).select(has_daemon=False)]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with read_only_registry(tmp_path_factory.mktemp("read-only")) as registry:
        yield registry


def _run(host: str, digest: str, *arguments: str) -> tuple[int, str]:
    url = f"http://{host}"
    result = CliRunner().invoke(
        main, ["--url", url, "--read-only", "--repository", NAME, "--manifest", digest, *arguments]
    )
    return result.exit_code, result.output


def _tags() -> list[str]:
    return [argument for tag in TAGS for argument in ("--tag", tag)]


def test_what_was_imported_and_is_served_read_only_passes_every_case(served: Served, tmp_path: Path) -> None:
    status, output = _run(served.host, served.digest, *_tags(), "--report", str(tmp_path))
    assert status == 0, output
    tests = list(ET.parse(tmp_path / "junit.xml").getroot().iter("testcase"))
    assert sorted(str(test.get("name")) for test in tests) == sorted(_CASES)
    assert [test.get("name") for test in tests if test.find("skipped") is not None] == []
    groups = ("pull", "digest-headers", "ranges", "tags", "referrers", "read-only")
    assert all(f"\n{group} " in output for group in groups)
    assert "\npush " not in output
    assert "\nmanagement " not in output


def test_the_daemon_says_in_the_body_of_each_refusal_what_it_is(served: Served) -> None:
    status, output = _run(served.host, served.digest, "--group", "read-only", "--trace")
    assert status == 0, output
    bodies = [line for line in output.splitlines() if line.startswith('{"errors":')]
    codes = [json.loads(body)["errors"][0]["code"] for body in bodies]
    assert codes.count("UNSUPPORTED") == output.count("\n405 Method Not Allowed\n") == len(_REFUSALS)


def test_a_blob_of_the_users_choice(served: Served) -> None:
    config = json.loads(served.sample().manifest.body)["config"]["digest"]
    status, output = _run(served.host, served.digest, "--blob", config, "--case", "pull-blob", "--trace")
    assert status == 0, output
    assert f"/blobs/{config}" in output


@pytest.mark.parametrize("option", ["--manifest", "--blob"])
def test_content_that_is_not_there(served: Served, option: str) -> None:
    status, output = _run(served.host, served.digest, option, content.unknown_digest())
    assert status == 2
    assert "the content to read is not there: expected status 200" in output


def test_a_registry_that_takes_writes_fails_and_is_left_as_it_was(tmp_path: Path) -> None:
    digest = import_image(tmp_path / "image", tmp_path / "data")
    before = _everything(tmp_path / "data")
    with running(tmp_path / "data") as daemon:
        status, output = _run(daemon.host, digest, "--group", "read-only", "--trace")
        assert daemon.stop() == 0
    assert status == 1
    assert [case for case in _REFUSALS if f"FAILED read-only: {case} (" not in output] == []
    assert output.count("\n201 Created\n") == 3  # a blob and two manifests, which were there for a moment
    assert _everything(tmp_path / "data") == before


def _everything(data: Path) -> list[list[tuple[object, ...]]]:
    """What the repositories of a registry that doesn't run hold."""
    queries = (
        "SELECT digest FROM manifest ORDER BY 1",
        "SELECT name, manifest_id FROM tag ORDER BY 1",
        "SELECT repository_id, blob_id FROM repository_blob ORDER BY 1, 2",
        "SELECT id FROM upload",
    )
    with closing(sqlite3.connect(data / "registry.db")) as database:
        return [database.execute(query).fetchall() for query in queries]


@pytest.mark.parametrize(("status", "code"), [(401, "UNAUTHORIZED"), (403, "DENIED")])
def test_a_registry_that_refuses_this_user_is_no_failure_but_shows_nothing(
    served: Served, status: int, code: str
) -> None:
    body = json.dumps({"errors": [{"code": code}]}).encode()

    def refuse(request: Request) -> Answer | None:
        return None if request.method in {"GET", "HEAD"} else Answer(status, body=body)

    with broken(served.host, Fault("login", "", refuse)) as url:
        exit_status, output = _run(url.removeprefix("http://"), served.digest, "--group", "read-only")
    assert exit_status == 0, output
    assert re.search(rf"all cases +0 +0 +0 +{len(_REFUSALS)} ", output)
