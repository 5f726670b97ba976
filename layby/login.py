"""The user of this machine."""

from __future__ import annotations

import getpass


def login() -> str | None:
    """The login name; None if there is none, as in a container with a bare user id."""
    try:
        return getpass.getuser()
    except (ImportError, KeyError, OSError):
        return None
