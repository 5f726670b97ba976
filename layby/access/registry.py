"""Operator mode: the folder with the keys of an installation, and its list of logins.

The server knows its operator and accounts by tokens. A login is a token too, signed by its account,
so a new one needs no change of the server. A revoked one is named in its account's token, which is
then pushed to the server (`push`). The server's configuration names the operator and never changes.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final, Literal

import msgspec

from ..bus.errors import InvalidSettings
from ..bus.files import write_private
from . import jwt
from .login import (
    BRIDGES,
    LAYBY,
    OBSERVERS,
    OPERATORS,
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
from .nkey import ACCOUNT, OPERATOR, USER, Key
from .wall import Wall

_BOOK: Final = "logins.json"
_SYSTEM: Final = "SYS"
_OPERATOR: Final = "operator"
Half = Literal["backup", "restorer", "link"]
"""The kinds with two logins: one in the account of the streams, one in the trail's."""
Kind = Literal["sender", "person", "bridge", "notifier", "observer", "operator", Half]
_ACCOUNTS: Final[dict[str, str]] = {
    "sender": SENDERS,
    "person": PEOPLE,
    "bridge": BRIDGES,
    "notifier": LAYBY,
    "observer": OBSERVERS,
    "operator": OPERATORS,
}


class _Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A login that was issued."""

    account: str
    public: str
    roles: tuple[str, ...] = ()
    """Of a person: the roles that they answer for."""
    via: tuple[str, ...] = ()
    """Of a bridge: what it vouches by."""
    half: Half | None = None
    domain: str = ""
    """Of a link: what it leads to."""


class _Book(msgspec.Struct, kw_only=True):
    """The state of the folder."""

    wall: Wall
    store: str
    logins: dict[str, _Entry] = {}
    revoked: dict[str, dict[str, int]] = {}
    """By account: public keys, and the Unix time up to which their tokens are void."""


class Registry:
    """The folder of an installation in operator mode. Anyone who can read it can make any login."""

    def __init__(self, folder: Path) -> None:
        """Open it. Raises InvalidSettings if it does not exist."""
        self.folder = folder
        try:
            self._book = msgspec.json.decode((folder / _BOOK).read_bytes(), type=_Book)
        except FileNotFoundError:
            raise InvalidSettings(
                f"{folder} holds no logins: make them with `layby accounts init {folder} APP`."
            ) from None
        except (OSError, msgspec.MsgspecError) as error:
            raise InvalidSettings(f"{folder / _BOOK} cannot be read: {error}") from None

    @classmethod
    def init(cls, folder: Path, wall: Wall, staff: Staff, store: str) -> Registry:
        """Create keys, accounts, and a login for everyone in `staff`.

        Args:
            folder: A new or empty folder.
            wall: What each login may do.
            staff: Who gets a login.
            store: The folder in which the server keeps tokens, as the server sees it.

        Raises:
            InvalidSettings: there are keys in the folder already.
        """
        if folder.exists() and any(folder.iterdir()):
            raise InvalidSettings(f"{folder} is not empty: name a new folder.")
        for name in ("keys", "creds", "server"):
            (folder / name).mkdir(parents=True, exist_ok=True)
            (folder / name).chmod(0o700)
        folder.chmod(0o700)
        Key.new(OPERATOR).write(folder / "keys" / f"{_OPERATOR}.nk")
        for account in (_SYSTEM, *(each.name for each in wall.accounts())):
            Key.new(ACCOUNT).write(folder / "keys" / f"{account}.nk")
        _save(folder, _Book(wall=wall, store=store))
        registry = cls(folder)
        registry._make_admin()
        for login in wall.logins(staff):
            roles = next((each.roles for each in staff.people if each.name == login.name), ())
            via = next((each.via for each in staff.bridges if each.name == login.name), ())
            half, domain = _kind_and_domain(staff, login)
            registry._issue(login, roles, via, half, domain)
        registry._write_config()
        return registry

    def add(
        self,
        kind: Kind,
        name: str,
        roles: tuple[str, ...] = (),
        via: tuple[str, ...] = (),
        domain: str = "",
    ) -> list[Login]:
        """Issue a login: the file `creds/NAME.creds`. The server does not need an update.

        A backup, a restorer and a link get a second one for the audit trail. A server learns with
        the next `push` that it may take the first link.

        Raises:
            InvalidSettings: the name is taken or cannot be one, no app has such a role, nobody
                can vouch by such a `via`, or nobody has a login that follows over a link.
        """
        Staff(senders=(name,), people=(), observers=(), operators=())  # checks the name
        if kind in ("backup", "restorer", "link"):
            logins = self._halves(kind, name, domain)
            for login in logins:
                self._check_free(login.name)
            for login in logins:
                self._issue(login, (), (), kind, domain)
            return logins
        self._check_free(name)
        account = _ACCOUNTS[kind]
        login = self._login(_Entry(account=account, public="", roles=roles, via=via), name)
        self._issue(login, roles, via)
        return [login]

    def _check_free(self, name: str) -> None:
        if name in self._book.logins:
            raise InvalidSettings(f"{name} has a login already: revoke it first, or name another.")

    def _halves(self, half: Half, name: str, domain: str) -> list[Login]:
        """The logins of a backup, restorer or link. Raises InvalidSettings."""
        wall = self._book.wall
        if half == "link":
            issued = self._book.logins.items()
            inside = [who for who, at in issued if at.half == "restorer" and at.account == LAYBY]
            link = Link(name, domain)
            Staff(people=(), links=(link,))  # checks the domain
            return wall.link(link, inside)
        return wall.backup(name) if half == "backup" else wall.restorer(name)

    def revoke(self, name: str) -> None:
        """Revoke a login; this takes effect with the next `push`.

        Raises:
            InvalidSettings: there is no login with this name.
        """
        entry = self._book.logins.pop(name, None)
        if entry is None:
            known = ", ".join(sorted(self._book.logins)) or "nobody"
            raise InvalidSettings(f"{name} has no login; these have: {known}.")
        if entry.half and trail_login(name) in self._book.logins:
            self.revoke(trail_login(name))
        # A token made in this very second must be void too; a later one has another key.
        self._book.revoked.setdefault(entry.account, {})[entry.public] = int(time.time()) + 1
        _save(self.folder, self._book)
        (self.folder / "creds" / f"{name}.creds").unlink(missing_ok=True)

    def update(self, wall: Wall) -> list[str]:
        """Apply what an app needs now; return the logins whose credentials files were rewritten.

        The trail stays in the account that it is in.
        """
        self._book.wall = msgspec.structs.replace(wall, own_trail=self._book.wall.own_trail)
        return self._rewrite()

    def separate_trail(self) -> list[str]:
        """Move the trail to an account of its own; return who needs the new credentials files.

        Its streams have to be moved there before the next `push`.
        """
        if self._book.wall.own_trail:
            return []
        self._book.wall = msgspec.structs.replace(self._book.wall, own_trail=True)
        self._rewrite()
        use = {LAYBY, OBSERVERS, OPERATORS}
        return [name for name, entry in self._book.logins.items() if entry.account in use]

    def _rewrite(self) -> list[str]:
        """Rewrite all credentials files, and then the state of the folder."""
        for name, entry in self._book.logins.items():
            key = self._user_key(name)
            self._write_creds(self._login(entry, name), key)
        _save(self.folder, self._book)
        return list(self._book.logins)

    @property
    def wall(self) -> Wall:
        """What each login may do, as of the last `init`, `update` or `separate_trail`."""
        return self._book.wall

    @property
    def logins(self) -> dict[str, tuple[str, tuple[str, ...]]]:
        """Who has a login: the account of each, and a person's roles or a bridge's `via`."""
        found = self._book.logins.items()
        return {name: (each.account, each.roles or each.via) for name, each in found}

    @property
    def account(self) -> str:
        """The public key of the account that holds the streams."""
        return self._key(LAYBY).public

    @property
    def trail(self) -> str:
        """The public key of the account for the audit trail, even if it is not used yet."""
        return self._account_key(TRAIL).public

    @property
    def admin(self) -> Path:
        """The credentials that push tokens to the server."""
        return self.folder / "keys" / "admin.creds"

    def creds(self, name: str) -> Path:
        """The credentials file of a login."""
        return self.folder / "creds" / f"{name}.creds"

    def tokens(self) -> dict[str, str]:
        """The tokens of all accounts, by the public key of each."""
        operator, accounts = self._key(_OPERATOR), self._book.wall.accounts()
        linked = {each.account for each in self._book.logins.values() if each.half == "link"}
        accounts = [msgspec.structs.replace(each, linked=each.name in linked) for each in accounts]
        keys = {each.name: self._account_key(each.name) for each in accounts}
        system = self._key(_SYSTEM).public
        found = {system: jwt.system(system, operator)}
        for account in accounts:
            voids = self._book.revoked.get(account.name, {})
            found[keys[account.name].public] = jwt.account(account, keys, operator, accounts, voids)
        return found

    @property
    def config(self) -> Path:
        """The file that the server's configuration includes. It never changes."""
        return self.folder / "server" / "operator.conf"

    def _write_config(self) -> None:
        system = self._key(_SYSTEM).public
        lines = [
            "# Written by `layby accounts`. Put it next to nats-server.conf, and include it there",
            '# instead of accounts.conf: include "operator.conf"',
            f"operator: {jwt.operator(self._key(_OPERATOR), system)}",
            f"system_account: {system}",
            "resolver {",
            "  type: full",
            f'  dir: "{self._book.store}"',
            "  allow_delete: false",
            "}",
            # The server gets the other accounts only from `layby accounts push`, and stores them.
            # If they were here, each start would take them for the newest, and undo revocations.
            f"resolver_preload {{ {system}: {jwt.system(system, self._key(_OPERATOR))} }}",
            "",
        ]
        write_private(self.config, "\n".join(lines).encode())

    def _login(self, entry: _Entry, name: str) -> Login:
        wall = self._book.wall
        if entry.half:
            halves = self._halves(entry.half, _without_trail(name, entry.account), entry.domain)
            return next(each for each in halves if each.account == entry.account)
        if entry.account == LAYBY:
            inside = (login for login in wall.inside() if login.name == name)
            return next(inside, None) or wall.notifier(name)
        if entry.account == PEOPLE:
            return wall.person(Person(name, entry.roles))
        if entry.account == BRIDGES:
            return wall.bridge(Bridge(name, entry.via))
        make = {SENDERS: wall.sender, OBSERVERS: wall.observer, OPERATORS: wall.operator}
        return make[entry.account](name)

    def _issue(
        self,
        login: Login,
        roles: tuple[str, ...],
        via: tuple[str, ...],
        half: Half | None = None,
        domain: str = "",
    ) -> None:
        key = Key.new(USER)
        entry = _Entry(
            account=login.account,
            public=key.public,
            roles=roles,
            via=via,
            half=half,
            domain=domain,
        )
        self._book.logins[login.name] = entry
        _save(self.folder, self._book)  # first, because an unrecorded login cannot be revoked
        self._write_creds(login, key)

    def _write_creds(self, login: Login, key: Key) -> None:
        token = jwt.user(login, key.public, self._account_key(login.account))
        write_private(self.creds(login.name), jwt.creds(token, key))

    def _make_admin(self) -> None:
        key = Key.new(USER)
        write_private(self.admin, jwt.creds(jwt.admin(key.public, self._key(_SYSTEM)), key))

    def _user_key(self, name: str) -> Key:
        """The key in a credentials file. Raises InvalidSettings."""
        try:
            lines = self.creds(name).read_bytes().splitlines()
            return Key(lines[lines.index(b"-----BEGIN USER NKEY SEED-----") + 1])
        except (OSError, ValueError, IndexError):
            raise InvalidSettings(
                f"{self.creds(name)} is gone or damaged: `layby accounts revoke` {name}, and add "
                "them again."
            ) from None

    def _account_key(self, name: str) -> Key:
        file = self.folder / "keys" / f"{name}.nk"
        if not file.exists():  # an earlier release made the folder, and had no such account
            Key.new(ACCOUNT).write(file)
        return self._key(name)

    def _key(self, name: str) -> Key:
        return Key.read(self.folder / "keys" / f"{name}.nk")


def _without_trail(name: str, account: str) -> str:
    """The name of a login, without the suffix that its half in the trail's account has."""
    return name.removesuffix(trail_login("")) if account == TRAIL else name


def _kind_and_domain(staff: Staff, login: Login) -> tuple[Half | None, str]:
    """Backup, restorer or link, with the domain of a link; None for any other login."""
    name = _without_trail(login.name, login.account)
    if name in staff.backups:
        return "backup", ""
    if name in staff.restorers:
        return "restorer", ""
    links = {each.name: each.domain for each in staff.links}
    return ("link", links[name]) if name in links else (None, "")


def _save(folder: Path, book: _Book) -> None:
    write_private(folder / _BOOK, msgspec.json.format(msgspec.json.encode(book), indent=2))
