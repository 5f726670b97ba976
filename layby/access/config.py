"""Logins and accounts in nats-server's configuration language."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from .account import Account, exported
from .login import LAYBY, TRAIL, Login, Staff
from .wall import Wall

_WIDTH: Final = 100
THRESHOLD: Final = "30s"
"""How long the server waits for the next reply of a request with many replies."""


def accounts(wall: Wall, staff: Staff, command: str) -> str:
    """The block `accounts { ... }` with users, exports and imports.

    Args:
        wall: What may be done.
        staff: Who gets a login.
        command: The command that writes this file, to be named at its top.
    """
    logins, accounts = wall.logins(staff), wall.accounts()
    lines = [*_head(_ACCOUNTS, command), "accounts {"]
    for number, account in enumerate(accounts):
        members = [login for login in logins if login.account == account.name]
        lines += [*([""] if number else []), *_account(account, members, accounts)]
    return "\n".join([*lines, "}", ""])


def one_account(wall: Wall, staff: Staff, command: str) -> str:
    """The block `authorization { ... }`, with all logins in one account.

    Args:
        wall: What may be done.
        staff: Who gets a login.
        command: The command that writes this file, to be named at its top.
    """
    lines = [*_head(_ONE_ACCOUNT, command), "authorization {", "  timeout: 2", "  users: ["]
    for login in msgspec.structs.replace(wall, own_trail=False).logins(staff):
        lines += _user(login, "    ")
    return "\n".join([*lines, "  ]", "}", ""])


def _head(text: str, command: str) -> Iterator[str]:
    for line in text.format(command=command).strip().splitlines():
        yield f"# {line}".rstrip()
    yield ""


def _account(
    account: Account, logins: Iterable[Login], accounts: Iterable[Account]
) -> Iterator[str]:
    yield f"  {account.name} {{"
    if account.stores:
        yield "    jetstream: enabled"
    if limits := account.limits:
        yield (
            f"    limits {{ max_connections: {limits.connections}, "
            f"max_subscriptions: {limits.subscriptions}, max_payload: {limits.payload} }}"
        )
    yield from _block("users: [", (line for each in logins for line in _user(each, "      ")))
    yield from _block("exports: [", _exports(account.name, accounts))
    yield from _block("imports: [", _imports(account))
    mapped = (f'      "{here}": "{there}"' for here, there in account.mappings.items())
    yield from _block("mappings {", mapped)
    yield "  }"


def _block(opening: str, lines: Iterable[str]) -> Iterator[str]:
    """Lines in brackets, unless there are none."""
    if inside := list(lines):
        closing = "]" if opening.endswith("[") else "}"
        yield from (f"    {opening}", *inside, f"    {closing}")


def _exports(name: str, accounts: Iterable[Account]) -> Iterator[str]:
    ports, subscribed = exported(name, accounts)
    for service, takers in ports.items():
        many = f', response_type: stream, threshold: "{THRESHOLD}"' if service.many else ""
        takes = f"accounts: [{', '.join(takers)}]"
        yield f'      {{ service: "{service.subject}"{many}, {takes} }}'
    for subject, takers in subscribed.items():
        yield f'      {{ stream: "{subject}", accounts: [{", ".join(takers)}] }}'


def _imports(account: Account) -> Iterator[str]:
    for service in account.ports:
        source = f'account: {service.account}, subject: "{service.subject}"'
        to = f', to: "{service.local}"' if service.local else ""
        yield f"      {{ service: {{ {source} }}{to} }}"
    for subject in account.streams:
        yield f'      {{ stream: {{ account: {LAYBY}, subject: "{subject}" }} }}'


def _user(login: Login, indent: str) -> Iterator[str]:
    yield f"{indent}# {login.about}"
    yield f"{indent}{{ user: {login.name}, password: ${login.variable}"
    yield f"{indent}  permissions {{"
    yield from _allowed("publish", login.publish, f"{indent}    ")
    yield from _allowed("subscribe", login.receive, f"{indent}    ")
    yield f"{indent}  }}"
    if login.is_link:
        yield f'{indent}  allowed_connection_types: ["LEAFNODE"]'
    yield f"{indent}}}"


def _allowed(verb: str, subjects: Iterable[str], indent: str) -> Iterator[str]:
    quoted = ", ".join(f'"{subject}"' for subject in subjects)
    yield f"{indent}{verb} {{ allow: ["
    inner = f"{indent}  "
    yield from textwrap.wrap(
        quoted,
        _WIDTH,
        initial_indent=inner,
        subsequent_indent=inner,
        break_long_words=False,
        break_on_hyphens=False,
    )
    yield f"{indent}] }}"


_PASSWORDS: Final = """
Each login has an inbox prefix of its own, so that nobody reads replies to others. Set it where they
connect: NATS_INBOX_PREFIX=_INBOX_ada or --inbox-prefix for `layby`, --inbox-prefix or
`inbox_prefix` of a context for the nats CLI, ConnectionSettings(inbox_prefix=...) in a program.

The passwords come from the environment; without them the server does not start. They should begin
with a letter, or the parser takes them for numbers.
"""

_ACCOUNTS: Final = f"""
Who may do what on a nats-server that Layby shares with people and other programs. Written by

  {{command}}

so that subjects are not edited by hand: write it again when the app's roles or triggers change.
Put it next to nats-server.conf, which includes it:
  include "accounts.conf"

Workers and their streams are in the account {LAYBY}. Everybody else is in an account for their
kind, and reaches it only through the exports below. {TRAIL} holds what people have commanded:
workers and operators add to it, and nobody can change it. It has no logins but those that save and
restore it (--backup, --restorer, --link). If streams were made under an earlier file, move them
first: `layby accounts move`. docs/security.md says who is trusted
with what. For many people use operator mode: `layby accounts init`.
{_PASSWORDS}"""

_ONE_ACCOUNT: Final = f"""
Who may do what on a nats-server on which everybody shares one account. Written by

  {{command}}

THIS STOPS MISTAKES, NOT ATTACKS. Within one account the server does not check the reply subject of
a request, so anyone with one of these logins can have the server write where they may not: plant
entries in logs, answer as somebody else, delete streams. Use accounts.conf, which prevents that.
This file is for servers on which everybody is trusted.

Put it next to nats-server.conf, and include it there instead of accounts.conf:
  include "permissions.conf"
{_PASSWORDS}"""
