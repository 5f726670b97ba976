"""Attachments of messages: images and documents."""

from __future__ import annotations

import base64
import mimetypes
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self, TypeAlias

import msgspec

from ...runtime.errors import InvalidSetup

_MAGIC = {
    b"\x89PNG\r\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF8": "image/gif",
    b"%PDF-": "application/pdf",
}


class _Attachment(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type"):
    """Either bytes (base64 in JSON), or a URL from which the provider fetches them."""

    data: bytes = b""
    url: str = ""
    media_type: str = ""
    """For instance `image/png`; detected from `data` in a well-known format."""

    def __post_init__(self) -> None:
        kind = type(self).__name__
        if bool(self.data) == bool(self.url):
            raise ValueError(f"{kind}: give either data= or url=")
        if self.url and not self.url.startswith(("https://", "http://")):
            raise ValueError(f"{kind}: {self.url[:60]!r} is not an http URL; give bytes as data=")
        if self.data and not self.media_type:
            found = _sniff(self.data)
            if not found:
                raise ValueError(
                    f"{kind}: give the media_type= of the data, for instance 'text/plain'"
                )
            msgspec.structs.force_setattr(self, "media_type", found)

    @property
    def base64(self) -> str:
        """The data in base64."""
        return base64.b64encode(self.data).decode()

    @property
    def data_url(self) -> str:
        """Its URL: `url`, or the data itself as a `data:` URL."""
        return self.url or f"data:{self.media_type};base64,{self.base64}"


class Image(_Attachment, frozen=True, kw_only=True, omit_defaults=True, tag="image"):
    """An image in a user's message.

    `Image(data=png)`, `Image(url="https://...")` or `Image.read("screen.png")`. Models take JPEG,
    PNG, GIF and WebP, usually up to 5 MB.
    """

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Read an image from a file. Raises OSError."""
        return cls(data=Path(path).read_bytes(), media_type=_guess(path))


class Document(_Attachment, frozen=True, kw_only=True, omit_defaults=True, tag="document"):
    """A document in a user's message: a PDF, or any kind of text.

    Anthropic also fetches a PDF from a `url`, and so does OpenAI's Responses API.
    """

    name: str = ""
    """Its name, by which the model can refer to it."""

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Read a document from a file. Raises OSError."""
        return cls(data=Path(path).read_bytes(), media_type=_guess(path), name=Path(path).name)

    @property
    def is_text(self) -> bool:
        """Whether its data is text."""
        return bool(self.data) and (
            self.media_type.startswith("text/")
            or self.media_type in {"application/json", "application/xml", "application/yaml"}
        )

    @property
    def text(self) -> str:
        """Its data as text."""
        return self.data.decode("utf-8", "replace")


Attachment: TypeAlias = Image | Document


def checked_attachments(where: str, given: Sequence[Any]) -> list[Attachment]:
    """`given`, if it contains only images and documents. Raises InvalidSetup."""
    for each in given:
        if not isinstance(each, Image | Document):
            raise InvalidSetup(
                f"{where}: attachments are Image(...) and Document(...), "
                f"not a {type(each).__name__}"
            )
    return list(given)


def mentioning(text: str, attachments: Sequence[Attachment]) -> str:
    """`text` with a line for each attachment, for models that do not get the attachments."""
    return "\n".join([text, *(f"[Attached: {_mention(each)}]" for each in attachments)])


def _mention(attachment: Attachment) -> str:
    kind = "an image" if isinstance(attachment, Image) else "a document"
    name = attachment.name if isinstance(attachment, Document) else ""
    return ", ".join(filter(None, [name or kind, attachment.media_type, attachment.url]))


def _guess(path: str | Path) -> str:
    return mimetypes.guess_type(str(path))[0] or ""


def _sniff(data: bytes) -> str:
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for magic, kind in _MAGIC.items() if data.startswith(magic)), "")
