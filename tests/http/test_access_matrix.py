"""Every method of every end point, sent by everybody: the answers are those of the table, and the table is complete."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from registry.http.app import make_app
from registry.service.access import FOR_EVERYBODY, Action
from registry.service.policy import AccessPolicy, Policy
from registry.service.principals import OPERATOR
from tests.http import access_table
from tests.http.access_columns import Columns, principal_of
from tests.http.access_requests import MOUNTED, SOURCE, prepare, request_of
from tests.tools.asgi import Client
from tests.tools.content import push_blob, push_image

if TYPE_CHECKING:
    from registry.service.registry import Registry

TABLE = access_table.read(access_table.TABLE)
TOKEN = access_table.read(access_table.TOKEN)
ADMIN = access_table.ADMIN.split("\n")[1:-1]
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "BREW")


@pytest.fixture(params=["token", "basic", "open"])
def policy(request: pytest.FixtureRequest) -> Policy:
    return Policy(access=AccessPolicy(mode=request.param))


class Everybody:
    """Sends requests as a column, each from an address of its own: none has used up its failures."""

    def __init__(self, registry: Registry, columns: Columns) -> None:
        self.registry = registry
        self._columns = columns
        self._numbers = count()
        self._apps: dict[bool, Any] = {False: make_app(registry), True: make_app(registry, OPERATOR)}

    async def status(self, row: str, column: str) -> int:
        name = "team/read" if row.startswith(("GET", "HEAD")) else f"team/app{next(self._numbers)}"
        upload = await prepare(self.registry, row, name, principal_of(column))
        headers = await self._columns.headers(column, name)
        sent = request_of(row, name, upload)
        body = self._columns.form(column, headers) if row == "POST token" else sent.body
        if sent.content_type:
            headers["Content-Type"] = sent.content_type
        if row == "GET blob range":
            headers["Range"] = "bytes=1-2"
        client = Client(self._from_elsewhere(column))
        return (await client(sent.method, sent.target, body, headers)).status

    def _from_elsewhere(self, column: str) -> Any:
        number = next(self._numbers)

        async def app(scope: Any, receive: Any, send: Any) -> None:
            scope["client"] = (f"192.0.{number // 256}.{number % 256}", 1)
            await self._apps[column == "oper"](scope, receive, send)

        return app


@pytest.fixture
async def everybody(registry: Registry) -> Everybody:
    client = Client(make_app(registry, OPERATOR))
    await push_image(client, SOURCE, "v1")
    await push_blob(client, SOURCE, MOUNTED)
    return Everybody(registry, await Columns.make(registry))


async def test_the_answers_are_those_of_the_table(everybody: Everybody) -> None:
    mode = everybody.registry.policy.access.mode
    wrong = []
    for row, expected in {**TABLE, **TOKEN}.items():
        for column, status in expected.items():
            if column != "oper" and (column == "open") is not (mode == "open"):
                continue
            wanted = 404 if row in TOKEN and mode != "token" else status
            found = await everybody.status(row, column)
            if found != wanted:
                wrong.append(f"{row}, {column}: {found}, expected {wanted}")
    assert not wrong


async def test_the_admin_end_points_are_on_the_admin_socket_only(everybody: Everybody) -> None:
    everywhere = ["none", "bad", "user", "all", "robo", "late"]
    wrong = [row for row in ADMIN if await everybody.status(row, "oper") != 200]
    wrong += [
        f"{row}, {column}" for row in ADMIN for column in everywhere if await everybody.status(row, column) != 404
    ]
    assert not wrong


def end_points(app: Any) -> set[tuple[str, str]]:
    """Of the real URL map, with whatever methods the framework has added."""
    return {(rule.endpoint, method) for rule in app._app.url_map.iter_rules() for method in rule.methods}


def rows(*tables: Any) -> set[tuple[str, str]]:
    return {(row.split()[1], row.split()[0]) for table in tables for row in table}


async def test_every_method_of_every_end_point_stands_in_the_table(registry: Registry) -> None:
    assert end_points(make_app(registry)) == rows(TABLE, TOKEN)
    assert end_points(make_app(registry, OPERATOR)) == rows(TABLE, TOKEN, ADMIN)


async def test_a_method_that_is_not_there_says_nothing_of_the_content(everybody: Everybody) -> None:
    """The same answer whether or not there is anything, and whoever asks."""
    client = Client(make_app(everybody.registry))
    await push_image(Client(make_app(everybody.registry, OPERATOR)), "team/app", "v1")
    known = rows(TABLE, TOKEN)
    for row in TABLE:
        end_point = row.split()[1]
        for method in METHODS:
            if (end_point, method) not in known:
                bodies = set()
                for name in ("team/app", "team/no"):
                    reply = await client(method, request_of(row, name, "no-upload").target)
                    assert reply.status == 405, (method, row)
                    bodies.add(reply.body)
                assert len(bodies) == 1


def test_no_action_is_for_everybody_but_those() -> None:
    assert frozenset({Action.PROBE, Action.LOG_IN}) == FOR_EVERYBODY
