"""One registry for the tests of the express lane."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.http.express_requests import fill
from tests.tools.sites import serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.tools.sites import Sites


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sites]:
    with serving(tmp_path_factory.mktemp("sites") / "data") as sites:
        fill(sites)
        yield sites
