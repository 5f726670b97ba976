"""Reply subjects: what the server sends to them passes no permission within an account."""

from __future__ import annotations

import pytest

from layby.bus.errors import StreamMissing
from layby.bus.opened import opened
from tests.engine import until
from tests.security.house import House

pytestmark = pytest.mark.nats


async def exists(house: House, stream: str) -> bool:
    async with opened(house.settings("provisioner")) as bus:
        try:
            await bus.requests.api(f"STREAM.INFO.{stream}")
        except StreamMissing:
            return False
        return True


async def test_a_person_deletes_all_logs(house: House) -> None:
    async with house.working():
        async with house.raw("ada") as ada:
            ada.publish(
                b"$JS.API.DIRECT.GET.KV_questions.$KV.questions.nosuch",
                reply=b"$JS.API.STREAM.DELETE.RUNS",
            )
            assert await ada.sent() == []
        if house.walled:
            await house.question("T1")
            assert await exists(house, "RUNS")
        else:

            async def gone() -> bool:
                return not await exists(house, "RUNS")

            await until(gone)
