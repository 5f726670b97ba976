"""Find the user's app by its `module:attribute`, or explain why it cannot be loaded."""

from __future__ import annotations

import importlib
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ..screen.errors import CliError, UsageError

if TYPE_CHECKING:
    from ...app import App
    from ...bus.keyring import KeyService

_EXAMPLE = "write it as module:attribute, for example examples.support_agent:app"


def load_app(target: str, prefix: str | None = None) -> App:
    """Import `module:attribute` with the current folder on the path, and return the `App` there.

    Raises:
        UsageError: `target` is not written as `module:attribute`, or a `prefix` is given that is
            not the app's.
        CliError: It cannot be imported, has no such attribute, or that is not an `App`.
    """
    module_name, attribute = split_target(target)

    from ...app import App

    module = _import(module_name)
    found = _attribute(module, attribute, App)
    if not isinstance(found, App):
        raise CliError(
            f"{target} is {type(found).__name__}, not a layby App",
            _candidates(module, App),
            kind="NotAnApp",
        )
    if prefix is not None and prefix != found.prefix:
        declared = repr(found.prefix) if found.prefix else "none"
        raise UsageError(
            f"--prefix is {prefix!r}, and {target} declares {declared}",
            f"leave --prefix out, or declare App(prefix={prefix!r})",
            kind="OtherPrefix",
        )
    return found


def keyring_of(app: App) -> KeyService:
    """The keyring of an app.

    Raises:
        CliError: It has none.
    """
    if app.encryption is None:
        raise CliError(
            f"app {app.name!r} is not encrypted",
            "declare App(encryption=...) if it is to be",
            kind="InvalidSetup",
        )
    return app.encryption


def split_target(target: str) -> tuple[str, str]:
    """The module and the attribute of `module:attribute`.

    Raises:
        UsageError: It is not written that way.
    """
    module, _, attribute = target.partition(":")
    if module.endswith(".py") or "/" in module:
        dotted = ".".join(Path(module).with_suffix("").parts)
        hint = f"name the module, not its file: {dotted}:{attribute or 'app'}"
        raise UsageError(f"{target!r} is a path", hint, kind="BadAppPath")
    names = [*module.split("."), *attribute.split(".")]
    if not attribute or not all(name.isidentifier() for name in names):
        raise UsageError(f"{target!r} does not name an app", _EXAMPLE, kind="BadAppPath")
    return module, attribute


def _import(name: str) -> ModuleType:
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(f"{error.name}.")):
            raise _missing(error.name, folder) from error
        raise _broken(name, error) from error
    except (Exception, SystemExit) as error:
        raise _broken(name, error) from error


def _missing(name: str, folder: str) -> CliError:
    return CliError(
        f"there is no module {name!r} in {folder} or on the Python path",
        "run the command in the folder that contains it",
        kind="AppNotFound",
    )


def _broken(name: str, error: BaseException) -> CliError:
    """An error in the user's module: show their line and their error, nothing of ours."""
    what = "".join(traceback.format_exception_only(error)).strip().splitlines()[-1]
    return CliError(f"{name} cannot be imported: {what}", _where(error), kind="AppNotImportable")


def _where(error: BaseException) -> str:
    if isinstance(error, SyntaxError) and error.filename:
        return f"at {error.filename}:{error.lineno}: {(error.text or '').strip()}"
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith("<frozen") and frame.filename not in _OWN
    ]
    if not frames:
        return ""
    last = frames[-1]
    return f"at {last.filename}:{last.lineno}: {last.line}"


_OWN = {__file__, importlib.__file__}


def _attribute(module: ModuleType, path: str, wanted: type) -> Any:
    found: Any = module
    for name in path.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            raise CliError(
                f"{module.__name__} has no {path!r}", _candidates(module, wanted), kind="NoSuchApp"
            ) from None
    return found


def _candidates(module: ModuleType, wanted: type) -> str:
    names = [name for name, value in vars(module).items() if isinstance(value, wanted)]
    if not names:
        return f'{module.__name__} has no App; make one: app = App("name")'
    return "did you mean " + " or ".join(f"{module.__name__}:{name}" for name in names) + "?"
