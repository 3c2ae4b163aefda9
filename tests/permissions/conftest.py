"""What tests of permissions share."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from tests.permissions.two_zones import two_zones

from assay.pipelines.platform import Platform
from shop_project import Shop


@pytest.fixture(scope="module")
def zones(new_shop: Callable[[], Shop]) -> Shop:
    return two_zones(new_shop())


@pytest.fixture
def platform(zones: Shop) -> Iterator[Platform]:
    with zones.opened() as found:
        yield found
