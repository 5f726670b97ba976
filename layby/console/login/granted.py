"""What the NATS server allows somebody: what it says about them, and what they can read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import msgspec

from ...bus.errors import BusError, LaybyError
from ...bus.names import Names
from ...bus.opened import Bus
from ...bus.subjects import overlaps
from ...bus.token import is_word
from ...runtime.vouched import Via
from .session import Rights

_WHO: Final = "$SYS.REQ.USER.INFO"
_WITHIN: Final = 3.0
_ANY: Final = frozenset({"*", ">"})


class PermissionsUnknown(LaybyError):
    """The server does not say what a login may do."""


class _Subjects(msgspec.Struct, frozen=True):
    allow: list[str] = []
    deny: list[str] = []


class _Permissions(msgspec.Struct, frozen=True):
    publish: _Subjects | None = None


class LoginPermissions(msgspec.Struct, frozen=True):
    """What the server says about a login."""

    user: str = ""
    account: str = ""
    permissions: _Permissions | None = None

    @property
    def publish(self) -> _Subjects:
        """What it may publish; an empty list allows everything."""
        found = self.permissions and self.permissions.publish
        return found or _Subjects()

    @property
    def patterns(self) -> list[str]:
        """The subjects that it may publish on."""
        return self.publish.allow or [">"]

    def may_publish(self, subject: str) -> bool:
        """Whether it may publish on a subject, or on all that a pattern stands for."""
        allowed = any(covers(each, subject) for each in self.patterns)
        return allowed and not any(overlaps(each, subject) for each in self.publish.deny)


class _Reply(msgspec.Struct, frozen=True):
    data: LoginPermissions = LoginPermissions()


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """Who somebody is according to the server, and what they may do."""

    name: str
    rights: Rights
    responder: str | None = None


async def permissions_of(bus: Bus) -> LoginPermissions:
    """What the server says about the login of a connection.

    Raises:
        PermissionsUnknown: it says nothing.
    """
    try:
        reply = await bus.requests.request(_WHO, timeout=_WITHIN)
        return msgspec.json.decode(reply.data, type=_Reply).data
    except (BusError, msgspec.MsgspecError):
        raise PermissionsUnknown(
            "NATS accepts this login, but does not tell it what it may do: let it publish on "
            f"{_WHO}, and receive on its inbox"
        ) from None


async def granted(bus: Bus, login: LoginPermissions, name: str) -> Granted:
    """What somebody may do.

    Args:
        bus: Their connection.
        login: What the server says about its login.
        name: Who they are, if their permissions name nobody.
    """
    names = bus.requests.names
    own = [names.own(each) for each in login.patterns if covers(_of(names), each) or each == ">"]
    name = _named(own) or name
    named, plain = _roles(login, names, own, f".{name}"), _roles(login, names, own, "")
    word = name if is_word(name) and (named is None or named) and login.permissions else None
    view = await _reads_runs(bus)
    return Granted(
        name=name,
        rights=Rights(
            view=view,
            roles=named if word else plain,
            operate=view and _commands(login, names, name),
        ),
        responder=word,
    )


async def may_vouch(bus: Bus, via: Via) -> frozenset[str] | None:
    """The roles for which a connection may hand in answers of people; None: for any role."""
    try:
        login = await permissions_of(bus)
    except PermissionsUnknown:
        return frozenset()
    names = bus.requests.names
    own = [names.own(each) for each in login.patterns if covers(_of(names), each)]
    return _roles(login, names, own, f".*.via-{via}")


def covers(pattern: str, subject: str) -> bool:
    """Whether a pattern stands for a subject, or for all that another pattern does."""
    wide, narrow = pattern.split("."), subject.split(".")
    for place, word in enumerate(wide):
        if word == ">":
            return len(narrow) > place
        if place >= len(narrow) or narrow[place] == ">":
            return False
        if word not in {"*", narrow[place]}:
            return False
    return len(wide) == len(narrow)


def _of(names: Names) -> str:
    return names.subject(">")


def _named(own: Iterable[str]) -> str:
    """The one person that these subjects name; empty if they name nobody, or several."""
    found: set[str] = set()
    for subject in own:
        match subject.split("."):
            case [_, "response", _, name] | ["layby", "do", _, name] if name not in _ANY:
                found.add(name)
            case _:
                continue
    return found.pop() if len(found) == 1 else ""


def _roles(
    login: LoginPermissions, names: Names, own: Iterable[str], end: str
) -> frozenset[str] | None:
    """The roles for which they may answer on subjects with this end; None: for any role."""
    if login.may_publish(names.subject(f"*.response.*{end}")):
        return None
    found = {each.split(".")[0] for each in own if covers("*.response.>", each)} - _ANY
    return frozenset(
        role for role in found if login.may_publish(names.subject(f"{role}.response.*{end}"))
    )


def _commands(login: LoginPermissions, names: Names, name: str) -> bool:
    return is_word(name) and login.may_publish(names.subject(f"layby.do.*.{name}"))


async def _reads_runs(bus: Bus) -> bool:
    """Whether they may read the list of runs, found out by reading a run that is not there."""
    names = bus.requests.names
    try:
        await bus.requests.direct_get(
            names.bucket_stream("runs"), {"multi_last": [names.keys("runs", "none.none")]}
        )
    except BusError:
        return False
    return True
