"""Bodies whose end two readers could see in different places, and what a strict reader of RFC 9112 makes of them.

Each sequence ends where the next request of an honest client would begin. Those that carry a second request in what one
of the readers takes for a body carry SMUGGLED: the deletion of a tag that has to stand.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from tests.tools.content import digest_of

KEPT = "/v2/a/manifests/keep"
"""The manifest that is there, and stays."""

SMUGGLED = f"DELETE {KEPT} HTTP/1.1\r\nHost: registry\r\n\r\n".encode()
BODY = b"abcde"
UPLOADS = "/v2/a/blobs/uploads/"
CHUNKED = b"Transfer-Encoding: chunked"
CHUNKS = b"5\r\nabcde\r\n0\r\n\r\n"

_TARGET = f"{UPLOADS}?digest={digest_of(BODY)}".encode()
_HOST = b"Host: registry"


class End(Enum):
    """What becomes of a connection."""

    GOES_ON = auto()
    """Every message has one end: all are answered, and so is the request behind them."""
    CLOSES = auto()
    """Likewise, but the last answer announces the end of the connection: nothing behind it is answered."""
    MAY_CLOSE = auto()
    """Either of these: an answer came perhaps before the end of a body that no handler reads."""
    REFUSED = auto()
    """The last message is answered by an error, and reaches no handler."""
    BROKEN = auto()
    """The last message is answered by an error when its body breaks; its handler stores nothing of it."""


@dataclass(frozen=True, slots=True)
class Sequence:
    """``seen`` are the requests (method, path, status) that reach a handler and are answered by it."""

    name: str
    data: bytes
    end: End
    seen: tuple[tuple[str, str, int], ...] = ()


PUSHED = ("POST", UPLOADS, 201)
VERSION = ("GET", "/v2/", 200)


def head(line: bytes, *lines: bytes) -> bytes:
    return b"\r\n".join((line, *lines, b"", b""))


def push(*lines: bytes, body: bytes = BODY, version: bytes = b"HTTP/1.1") -> bytes:
    """A push that succeeds where exactly BODY is read."""
    return head(b"POST %b %b" % (_TARGET, version), _HOST, *lines) + body


def get(*lines: bytes, target: bytes = b"/v2/", version: bytes = b"HTTP/1.1") -> bytes:
    return head(b"GET %b %b" % (target, version), _HOST, *lines)


def length(count: int) -> bytes:
    return b"Content-Length: %d" % count


def chunk(content: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(content), content)


def refused(**data: bytes) -> list[Sequence]:
    return [Sequence(name, each, End.REFUSED) for name, each in data.items()]


def broken(**data: bytes) -> list[Sequence]:
    return [Sequence(name, each, End.BROKEN) for name, each in data.items()]


def goes_on(*seen: tuple[str, str, int], **data: bytes) -> list[Sequence]:
    return [Sequence(name, each, End.GOES_ON, seen) for name, each in data.items()]


def pushed(**data: bytes) -> list[Sequence]:
    return goes_on(PUSHED, **data)


CODINGS = {
    "plain": b"Transfer-Encoding: chunked",
    "capital_name": b"TRANSFER-ENCODING: chunked",
    "capital_value": b"Transfer-Encoding: cHuNkEd",
    "no_space": b"Transfer-Encoding:chunked",
    "tab": b"Transfer-Encoding:\tchunked\t",
}
"""Each says chunked, by the RFC."""

OBSCURED = {
    "folded": b"Transfer-Encoding:\r\n chunked",
    "folded_by_a_tab": b"Transfer-Encoding:\r\n\tchunked",
    "folded_behind": b"Transfer-Encoding: chunked\r\n x",
    "vertical_tab": b"Transfer-Encoding:\x0bchunked",
    "vertical_tab_behind": b"Transfer-Encoding: chunked\x0b",
    "form_feed": b"Transfer-Encoding: \x0cchunked",
    "space_before_the_colon": b"Transfer-Encoding : chunked",
    "tab_before_the_colon": b"Transfer-Encoding\t: chunked",
    "fold_before_the_colon": b"Transfer-Encoding\r\n : chunked",
    "second_colon": b"Transfer-Encoding:: chunked",
    "chunked_identity": b"Transfer-Encoding: chunked, identity",
    "identity_chunked": b"Transfer-Encoding: identity, chunked",
    "identity": b"Transfer-Encoding: identity",
    "chunked_twice": b"Transfer-Encoding: chunked, chunked",
    "two_lines": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    "two_lines_that_differ": b"Transfer-Encoding: chunked\r\nTransfer-encoding: x",
    "folded_list": b"Transfer-Encoding: x,\r\n chunked",
    "trailing_comma": b"Transfer-Encoding: chunked,",
    "empty": b"Transfer-Encoding:",
    "xchunked": b"Transfer-Encoding: xchunked",
    "chunkedx": b"Transfer-Encoding: chunkedx",
    "parameter": b"Transfer-Encoding: chunked;q=1",
    "quoted": b'Transfer-Encoding: "chunked"',
    "single_quoted": b"Transfer-Encoding: 'chunked'",
    "space_in_the_value": b"Transfer-Encoding: chun ked",
    "no_break_space": b"Transfer-Encoding: \xa0chunked",
    "next_line": b"Transfer-Encoding: chunked\x85",
    "nul": b"Transfer-Encoding: chunked\x00",
    "nul_in_the_name": b"Transfer-Encoding\x00: chunked",
    "control": b"Transfer-Encoding: \x01chunked",
    "non_ascii_name": b"Transfer-Encod\xc4\xb1ng: chunked",
    "bare_lf_before": b"X-Name: x\nTransfer-Encoding: chunked",
    "bare_cr_before": b"X-Name: x\rTransfer-Encoding: chunked",
    "bare_lf_behind": b"Transfer-Encoding: chunked\nX-Name: x",
    "bare_cr_behind": b"Transfer-Encoding: chunked\rX-Name: x",
    "two_crs": b"Transfer-Encoding: chunked\r",
    "lf_cr": b"Transfer-Encoding: chunked\n\rX-Name: x",
}
"""Some reader takes each for chunked, and another one doesn't."""


def _conflicts() -> list[Sequence]:
    """CL.TE, TE.CL and TE.TE."""
    found = []
    long, short = b"0\r\n\r\n" + SMUGGLED, chunk(SMUGGLED) + b"0\r\n\r\n"
    for name, line in (CODINGS | OBSCURED).items():
        found += [
            Sequence(f"cl_te_{name}", push(length(len(long)), line, body=long), End.REFUSED),
            Sequence(f"te_cl_{name}", push(line, length(4), body=short), End.REFUSED),
        ]
    for name, line in CODINGS.items():
        found.append(Sequence(f"te_{name}", push(line, body=CHUNKS), End.GOES_ON, (PUSHED,)))
    for name, line in OBSCURED.items():
        found.append(Sequence(f"te_{name}", push(line, body=long), End.REFUSED))
    return found


LENGTHS = [
    *refused(
        **{
            f"length_{name}": push(line, body=BODY + SMUGGLED)
            for name, line in {
                "two_that_differ": b"Content-Length: 5\r\nContent-Length: 0",
                "two_that_differ_in_zeros": b"Content-Length: 5\r\nContent-Length: 05",
                "list_that_differs": b"Content-Length: 5, 6",
                "list_and_a_line": b"Content-Length: 5, 5\r\nContent-Length: 6",
                "list_with_an_empty_member": b"Content-Length: 5,",
                "plus": b"Content-Length: +5",
                "minus": b"Content-Length: -5",
                "minus_zero": b"Content-Length: -0",
                "hexadecimal": b"Content-Length: 0x5",
                "hexadecimal_digit": b"Content-Length: a",
                "octal": b"Content-Length: 0o5",
                "underscore": b"Content-Length: 1_0",
                "space_within": b"Content-Length: 5 5",
                "point": b"Content-Length: 5.0",
                "exponent": b"Content-Length: 5e0",
                "empty": b"Content-Length:",
                "only_spaces": b"Content-Length:   ",
                "quoted": b'Content-Length: "5"',
                "semicolon": b"Content-Length: 5;5",
                "huge": b"Content-Length: " + b"9" * 21,
                "wraps_around_to_5": b"Content-Length: 340282366920938463463374607431768211461",
                "arabic_digit": b"Content-Length: \xd9\xa5",
                "superscript": b"Content-Length: \xb2",
                "vertical_tab": b"Content-Length: \x0b5",
                "nul": b"Content-Length: 5\x00",
                "space_before_the_colon": b"Content-Length : 5",
                "bare_cr": b"Content-Length: 5\r0",
                "bare_lf": b"Content-Length: 5\nX-Name: x",
                "folded": b"Content-Length:\r\n 5",
                "folded_digits": b"Content-Length: 5\r\n 5",
            }.items()
        }
    ),
    *pushed(
        length=push(b"Content-Length: 5"),
        length_in_capitals=push(b"CONTENT-LENGTH: 5"),
        length_with_spaces=push(b"Content-Length: \t 5 \t "),
        length_with_zeros=push(b"Content-Length: 00005"),
        # RFC 9112, section 6.3: equal ones are processed as that one.
        length_twice=push(b"Content-Length: 5\r\nContent-Length: 5"),
        length_list=push(b"Content-Length: 5, 5"),
        # Names that a gateway may take for framing, and HTTP doesn't.
        length_and_an_underscore=push(length(5), b"Content_Length: 500", b"Transfer_Encoding: chunked"),
        length_and_a_prefix=push(length(5), b"X-Transfer-Encoding: chunked", b"TE: chunked"),
        chunked_and_an_underscore=push(CHUNKED, b"Content_Length: 0", body=CHUNKS),
        length_hidden_by_connection=push(length(5), b"Connection: Content-Length"),
    ),
    Sequence("no_length", push(body=b"") + get(), End.GOES_ON, (("POST", UPLOADS, 400), VERSION)),
]

CHUNK_BODIES = [
    *broken(
        **{
            f"chunk_{name}": push(CHUNKED, body=body + SMUGGLED)
            for name, body in {
                "negative": b"-5\r\nabcde\r\n0\r\n\r\n",
                "plus": b"+5\r\nabcde\r\n0\r\n\r\n",
                "hexadecimal_prefix": b"0x5\r\nabcde\r\n0\r\n\r\n",
                "hexadecimal_prefix_of_the_end": b"5\r\nabcde\r\n0x\r\n\r\n",
                "underscore": b"0_5\r\nabcde\r\n0\r\n\r\n",
                "no_size": b"\r\nabcde\r\n0\r\n\r\n",
                "no_size_but_an_extension": b";x\r\nabcde\r\n0\r\n\r\n",
                "no_number": b"five\r\nabcde\r\n0\r\n\r\n",
                "overlong_size": b"0" * 4096 + b"5\r\nabcde\r\n0\r\n\r\n",
                "wraps_around_to_5": b"1" + b"0" * 31 + b"5\r\nabcde\r\n0\r\n\r\n",
                "space_before": b" 5\r\nabcde\r\n0\r\n\r\n",
                "space_behind": b"5 \r\nabcde\r\n0\r\n\r\n",
                "tab_behind": b"5\t\r\nabcde\r\n0\r\n\r\n",
                "space_behind_the_end": b"5\r\nabcde\r\n0 \r\n\r\n",
                "vertical_tab_behind": b"5\x0b\r\nabcde\r\n0\r\n\r\n",
                "point": b"5.0\r\nabcde\r\n0\r\n\r\n",
                "nul": b"5\x00\r\nabcde\r\n0\r\n\r\n",
                "bare_lf": b"5\nabcde\r\n0\r\n\r\n",
                "bare_cr": b"5\rabcde\r\n0\r\n\r\n",
                "two_crs": b"5\r\r\nabcde\r\n0\r\n\r\n",
                "extension_with_a_bare_lf": b"5;\nabcde\r\n0\r\n\r\n",
                "extension_with_a_bare_cr": b"5;\rabcde\r\n0\r\n\r\n",
                "extension_with_a_nul": b"5;x=\x00\r\nabcde\r\n0\r\n\r\n",
                "extension_of_the_end_with_a_bare_lf": b"5\r\nabcde\r\n0;\n\r\n\r\n",
                "content_ends_with_a_bare_lf": b"5\r\nabcde\n0\r\n\r\n",
                "content_ends_with_a_bare_cr": b"5\r\nabcde\r0\r\n\r\n",
                "content_ends_with_nothing": b"5\r\nabcde0\r\n\r\n",
                "content_ends_with_anything": b"5\r\nabcdeXX0\r\n\r\n",
                "longer_than_its_size": b"3\r\nabcde\r\n0\r\n\r\n",
                "shorter_than_its_size": b"7\r\nabcde\r\n0\r\n\r\n",
                "end_with_a_bare_lf": b"5\r\nabcde\r\n0\n\r\n",
                "end_of_trailers_with_a_bare_lf": b"5\r\nabcde\r\n0\r\n\n",
                "end_of_trailers_with_a_bare_cr": b"5\r\nabcde\r\n0\r\n\r",
                "end_without_an_empty_line": b"5\r\nabcde\r\n0\r\n",
                "trailer_with_a_bare_lf": b"5\r\nabcde\r\n0\r\nX-Name: x\n\r\n",
                "trailer_with_a_bare_cr": b"5\r\nabcde\r\n0\r\nX-Name: x\rX: x\r\n\r\n",
                "trailer_folded": b"5\r\nabcde\r\n0\r\nX-Name: x\r\n x\r\n\r\n",
                "trailer_that_begins_folded": b"5\r\nabcde\r\n0\r\n X-Name: x\r\n\r\n",
                "trailer_with_a_space": b"5\r\nabcde\r\n0\r\nContent-Length : 0\r\n\r\n",
                "trailer_with_a_coding": b"5\r\nabcde\r\n0\r\nTransfer-Encoding: identity\r\n\r\n",
            }.items()
        }
    ),
    *pushed(
        chunks_of_one=push(CHUNKED, body=b"".join(chunk(BODY[at : at + 1]) for at in range(5)) + b"0\r\n\r\n"),
        chunk_with_zeros=push(CHUNKED, body=b"0005\r\nabcde\r\n0000\r\n\r\n"),
        chunk_with_an_extension=push(CHUNKED, body=b'5;x=y;z="0; 0"\r\nabcde\r\n0;end\r\n\r\n'),
        # RFC 9112, section 7.1.2: what stands in trailers is framing and authority for nobody.
        trailer_with_a_length=push(CHUNKED, body=CHUNKS[:-2] + b"Content-Length: 500\r\n\r\n"),
        trailer_with_chunked=push(CHUNKED, body=CHUNKS[:-2] + b"Transfer-Encoding: chunked\r\n\r\n"),
        trailer_with_a_host=push(CHUNKED, body=CHUNKS[:-2] + b"Host: elsewhere\r\nAuthorization: Basic YTpi\r\n\r\n"),
        trailer_with_an_override=push(CHUNKED, body=CHUNKS[:-2] + b"X-HTTP-Method-Override: DELETE\r\n\r\n"),
    ),
]

BODIES = [*_conflicts(), *LENGTHS, *CHUNK_BODIES]
