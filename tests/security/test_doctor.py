"""The doctor says when outsiders share the account of the streams."""

from __future__ import annotations

import pytest

from tests.security.house import House

pytestmark = pytest.mark.nats


async def test_the_doctor_warns_where_everybody_shares_an_account(house: House) -> None:
    async with house.working(), house.client("observer") as observer:
        [finding] = [each for each in await observer.doctor() if each.subject == "account"]
        assert finding.level == ("ok" if house.walled else "warn")
        assert ("everybody shares one account" in finding.message) is not house.walled
