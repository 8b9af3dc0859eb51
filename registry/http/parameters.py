"""The one place where text from a request becomes a value, or an error that says what would be right."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

import trio

from registry.oci.digests import Digest, parse_algorithm
from registry.oci.errors import DigestInvalid, ManifestInvalid, ManifestUnknown, ParameterInvalid
from registry.oci.names import RepositoryName, Tag
from registry.oci.ranges import parse_content_range
from registry.service import bodies
from registry.service.bodies import Chunk

if TYPE_CHECKING:
    from registry.http.answers import Request

PAGE_LIMIT = 1000
"""Most entries on one page of a listing."""

_FIELDS_LIMIT = 1000
_FORM_LIMIT_BYTES = 64 * 1024
_FORM_SECONDS = 10
"""It is read before anybody is known to ask: a place must not be held with it."""
_FORM_TYPE = "application/x-www-form-urlencoded"


class Query:
    """The query of a URL."""

    __slots__ = ("_values",)

    def __init__(self, raw: bytes) -> None:
        """Raises ParameterInvalid."""
        self._values: dict[str, list[str]] = {}
        if not raw:
            return
        try:
            pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, max_num_fields=_FIELDS_LIMIT)
        except ValueError:
            raise ParameterInvalid(f"the query has to be ASCII, with at most {_FIELDS_LIMIT} fields") from None
        for name, value in pairs:
            self._values.setdefault(name, []).append(value)

    def one(self, name: str) -> str | None:
        """The value of a parameter that may stand once. Raises ParameterInvalid."""
        values = self._values.get(name)
        if values is None:
            return None
        if len(values) > 1:
            raise ParameterInvalid(f"the parameter {name} stands more than once")
        return values[0]

    def all(self, name: str) -> list[str]:
        return self._values.get(name, [])


NO_QUERY = Query(b"")


async def form(request: Request) -> Query:
    """The fields of a form in the body. Raises ParameterInvalid before more than the limit is held."""
    content_type = request.headers.get("content-type", _FORM_TYPE).partition(";")[0].strip().lower()
    if content_type != _FORM_TYPE:
        raise ParameterInvalid(f"expected a form ({_FORM_TYPE}), not {content_type[:80]!r}")
    try:
        with trio.fail_after(_FORM_SECONDS):
            return Query(await bodies.read(request.body, _FORM_LIMIT_BYTES))
    except bodies.BodyTooLong:
        raise ParameterInvalid(f"the form has more than {_FORM_LIMIT_BYTES} bytes") from None
    except trio.TooSlowError:
        raise ParameterInvalid(f"the form took longer than {_FORM_SECONDS} s") from None


def required(query: Query, name: str) -> str:
    """Raises ParameterInvalid."""
    value = query.one(name)
    if value is None:
        raise ParameterInvalid(f"the field {name} is missing")
    return value


def number(text: str) -> int:
    """Raises ParameterInvalid."""
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise ParameterInvalid(f"expected a whole number, not {text[:32]!r}")
    return int(text)


def repository_name(text: str) -> RepositoryName:
    return RepositoryName.parse(text)


def digest(text: str) -> Digest:
    return Digest.parse(text)


def reference(text: str) -> Tag | Digest:
    """A tag or a digest. Raises DigestInvalid, ManifestInvalid."""
    return Digest.parse(text) if ":" in text else Tag.parse(text)


def known_reference(text: str) -> Tag | Digest:
    """A reference to what is there already: no manifest has an invalid tag. Raises DigestInvalid, ManifestUnknown."""
    try:
        return reference(text)
    except ManifestInvalid:
        raise ManifestUnknown(text[:129]) from None


def required_digest(query: Query) -> Digest:
    """The parameter ``digest``. Raises DigestInvalid."""
    text = query.one("digest")
    if text is None:
        raise DigestInvalid("the parameter digest is missing: it names the digest of the whole blob")
    return Digest.parse(text)


def algorithm(text: str) -> str:
    return parse_algorithm(text)


def tags(query: Query) -> list[Tag]:
    return [Tag.parse(text) for text in dict.fromkeys(query.all("tag"))]


def mount_source(query: Query) -> RepositoryName | None:
    """The parameter ``from``; None where it is absent. Raises NameInvalid."""
    text = query.one("from")
    return None if text is None else RepositoryName.parse(text)


def page_size(query: Query) -> int:
    """The parameter ``n``, at most PAGE_LIMIT. Raises ParameterInvalid."""
    text = query.one("n")
    if text is None:
        return PAGE_LIMIT
    if not (text.isascii() and text.isdigit()):
        raise ParameterInvalid("n has to be a number of entries, 0 or more", {"n": text[:32]})
    return PAGE_LIMIT if len(text.lstrip("0")) > len(str(PAGE_LIMIT)) else min(int(text), PAGE_LIMIT)


def chunk(request: Request) -> Chunk:
    """The body of an upload request, with what its headers say of it. Raises BlobUploadInvalid."""
    content_range = request.headers.get("content-range")
    return Chunk(
        body=request.body,
        content_range=None if content_range is None else parse_content_range(content_range),
        content_length=request.content_length,
    )
