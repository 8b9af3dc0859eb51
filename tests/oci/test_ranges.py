from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.oci.errors import BlobUploadInvalid, RangeNotSatisfiable
from registry.oci.ranges import ByteRange, parse_content_range, parse_range

NUMBER = st.integers(min_value=0, max_value=30)


@given(NUMBER, NUMBER, NUMBER)
def test_a_range_selects_what_slicing_selects(first: int, last: int, size: int) -> None:
    content = bytes(range(size))
    if first > last or first >= size:
        with pytest.raises(RangeNotSatisfiable):
            parse_range(f"bytes={first}-{last}", size)
    else:
        span = parse_range(f"bytes={first}-{last}", size)
        assert span is not None
        assert content[span.start : span.stop] == content[first : last + 1]
        assert span.length == len(content[first : last + 1])


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=3-", ByteRange(3, 10)),
        ("bytes=-3", ByteRange(7, 10)),
        ("bytes=-30", ByteRange(0, 10)),
        ("Bytes=0-0", ByteRange(0, 1)),
        ("bytes= 1-2 ", ByteRange(1, 3)),
        (f"bytes=2-{'9' * 5000}", ByteRange(2, 10)),
        ("bytes=0-1,3-4", None),
        ("bytes=-", None),
        ("bytes=a-b", None),
        ("lines=1-2", None),
        ("", None),
    ],
)
def test_what_a_range_header_means(header: str, expected: ByteRange | None) -> None:
    assert parse_range(header, 10) == expected


@pytest.mark.parametrize("header", ["bytes=500-0", "bytes=10-", "bytes=10-11", "bytes=-0", f"bytes={'9' * 5000}-"])
def test_a_range_outside_is_not_satisfiable(header: str) -> None:
    with pytest.raises(RangeNotSatisfiable) as caught:
        parse_range(header, 10)
    assert caught.value.size == 10


def test_nothing_of_an_empty_blob_can_be_selected() -> None:
    with pytest.raises(RangeNotSatisfiable):
        parse_range("bytes=-5", 0)


def test_a_chunk_names_its_first_and_last_byte() -> None:
    assert parse_content_range("0-9") == ByteRange(0, 10)


@pytest.mark.parametrize("header", ["", "0", "0-", "-1", "2-1", "bytes 0-9", "0-9/10", "0-9, 0-9", f"0-{'9' * 20}"])
def test_another_content_range_is_refused(header: str) -> None:
    with pytest.raises(BlobUploadInvalid, match="0-1023"):
        parse_content_range(header)
