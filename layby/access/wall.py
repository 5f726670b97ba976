"""The wall: an account for the workers, one for the audit trail, and one for each kind of outsider.

Within an account the server checks the subject of a request, but not its reply subject, to which it
sends acknowledgements and stored messages. Between accounts the server makes the reply subject
itself, so that nothing crosses except what is exported here. The audit trail of commands, which
nobody may change, is therefore in an account without logins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from ..bus.errors import InvalidSettings
from ..commands import STREAM
from ..runtime.vouched import VIA
from . import rights, trail
from .account import CONNECTIONS, Account, Limits, Service
from .login import (
    BRIDGES,
    LAYBY,
    OBSERVERS,
    OPERATORS,
    OUTSIDERS,
    PEOPLE,
    SENDERS,
    TRAIL,
    Bridge,
    Link,
    Login,
    Person,
    Staff,
    trail_login,
)
from .outline import Outline

_LONG: Final = 1024 * 1024
"""Bytes of an event, at most."""


class Wall(msgspec.Struct, frozen=True, kw_only=True):
    """Logins and accounts around the apps that share an account.

    Attributes:
        apps: The apps; several need different prefixes.
        named_only: Answers are accepted only on subjects that end in the responder's name. The
            bare line of the nats CLI, `nats pub -J developer.response.T125 ...`, is then refused.
        connections: How many connections each account of outsiders may have at a time.
        own_trail: The audit trail is in an account of its own; if not, it is with the other
            streams, where anyone with a worker's login can have it deleted.
    """

    apps: tuple[Outline, ...]
    named_only: bool = False
    connections: int = CONNECTIONS
    own_trail: bool = False

    def accounts(self) -> list[Account]:
        """All accounts, each after those that it imports from."""
        trails = [Account(name=TRAIL, stores=True)] if self.own_trail else []
        ports = self._trail_services(trail.reads, trail.creates, trail.takes)
        inside = Account(name=LAYBY, ports=ports, stores=True)
        return [*trails, inside, *map(self._account, OUTSIDERS)]

    def logins(self, staff: Staff) -> list[Login]:
        """All logins."""
        return [
            *self.inside(),
            *map(self.sender, staff.senders),
            *map(self.person, staff.people),
            *map(self.bridge, staff.bridges),
            *map(self.notifier, staff.notifiers),
            *map(self.observer, staff.observers),
            *map(self.operator, staff.operators),
            *(half for name in staff.backups for half in self.backup(name)),
            *(half for name in staff.restorers for half in self.restorer(name)),
            *(half for each in staff.links for half in self.link(each, staff.restorers)),
        ]

    def backup(self, name: str) -> list[Login]:
        """The login that saves the streams, and its other half, which saves the audit trail."""
        about = "Runs `layby backup`: reads everything, and changes nothing."
        return self._halves(name, lambda _: rights.of_backup(), about)

    def restorer(self, name: str) -> list[Login]:
        """What restores a backup, follows a cluster, and takes over from it."""
        about = "Runs `layby restore` and `layby standby`: makes, changes and removes streams."
        asked = self._request_subjects(trail.reads, trail.verifies, trail.creates)

        def allowed(account: str) -> tuple[str, ...]:
            if account == TRAIL:
                return self._all(lambda app: rights.of_restorer(app, [app.names.stream(STREAM)]))
            return (*self._all(lambda app: rights.of_restorer(app, self._kept_inside(app))), *asked)

        return self._halves(name, allowed, about)

    def link(self, link: Link, followers: Iterable[str]) -> list[Login]:
        """The leaf node of a standby, which `followers` run.

        Raises:
            InvalidSettings: nobody follows.
        """
        inside = tuple(followers)
        if not inside:
            raise InvalidSettings(
                f"link {link.name}: replies to `layby standby` go over it, and nobody "
                "has a login that may run it: add a restorer"
            )
        about = "The leaf node of a standby: another server logs in with it, and mirrors streams."
        found = self._halves(link.name, lambda _: rights.of_link(link.domain), about)
        return [
            msgspec.structs.replace(
                each,
                receive=rights.link_subscriptions(
                    f"_INBOX_{trail_login(who) if each.account == TRAIL else who}" for who in inside
                ),
                is_link=True,
            )
            for each in found
        ]

    def _halves(
        self, name: str, allowed: Callable[[str], Iterable[str]], about: str
    ) -> list[Login]:
        """A login in the account of the streams, and one in that of the trail."""
        names = {LAYBY: name, **({TRAIL: trail_login(name)} if self.own_trail else {})}
        return [_login(who, at, allowed(at), (), about) for at, who in names.items()]

    def _kept_inside(self, app: Outline) -> list[str]:
        own = app.names.stream(STREAM)
        return [each for each in app.streams if each != own or not self.own_trail]

    def inside(self) -> list[Login]:
        """The logins of the account that holds the streams."""
        makes = "Runs `layby provision APP`, once for each release: makes streams and consumers."
        works = "Runs `layby worker APP`. What it writes is believed: see docs/security.md."
        make = (
            *self._all(rights.of_provisioner),
            *self._request_subjects(trail.verifies, trail.creates),
        )
        work = (*self._all(rights.of_worker), *self._request_subjects(trail.reads, trail.takes))
        return [
            _login("provisioner", LAYBY, make, (), makes),
            _login("worker", LAYBY, work, self._all(rights.worker_subscriptions), works),
        ]

    def sender(self, name: str) -> Login:
        """A program that sends events."""
        about = "A program that sends events. It learns that they are stored, and nothing else."
        return _login(name, SENDERS, self._all(lambda app: app.events), (), about)

    def person(self, person: Person) -> Login:
        """A person who answers.

        Raises:
            InvalidSettings: no app has a role that they should answer for.
        """
        declared = {role for app in self.apps for role in app.roles}
        if unknown := [role for role in person.roles if role not in declared]:
            raise InvalidSettings(
                f"{person.name} cannot answer for {', '.join(unknown)}: the roles are "
                f"{', '.join(sorted(declared))}"
            )

        def roles_in(app: Outline) -> list[str]:
            return [role for role in app.roles if not person.roles or role in person.roles]

        plain, name = not self.named_only, person.name
        publish = self._all(lambda app: rights.answers(app, roles_in(app), name, plain=plain))
        publish += (*self._all(lambda app: sum(rights.questions(app), ())), rights.WHO)
        receive = self._all(lambda app: rights.question_subjects(app, roles_in(app)))
        about = "Sees questions and answers them; the last word of the subject says who it was."
        return _login(name, PEOPLE, publish, receive, about)

    def bridge(self, bridge: Bridge) -> Login:
        """A program that takes in what people say elsewhere.

        Raises:
            InvalidSettings: nobody can vouch by one of its `via`.
        """
        if unknown := [each for each in bridge.via if each not in VIA]:
            raise InvalidSettings(
                f"{bridge.name} cannot vouch by {', '.join(unknown)}: give some of {', '.join(VIA)}"
            )
        via = bridge.via or VIA
        taken_in = self._all(lambda app: rights.bridge_subjects(app, via))
        publish = (*rights.observer_permissions(), *self._request_subjects(trail.reads), *taken_in)
        about = "Looks at everything; hands in answers of people it knows, in their names."
        return _login(bridge.name, BRIDGES, publish, self._all(rights.watched), about)

    def notifier(self, name: str) -> Login:
        """A process that shows questions on channels, and takes in what people say there."""
        _, worker = self.inside()
        taken_in = self._all(lambda app: rights.bridge_subjects(app, VIA))
        receive = (
            *worker.receive[1:],
            *self._all(lambda app: rights.question_subjects(app, app.roles)),
        )
        about = "Runs `layby notify APP`: what a worker may do, and what a bridge may."
        return _login(name, LAYBY, (*worker.publish, *taken_in), receive, about)

    def observer(self, name: str) -> Login:
        """A person or dashboard that may read everything."""
        about = "Looks at everything and changes nothing: `layby runs`, `show`, `doctor`."
        publish = (*rights.observer_permissions(), *self._request_subjects(trail.reads))
        return _login(name, OBSERVERS, publish, self._all(rights.watched), about)

    def operator(self, name: str) -> Login:
        """A person who operates runs."""
        commands = self._all(lambda app: rights.of_operator(app, name))
        publish = (*rights.observer_permissions(), *self._request_subjects(trail.reads), *commands)
        about = (
            "Looks at everything; cancels, retries and purges runs, deals with dead letters, edits "
            "rotas."
        )
        return _login(name, OPERATORS, publish, self._all(rights.watched), about)

    def _account(self, name: str) -> Account:
        if name == SENDERS:
            limits = self._limits(payload=_LONG)
            return _account(name, limits, single=self._all(lambda app: app.events))
        if name == PEOPLE:
            return self._people()
        inside = not self.own_trail
        single = self._all(lambda app: rights.of_observer(app, trail=inside)[1])
        if name == BRIDGES:
            single += self._all(lambda app: rights.bridge_subjects(app, VIA))
        if name == OPERATORS and inside:
            single += self._all(lambda app: rights.of_operator(app, "*"))
        many = self._all(lambda app: rights.of_observer(app, trail=inside)[0])
        kinds = (trail.reads, trail.commands) if name == OPERATORS else (trail.reads,)
        streams = self._all(rights.watched)
        found = _account(name, self._limits(), many=many, single=single, streams=streams)
        return msgspec.structs.replace(found, ports=found.ports + self._trail_services(*kinds))

    def _people(self) -> Account:
        plain = not self.named_only
        answers = self._all(lambda app: rights.answers(app, app.roles, "*", plain=plain))
        return _account(
            PEOPLE,
            self._limits(),
            many=self._all(lambda app: rights.questions(app)[0]),
            single=(*answers, *self._all(lambda app: rights.questions(app)[1])),
            streams=self._all(lambda app: rights.question_subjects(app, app.roles)),
        )

    def _limits(self, **other: int) -> Limits:
        return Limits(connections=self.connections, **other)

    def _trail_services(
        self, *parts: Callable[[Outline], Iterable[Service]]
    ) -> tuple[Service, ...]:
        """The services of the audit trail's account; none where it has no account of its own."""
        apps = self.apps if self.own_trail else ()
        return tuple(dict.fromkeys(each for app in apps for part in parts for each in part(app)))

    def _request_subjects(self, *parts: Callable[[Outline], Iterable[Service]]) -> tuple[str, ...]:
        """The subjects that a login publishes on to use these services."""
        return tuple(each.requested for each in self._trail_services(*parts))

    def _all(self, part: Callable[[Outline], Iterable[str]]) -> tuple[str, ...]:
        """The subjects of all apps, each once."""
        return tuple(dict.fromkeys(subject for app in self.apps for subject in part(app)))


def _account(
    name: str,
    limits: Limits,
    *,
    many: Iterable[str] = (),
    single: Iterable[str] = (),
    streams: tuple[str, ...] = (),
) -> Account:
    ports = [*(Service(subject, many=True) for subject in many), *map(Service, single)]
    return Account(name=name, ports=tuple(dict.fromkeys(ports)), streams=streams, limits=limits)


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
