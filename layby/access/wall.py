"""The wall: an account for the workers, and one for each kind of outsider.

Within an account the server checks what somebody publishes, but not the reply subject that a
request names: acknowledgements and stored messages go wherever that says. Between accounts the
server makes the reply subject itself, so nothing crosses but what is exported here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import msgspec

from ..app import App
from . import rights
from .login import LAYBY, OBSERVERS, OPERATORS, OUTSIDERS, PEOPLE, SENDERS, Login, Staff


class Service(msgspec.Struct, frozen=True, order=True):
    """A subject that outsiders may send requests to."""

    subject: str
    many: bool = False
    """A request gets more than one reply."""


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """An account of outsiders, and what crosses the wall for it."""

    name: str
    services: tuple[Service, ...]
    streams: tuple[str, ...]
    """Subjects that they receive what workers publish on."""


class Wall(msgspec.Struct, frozen=True, kw_only=True):
    """The logins of an installation, and what crosses from account to account."""

    logins: tuple[Login, ...]
    accounts: tuple[Account, ...]

    def within(self, account: str) -> list[Login]:
        """The logins of an account."""
        return [login for login in self.logins if login.account == account]


def wall(apps: Sequence[App], staff: Staff | None = None, *, named_only: bool = False) -> Wall:
    """Build the wall around the apps of one account.

    Args:
        apps: The apps; each has a prefix of its own where there are several.
        staff: Who gets a login.
        named_only: Take answers only on subjects that end in the name of who answers. The bare
            line of the nats CLI, `nats pub -J developer.response.T125 ...`, is then refused.
    """
    staff = staff or Staff()
    plain = not named_only
    return Wall(
        logins=(
            *_inside(apps),
            *(_sender(apps, name) for name in staff.senders),
            *(_person(apps, each.name, each.roles, plain=plain) for each in staff.people),
            *(_observer(apps, name) for name in staff.observers),
            *(_operator(apps, name) for name in staff.operators),
        ),
        accounts=tuple(_account(apps, name, plain=plain) for name in OUTSIDERS),
    )


def _account(apps: Sequence[App], name: str, *, plain: bool) -> Account:
    many: tuple[str, ...] = ()
    streams: tuple[str, ...] = ()
    if name == SENDERS:
        single = _all(apps, rights.of_sender)
    elif name == PEOPLE:
        single = _all(apps, lambda app: rights.answers(app, app.roles, "*", plain=plain))
        many = _all(apps, lambda app: rights.questions(app)[0])
        single += _all(apps, lambda app: rights.questions(app)[1])
        streams = _all(apps, lambda app: rights.asked(app, app.roles))
    else:
        many = _all(apps, lambda app: rights.looks(app)[0])
        single = _all(apps, lambda app: rights.looks(app)[1])
        streams = _all(apps, rights.watched)
        if name == OPERATORS:
            single += _all(apps, rights.of_operator)
    services = [*(Service(subject, many=True) for subject in many), *map(Service, single)]
    return Account(name=name, services=tuple(dict.fromkeys(services)), streams=streams)


def _inside(apps: Sequence[App]) -> Iterable[Login]:
    yield _login(
        "provisioner",
        LAYBY,
        rights.of_provisioner(),
        (),
        "Runs `layby provision APP`, once for each release: makes streams and consumers.",
    )
    yield _login(
        "worker",
        LAYBY,
        _all(apps, rights.of_worker),
        _all(apps, rights.heard_by_worker),
        "Runs `layby worker APP`. What a worker writes is believed: see docs/security.md.",
    )


def _sender(apps: Sequence[App], name: str) -> Login:
    about = "A program that sends events. It learns that they are stored, and nothing else."
    return _login(name, SENDERS, _all(apps, rights.of_sender), (), about)


def _person(apps: Sequence[App], name: str, roles: Sequence[str], *, plain: bool) -> Login:
    def held(app: App) -> list[str]:
        return [role for role in app.roles if not roles or role in roles]

    about = "Sees questions and answers them; the last word of the subject says who it was."
    publish = (
        *_all(apps, lambda app: rights.answers(app, held(app), name, plain=plain)),
        *_all(apps, lambda app: sum(rights.questions(app), ())),
    )
    return _login(
        name, PEOPLE, publish, _all(apps, lambda app: rights.asked(app, held(app))), about
    )


def _observer(apps: Sequence[App], name: str) -> Login:
    about = "Looks at everything and changes nothing: `layby runs`, `show`, `questions`, `doctor`."
    return _login(name, OBSERVERS, rights.looking(), _all(apps, rights.watched), about)


def _operator(apps: Sequence[App], name: str) -> Login:
    about = "Looks at everything; may cancel, retry and purge runs, and deal with dead letters."
    publish = (*rights.looking(), *_all(apps, rights.of_operator))
    return _login(name, OPERATORS, publish, _all(apps, rights.watched), about)


def _login(
    name: str, account: str, publish: Iterable[str], receive: Iterable[str], about: str
) -> Login:
    return Login(
        name=name,
        account=account,
        publish=tuple(dict.fromkeys(publish)),
        receive=(f"_INBOX_{name}.>", *dict.fromkeys(receive)),
        about=about,
    )


def _all(apps: Sequence[App], part: Callable[[App], Iterable[str]]) -> tuple[str, ...]:
    """The subjects of all apps, each once."""
    return tuple(dict.fromkeys(subject for app in apps for subject in part(app)))
