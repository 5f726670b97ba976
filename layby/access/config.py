"""The wall in nats-server's configuration language."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from typing import Final

from .login import LAYBY, Login, Staff
from .wall import Account, Wall

_WIDTH: Final = 100
THRESHOLD: Final = "30s"
"""How long the server keeps the way back of a request with many replies open without one."""


def accounts(wall: Wall, staff: Staff, command: str) -> str:
    """The block `accounts { ... }` with users, exports and imports.

    Args:
        wall: What may be done.
        staff: Who gets a login.
        command: What writes this file again, for its head.
    """
    logins, accounts = wall.logins(staff), wall.accounts()
    lines = [*_head(_ACCOUNTS, command), "accounts {", *_inside(wall.inside(), accounts)]
    for account in accounts:
        members = [login for login in logins if login.account == account.name]
        lines += ["", *_outside(account, members)]
    return "\n".join([*lines, "}", ""])


def one_account(wall: Wall, staff: Staff, command: str) -> str:
    """The block `authorization { ... }`, with all logins in one account.

    Args:
        wall: What may be done.
        staff: Who gets a login.
        command: What writes this file again, for its head.
    """
    lines = [*_head(_ONE_ACCOUNT, command), "authorization {", "  timeout: 2", "  users: ["]
    for login in wall.logins(staff):
        lines += _user(login, "    ")
    return "\n".join([*lines, "  ]", "}", ""])


def _head(text: str, command: str) -> Iterator[str]:
    for line in text.format(command=command).strip().splitlines():
        yield f"# {line}".rstrip()
    yield ""


def _inside(logins: Iterable[Login], accounts: Iterable[Account]) -> Iterator[str]:
    yield f"  {LAYBY} {{"
    yield "    jetstream: enabled"
    yield "    users: ["
    for login in logins:
        yield from _user(login, "      ")
    yield "    ]"
    yield "    exports: ["
    takers: dict[str, list[str]] = {}
    for account in accounts:
        for service in account.services:
            many = f', response_type: stream, threshold: "{THRESHOLD}"' if service.many else ""
            takers.setdefault(f'service: "{service.subject}"{many}', []).append(account.name)
        for stream in account.streams:
            takers.setdefault(f'stream: "{stream}"', []).append(account.name)
    for what, names in takers.items():
        yield f"      {{ {what}, accounts: [{', '.join(names)}] }}"
    yield "    ]"
    yield "  }"


def _outside(account: Account, logins: Iterable[Login]) -> Iterator[str]:
    yield f"  {account.name} {{"
    yield "    users: ["
    for login in logins:
        yield from _user(login, "      ")
    yield "    ]"
    yield "    imports: ["
    whence = f"account: {LAYBY}, subject:"
    for service in account.services:
        yield f'      {{ service: {{ {whence} "{service.subject}" }} }}'
    for stream in account.streams:
        yield f'      {{ stream: {{ {whence} "{stream}" }} }}'
    yield "    ]"
    yield "  }"


def _user(login: Login, indent: str) -> Iterator[str]:
    yield f"{indent}# {login.about}"
    yield f"{indent}{{ user: {login.name}, password: ${login.variable}"
    yield f"{indent}  permissions {{"
    yield from _allowed("publish", login.publish, f"{indent}    ")
    yield from _allowed("subscribe", login.receive, f"{indent}    ")
    yield f"{indent}  }}"
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
Each login has an inbox prefix of its own, so that nobody reads the replies to others. Set it where
they connect: NATS_INBOX_PREFIX=_INBOX_ada or --inbox-prefix for `layby`, --inbox-prefix or
`inbox_prefix` of a context for the nats CLI, ConnectionSettings(inbox_prefix=...) in a program.

The passwords come from the environment; without them the server does not start. They should begin
with a letter, or the parser takes them for numbers.
"""

_ACCOUNTS: Final = f"""
Who may do what on a nats-server that Layby shares with people and other programs. Written by

  {{command}}

so that nobody edits subjects by hand: write it again when the app's roles or triggers change.
Put it into nats-server.conf in the place of `authorization {{{{ ... }}}}`:
  include "accounts.conf"

Workers and their streams are in the account {LAYBY}. Everybody else is in an account for their
kind, and reaches it through the exports below and nothing else. docs/security.md says who is
trusted with what. For many people use operator mode: `layby accounts init`.
{_PASSWORDS}"""

_ONE_ACCOUNT: Final = f"""
Who may do what on a nats-server on which everybody shares one account. Written by

  {{command}}

THIS KEEPS APART ONLY THOSE WHO MEAN WELL. Within one account the server does not check the reply
subject of a request, so whoever has one of these logins can have the server write where they may
not: plant entries in logs, answer as somebody else, delete streams. Use accounts.conf, which stops
that. This file limits mistakes, and is for servers on which everybody is trusted.

Put it into nats-server.conf in the place of `authorization {{{{ ... }}}}`:
  include "permissions.conf"
{_PASSWORDS}"""
