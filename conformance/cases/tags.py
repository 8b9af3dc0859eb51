"""Listing tags, whole and in pages."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urljoin

from conformance import content, expect
from conformance.case import MUST, in_group

if TYPE_CHECKING:
    from conformance.exchange import Reply
    from conformance.target import Target

case = in_group("tags")
_SECTION = "Listing Tags"
_TAGS = ["v10", "B", "a", "v2", "c", "A"]
_NEXT = re.compile(r'<([^>]+)>\s*;\s*rel="?next"?')
_PAGES_LIMIT = 50


def _push_tags(target: Target) -> list[str]:
    """Push the tags; their order is the registry's, of the two that the spec allows."""
    target.push(content.image(), *_TAGS)
    listed = _names(expect.status(target.get("tags/list"), 200))
    expect.equal("tags", sorted(listed), sorted(_TAGS))
    return listed


def _list(target: Target, **query: object) -> Reply:
    return expect.status(target.get(f"tags/list?{urlencode(query)}"), 200)


def _names(reply: Reply) -> list[str]:
    document = reply.json()
    tags = document.get("tags") if isinstance(document, dict) else None
    expect.holds(isinstance(tags, list), "a list of tags", document)
    return [str(tag) for tag in tags or []]


def next_page(reply: Reply) -> str | None:
    """Where the header Link points to, as RFC 5988 writes it. Raises Failed."""
    link = reply.header("link")
    if link is None:
        return None
    match = _NEXT.search(link)
    expect.holds(match, 'Link: <url>; rel="next"', link)
    return urljoin(reply.url, match[1]) if match else None


@case(_SECTION, "end-8a", MUST, reads=True)
def sample_is_listed(target: Target) -> None:
    """The list has the name of the repository and its tags, in order."""
    sample = target.sample()
    reply = expect.status(target.client.request("GET", f"/v2/{sample.repository}/tags/list"), 200)
    listed = _names(reply)
    expect.equal("name", reply.json().get("name"), sample.repository)
    missing = next_page(reply) is None and set(sample.tags) - set(listed)
    expect.holds(not missing, f"the tags {', '.join(sample.tags)}", listed)
    _expect_sorted(listed)


@case(_SECTION, "end-8a", MUST)
def list_tags(target: Target) -> None:
    """The list has the name of the repository and all of its tags."""
    listed = _push_tags(target)
    reply = _list(target)
    expect.equal("the body", reply.json(), {"name": target.repository, "tags": listed})


@case(_SECTION, "end-8a", MUST)
def tags_are_sorted(target: Target) -> None:
    """The tags are in lexical or in ASCII order."""
    _expect_sorted(_push_tags(target))


def _expect_sorted(listed: list[str]) -> None:
    folded = [tag.lower() for tag in listed]
    expect.holds(listed == sorted(listed) or folded == sorted(folded), "sorted tags", listed)


@case(_SECTION, "end-8a", MUST)
def list_without_tags(target: Target) -> None:
    """A repository that has manifests but no tags has an empty list."""
    target.push(content.image())
    expect.equal("tags", _names(_list(target)), [])


@case(_SECTION, "end-8b", MUST)
def tags_limited(target: Target) -> None:
    """With n the list begins at its start and has n tags; fewer only with a Link."""
    listed = _push_tags(target)
    for size in (1, 4, len(listed), len(listed) + 10):
        reply = _list(target, n=size)
        names = _names(reply)
        expect.equal(f"tags with n={size}", names, listed[: len(names)])
        full = len(names) == min(size, len(listed))
        fewer = 0 < len(names) < size and next_page(reply)
        expect.holds(full or fewer, f"{size} tags, or fewer and a Link", names)


@case(_SECTION, "end-8b", MUST)
def no_tags_with_n_zero(target: Target) -> None:
    """With n=0 the list is empty, and there is no Link."""
    _push_tags(target)
    reply = _list(target, n=0)
    expect.equal("tags", _names(reply), [])
    expect.no_header(reply, "Link")


@case(_SECTION, "end-8b", MUST)
def tags_after_last(target: Target) -> None:
    """With last the list begins after that tag."""
    listed = _push_tags(target)
    for position in (0, 3, len(listed) - 1):
        reply = _list(target, last=listed[position])
        expect.equal(f"tags after {listed[position]}", _names(reply), listed[position + 1 :])


@case(_SECTION, "end-8b", MUST)
def tags_limited_after_last(target: Target) -> None:
    """With n and last the list has n tags after that tag."""
    listed = _push_tags(target)
    reply = _list(target, n=2, last=listed[1])
    names = _names(reply)
    full = len(names) == 2 or (len(names) == 1 and next_page(reply))
    expect.holds(full, "two tags, or one and a Link", names)
    expect.equal("tags", names, listed[2 : 2 + len(names)])


@case(_SECTION, "end-8b", MUST)
def tags_in_pages(target: Target) -> None:
    """Page after page, by Link or by last, each tag comes once and in order."""
    listed = _push_tags(target)
    reply = _list(target, n=2)
    names = _names(reply)
    for _ in range(_PAGES_LIMIT):
        following = next_page(reply)
        reply = expect.status(target.client.request("GET", following), 200) if following else _after(target, names)
        page = _names(reply)
        names += page
        if not page:
            break
    expect.equal("tags of all pages", names, listed)


def _after(target: Target, names: list[str]) -> Reply:
    return _list(target, n=2, last=names[-1] if names else "")


@case(_SECTION, "end-8a", MUST)
def tags_of_unknown_repository(target: Target) -> None:
    """A repository that nobody has pushed to is not found, or has no tags.

    "Assuming a repository is found", the answer is 200; else the table of end points has 404. When one is found is left
    to the registry: to some of them a repository of any name is there, and empty.
    """
    reply = expect.status(target.get("tags/list"), 200, 404)
    if reply.status == 200:
        expect.equal("tags", _names(reply), [])
