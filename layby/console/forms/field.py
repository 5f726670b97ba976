"""A form's fields as plain data, which `forms.html` draws."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One possible value of a field.

    Attributes:
        value: What is posted for it.
        label: What people read.
        chosen: Whether it is chosen.
    """

    value: str
    label: str
    chosen: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field, with the fields inside it.

    Attributes:
        path: The name of what it posts.
        id: The id of its control.
        kind: `yesno`, `choice`, `many`, `const`, `text`, `long`, `code`, `secret`, `date`, `time`,
            `datetime`, `number`, `integer`, `list`, `group` or `union`.
        label: What it is called.
        hint: What people should know about it.
        error: What is wrong with it.
        optional: Whether it may be left out.
        part: Whether a switch leaves all of it out.
        on: Whether that switch is on.
        closed: Whether it is not drawn until it is asked for.
        text: What has been typed.
        choices: Its possible values.
        fields: Those inside it: parts of a group, rows of a list, variants of a union.
        attributes: Further attributes of its control.
        hidden: What its form posts along with it.
    """

    path: str
    id: str
    kind: str
    label: str
    hint: str = ""
    error: str = ""
    optional: bool = False
    part: bool = False
    on: bool = False
    closed: bool = False
    text: str = ""
    choices: tuple[Choice, ...] = ()
    fields: tuple[Field, ...] = ()
    attributes: dict[str, str] = field(default_factory=dict[str, str])
    hidden: tuple[tuple[str, str], ...] = ()

    @property
    def is_wide(self) -> bool:
        """Whether it needs the whole width of its form."""
        return self.kind in {"long", "code", "list", "group", "union", "many"}

    @property
    def is_set(self) -> bool:
        """Whether it is a group of controls, which a fieldset holds."""
        return self.kind in {"yesno", "many", "list", "group", "union"}

    @property
    def described_by(self) -> str:
        """The ids of what explains it."""
        return " ".join(
            f"{self.id}-{end}" for end, text in (("h", self.hint), ("e", self.error)) if text
        )
