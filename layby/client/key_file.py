"""A file of public keys: which roles sign, and with whose keys. `layby keys show APP` writes it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from ..bus.errors import InvalidSettings
from ..runtime.errors import InvalidSetup
from ..runtime.role import Role
from ..runtime.times import iso


class _Keys(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    keys: dict[str, list[str] | str]
    retired: dict[str, str] = {}


def read_keys(path: str | Path) -> list[Role]:
    """The roles in a file of keys.

    Raises:
        InvalidSettings: it cannot be read, or says what cannot be.
    """
    try:
        found = msgspec.json.decode(Path(path).read_bytes(), type=dict[str, _Keys])
        return [Role(name, keys=each.keys, retired=each.retired) for name, each in found.items()]
    except OSError as error:
        raise InvalidSettings(f"cannot read the keys in {path}: {error.strerror}") from None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, InvalidSetup) as error:
        raise InvalidSettings(
            f"{path} is not a file of keys: {error}; `layby keys show APP > keys.json` writes one"
        ) from None


def as_json(roles: Iterable[Role]) -> dict[str, _Keys]:
    """What a file of keys holds."""
    return {
        role.name: _Keys(
            keys={person: list(keys) for person, keys in role.keys.items()},
            retired={key: iso(at) for key, at in role.retired.items()},
        )
        for role in roles
        if role.signs
    }
