"""A file of public keys: which roles sign, and with whose keys. `layby keys show APP` writes it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from ..bus.errors import InvalidSettings
from ..runtime.errors import InvalidSetup
from ..runtime.role import Role
from ..runtime.times import iso


class Keys(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A role's public keys by person, and since when (ISO 8601) keys no longer count."""

    keys: dict[str, list[str] | str]
    retired: dict[str, str] = {}


def read_keys(path: str | Path) -> list[Role]:
    """The roles in a file of keys.

    Raises:
        InvalidSettings: it cannot be read, or its content is invalid.
    """
    try:
        return roles_in(msgspec.json.decode(Path(path).read_bytes(), type=dict[str, Keys]))
    except OSError as error:
        raise InvalidSettings(f"cannot read the keys in {path}: {error.strerror}") from None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, InvalidSetup) as error:
        raise InvalidSettings(
            f"{path} is not a file of keys: {error}; `layby keys show APP > keys.json` writes one"
        ) from None


def roles_in(keys: Mapping[str, Keys]) -> list[Role]:
    """The roles that a file of keys holds. Raises InvalidSetup for invalid keys."""
    return [Role(name, keys=each.keys, retired=each.retired) for name, each in keys.items()]


def as_json(roles: Iterable[Role]) -> dict[str, Keys]:
    """What a file of keys holds."""
    return {
        role.name: Keys(
            keys={person: list(keys) for person, keys in role.keys.items()},
            retired={key: iso(at) for key, at in role.retired.items()},
        )
        for role in roles
        if role.signs
    }
