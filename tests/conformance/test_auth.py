"""Logging in, by Basic and for a token; and where credentials must not go."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

import pytest

from conformance import lifecycle
from conformance.auth import Credentials
from conformance.case import Failed
from conformance.cases import ALL
from conformance.client import Client
from conformance.outcome import Status, transcript
from conformance.run import Connection, run_cases, run_prefix
from conformance.target import Shared
from tests.conformance.broken import Answer, Fault, Request, broken

if TYPE_CHECKING:
    from collections.abc import Iterator

_CREDENTIALS = Credentials("user", "secret")
_BASIC = "Basic " + base64.b64encode(b"user:secret").decode()
_CASES = [
    case for case in ALL if case.id in {"version-check", "tag-moves", "several-chunks", "delete-tag", "pull-blob"}
]


@pytest.fixture(scope="module")
def host() -> Iterator[str]:
    with lifecycle.running() as daemon:
        yield daemon.url.removeprefix("http://")


def _wants_basic(request: Request) -> Answer | None:
    if request.headers.get("Authorization") == _BASIC:
        return None
    return Answer(401, {"www-authenticate": 'Basic realm="registry"'})


def _wants_token(request: Request) -> Answer | None:
    """A token is good for one repository and one action, as a careful server gives them."""
    if request.path == "/token":
        if request.headers.get("Authorization") != _BASIC:
            return Answer(401)
        return Answer(200, body=json.dumps({"token": request.query["scope"][0]}).encode())
    action = {"GET": "pull", "HEAD": "pull", "DELETE": "delete"}.get(request.method, "push")
    scope = f"repository:{request.path.split('/')[2]}:{action}"
    if request.headers.get("Authorization") == f"Bearer {scope}":
        return None
    challenge = f'Bearer realm="http://{request.headers["Host"]}/token",service="registry",scope="{scope}"'
    return Answer(401, {"www-authenticate": challenge})


@pytest.mark.parametrize("gate", [_wants_basic, _wants_token])
def test_cases_pass_with_credentials(host: str, gate: object) -> None:
    with broken(host, Fault("gate", "", gate)) as url:  # type: ignore[arg-type]
        outcomes = list(run_cases(_CASES, Connection(url, _CREDENTIALS), Shared(run_prefix())))
    assert [outcome.reason for outcome in outcomes if outcome.status is not Status.PASSED] == []


@pytest.mark.parametrize("gate", [_wants_basic, _wants_token])
def test_cases_fail_without_credentials(host: str, gate: object) -> None:
    with broken(host, Fault("gate", "", gate)) as url:  # type: ignore[arg-type]
        outcomes = list(run_cases(_CASES, Connection(url), Shared(run_prefix())))
    assert {outcome.status for outcome in outcomes} == {Status.FAILED}


@pytest.mark.parametrize(("gate", "secret"), [(_wants_basic, _BASIC), (_wants_token, "repository:")])
def test_the_record_has_no_secrets(host: str, gate: object, secret: str) -> None:
    with broken(host, Fault("gate", "", gate)) as url:  # type: ignore[arg-type]
        (outcome,) = run_cases(_CASES[-1:], Connection(url, _CREDENTIALS), Shared(run_prefix()))
    record = "".join(map(transcript, outcome.exchanges))
    assert "Authorization: ***" in record
    assert secret not in record.replace('scope="repository:', "").replace("scope=repository%3A", "")


def test_credentials_don_t_follow_a_redirect_to_another_host(host: str) -> None:
    seen: list[str | None] = []

    def elsewhere(request: Request) -> Answer:
        seen.append(request.headers.get("Authorization"))
        return Answer(200)

    with broken(host, Fault("other host", "", elsewhere)) as other:

        def redirect(request: Request) -> Answer:
            return _wants_basic(request) or Answer(307, {"location": f"{other}/v2/"})

        with broken(host, Fault("redirects", "", redirect)) as url:
            client = Client(url, _CREDENTIALS)
            assert client.request("GET", "/v2/").status == 200
            client.close()
    assert seen == [None]


def test_a_token_server_without_a_token_fails(host: str) -> None:
    challenge = 'Bearer realm="{}/token",service="registry"'

    def gate(request: Request) -> Answer:
        realm = challenge.format(f"http://{request.headers['Host']}")
        return Answer(200, body=b"{}") if request.path == "/token" else Answer(401, {"www-authenticate": realm})

    with broken(host, Fault("gate", "", gate)) as url:
        client = Client(url)
        with pytest.raises(Failed, match="expected a token from"):
            client.request("GET", "/v2/")
        client.close()
