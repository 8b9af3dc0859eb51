"""Answers about repositories and their tags, on the admin socket."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from registry.http.answers import json_answer
from registry.http.parameters import digest, form, number, repository_name, required
from registry.oci.names import Tag
from registry.service import repositories, tags

if TYPE_CHECKING:
    from registry.http.answers import Answer, Request
    from registry.service.registry import Registry


async def usage(registry: Registry, request: Request) -> Answer:
    """Of the repository ``name``, or of each."""
    name = request.query.one("name")
    found = await repositories.read_usage(registry, None if name is None else repository_name(name))
    return json_answer(200, asdict(found))


async def delete(registry: Registry, request: Request) -> Answer:
    name = repository_name(required(request.query, "name"))
    return json_answer(200, asdict(await repositories.delete(registry, request.principal.author, name)))


async def history(registry: Registry, request: Request) -> Answer:
    """Changes after one of them (``after``), of the ``tag`` or of all tags."""
    name, tag = repository_name(required(request.query, "repository")), request.query.one("tag")
    after_id = number(request.query.one("after") or "0")
    changes = await tags.read_history(registry, name, None if tag is None else Tag.parse(tag), after_id)
    return json_answer(200, [asdict(change) for change in changes])


async def restore(registry: Registry, request: Request) -> Answer:
    """To the digest ``to``, to what the tag named before a moment (``before``), or to before its last change."""
    fields = await form(request)
    name, tag = repository_name(required(fields, "repository")), Tag.parse(required(fields, "tag"))
    to, before = fields.one("to"), fields.one("before")
    done = await tags.restore(
        registry,
        request.principal.author,
        name,
        tag,
        None if to is None else digest(to),
        None if before is None else number(before),
    )
    return json_answer(200, asdict(done))
