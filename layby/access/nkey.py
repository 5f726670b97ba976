"""Nkeys of nats-server, stored in files that only their owner may read."""

from __future__ import annotations

import importlib
import importlib.util
import secrets
from pathlib import Path
from typing import Any, Final

from ..bus.errors import InvalidSettings
from ..bus.files import write_private

OPERATOR: Final = 14 << 3
ACCOUNT: Final = 0
USER: Final = 20 << 3


class Key:
    """A key pair; its repr holds no secret."""

    def __init__(self, seed: bytes) -> None:
        self._pair: Any = _nkeys().from_seed(bytearray(seed))
        self.seed = seed
        self.public = bytes(self._pair.public_key).decode()

    def __repr__(self) -> str:
        return f"Key({self.public})"

    @classmethod
    def new(cls, kind: int) -> Key:
        """Create a key of an OPERATOR, an ACCOUNT or a USER."""
        return cls(bytes(_nkeys().encode_seed(secrets.token_bytes(32), kind)))

    @classmethod
    def read(cls, path: Path) -> Key:
        """The key in a file. Raises InvalidSettings."""
        try:
            return cls(path.read_bytes().strip())
        except OSError as error:
            raise InvalidSettings(f"Cannot read the key {path}: {error.strerror}.") from error
        except Exception:  # noqa: BLE001  nkeys raises many kinds; their text may quote the seed
            raise InvalidSettings(f"{path} does not hold an nkey of nats-server.") from None

    def write(self, path: Path) -> None:
        """Store it in a file that only its owner may read."""
        write_private(path, self.seed + b"\n")

    def sign(self, data: bytes) -> bytes:
        """Its signature of `data`."""
        return bytes(self._pair.sign(data))


def _nkeys() -> Any:
    if importlib.util.find_spec("nkeys") is None:
        raise InvalidSettings("This needs the package `nkeys`: `pip install nkeys`.")
    return importlib.import_module("nkeys")
