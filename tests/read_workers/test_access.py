"""Who was kept out, by whatever, is kept out of every read worker with the answer that said so."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from registry.cli import main
from tests.http.access_columns import basic, bearer
from tests.http.express_requests import LAYER
from tests.tools.raw import request
from tests.tools.team import answered_by, ask, running

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.tools.raw import Connection
    from tests.tools.team import Team

PASSWORD = "correct horse"
ALICE = basic("alice", PASSWORD)


@pytest.fixture(params=["basic", "token"])
def team(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Team]:
    with running(tmp_path / "data", 2, {"CARGOHOLD_ACCESS__MODE": request.param}) as team:
        said(team, "user", "add", "alice", "--password-stdin", stdin=PASSWORD)
        said(team, "grant", "add", "alice", "**", "pull,push")
        said(team, "grant", "add", "group:dev", "**", "pull")
        team.push(LAYER, headers=ALICE)
        yield team


def said(team: Team, *arguments: str, stdin: str = "") -> str:
    done = CliRunner().invoke(main, [*arguments, "--data", str(team.data)], input=stdin)
    assert done.exit_code == 0, done.output
    return done.stdout.strip()


def token(team: Team, headers: Mapping[str, str]) -> dict[str, str]:
    status, _, body = team.request("GET", "/token?scope=repository:a:pull", headers=headers)
    assert status == 200
    return bearer(json.loads(body)["token"])


def statuses(clients: Mapping[str, Connection], headers: Mapping[str, str]) -> dict[str, tuple[int, bool]]:
    """By worker, what is answered on its connection, and whether by itself."""
    message = request("GET", "/v2/a/manifests/v1", *(f"{name}: {value}" for name, value in headers.items()))
    answers = {worker: ask(client, message) for worker, client in clients.items()}
    return {worker: (answer.status, answered_by(answer) == worker) for worker, answer in answers.items()}


def require_out(team: Team, headers: Mapping[str, str], status: int, *change: str, stdin: str = "") -> None:
    """What each worker answers is that, from the moment on when a command has changed it."""
    assert team.request("GET", "/v2/a/manifests/v1", headers=headers)[0] == 200  # whoever is new is verified and noted
    with team.one_to_each() as clients:
        assert set(statuses(clients, headers).values()) == {(200, True)}
        said(team, *change, stdin=stdin)
        assert {found for found, _ in statuses(clients, headers).values()} == {status}
    with team.one_to_each() as clients:
        assert {found for found, _ in statuses(clients, headers).values()} == {status}


def credentials(team: Team, headers: dict[str, str]) -> dict[str, str]:
    """Themselves, or a token for them, as the mode wants it."""
    challenge = team.request("GET", "/v2/")[1]["www-authenticate"]
    return token(team, headers) if challenge.startswith("Bearer") else headers


def test_a_right_that_is_taken(team: Team) -> None:
    require_out(team, credentials(team, ALICE), 403, "grant", "remove", "alice", "**", "pull,push")


def test_a_user_who_is_removed(team: Team) -> None:
    require_out(team, credentials(team, ALICE), 401, "user", "remove", "alice")


def test_a_password_that_is_changed(team: Team) -> None:
    changed = "user", "password", "alice", "--password-stdin"
    require_out(team, credentials(team, ALICE), 401, *changed, stdin="another one")
    another = credentials(team, basic("alice", "another one"))
    require_out(team, another, 403, "grant", "remove", "alice", "**", "pull,push")


def test_a_member_who_leaves(team: Team) -> None:
    said(team, "user", "add", "bob", "--group", "dev", "--password-stdin", stdin=PASSWORD)
    require_out(team, credentials(team, basic("bob", PASSWORD)), 403, "group", "remove", "dev", "bob")


@pytest.mark.parametrize("change", ["rotate", "remove"])
def test_a_robot_that_is_no_more_what_it_was(team: Team, change: str) -> None:
    secret = said(team, "robot", "add", "ci", "--scope", "**:pull")
    require_out(team, credentials(team, basic("robot:ci", secret)), 401, "robot", change, "ci")


def test_wrong_passwords_are_counted_whoever_is_asked(team: Team) -> None:
    """And verified by the main process alone."""
    wrong = basic("alice", "wrong")
    for _ in range(5):
        with team.one_to_each() as clients:
            assert not any(by_itself for _, by_itself in statuses(clients, wrong).values())
    assert 429 in {team.request("GET", "/v2/a/manifests/v1", headers=wrong)[0] for _ in range(20)}


def test_nobody_in_particular(team: Team) -> None:
    with team.one_to_each() as clients:
        assert set(statuses(clients, {}).values()) == {(401, True)}
        said(team, "grant", "add", "anonymous", "a", "pull")
        assert set(statuses(clients, {}).values()) == {(200, True)}
        said(team, "grant", "remove", "anonymous", "a", "pull")
        assert set(statuses(clients, {}).values()) == {(401, True)}
