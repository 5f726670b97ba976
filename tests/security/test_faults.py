"""Each seeded fault of the wall and behind it is seen by the attack that it would let through."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from layby.bus.errors import LaybyError
from layby.bus.server import EmbeddedServer
from tests import engine
from tests.engine import Engine
from tests.fix_bus import bus_at
from tests.security import test_clock, test_further_account, test_send, test_terminal
from tests.security.faults import Fault
from tests.security.house import started
from tests.security.seeded import FAULTS

# An attack that gets through leaves things as they are: connections that nobody has closed.
pytestmark = [pytest.mark.nats, pytest.mark.proof, pytest.mark.filterwarnings("ignore")]

WITHIN = 4.0
"""Seconds that an attack waits here for what the fault keeps away."""
NOTICED = (AssertionError, pytest.fail.Exception, TimeoutError, ValueError, LaybyError)
"""What an attack ends with that gets through: not a name that is gone, or a wrong argument."""
_COMMANDS = {module.__name__ for module in (test_clock, test_send, test_terminal)}
_DESKS = {module.__name__: module.desk_at for module in (test_clock, test_send)}
_SIDE_BY_SIDE = [each for each in FAULTS if inspect.iscoroutinefunction(each.attack)]
_ALONE = [each for each in FAULTS if each not in _SIDE_BY_SIDE]


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, module in list(sys.modules.items()):
        if name in _COMMANDS:  # they take what a process takes
            continue
        if name.startswith("tests.security.") or module is engine:
            monkeypatch.setattr(module, "WITHIN", WITHIN, raising=False)
    monkeypatch.setattr(engine.until, "__defaults__", (WITHIN,))
    before = os.umask(0)  # of an attack on files
    yield
    os.umask(before)


@pytest.mark.parametrize("fault", _SIDE_BY_SIDE, ids=lambda fault: fault.name)
async def test_an_attack_notices(
    fault: Fault,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    clean_nats: str,
) -> None:
    async def made(name: str) -> Any:
        if name in {"house", "walled", "jwt"}:
            return await stack.enter_async_context(started(fault.kind, tmp_path))
        if name == "shared":
            return await stack.enter_async_context(test_further_account.shared_at(tmp_path))
        if name == "engine":
            return await stack.enter_async_context(Engine.at(clean_nats))
        if name == "bus":
            return await stack.enter_async_context(bus_at(clean_nats, timeout=30.0))
        if name == "own_server":
            return await stack.enter_async_context(EmbeddedServer(tmp_path / "nats"))
        return clean_nats if name == "clean_nats" else request.getfixturevalue(name)

    fault.apply(monkeypatch)
    async with AsyncExitStack() as stack:
        needs = inspect.signature(fault.attack).parameters.keys() - fault.given.keys()
        given = {name: await made(name) for name in needs}
        with pytest.raises(NOTICED):
            await fault.attack(**given, **fault.given)


@pytest.mark.parametrize("fault", _ALONE, ids=lambda fault: fault.name)
def test_an_attack_by_commands_notices(
    fault: Fault,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    tmp_path: Path,
) -> None:
    needs = inspect.signature(fault.attack).parameters.keys() - fault.given.keys()
    given: dict[str, Any] = dict(fault.given)
    if "desk" in needs:
        url = request.getfixturevalue("own_server").url
        if fault.attack.__module__ == test_terminal.__name__:
            given["desk"] = test_terminal.desk_at(tmp_path, url, monkeypatch)
            given["screen"] = test_terminal.Screen(given["desk"], request.getfixturevalue("capfd"))
        else:
            given["desk"] = _DESKS[fault.attack.__module__](tmp_path, url)
    given |= {name: request.getfixturevalue(name) for name in needs - given.keys()}
    fault.apply(monkeypatch)
    with pytest.raises(NOTICED):
        fault.attack(**given)
