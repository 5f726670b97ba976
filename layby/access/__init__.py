"""Who may do what on the server: logins, accounts, and the files that say so to nats-server."""

from __future__ import annotations

from .login import Login, Person, Staff
from .outline import Outline, outline
from .wall import Account, Service, Wall

__all__ = ["Account", "Login", "Outline", "Person", "Service", "Staff", "Wall", "outline"]
