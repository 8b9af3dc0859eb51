from __future__ import annotations

import errno
import uuid
from itertools import islice
from typing import TYPE_CHECKING

import pytest

from registry.oci.errors import BlobUploadUnknown
from registry.oci.names import RepositoryName
from registry.oci.upload import Upload
from registry.service.begun import Begun, new_ids
from registry.service.policy import Policy
from registry.service.principals import ANONYMOUS
from registry.service.registry import open_registry
from registry.store.files import Files

if TYPE_CHECKING:
    from pathlib import Path

_NAME = RepositoryName("a")


def upload(number: int) -> Upload:
    return Upload(str(number), _NAME, "sha256", 0)


def test_a_session_is_known_once_and_to_who_began_it() -> None:
    begun = Begun()
    for number in range(4):
        begun.add(upload(number), "me")
    begun.forget("0")
    taken = [begun.take(*who) for who in (("0", _NAME, "me"), ("1", RepositoryName("b"), "me"), ("2", _NAME, "you"))]
    assert taken == [None, None, None]
    assert [begun.take("3", _NAME, "me") for _ in range(2)] == [upload(3), None]


def test_the_oldest_give_way() -> None:
    begun = Begun()
    for number in range(5000):
        begun.add(upload(number), "me")
    assert sum(begun.take(str(number), _NAME, "me") is not None for number in range(5000)) == 4096


@pytest.mark.parametrize("way", ["end", "expire"])
async def test_what_has_ended_before_anybody_asked_for_it_is_unknown(tmp_path: Path, way: str) -> None:
    async with open_registry(tmp_path, Policy()) as registry:
        upload_id = (await registry.uploads.begin(_NAME, ANONYMOUS)).id
        if way == "end":
            await registry.uploads.end(upload_id)
        else:
            await registry.expiry.expire(idle_seconds=-1)
        with pytest.raises(BlobUploadUnknown):
            registry.uploads.find(_NAME, ANONYMOUS, upload_id)


async def test_a_session_whose_file_could_not_be_removed_is_unknown_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_files: Files, _upload_id: str) -> None:
        raise OSError(errno.EIO, "no")

    monkeypatch.setattr(Files, "remove_upload", fail)
    async with open_registry(tmp_path, Policy()) as registry:
        upload_id = (await registry.uploads.begin(_NAME, ANONYMOUS)).id
        with pytest.raises(OSError, match="no"):
            await registry.uploads.end(upload_id)
        with pytest.raises(BlobUploadUnknown):
            registry.uploads.find(_NAME, ANONYMOUS, upload_id)


def test_ids_are_random_and_each_another_one() -> None:
    ids = list(islice(new_ids(), 150))
    assert len(set(ids)) == 150
    assert {(uuid.UUID(each).version, str(uuid.UUID(each)) == each) for each in ids} == {(4, True)}
