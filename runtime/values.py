"""User values in the log: JSON, with the types that users declare.

A value is read back from its JSON even when it was just produced, so that a step gives the same
value on its first pass as on every later one.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import lru_cache
from typing import Any, get_type_hints

import msgspec

from .errors import LaybyError


class BadValue(LaybyError):
    """A value cannot be written as JSON, or does not fit the type it is read as."""

    retryable = False


def _enc_hook(value: Any) -> Any:
    pydantic = sys.modules.get("pydantic")  # it is loaded if such a value exists
    if pydantic is not None and isinstance(value, pydantic.BaseModel):
        return value.model_dump(mode="json")
    if pydantic is not None and isinstance(value, pydantic.SecretStr):
        return "**********"
    raise TypeError(f"a {type(value).__name__} cannot be recorded: return JSON-able data")


def _dec_hook(wanted: type[Any], value: Any) -> Any:
    """Read a pydantic model inside a dataclass or struct."""
    pydantic = sys.modules.get("pydantic")
    if pydantic is not None and issubclass(wanted, pydantic.BaseModel):
        return wanted.model_validate_json(msgspec.json.encode(value))
    raise ValueError(f"a {wanted.__name__} cannot be read back from JSON")


_encode = msgspec.json.Encoder(enc_hook=_enc_hook).encode


def dump(value: Any) -> msgspec.Raw:
    """`value` as JSON. Raises BadValue if it has no JSON form."""
    try:
        return msgspec.Raw(_encode(value))
    except (TypeError, ValueError, msgspec.MsgspecError) as error:
        raise BadValue(str(error)) from None
    except RecursionError:
        raise BadValue(
            "a value that contains itself, or is nested too deeply, cannot be recorded"
        ) from None


def load(raw: msgspec.Raw | bytes, annotation: Any = Any) -> Any:
    """Read JSON as `annotation`. Raises BadValue if it does not fit."""
    try:
        return _reader(annotation)(bytes(raw))
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:  # pydantic's: a ValueError
        name = getattr(annotation, "__name__", str(annotation))
        raise BadValue(f"a recorded value is not a {name}: {error}") from None


def returned_type(fn: Callable[..., Any]) -> Any:
    """The declared return type of `fn`, Any when it declares none."""
    try:
        return _returned_type(fn)
    except TypeError:
        return Any


@lru_cache(maxsize=1024)
def _returned_type(fn: Callable[..., Any]) -> Any:
    target = getattr(fn, "func", fn)
    try:
        return get_type_hints(target, include_extras=True).get("return", Any)
    except (NameError, TypeError, AttributeError):
        return Any


def _reader(annotation: Any) -> Callable[[bytes], Any]:
    try:
        return _cached_reader(annotation)
    except TypeError:
        return _make_reader(annotation)


@lru_cache(maxsize=1024)
def _cached_reader(annotation: Any) -> Callable[[bytes], Any]:
    return _make_reader(annotation)


def _make_reader(annotation: Any) -> Callable[[bytes], Any]:
    if annotation is Any or annotation is object or annotation is None:
        return msgspec.json.decode
    if not _needs_pydantic(annotation):
        try:
            return msgspec.json.Decoder(annotation, dec_hook=_dec_hook).decode
        except TypeError:
            pass
    from pydantic import TypeAdapter  # noqa: PLC0415  slow to load, and seldom needed

    return TypeAdapter(annotation).validate_json


def _needs_pydantic(annotation: Any) -> bool:
    pydantic = sys.modules.get("pydantic")
    if pydantic is None:
        return False
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        return True
    return any(_needs_pydantic(arg) for arg in getattr(annotation, "__args__", ()))
