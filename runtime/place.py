"""Where an exception came from: the innermost frame of user code, without values of variables."""

from __future__ import annotations

import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import PurePath
from types import FrameType

from .code_place import Place

_OURS = __name__.partition(".")[0]
_STDLIB = tuple(sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib"))
_INSTALLED = frozenset({"site-packages", "dist-packages"})
_LIBRARIES = frozenset(
    {
        "anthropic",
        "anyio",
        "httpcore",
        "httpx",
        "jsonschema",
        "mcp",
        "msgspec",
        "nats",
        "openai",
        "psycopg",
        "pydantic",
        "pydantic_ai",
        "pydantic_core",
        "structlog",
        "uvloop",
    }
)
"""Packages that Layby calls; when installed, they are never the user's app."""
_LONGEST = 200
_CHAIN = 8


def place_of(error: BaseException) -> Place | None:
    """Where user code raised `error`, or called what raised it; None: not in user code."""
    for each in _chain(error):
        recorded = getattr(each, "place", None)
        if isinstance(recorded, Place):
            return recorded
        found = list(user_frames(each))
        if found:
            return _place(*found[-1])
    return None


def causes_of(error: BaseException) -> list[str]:
    """The class names of the exceptions that led to `error`, nearest first."""
    names: list[str] = []
    cause = _cause(error)
    while cause is not None and len(names) < _CHAIN:
        names.append(type(cause).__name__)
        cause = _cause(cause)
    return names


def user_frames(error: BaseException) -> Iterator[tuple[FrameType, int]]:
    """The frames of user code in a traceback, with their lines, outermost first."""
    frames = [each for each in _frames(error) if not _is_machinery(each[0])]
    own = [each for each in frames if not _is_installed(each[0])]
    yield from own or _of_installed_app(frames)


def _of_installed_app(frames: list[tuple[FrameType, int]]) -> list[tuple[FrameType, int]]:
    """The frames of the first installed package that is not one of Layby's libraries."""
    names = [_package(frame) for frame, _ in frames]
    app = next((name for name in names if name not in _LIBRARIES), None)
    return [each for each, name in zip(frames, names, strict=True) if name == app]


def _frames(error: BaseException) -> Iterator[tuple[FrameType, int]]:
    traceback = error.__traceback__
    while traceback is not None:
        yield traceback.tb_frame, traceback.tb_lineno
        traceback = traceback.tb_next


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The members of a group, `error` itself, and its causes."""
    seen: BaseException | None = error
    for _ in range(_CHAIN):
        if seen is None:
            return
        members = members_of(seen)
        if members:
            yield from _chain(members[0])
        yield seen
        seen = _cause(seen)


def members_of(error: BaseException) -> Sequence[BaseException]:
    """The exceptions in a group; empty if `error` is not a group."""
    members: Sequence[BaseException] = getattr(error, "exceptions", ())
    return members if isinstance(error, BaseExceptionGroup) else ()


def _cause(error: BaseException) -> BaseException | None:
    return error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _is_machinery(frame: FrameType) -> bool:
    """Whether a frame belongs to Layby, to Python itself, or to no file."""
    file = frame.f_code.co_filename
    if file.startswith("<") or _package(frame) == _OURS:
        return True
    return file.startswith(_STDLIB) and not _is_installed(frame)


def _is_installed(frame: FrameType) -> bool:
    return not _INSTALLED.isdisjoint(PurePath(frame.f_code.co_filename).parts)


def _module(frame: FrameType) -> str:
    spec = frame.f_globals.get("__spec__")
    name = getattr(spec, "name", None) or frame.f_globals.get("__name__")
    return name if isinstance(name, str) else ""


def _package(frame: FrameType) -> str:
    return _module(frame).partition(".")[0]


def _place(frame: FrameType, line: int) -> Place:
    path = PurePath(frame.f_code.co_filename)
    depth = _module(frame).count(".") + (2 if path.name == "__init__.py" else 1)
    function = frame.f_code.co_qualname.rpartition("<locals>.")[2]
    file = "/".join(path.parts[-depth:])  # as the app imports it, not where the machine keeps it
    return Place(file=file[-_LONGEST:], line=line, function=function[:_LONGEST])
