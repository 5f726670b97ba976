"""The wall: an account for the workers, and one for each kind of outsider.

Within an account the server checks what somebody publishes, but not the reply subject that a
request names: acknowledgements and stored messages go wherever that says. Between accounts the
server makes the reply subject itself, so nothing crosses but what is exported here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from ..bus.errors import InvalidSettings
from . import rights
from .login import LAYBY, OBSERVERS, OPERATORS, OUTSIDERS, PEOPLE, SENDERS, Login, Person, Staff
from .outline import Outline


class Service(msgspec.Struct, frozen=True):
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
    """What may be built around the apps that share an account.

    Attributes:
        apps: The apps; each has a prefix of its own where there are several.
        named_only: Answers are taken only on subjects that end in the name of who answers. The
            bare line of the nats CLI, `nats pub -J developer.response.T125 ...`, is then refused.
    """

    apps: tuple[Outline, ...]
    named_only: bool = False

    def accounts(self) -> list[Account]:
        """The accounts of outsiders."""
        return [self._account(name) for name in OUTSIDERS]

    def logins(self, staff: Staff) -> list[Login]:
        """Everybody's login."""
        return [
            *self.inside(),
            *map(self.sender, staff.senders),
            *map(self.person, staff.people),
            *map(self.observer, staff.observers),
            *map(self.operator, staff.operators),
        ]

    def inside(self) -> list[Login]:
        """The logins of the account that holds the streams."""
        makes = "Runs `layby provision APP`, once for each release: makes streams and consumers."
        works = "Runs `layby worker APP`. What it writes is believed: see docs/security.md."
        return [
            _login("provisioner", LAYBY, self._all(rights.of_provisioner), (), makes),
            _login(
                "worker",
                LAYBY,
                self._all(rights.of_worker),
                self._all(rights.heard_by_worker),
                works,
            ),
        ]

    def sender(self, name: str) -> Login:
        """A program that sends events."""
        about = "A program that sends events. It learns that they are stored, and nothing else."
        return _login(name, SENDERS, self._all(lambda app: app.events), (), about)

    def person(self, person: Person) -> Login:
        """Somebody who answers.

        Raises:
            InvalidSettings: no app has a role that they are to answer for.
        """
        declared = {role for app in self.apps for role in app.roles}
        if unknown := [role for role in person.roles if role not in declared]:
            raise InvalidSettings(
                f"{person.name} cannot answer for {', '.join(unknown)}: the roles are "
                f"{', '.join(sorted(declared))}"
            )

        def held(app: Outline) -> list[str]:
            return [role for role in app.roles if not person.roles or role in person.roles]

        plain, name = not self.named_only, person.name
        publish = self._all(lambda app: rights.answers(app, held(app), name, plain=plain))
        publish += self._all(lambda app: sum(rights.questions(app), ()))
        receive = self._all(lambda app: rights.asked(app, held(app)))
        about = "Sees questions and answers them; the last word of the subject says who it was."
        return _login(name, PEOPLE, publish, receive, about)

    def observer(self, name: str) -> Login:
        """Somebody, or a dashboard, who looks at everything."""
        about = "Looks at everything and changes nothing: `layby runs`, `show`, `doctor`."
        return _login(name, OBSERVERS, rights.looking(), self._all(rights.watched), about)

    def operator(self, name: str) -> Login:
        """Somebody who looks after runs."""
        commands = self._all(lambda app: rights.of_operator(app, name))
        publish = (*rights.looking(), *commands)
        about = "Looks at everything; cancels, retries and purges runs, deals with dead letters."
        return _login(name, OPERATORS, publish, self._all(rights.watched), about)

    def _account(self, name: str) -> Account:
        if name == SENDERS:
            return _account(name, single=self._all(lambda app: app.events))
        if name == PEOPLE:
            return self._people()
        single = self._all(lambda app: rights.looks(app)[1])
        if name == OPERATORS:
            single += self._all(lambda app: rights.of_operator(app, "*"))
        many = self._all(lambda app: rights.looks(app)[0])
        return _account(name, many=many, single=single, streams=self._all(rights.watched))

    def _people(self) -> Account:
        plain = not self.named_only
        answers = self._all(lambda app: rights.answers(app, app.roles, "*", plain=plain))
        return _account(
            PEOPLE,
            many=self._all(lambda app: rights.questions(app)[0]),
            single=(*answers, *self._all(lambda app: rights.questions(app)[1])),
            streams=self._all(lambda app: rights.asked(app, app.roles)),
        )

    def _all(self, part: Callable[[Outline], Iterable[str]]) -> tuple[str, ...]:
        """The subjects of all apps, each once."""
        return tuple(dict.fromkeys(subject for app in self.apps for subject in part(app)))


def _account(
    name: str,
    *,
    many: Iterable[str] = (),
    single: Iterable[str] = (),
    streams: tuple[str, ...] = (),
) -> Account:
    services = [*(Service(subject, many=True) for subject in many), *map(Service, single)]
    return Account(name=name, services=tuple(dict.fromkeys(services)), streams=streams)


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
