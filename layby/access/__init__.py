"""Who may do what on the server: logins, accounts, and the files that say so to nats-server."""

from __future__ import annotations

from .login import Login, Person, Staff
from .wall import Account, Service, Wall, wall

__all__ = ["Account", "Login", "Person", "Service", "Staff", "Wall", "wall"]
