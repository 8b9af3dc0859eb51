"""How a fault spoils requests and answers: the parts that faults are made of."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from conformance.content import digest_of
from tests.conformance.broken import Answer, Early, Late, Request

_Change = Callable[[Answer], None]


def late(methods: str, kind: str, change: _Change, *statuses: int) -> Late:
    """Change the answers to some requests, where they have one of the statuses (any, if none is given)."""

    def apply(request: Request, answer: Answer) -> None:
        if request.is_kind(methods, kind) and (not statuses or answer.status in statuses):
            change(answer)

    return apply


def both(*changes: Late) -> Late:
    def apply(request: Request, answer: Answer) -> None:
        for change in changes:
            change(request, answer)

    return apply


def early(
    methods: str, kind: str, answer: Callable[[Request], Answer | None], when: Callable[[Request], Any] = bool
) -> Early:
    """Answer some requests, or change them."""

    def apply(request: Request) -> Answer | None:
        return answer(request) if request.is_kind(methods, kind) and when(request) else None

    return apply


def always(status: int, **headers: str) -> Callable[[Request], Answer]:
    return lambda _: Answer(status, dict(headers))


def status(value: int) -> _Change:
    def change(answer: Answer) -> None:
        answer.status = value

    return change


def without(name: str) -> _Change:
    return lambda answer: answer.headers.pop(name, None) and None


def header(name: str, value: str) -> _Change:
    return lambda answer: answer.headers.update({name: value})


def body(change: Callable[[bytes], bytes]) -> _Change:
    def apply(answer: Answer) -> None:
        answer.body = change(answer.body)

    return apply


def field(name: str, change: Callable[[Any], Any]) -> _Change:
    """Change a field of a JSON body."""
    return lambda answer: answer.change_json(lambda document: {**document, name: change(document[name])})


def entries(change: Callable[[dict[str, Any]], dict[str, Any]]) -> _Change:
    """Change each entry of a list of referrers."""
    return field("manifests", lambda listed: [change(entry) for entry in listed])


def ignores_header(name: str, methods: str = "GET PATCH PUT") -> Early:
    def apply(request: Request) -> None:
        if request.method in methods.split():
            request.headers = {key: value for key, value in request.headers.items() if key.lower() != name}

    return apply


def ignores_parameter(name: str, kind: str) -> Early:
    def apply(request: Request) -> None:
        if request.is_kind("GET", kind):
            query = {key: value for key, value in request.query.items() if key != name}
            request.target = f"{request.path}?{urlencode(query, doseq=True)}"

    return apply


def second_time(methods: str, kind: str, status_: int, key: Callable[[Request], str]) -> Early:
    """Answer what was asked before without doing it."""
    seen: set[str] = set()

    def apply(request: Request) -> Answer | None:
        if not request.is_kind(methods, kind):
            return None
        if key(request) in seen:
            return Answer(status_, {"location": request.path})
        seen.add(key(request))
        return None

    return apply


def never_comes_back() -> Early:
    """What was deleted once is not found again."""
    deleted: set[str] = set()

    def apply(request: Request) -> Answer | None:
        if request.method == "DELETE":
            deleted.add(request.path)
        return Answer(404) if request.method in {"GET", "HEAD"} and request.path in deleted else None

    return apply


def shared_blobs() -> Late:
    """A blob of one repository is found in all."""
    known: set[str] = set()

    def apply(request: Request, answer: Answer) -> None:
        if request.is_kind("PUT", "upload") and answer.status == 201:
            known.update(request.query["digest"])
        if request.is_kind("GET HEAD", "blob") and request.path.rpartition("/")[2] in known:
            answer.status = 200

    return apply


def error_code(code: str) -> Late:
    def apply(request: Request, answer: Answer) -> None:
        if answer.status >= 400 and answer.body:
            answer.body = json.dumps({"errors": [{"code": code}]}).encode()

    return apply


def error_body(document: object) -> Late:
    def apply(request: Request, answer: Answer) -> None:
        if answer.status >= 400 and answer.body:
            answer.body = json.dumps(document).encode()

    return apply


def digest_is(content: bytes) -> Callable[[Request], bool]:
    return lambda request: request.query.get("digest") == [digest_of(content)]


def path_has(text: str) -> Callable[[Request], bool]:
    return lambda request: text in request.path


def body_over(size: int) -> Callable[[Request], bool]:
    return lambda request: len(request.body) > size


def keeps_what_it_refuses() -> Late:
    """What was pushed is found, whatever the answer to the push was."""
    known: set[str] = set()

    def apply(request: Request, answer: Answer) -> None:
        if request.method in {"POST", "PUT"}:
            known.update(request.query.get("digest", ()))
            known.update({request.path.rpartition("/")[2]} if "/manifests/" in request.path else ())
        elif request.method in {"GET", "HEAD"} and request.path.rpartition("/")[2] in known:
            answer.status = 200

    return apply


def loses_all_with_a_write() -> Early:
    """After any write no manifest is found any more."""
    written: list[Request] = []

    def apply(request: Request) -> Answer | None:
        if request.method not in {"GET", "HEAD"}:
            written.append(request)
        return Answer(404) if written and request.is_kind("GET HEAD", "manifest") else None

    return apply
