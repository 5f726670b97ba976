"""A connection to NATS with somebody's own login, and what the server lets them do with it."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Any, Final

from ...bus.credentials import named
from ...bus.errors import InvalidSettings, LaybyError, LoginRefused
from ...bus.keyring import KeyService
from ...bus.opened import Bus, opened
from ...bus.settings import ConnectionSettings, without_credentials
from ...bus.token import is_word
from .granted import Granted, PermissionsUnknown, granted, permissions_of

_INBOX: Final = "_INBOX"


class SignInFailed(LaybyError):
    """Why somebody cannot sign in, in words for them."""


class TooOften(SignInFailed):
    """Somebody tries too often."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Given:
    """What somebody signs in with: a user and a password, or credentials.

    Attributes:
        user: The user.
        password: The password.
        pasted: The text of a credentials file, or an nkey seed.
        inbox: The prefix of their inbox; empty: one that follows from their name, or the usual one.
    """

    user: str = ""
    password: str = ""
    pasted: str = ""
    inbox: str = ""

    @property
    def login(self) -> dict[str, Any]:
        """It as settings of a connection."""
        if self.user:
            return {"user": self.user, "password": self.password}
        return {"pasted": self.pasted}

    def known(self) -> tuple[str, str]:
        """What the server will call them, and their name, if that is known.

        Raises:
            InvalidSettings: what they have pasted is not a login.
        """
        return (self.user, self.user) if self.user else named(self.pasted)


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnConnection:
    """Somebody's connection.

    Attributes:
        stack: Closes it.
        bus: Requests over it.
        login: What the server calls them: the user, or a public key.
        granted: What they may do.
    """

    stack: AsyncExitStack
    bus: Bus
    login: str
    granted: Granted

    async def is_unchanged(self) -> bool:
        """Whether the server still grants the same."""
        try:
            login = await permissions_of(self.bus)
            return await granted(self.bus, login, self.granted.name) == self.granted
        except LaybyError:
            return False


async def connected(
    settings: ConnectionSettings, given: Given, *, prefix: str = "", keyring: KeyService | None
) -> OwnConnection:
    """Connect with somebody's login.

    Args:
        settings: The servers and TLS.
        given: Their login.
        prefix: The prefix of the app.
        keyring: The keys for what the app encrypts.

    Raises:
        SignInFailed: the server does not let them in, or lets them do nothing here.
    """
    try:
        who, name = given.known()
        for inbox in _inboxes(given, name):
            wanted = replace(settings, inbox_prefix=inbox, **given.login)
            async with AsyncExitStack() as stack:
                bus = await stack.enter_async_context(
                    opened(wanted, prefix=prefix, patient=True, keyring=keyring)
                )
                try:
                    found = await _checked(bus, who, name)
                except PermissionsUnknown:
                    continue
                return OwnConnection(stack=stack.pop_all(), bus=bus, login=who, granted=found)
    except SignInFailed:
        raise
    except LoginRefused:
        raise SignInFailed("NATS refuses this login.") from None
    except InvalidSettings as error:
        raise SignInFailed(str(error)) from None
    except LaybyError:
        raise SignInFailed("NATS does not answer, or takes no more connections.") from None
    raise SignInFailed(
        "NATS accepts this login, but does not tell it what it may do: let it publish on "
        "$SYS.REQ.USER.INFO, and give the prefix of its inbox if that is another one."
    )


async def _checked(bus: Bus, who: str, name: str) -> Granted:
    login = await permissions_of(bus)
    if not bus.connection.demands_login or login.user != who:
        raise SignInFailed("NATS knows this login under another name.")
    found = await granted(bus, login, name or who)
    if not found.rights.view and not found.rights.may_answer:
        raise SignInFailed("This login is good, but may neither see runs nor answer questions.")
    return found


def without_login(settings: ConnectionSettings) -> ConnectionSettings:
    """The same servers and TLS."""
    return replace(
        settings,
        user=None,
        password=None,
        token=None,
        creds=None,
        nkey=None,
        pasted=None,
        servers=tuple(map(without_credentials, settings.servers)),
        login_source="",
        inbox_prefix=_INBOX,
        name="layby console, for somebody",
    )


def _inboxes(given: Given, name: str) -> list[str]:
    """The prefixes under which they may receive replies, the likeliest first."""
    if given.inbox:
        return [given.inbox]
    return [*([f"{_INBOX}_{name}"] if is_word(name) else []), _INBOX]
