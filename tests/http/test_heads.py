"""The heads of a connection, one after another."""

from __future__ import annotations

import pytest

from registry.http.heads import Fields, Head, read_head

LONG = f"a: {'x' * 5000}"


def head(*lines: str) -> bytes:
    return "\r\n".join(("GET /v2/ HTTP/1.1", *lines, "", "")).encode("latin-1")


@pytest.mark.parametrize("first", [(), ("host: a", "x: 1"), ("host: a", LONG), ("x",), ("host: \t",), ("host: ä",)])
def test_each_head_has_its_own_fields_whatever_stood_in_the_one_before(first: tuple[str, ...]) -> None:
    fields = Fields()
    before = read_head(head(*first), fields)
    assert read_head(head("host: b", "Y:  2 "), fields) == Head("GET", "/v2/", b"", {"host": "b", "y": "2"})
    assert (
        read_head(head(*first), fields)
        == before
        == read_head(head(*first), fields)
        == read_head(head(*first), Fields())
    )


def test_without_fields_there_is_no_host() -> None:
    assert read_head(b"GET /v2/ HTTP/1.1\r\n\r\n", Fields()) is None


@pytest.mark.parametrize("length", [3, 600])
def test_a_line_is_read_as_it_was_before(length: int) -> None:
    name = "n" * length
    asked = [f"GET /v2/{name}/tags/list?n={number} HTTP/1.1" for number in (1, 2, 1)]
    heads = [read_head(f"{line}\r\nhost: a\r\n\r\n".encode(), Fields()) for line in asked]
    assert heads == [Head("GET", f"/v2/{name}/tags/list", b"n=%d" % number, {"host": "a"}) for number in (1, 2, 1)]
    for _ in range(2):
        assert read_head(f"GET /v2/{name}\t HTTP/1.1\r\nhost: a\r\n\r\n".encode(), Fields()) is None


def test_the_fields_of_two_heads_are_known_again_and_no_more() -> None:
    fields = Fields()
    texts = [f"host: a\r\ncontent-length: {length}\r\n\r\n" for length in range(3)]
    first, second = fields.read(texts[0]), fields.read(texts[1])
    assert fields.read(texts[0]) is first
    assert fields.read(texts[1]) is second
    assert fields.read(texts[2]) is fields.read(texts[2])
    assert fields.read(texts[0]) is not first


def test_the_fields_without_a_length_stay_known_beside_lengths_that_differ() -> None:
    fields = Fields()
    alone = fields.read("host: a\r\n\r\n")
    for length in range(9):
        fields.read(f"host: a\r\ncontent-length: {length}\r\n\r\n")
        assert fields.read("host: a\r\n\r\n") is alone
