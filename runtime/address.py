"""An actor's address: the token of its mail in subjects, `<kind>-<name>`."""

from __future__ import annotations

from typing import NamedTuple

from ..bus.token import slug


class Address(NamedTuple):
    """An address in its parts."""

    kind: str
    """What the actor is: a word without `-`."""
    name: str
    """Its name as a token of subjects."""

    @classmethod
    def of(cls, kind: str, name: str) -> Address:
        """The address of the actor that people call `name`."""
        return cls(kind, slug(name))

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read an address. Text without a `-` is a name of no kind."""
        kind, dash, name = text.partition("-")
        return cls(kind, name) if dash else cls("", text)

    def __str__(self) -> str:
        return f"{self.kind}-{self.name}" if self.kind else self.name
