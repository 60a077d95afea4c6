"""Both planes for a page of tests, and a backend that asks them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from keys.aws import AwsHsm
from tests.hsm_aws.control import entries
from tests.hsm_aws.rig import Rig, rig

#: The keys of one test's own backend: moto takes its time for each.
FEW = ("cvk", "pvk", "zpk", "zpk_next", "zpk_aes", "imk_ac", "zak")


@pytest.fixture(scope="module")
def planes() -> Iterator[Rig]:
    """Both planes, as the tests of a page left them."""
    with rig() as running:
        yield running


@pytest.fixture
def mended(planes: Rig) -> Iterator[Rig]:
    """The same, with every knob as it was."""
    yield planes
    planes.data.mend()


@pytest_asyncio.fixture
async def hsm(mended: Rig) -> AsyncIterator[AwsHsm]:
    """A backend of its own for one test, which may hurt the planes."""
    keys = entries(mended.held)
    opened = mended.backend(keys={name: keys[name] for name in FEW})
    await opened.open()
    mended.data.asked.clear()
    yield opened
    await opened.close()
