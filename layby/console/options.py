"""How the console is started."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..actors.people.answer_link import LinkKeys
from ..runtime.vouching import Signers

PORT = 7422
HOST = "127.0.0.1"
LINKS = "/answer/"
"""Below this path are the pages that links in mails open, without a login."""
Auth = Literal["token", "nats", "proxy"]
"""Who may use it: `token`: anyone with the printed address. `nats`: people sign in with their own
NATS login. `proxy`: a proxy in front says who it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyOptions:
    """What the login by a proxy needs.

    Attributes:
        header: The header that holds the name of the person who asks.
        trusted: The networks from which it counts, `10.0.0.0/8` for instance.
        operators: Who may do everything.
        responders: Who sees the inbox alone, and for which roles: `("carl", ("developer",))`.
            Everybody else may look at everything, and change nothing.
    """

    header: str
    trusted: tuple[str, ...]
    operators: frozenset[str] = frozenset()
    responders: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def roles_of(self, name: str) -> frozenset[str] | None:
        """The roles of a responder; None: they are not one."""
        found = [roles for who, roles in self.responders if who == name]
        return frozenset[str]().union(*found) if found else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleOptions:
    """The options of one console.

    Attributes:
        host: The address to listen on.
        port: The port to listen on; 0: a free one.
        base_path: The path under which a proxy serves it, `/layby` for instance; empty: none.
        auth: How people sign in.
        proxy: What `auth="proxy"` needs.
        read_only: Whether it refuses everything that changes something.
        catalogue: The file of the catalogue; None: it is kept in memory.
        allow_hosts: Further names under which browsers ask for it, a proxy's for instance.
        signers: The roles whose answers are signed, with their keys; None: signatures are not
            checked against any keys.
        tokens: The file with the tokens of responders; None: it takes none.
        links: The keys of links that answer; None: it takes none.
    """

    host: str = HOST
    port: int = PORT
    base_path: str = ""
    auth: Auth = "token"
    proxy: ProxyOptions | None = None
    read_only: bool = False
    catalogue: Path | None = None
    allow_hosts: tuple[str, ...] = ()
    signers: Signers | None = None
    tokens: Path | None = None
    links: LinkKeys | None = None
