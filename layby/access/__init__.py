"""Who may do what on the server: logins, accounts, and their files for nats-server."""

from __future__ import annotations

from .account import CONNECTIONS, Account, Service
from .login import Bridge, Link, Login, Person, Staff
from .outline import Outline, outline
from .wall import Wall

__all__ = [
    "CONNECTIONS",
    "Account",
    "Bridge",
    "Link",
    "Login",
    "Outline",
    "Person",
    "Service",
    "Staff",
    "Wall",
    "outline",
]
