"""Heads that two readers could understand in different ways, and what a strict reader of RFC 9112 makes of them."""

from __future__ import annotations

from tests.http.smuggling import (
    BODY,
    CHUNKED,
    CHUNKS,
    KEPT,
    PUSHED,
    SMUGGLED,
    UPLOADS,
    VERSION,
    End,
    Sequence,
    get,
    goes_on,
    head,
    length,
    push,
    refused,
)

LINE_ENDS = refused(
    lf_everywhere=get().replace(b"\r\n", b"\n"),
    lf_behind_the_request_line=get(b"X-Name: x").replace(b"\r\n", b"\n", 1),
    lf_behind_a_header=b"GET /v2/ HTTP/1.1\r\nHost: registry\nX-Name: x\r\n\r\n",
    lf_for_the_empty_line=b"GET /v2/ HTTP/1.1\r\nHost: registry\r\n\n",
    lf_in_a_value_before_a_request=get(b"X-Name: x\n\n" + SMUGGLED[:-4]),
    lf_before_the_request_line=b"\n" + get(),
    crlf_before_the_request_line=b"\r\n" + get(),
    cr_everywhere=get(b"X-Name: x").replace(b"\r\n", b"\r"),
    cr_in_a_value_before_a_request=get(b"X-Name: x\r\r" + SMUGGLED[:-4]),
    cr_for_the_empty_line=b"GET /v2/ HTTP/1.1\r\nHost: registry\r\n\r",
    fold=get(b"X-Name: x\r\n x"),
    fold_behind_the_request_line=b"GET /v2/ HTTP/1.1\r\n Host: registry\r\n\r\n",
    fold_of_spaces=get(b"X-Name: x\r\n   "),
    space_before_a_colon=get(b"X-Name : x"),
    space_in_a_name=get(b"X Name: x"),
    no_name=get(b": x"),
    no_colon=get(b"X-Name"),
    nul_in_a_name=get(b"X-\x00Name: x"),
    nul_in_a_value=get(b"X-Name: x\x00y"),
    non_ascii_name=get(b"X-N\xc3\xa4me: x"),
)

REQUEST_LINES = [
    *refused(
        two_spaces=b"GET  /v2/ HTTP/1.1\r\nHost: registry\r\n\r\n",
        two_spaces_before_the_version=b"GET /v2/  HTTP/1.1\r\nHost: registry\r\n\r\n",
        space_before_the_method=b" GET /v2/ HTTP/1.1\r\nHost: registry\r\n\r\n",
        space_behind_the_version=b"GET /v2/ HTTP/1.1 \r\nHost: registry\r\n\r\n",
        tabs=b"GET\t/v2/\tHTTP/1.1\r\nHost: registry\r\n\r\n",
        vertical_tab=b"GET\x0b/v2/ HTTP/1.1\r\nHost: registry\r\n\r\n",
        space_in_the_target=get(target=b"/v2/ x"),
        two_versions=get(version=b"HTTP/1.1 HTTP/1.1"),
        version_0_9=get(version=b"HTTP/0.9"),
        no_version=b"GET /v2/\r\n",
        version_1_2=get(version=b"HTTP/1.2"),
        version_2_0=get(version=b"HTTP/2.0"),
        version_1=get(version=b"HTTP/1"),
        version_1_10=get(version=b"HTTP/1.10"),
        version_01_1=get(version=b"HTTP/01.1"),
        version_in_lower_case=get(version=b"http/1.1"),
        other_protocol=get(version=b"ICAP/1.0"),
        preface=b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        preface_as_get=b"GET * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        coding_in_1_0=push(CHUNKED, body=CHUNKS + SMUGGLED, version=b"HTTP/1.0"),
        coding_and_length_in_1_0=push(length(5), CHUNKED, body=CHUNKS + SMUGGLED, version=b"HTTP/1.0"),
        method_in_lower_case=b"delete " + SMUGGLED[7:],
        method_quoted=b'"GET" /v2/ HTTP/1.1\r\nHost: registry\r\n\r\n',
        connect=b"CONNECT registry:5000 HTTP/1.1\r\nHost: registry:5000\r\n\r\n" + SMUGGLED,
        asterisk=b"OPTIONS * HTTP/1.1\r\nHost: registry\r\n\r\n",
        fragment=get(target=f"{KEPT}#/v2/".encode()),
        absolute_fragment=get(target=f"http://registry{KEPT}#/v2/".encode()),
        absolute_with_a_name=get(target=b"http://name@registry/v2/"),
        absolute_without_a_host=get(target=b"http:///v2/"),
        absolute_of_another_kind=get(target=b"file:///v2/"),
        nul_in_the_target=get(target=b"/v2/\x00"),
        non_ascii_target=get(target=b"/v2/\xc4\x8d\xc4\x8a"),
    ),
    *goes_on(VERSION, absolute=get(target=b"http://elsewhere:80/v2/"), absolute_tls=get(target=b"https://[::1]/v2/")),
    *goes_on(("GET", "/v2/../../v2/", 404), dots=get(target=b"/v2/../../v2/")),
    *goes_on(("GET", "//v2/", 404), two_slashes=get(target=b"//v2/")),
    *goes_on(("CONNECT", "/v2/", 405), connect_to_a_path=b"CONNECT /v2/ HTTP/1.1\r\nHost: registry\r\n\r\n"),
    *goes_on(("OPTIONS", "/v2/", 405), options=b"OPTIONS /v2/ HTTP/1.1\r\nHost: registry\r\n\r\n"),
    *goes_on(("TRACE", "/v2/", 405), trace=b"TRACE /v2/ HTTP/1.1\r\nHost: registry\r\nX-Name: x\r\n\r\n"),
]

HOSTS = [
    *refused(
        **{
            f"host_{name}": b"GET /v2/ HTTP/1.1\r\n%b\r\n\r\n" % lines
            for name, lines in {
                "missing": b"X-Name: x",
                "twice": b"Host: registry\r\nHost: elsewhere",
                "twice_the_same": b"Host: registry\r\nHost: registry",
                "in_two_spellings": b"Host: registry\r\nhOST: elsewhere",
                "folded": b"Host: registry\r\n elsewhere",
                "space_before_the_colon": b"Host : registry",
                "space": b"Host: registry elsewhere",
                "tab": b"Host: registry\telsewhere",
                "list": b"Host: registry, elsewhere",
                "path": b"Host: registry/v2/",
                "query": b"Host: registry?x",
                "fragment": b"Host: registry#x",
                "user": b"Host: user@registry",
                "scheme": b"Host: http://registry",
                "backslash": b"Host: registry\\elsewhere",
                "quoted": b'Host: "registry"',
                "port_that_is_none": b"Host: registry:port",
                "two_ports": b"Host: registry:5000:80",
                "negative_port": b"Host: registry:-1",
                "half_an_address": b"Host: [::1",
                "no_address": b"Host: [registry]",
                "address_and_more": b"Host: [::1]registry",
                "half_encoded": b"Host: registry%2",
                "non_ascii": b"Host: r\xc3\xa9gistry",
                "nul": b"Host: registry\x00elsewhere",
                "control": b"Host: registry\x01",
            }.items()
        },
        host_twice_in_1_0=b"GET /v2/ HTTP/1.0\r\nHost: registry\r\nHost: elsewhere\r\n\r\n",
        host_odd_in_1_0=b"GET /v2/ HTTP/1.0\r\nHost: a b\r\n\r\n",
        host_odd_beside_an_absolute_target=b"GET http://registry/v2/ HTTP/1.1\r\nHost: a b\r\n\r\n",
    ),
    *goes_on(
        VERSION,
        **{
            f"host_{name}": b"GET /v2/ HTTP/1.1\r\nHost: %b\r\n\r\n" % host
            for name, host in {
                "empty": b"",
                "name": b"Registry.example",
                "port": b"registry:5000",
                "port_that_is_empty": b"registry:",
                "ipv4": b"127.0.0.1:5000",
                "ipv6": b"[::ffff:127.0.0.1]:5000",
                "underscore": b"my_registry",
                "encoded": b"r%C3%A9gistry",
            }.items()
        },
    ),
]

_WEBSOCKET = (b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Key: AA==")
_H2C = (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQAAP__")
_DELETED = ("DELETE", "/v2/a/manifests/none", 404)
_READ = ("GET", KEPT, 200)
_OVERRIDES = {
    "override": b"X-HTTP-Method-Override: DELETE",
    "override_of_another_spelling": b"X-HTTP-Method: DELETE",
    "override_of_a_third": b"X-Method-Override: DELETE",
    "original_url": b"X-Original-URL: /v2/none/tags/list",
    "rewrite_url": b"X-Rewrite-URL: /v2/none/tags/list",
    "forwarded_uri": b"X-Forwarded-Uri: /v2/none/tags/list",
    "forwarded_prefix": b"X-Forwarded-Prefix: /v2/none",
    "script_name": b"SCRIPT_NAME: /v2/none",
}


def _in_a_body(line: bytes) -> bytes:
    """A request that no handler reads the body of; the body is one more request."""
    return head(line, b"Host: registry", length(len(SMUGGLED))) + SMUGGLED


CONTENT = [
    *goes_on(PUSHED, upgrade_h2c_with_a_body=push(*_H2C, length(5)), upgrade_with_a_body=push(*_WEBSOCKET, length(5))),
    *goes_on(PUSHED, upgrade_with_chunks=push(*_H2C, CHUNKED, body=CHUNKS)),
    *goes_on(VERSION, upgrade_h2c=get(*_H2C), upgrade_websocket=get(*_WEBSOCKET), upgrade_tls=get(b"Upgrade: TLS/1.0")),
    *goes_on(
        PUSHED,
        expect=push(b"Expect: 100-continue", length(5)),
        expect_in_capitals=push(b"EXPECT: 100-Continue", length(5)),
        expect_twice=push(b"Expect: 100-continue", b"Expect: 100-continue", length(5)),
        expect_with_chunks=push(b"Expect: 100-continue", CHUNKED, body=CHUNKS),
        expect_something_else=push(b"Expect: 200-ok", length(5)),
        expect_more=push(b"Expect: 100-continue, x", length(5)),
    ),
    *goes_on(VERSION, expect_without_a_body=get(b"Expect: 100-continue")),
    Sequence("get_with_a_body", _in_a_body(b"GET /v2/ HTTP/1.1"), End.MAY_CLOSE, (VERSION,)),
    Sequence("head_with_a_body", _in_a_body(b"HEAD /v2/ HTTP/1.1"), End.MAY_CLOSE, (("HEAD", "/v2/", 200),)),
    Sequence("delete_with_a_body", _in_a_body(b"DELETE /v2/a/manifests/none HTTP/1.1"), End.MAY_CLOSE, (_DELETED,)),
    Sequence("options_with_a_body", _in_a_body(b"OPTIONS /v2/ HTTP/1.1"), End.MAY_CLOSE, (("OPTIONS", "/v2/", 405),)),
    Sequence("no_end_point_with_a_body", _in_a_body(b"POST / HTTP/1.1"), End.MAY_CLOSE, (("POST", "/", 404),)),
    Sequence(
        "get_with_chunks",
        head(b"GET /v2/ HTTP/1.1", b"Host: registry", CHUNKED) + b"%x\r\n%b\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED),
        End.MAY_CLOSE,
        (VERSION,),
    ),
    *goes_on(("POST", UPLOADS, 400), body_that_is_a_request=push(length(len(SMUGGLED)), body=SMUGGLED)),
    *(Sequence(name, get(line, target=KEPT.encode()), End.GOES_ON, (_READ,)) for name, line in _OVERRIDES.items()),
    *goes_on(_READ, override_in_the_query=get(target=f"{KEPT}?_method=DELETE".encode())),
    Sequence("pipelined", get() + push(length(5)) + get() * 2, End.GOES_ON, (VERSION, PUSHED, VERSION, VERSION)),
    Sequence("close", get(b"Connection: close") + SMUGGLED, End.CLOSES, (VERSION,)),
    Sequence("close_and_more", get(b"Connection: keep-alive, CLOSE") + SMUGGLED, End.CLOSES, (VERSION,)),
    Sequence("close_behind_a_body", push(b"Connection: close", length(5)) + SMUGGLED, End.CLOSES, (PUSHED,)),
    Sequence("version_1_0", get(version=b"HTTP/1.0") + SMUGGLED, End.CLOSES, (VERSION,)),
    Sequence(
        "version_1_0_kept_alive",
        push(b"Connection: keep-alive", length(5), version=b"HTTP/1.0") + SMUGGLED,
        End.CLOSES,
        (PUSHED,),
    ),
    Sequence("smuggled_behind_a_refusal", get(b"X Name: x") + SMUGGLED, End.REFUSED),
    Sequence("refused_behind_a_request", get() + get(version=b"HTTP/2.0") + SMUGGLED, End.REFUSED, (VERSION,)),
    Sequence("broken_behind_a_request", push(length(5)) + push(CHUNKED, body=b"-5\r\n" + BODY), End.BROKEN, (PUSHED,)),
]

HEADS = [*LINE_ENDS, *REQUEST_LINES, *HOSTS, *CONTENT]
