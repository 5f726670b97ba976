"""The contexts of the `nats` CLI: named sets of connection settings, one JSON file each.

They live in $NATS_CONFIG_HOME, $XDG_CONFIG_HOME/nats or ~/.config/nats: `context/<name>.json`, and
the selected name in `context.txt`. A field that we cannot honour is an error, never ignored.
"""

from __future__ import annotations

import re
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any, Final

import msgspec

from .errors import InvalidSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

_TEXT: Final = ("url", "user", "password", "token", "inbox_prefix")
_FILES: Final = ("creds", "nkey", "cert", "key", "ca")
_FLAGS: Final = ("tls_first",)
_HARMLESS: Final = ("name", "description", "color_scheme")
_INSTEAD: Final = {
    "nsc": "Export the credentials with `nsc generate creds` and name the file in `creds`",
    "jetstream_domain": "Connect to a server of that domain instead",
}
_SECRET_STORES: Final = ("op", "nsc", "env", "data")
_RESOLVED: Final = ("password", "token", *_FILES)  # the fields where the CLI follows such a URI


def config_folder(environ: Mapping[str, str], home: Path) -> Path:
    """The folder in which the `nats` CLI keeps its contexts."""
    if own := environ.get("NATS_CONFIG_HOME"):
        return Path(own)
    shared = environ.get("XDG_CONFIG_HOME")
    return (Path(shared) if shared else home / ".config") / "nats"


def selected(folder: Path) -> str | None:
    """The name of the selected context, if one is selected."""
    try:
        return (folder / "context.txt").read_text().strip() or None
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InvalidSettings(f"Cannot read {error.filename}: {error.strerror}.") from error


def read(name: str, folder: Path, environ: Mapping[str, str], home: Path) -> dict[str, Any]:
    """The settings in a context: those of its fields that are set, with `~` and `$VAR` expanded.

    Args:
        name: the name of a context, or the path of a file that ends in `.json`.
        folder: where contexts are kept.
        environ: for `$VAR` in the names of files.
        home: for `~`.

    Raises:
        InvalidSettings: names the file, and the field that is not supported or has a wrong type.
    """
    path = _path(name, folder)
    fields = {field: value for field, value in _load(path, name).items() if value}
    for field in fields.keys() - {*_TEXT, *_FILES, *_FLAGS, *_HARMLESS}:
        advice = _INSTEAD.get(field, "Remove the field, or use another context (NATS_CONTEXT)")
        raise InvalidSettings(f"{path} sets {field!r}, which Layby does not support. {advice}.")
    for field, value in fields.items():
        _check(path, field, value)
    for field in fields.keys() & set(_FILES):
        filled = Template(fields[field].removeprefix("file://")).safe_substitute(environ)
        fields[field] = re.sub(r"^~(?=/|$)", lambda _: str(home), filled)
    return {field: value for field, value in fields.items() if field not in _HARMLESS}


def _path(name: str, folder: Path) -> Path:
    if name.endswith(".json") and Path(name).is_file():
        return Path(name)
    if not name or "/" in name or "\\" in name or ".." in name:
        raise InvalidSettings(f"{name!r} is not the name of a context: see `nats context ls`.")
    return folder / "context" / f"{name}.json"


def _load(path: Path, name: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except FileNotFoundError:
        raise InvalidSettings(
            f"There is no context {name!r}: {path} does not exist. "
            "See `nats context ls`, or clear the selection with `nats context unselect`."
        ) from None
    except OSError as error:
        raise InvalidSettings(f"Cannot read {path}: {error.strerror}.") from error
    except (msgspec.DecodeError, UnicodeDecodeError):  # whose text may quote a secret
        raise InvalidSettings(
            f"{path} is not a JSON object. Fix it with `nats context edit`."
        ) from None


def _check(path: Path, field: str, value: object) -> None:
    wanted = bool if field in _FLAGS else str
    if not isinstance(value, wanted):
        raise InvalidSettings(f"{path}: {field!r} must be {_NAMES[wanted]}.")
    if field not in _RESOLVED or not isinstance(value, str):
        return
    scheme = value.partition(":")[0]
    if scheme in _SECRET_STORES and ":" in value:
        raise InvalidSettings(
            f"{path}: {field!r} is looked up with `{scheme}:`, which Layby does not support. "
            "Put the name of a file there, or pass it in the environment (NATS_CREDS, ...)."
        )


_NAMES: Final = {bool: "true or false", str: "text"}
