"""A tool's result as the model sees it."""

from __future__ import annotations

from enum import Enum
from typing import Literal

import msgspec


def render(value: object) -> str:
    """Write a tool's result for the model.

    Text stays as it is and `None` becomes "done". Everything else becomes JSON: pydantic models,
    msgspec structs, dataclasses, dates, sets... Pydantic's secrets show as `**********`. A value
    without a JSON form shows as its type's name: the tool has run, so this must not fail, and a
    `repr` might contain something that nobody meant to send.
    """
    plain = value.value if isinstance(value, Enum) else value
    if plain is None:
        return "done"
    if isinstance(plain, str):
        return str.__str__(plain)
    return _json(plain, "utf8") or _json(plain, "base64") or _shown(plain)


def _json(value: object, bytes_mode: Literal["utf8", "base64"]) -> str | None:
    from pydantic_core import to_json  # noqa: PLC0415  `import layby` must not load pydantic

    try:
        text = to_json(value, bytes_mode=bytes_mode, inf_nan_mode="strings", fallback=_fallback)
    except Exception:  # noqa: BLE001  a user's own serializer may raise anything
        return None
    return text.decode()


def _fallback(value: object) -> object:
    """A substitute for a value that pydantic cannot write."""
    return _fields(value) if isinstance(value, msgspec.Struct) else _shown(value)


def _fields(value: msgspec.Struct) -> dict[str, object]:
    """A struct's fields under their encoded names; pydantic writes their values."""
    config = value.__struct_config__
    tag = {} if config.tag is None else {config.tag_field or "type": config.tag}
    fields = msgspec.structs.fields(value)
    return {**tag, **{field.encode_name: getattr(value, field.name) for field in fields}}


def _shown(value: object) -> str:
    return f"<{type(value).__qualname__}>"
