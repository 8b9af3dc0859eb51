"""Answers about users, groups and robots, on the admin socket."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from registry.http.answers import json_answer
from registry.http.parameters import form, number, required
from registry.oci.errors import ParameterInvalid
from registry.oci.rights import Pattern, Right, parse_rights
from registry.service import accounts, robots
from registry.service.principals import Kind
from registry.service.rules import describe
from registry.service.subjects import parse_group, parse_member, parse_robot, parse_user

if TYPE_CHECKING:
    from registry.http.answers import Answer, Request
    from registry.http.parameters import Query
    from registry.service.registry import Registry

_LONGEST_SECONDS = 10**9


async def list_users(registry: Registry, _request: Request) -> Answer:
    return await _list(registry, Kind.USER)


async def add_user(registry: Registry, request: Request) -> Answer:
    fields = await form(request)
    name = parse_user(required(fields, "name"))
    groups = [parse_group(group) for group in fields.all("group")]
    known = registry.authentication.knows(name)
    await accounts.add_user(registry, request.principal.author, name, required(fields, "password"), groups)
    notes = [f"{name} stands in the htpasswd file too; this password counts"] if known else []
    return json_answer(200, {"name": name, "notes": notes + await describe(registry, name)})


async def set_password(registry: Registry, request: Request) -> Answer:
    fields = await form(request)
    name = parse_user(required(fields, "name"))
    await accounts.set_password(registry, request.principal.author, name, required(fields, "password"))
    return json_answer(200, {"name": name})


async def remove_user(registry: Registry, request: Request) -> Answer:
    name = parse_user(required(request.query, "name"))
    await accounts.remove(registry, request.principal.author, name, Kind.USER)
    known = registry.authentication.knows(name)
    notes = [f"{name} stands in the htpasswd file, and can still log in by that"] if known else []
    return json_answer(200, {"name": name, "notes": notes})


async def list_groups(registry: Registry, _request: Request) -> Answer:
    groups = await accounts.list_groups(registry)
    return json_answer(200, [{"name": name, "members": members} for name, members in groups.items()])


async def join_group(registry: Registry, request: Request) -> Answer:
    fields = await form(request)
    group, members = _membership(fields)
    changed = await accounts.join(registry, request.principal.author, group, members)
    notes = [f"{each} is not known yet" for each in members if not registry.authentication.knows(each)]
    return json_answer(200, {"name": group, "members": members, "changed": changed, "notes": notes})


async def leave_group(registry: Registry, request: Request) -> Answer:
    group, members = _membership(request.query)
    changed = await accounts.leave(registry, request.principal.author, group, members)
    return json_answer(200, {"name": group, "members": members, "changed": changed})


async def list_robots(registry: Registry, _request: Request) -> Answer:
    return await _list(registry, Kind.ROBOT)


async def add_robot(registry: Registry, request: Request) -> Answer:
    fields = await form(request)
    name = parse_robot(required(fields, "name"))
    scopes: dict[str, Right] = {}
    for text in fields.all("scope"):
        pattern, rights = _scope(text)
        scopes[pattern] = scopes.get(pattern, Right.NONE) | rights
    secret = await robots.add(registry, request.principal.author, name, scopes, _expires_seconds(fields))
    return json_answer(200, {"name": name, "secret": secret, "notes": await describe(registry, name)})


async def rotate_robot(registry: Registry, request: Request) -> Answer:
    fields = await form(request)
    name = parse_robot(required(fields, "name"))
    secret = await robots.rotate(registry, request.principal.author, name, _expires_seconds(fields))
    return json_answer(200, {"name": name, "secret": secret, "notes": await describe(registry, name)})


async def remove_robot(registry: Registry, request: Request) -> Answer:
    name = parse_robot(required(request.query, "name"))
    await accounts.remove(registry, request.principal.author, name, Kind.ROBOT)
    return json_answer(200, {"name": name})


async def _list(registry: Registry, kind: Kind) -> Answer:
    return json_answer(200, [asdict(each) for each in await accounts.list_accounts(registry, kind)])


def _membership(fields: Query) -> tuple[str, list[str]]:
    members = [parse_member(member) for member in fields.all("member")]
    return parse_group(required(fields, "name")), members


def _scope(text: str) -> tuple[str, Right]:
    pattern, found, rights = text.rpartition(":")
    if not found:
        raise ParameterInvalid(f"{text!r} is no scope: expected a pattern and rights, as in team/**:pull,push")
    return Pattern.parse(pattern).text, parse_rights(rights.split(","))


def _expires_seconds(fields: Query) -> int | None:
    text = fields.one("expires_seconds")
    seconds = None if text is None else number(text)
    if seconds is not None and not 0 < seconds <= _LONGEST_SECONDS:
        raise ParameterInvalid(f"expires_seconds: expected 1 to {_LONGEST_SECONDS}")
    return seconds
