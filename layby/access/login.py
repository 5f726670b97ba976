"""The logins of an installation: who they are, and what each may publish and receive."""

from __future__ import annotations

from typing import Final

import msgspec

from ..bus.errors import InvalidSettings
from ..bus.token import is_word

LAYBY: Final = "LAYBY"
"""The account that holds the streams: workers and the provisioner are in it."""
TRAIL: Final = "TRAIL"
"""The account that holds the audit trail of commands: only what saves and restores it logs in."""
SENDERS: Final = "SENDERS"
PEOPLE: Final = "PEOPLE"
OBSERVERS: Final = "OBSERVERS"
OPERATORS: Final = "OPERATORS"
BRIDGES: Final = "BRIDGES"
OUTSIDERS: Final = (SENDERS, PEOPLE, BRIDGES, OBSERVERS, OPERATORS)
"""The accounts of those who do not run workers, one for each kind."""


class Login(msgspec.Struct, frozen=True, kw_only=True):
    """A login, and what the server allows it."""

    name: str
    account: str
    publish: tuple[str, ...]
    receive: tuple[str, ...]
    about: str
    is_link: bool = False
    """Only another server may log in with it, as a leaf node."""

    @property
    def inbox(self) -> str:
        """The inbox prefix of this login alone."""
        return f"_INBOX_{self.name}"

    @property
    def variable(self) -> str:
        """The environment variable that holds its password."""
        return f"LAYBY_{self.name.upper().replace('-', '_')}_PASSWORD"


class Person(msgspec.Struct, frozen=True):
    """A person who answers questions."""

    name: str
    roles: tuple[str, ...] = ()
    """The roles that they answer for; none: all of the app's."""


class Bridge(msgspec.Struct, frozen=True):
    """A program that takes in what people say elsewhere, and vouches for who they are."""

    name: str
    via: tuple[str, ...] = ()
    """What it vouches by, some of `slack`, `link`, `token` and `proxy`; none: all of them."""


class Link(msgspec.Struct, frozen=True):
    """The leaf node of a standby, over which it mirrors the streams."""

    name: str
    domain: str
    """The JetStream domain of the cluster that is mirrored, which it logs in to."""


class Staff(msgspec.Struct, frozen=True, kw_only=True):
    """The names of everybody who gets a login.

    Raises:
        InvalidSettings: two have one name, or a name cannot be a word of a subject.
    """

    senders: tuple[str, ...] = ("helpdesk",)
    people: tuple[Person, ...] = (Person("ada"),)
    bridges: tuple[Bridge, ...] = ()
    notifiers: tuple[str, ...] = ()
    observers: tuple[str, ...] = ("observer",)
    operators: tuple[str, ...] = ("operator",)
    backups: tuple[str, ...] = ()
    restorers: tuple[str, ...] = ()
    links: tuple[Link, ...] = ()

    def __post_init__(self) -> None:
        names = ["provisioner", "worker", *self.senders, *(each.name for each in self.people)]
        names += [*(each.name for each in self.bridges), *self.notifiers]
        names += [*self.observers, *self.operators]
        saving = [*self.backups, *self.restorers, *(each.name for each in self.links)]
        names += [*saving, *map(trail_login, saving)]
        for name in names:
            if not is_word(name):
                raise InvalidSettings(f"login {name!r}: use letters, digits, _ and -")
            if names.count(name) > 1:
                raise InvalidSettings(f"two logins are called {name!r}: rename one")
        for link in self.links:
            if not is_word(link.domain):
                raise InvalidSettings(
                    f"link {link.name!r} needs the JetStream domain of the cluster that is "
                    f"mirrored: {link.name}=DOMAIN"
                )


def trail_login(name: str) -> str:
    """The name of a login's second half, in the account of the audit trail."""
    return f"{name}-trail"
