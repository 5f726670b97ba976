"""The channel that sends questions as mails. docs/email.md."""

from __future__ import annotations

import asyncio
import os
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from email.errors import HeaderParseError
from email.headerregistry import Address
from email.policy import SMTP
from importlib.util import find_spec
from typing import Any, Final, get_args
from weakref import WeakValueDictionary

import structlog

from ....bus.install import installing
from ....bus.token import is_word
from ....runtime.channel import Card, ChannelError, Undeliverable
from ....runtime.errors import InvalidSetup
from .acts import Acts, Links
from .letter import Envelope, closing_letter, is_whole, letter, message_id
from .smtp import MailServer

_SERVER: Final = "LAYBY_SMTP"
_SENDER: Final = "LAYBY_SMTP_FROM"
_EVERYBODY: Final = "*"
"""Stands for the address that reaches everybody with the role."""
_KEPT: Final = 10_000
_PACKAGES: Final = ("aiosmtplib", "jinja2")
log = structlog.get_logger("layby.channels")


@dataclass(frozen=True, slots=True)
class _Post:
    """What it takes to send: read from the environment when it is needed."""

    server: MailServer
    sender: Address
    acts: Acts


class Email:
    """Questions as mails. Made by `email`."""

    def __init__(
        self, to: str, people: Mapping[str, str], *, links: Links, closing: bool, name: str
    ) -> None:
        self.name = name
        self._list = _address(to, "email") if to else None
        self._people = {
            _word(person): _address(each, f"email, {person}") for person, each in people.items()
        }
        self._links: Links = links
        self._closing = closing
        self._sent: OrderedDict[str, None] = OrderedDict()
        """Message-IDs that a server has accepted from this process: if the mail to one of several
        people is tried again, the others get no second one."""
        self._sending: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def __repr__(self) -> str:
        return f"email({self.name!r})"

    def missing(self) -> str:
        """The variable or the package that is missing."""
        for package in _PACKAGES:
            if find_spec(package) is None:
                return f"the package {package}: {installing('email')}"
        try:
            _post(self._links)
        except InvalidSetup as error:
            return str(error)
        return ""

    async def send(self, card: Card) -> str:
        """Send a mail to each person who is told, or to the address of the role.

        Raises:
            ChannelError: a mail server did not take one of them now.
            Undeliverable: nobody's address is known, or all of them are refused for good.
        """
        post = _ready(self._links)
        names = self._names(card)
        root = message_id(post.sender.domain, card.key)
        first = card.first.split(" ")[0]
        mails: dict[str, bytes] = {}
        for name in names:
            envelope = self._envelope(post, root, name, first)
            person = "" if name == _EVERYBODY else name
            buttons = post.acts.of(card, person, shows_all=is_whole(card))
            mails[name] = letter(card, envelope, buttons)
        await self._deliver(post, root, mails, card)
        ref = " ".join([root, *names])
        return ref if len(ref) <= 500 else root  # noqa: PLR2004  the most that is kept

    async def update(self, ref: str, card: Card) -> None:
        """Do nothing: a mail cannot be changed."""

    async def close(self, ref: str, card: Card) -> None:
        """Send a short mail that it is closed, if the channel was made with `closing=True`.

        Raises:
            ChannelError: a mail server did not take it now.
            Undeliverable: all addresses are refused for good.
        """
        if not self._closing:
            return
        post = _ready(self._links)
        root, *sent = ref.split(" ")
        names = [name for name in sent or self._names(card) if self._at(name) is not None]
        closed = message_id(post.sender.domain, root, "closed")
        mails = {
            name: closing_letter(card, self._envelope(post, closed, name, root)) for name in names
        }
        await self._deliver(post, closed, mails, card)

    def _names(self, card: Card) -> list[str]:
        """Who gets a mail. Raises Undeliverable."""
        wanted = card.told or tuple(filter(None, [card.to.partition("person:")[2]]))
        known = [name for name in dict.fromkeys(wanted) if name in self._people]
        if self._list is not None:
            return known if wanted and len(known) == len(set(wanted)) else [*known, _EVERYBODY]
        if known or not wanted:
            return known or [*self._people]
        raise Undeliverable(f"no address of {', '.join(wanted)} is known: add it to email(people=)")

    def _at(self, name: str) -> Address | None:
        return self._list if name == _EVERYBODY else self._people.get(name)

    def _envelope(self, post: _Post, root: str, name: str, first: str) -> Envelope:
        address = self._at(name)
        assert address is not None  # noqa: S101  only those with one are named
        domain = post.sender.domain
        follows = message_id(domain, first, name) if first else ""
        id_ = message_id(domain, root, name)
        return Envelope(sender=post.sender, to=address, id=id_, follows=follows)

    async def _deliver(self, post: _Post, root: str, mails: dict[str, bytes], card: Card) -> None:
        """Hand over each mail once. Raises ChannelError, Undeliverable.

        A question's end and its run's come close together, so two calls may be for the same mail.
        """
        async with self._sending.setdefault(root, asyncio.Lock()):
            await self._deliver_left(post, root, mails, card)

    async def _deliver_left(
        self, post: _Post, root: str, mails: dict[str, bytes], card: Card
    ) -> None:
        refused: list[ChannelError] = []
        later: list[ChannelError] = []
        left = {name: mail for name, mail in mails.items() if f"{root}{name}" not in self._sent}
        if left:
            async with post.server.opened() as mailing:
                for name, mail in left.items():
                    address = self._at(name)
                    assert address is not None  # noqa: S101
                    whose = "the role" if name == _EVERYBODY else name
                    try:
                        sender, to = post.sender.addr_spec, address.addr_spec
                        await mailing.send(sender, to, mail, whose=whose)
                        self._keep(f"{root}{name}")
                    except Undeliverable as error:
                        refused.append(error)
                    except ChannelError as error:
                        later.append(error)
        if later:
            raise later[0]
        if refused and len(refused) == len(mails):
            raise refused[0]
        for each in refused:
            log.warning(
                "channel.recipient_refused",
                channel=self.name,
                question=card.question,
                run=card.run,
                reason=str(each),
            )

    def _keep(self, id_: str) -> None:
        self._sent[id_] = None
        while len(self._sent) > _KEPT:
            self._sent.popitem(last=False)


def email(
    to: str = "",
    *,
    people: Mapping[str, str] | None = None,
    links: Links = "safe",
    closing: bool = False,
    name: str = "email",
) -> Email:
    """A channel that sends questions as mails: docs/email.md.

    The server comes from the variable LAYBY_SMTP, such as
    `smtps://user:password@mail.acme.example`, and the sender from LAYBY_SMTP_FROM. With
    LAYBY_LINK_KEY and LAYBY_CONSOLE_URL, mails to one person have links that answer.

    Args:
        to: The address that reaches everybody with the role. Without it, everybody in `people`
            gets a mail.
        people: The addresses of people, by their name in subjects. A person who is told of a
            question, by a rota or because it is meant for them, gets a mail instead of `to`.
        links: Which mails to one person have links that answer: `all`; `safe`: all of them, but no
            link approves a call of a tool; `none`.
        closing: Whether a short mail says how the question ended.
        name: The name of the channel.

    Raises:
        InvalidSetup: there is no address, or one is not valid.
    """
    if not to and not people:
        raise InvalidSetup('email() has no address: write email("dev@acme.example")')
    if links not in get_args(Links):
        raise InvalidSetup(f"email: links={links!r}: use safe, all or none")
    return Email(to, people or {}, links=links, closing=closing, name=name)


def _ready(links: Links) -> _Post:
    """What it takes to send. Raises ChannelError: a process that has that sends it later."""
    try:
        return _post(links)
    except InvalidSetup as error:
        raise ChannelError(str(error)) from None


def _post(links: Links) -> _Post:
    url, sender = os.environ.get(_SERVER, ""), os.environ.get(_SENDER, "")
    if not url:
        raise InvalidSetup(
            f"{_SERVER} is not set: the mail server, as in smtps://user:password@mail.acme.example"
        )
    if not sender:
        raise InvalidSetup(f"{_SENDER} is not set: the sender, as in Layby <layby@acme.example>")
    server = MailServer.of(url, _SERVER)
    return _Post(server, _sender(sender), Acts.from_env(links))


def _sender(text: str) -> Address:
    """A name and an address, as in a header. Raises InvalidSetup."""
    header: Any = None
    if text.isascii() and text.isprintable():
        header = SMTP.header_factory("From", text)
    found: list[Address] = []
    if header is not None and not header.defects:
        found = [*header.addresses]
    if len(found) != 1:
        raise InvalidSetup(f"{_SENDER}={text!r} is not a sender: write Layby <layby@acme.example>")
    _address(found[0].addr_spec, _SENDER)
    return found[0]


def _address(text: str, whose: str) -> Address:
    """One address. Raises InvalidSetup."""
    try:
        found = Address(addr_spec=text)
    except (ValueError, IndexError, HeaderParseError):
        found = Address()
    if not found.username or not found.domain or not text.isascii() or not text.isprintable():
        raise InvalidSetup(f"{whose}: {text!r} is not an address of a mailbox")
    return found


def _word(person: str) -> str:
    if not is_word(person):
        raise InvalidSetup(
            f"email: {person!r} cannot be a name in subjects: use letters, digits, _ and -"
        )
    return person
