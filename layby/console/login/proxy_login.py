"""A proxy in front says in a header who a request is from."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from typing import Final, Literal

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from ...bus.opened import Bus
from ...client import Client
from ...runtime.vouched import PROXY
from ..options import ConsoleOptions, ProxyOptions
from .granted import may_vouch
from .session import VIEWER, Rights, Session

_MOST: Final = 1_000
_LONGEST: Final = 128


class ProxyLogin:
    """The header counts if it comes from the proxy; nothing else gets in."""

    def __init__(
        self, client: Client, options: ConsoleOptions, proxy: ProxyOptions, bus: Bus
    ) -> None:
        self.routes: list[BaseRoute] = []
        self._client = client
        self._bus = bus
        self._vouched: frozenset[str] | Literal["unasked"] | None = "unasked"
        self._options = options
        self._proxy = proxy
        self._peers = [ipaddress.ip_network(each) for each in proxy.trusted]
        self._sessions: OrderedDict[str, Session] = OrderedDict()

    async def session(self, request: Request) -> Session | None:
        """The session of the person that the proxy names. Else raises HTTPException."""
        if not self._is_proxy(request):
            raise HTTPException(403, "Only the proxy in front of the console may ask it.")
        names = request.headers.getlist(self._proxy.header)
        name = names[0].strip() if len(names) == 1 else ""
        if not name or len(name) > _LONGEST or not name.isprintable():
            raise HTTPException(403, f"The proxy did not say who you are, in {self._proxy.header}.")
        if self._vouched == "unasked":
            self._vouched = await may_vouch(self._bus, PROXY)
        return self._of(name, self._vouched)

    async def enter(self, request: Request) -> Response | None:  # noqa: ARG002  others need it
        """Nobody signs in here."""
        return None

    def stranger(self, request: Request) -> Response:  # noqa: ARG002  others need it
        """There are none. Raises HTTPException."""
        raise HTTPException(403)

    async def close(self) -> None:
        """Forget everybody."""
        self._sessions.clear()

    def _is_proxy(self, request: Request) -> bool:
        try:
            peer = ipaddress.ip_address(request.client.host if request.client else "")
        except ValueError:
            return False
        peer = getattr(peer, "ipv4_mapped", None) or peer
        return any(peer in network for network in self._peers)

    def _of(self, name: str, vouched: frozenset[str] | None) -> Session:
        found = self._sessions.pop(name, None)
        if found is None:
            rights = self._rights(name)
            found = Session(name=name, rights=rights, client=self._client, vouched=vouched)
        self._sessions[name] = found
        if len(self._sessions) > _MOST:
            self._sessions.popitem(last=False)
        return found

    def _rights(self, name: str) -> Rights:
        roles = self._proxy.roles_of(name)
        if name in self._proxy.operators:
            return VIEWER if self._options.read_only else Rights()
        if roles is None:
            return VIEWER
        rights = Rights(view=False, roles=roles, operate=False)
        return rights.without_changes() if self._options.read_only else rights
