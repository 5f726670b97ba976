"""What a worker reports about its app to the process that started it, once it is ready."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress

import msgspec

from ...client.key_file import Keys, as_json, roles_in
from ...runtime.role import Role
from ...runtime.vouching import Signers


class Ready(msgspec.Struct, frozen=True):
    """What a worker reports about its app when it is ready."""

    prefix: str = ""
    keys: dict[str, Keys] = {}
    """Who signs answers, as in a file of keys."""

    @property
    def signers(self) -> Signers:
        """The roles whose answers must be signed."""
        return Signers(roles_in(self.keys))


def announce(fd: int, prefix: str, roles: Iterable[Role]) -> None:
    """Report to the parent that this worker is ready, with what it must know of the app."""
    line = msgspec.json.encode(Ready(prefix, as_json(roles))) + b"\n"
    with suppress(OSError), os.fdopen(fd, "wb") as pipe:
        pipe.write(line)
