"""Who connects as whom: everybody as anybody, or each with a login in an account of their own.

With `--accounts`, or CHAOS_ACCOUNTS=1, the server of a campaign has the accounts that
`layby accounts config` writes for its app: workers, people, senders and those who look on reach
each other through the exports of the wall alone.
"""

from __future__ import annotations

import os
from typing import Final

from layby.access import Person, Staff, Wall, outline
from layby.access.config import accounts
from layby.bus.settings import ConnectionSettings

from .app import release, walk

ACCOUNTS: Final = "CHAOS_ACCOUNTS"
"""Environment variable: set if everybody has a login of their own."""
PROVISIONER: Final = "provisioner"
WORKER: Final = "worker"
SENDER: Final = "helpdesk"
OBSERVER: Final = "observer"
OPERATOR: Final = "operator"
PEOPLE: Final = ("alice", "bob")
OUTSIDERS: Final = (SENDER, OBSERVER, OPERATOR, *PEOPLE)


def apart() -> bool:
    """Whether everybody has a login of their own."""
    return os.environ.get(ACCOUNTS) == "1"


def config(log_streams: int = 0) -> str:
    """What the server's configuration says of logins, with the logs in so many streams."""
    if not apart():
        return ""
    wall, staff = (
        Wall(apps=(outline(release(walk, log_streams=log_streams)),), own_trail=True),
        Staff(people=tuple(map(Person, PEOPLE))),
    )
    text = accounts(wall, staff, "layby accounts config")
    for login in wall.logins(staff):
        text = text.replace(f"${login.variable}", f'"of-{login.name}"')
    return text


def settings(url: str, login: str, name: str = "") -> ConnectionSettings:
    """How somebody connects; `url` may be several, joined by commas."""
    servers, name = tuple(url.split(",")), name or login
    if not apart():
        return ConnectionSettings(servers=servers, name=name)
    return ConnectionSettings(
        servers=servers,
        name=name,
        user=login,
        password=f"of-{login}",
        inbox_prefix=f"_INBOX_{login}",
    )
