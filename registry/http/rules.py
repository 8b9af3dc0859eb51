"""Answers about rules, on the admin socket."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from registry.http.answers import json_answer
from registry.http.parameters import form, repository_name, required
from registry.oci.rights import Pattern, Right, parse_rights
from registry.service import rules
from registry.service.subjects import parse_subject

if TYPE_CHECKING:
    from registry.http.answers import Answer, Request
    from registry.service.registry import Registry


async def list_rules(registry: Registry, request: Request) -> Answer:
    subject = request.query.one("subject")
    found = await rules.list_rules(registry, None if subject is None else parse_subject(subject))
    return json_answer(200, [asdict(rule) for rule in found])


async def grant(registry: Registry, request: Request) -> Answer:
    fields = await form(request)
    subject, pattern = parse_subject(required(fields, "subject")), Pattern.parse(required(fields, "pattern"))
    rights = parse_rights(fields.all("right"))
    return json_answer(200, asdict(await rules.grant(registry, request.principal.author, subject, pattern, rights)))


async def revoke(registry: Registry, request: Request) -> Answer:
    """Without a right: all of them."""
    subject, pattern = parse_subject(required(request.query, "subject")), required(request.query, "pattern")
    words = request.query.all("right")
    rights = parse_rights(words) if words else Right.ALL
    return json_answer(200, asdict(await rules.revoke(registry, request.principal.author, subject, pattern, rights)))


async def check(registry: Registry, request: Request) -> Answer:
    subject, name = parse_subject(required(request.query, "subject")), required(request.query, "repository")
    return json_answer(200, asdict(await rules.check(registry, subject, repository_name(name))))
