from __future__ import annotations

import pytest

from registry.oci.errors import SizeInvalid, UploadOffsetInvalid
from registry.oci.names import RepositoryName
from registry.oci.ranges import ByteRange
from registry.oci.upload import Upload


def upload(offset: int) -> Upload:
    return Upload("id", RepositoryName("a"), "sha256", offset)


def test_a_chunk_has_to_begin_where_the_upload_ends() -> None:
    assert upload(5).expect(ByteRange(5, 8), 3) == 3
    for start in (0, 4, 6):
        with pytest.raises(UploadOffsetInvalid, match="byte 5") as caught:
            upload(5).expect(ByteRange(start, 9), None)
        assert caught.value.offset == 5


def test_the_length_is_what_the_headers_say() -> None:
    assert upload(5).expect(None, None) is None
    assert upload(5).expect(None, 7) == 7
    assert upload(5).expect(ByteRange(5, 8), None) == 3
    with pytest.raises(SizeInvalid, match="3 bytes, Content-Length 4"):
        upload(5).expect(ByteRange(5, 8), 4)


def test_the_range_ends_at_the_last_byte() -> None:
    assert [upload(offset).range() for offset in (0, 1, 2, 10)] == ["0-0", "0-0", "0-1", "0-9"]
