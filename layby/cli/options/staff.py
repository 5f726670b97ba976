"""The options that name the apps of a server and the people and programs with a login."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

if TYPE_CHECKING:
    from ...access import Staff

Apps = Annotated[
    list[str],
    typer.Argument(metavar="APP", help="Apps to load, as module:attribute.", show_default=False),
]
_NAMED_ONLY = "Take answers only on subjects that contain the responder's name"
NamedOnly = Annotated[bool, typer.Option("--named-only", metavar="", help=f"{_NAMED_ONLY}.")]
NamedOnlyAgain = Annotated[
    bool | None,
    typer.Option(
        "--named-only/--no-named-only",
        metavar="",
        help=f"{_NAMED_ONLY}; default: as before.",
        show_default=False,
    ),
]
"""For a command that changes what was chosen before."""
MaxConnections = Annotated[
    int | None,
    typer.Option(
        "--max-connections",
        metavar="N",
        min=1,
        help="Maximum number of connections for each kind of outsider; default: 500, or as before.",
        show_default=False,
    ),
]


class NamedStaff(NamedTuple):
    """Who is named on the command line, by the option's name: the one list of these options."""

    person: tuple[str, ...] = ()
    sender: tuple[str, ...] = ()
    bridge: tuple[str, ...] = ()
    notifier: tuple[str, ...] = ()
    observer: tuple[str, ...] = ()
    operator: tuple[str, ...] = ()
    backup: tuple[str, ...] = ()
    restorer: tuple[str, ...] = ()
    link: tuple[str, ...] = ()

    @property
    def words(self) -> list[str]:
        """The options as they are written on a command line."""
        pairs = [(f"--{kind}", who) for kind, each in self._asdict().items() for who in each]
        return [word for pair in pairs for word in pair]

    @property
    def staff(self) -> Staff:
        """Everybody who is named; a kind without a name gets its default name."""
        from ...access import Bridge, Link, Person, Staff

        plain = ("sender", "notifier", "observer", "operator", "backup", "restorer")
        others = {f"{kind}s": who for kind, who in self._asdict().items() if kind in plain and who}
        people = tuple(Person(name, of) for name, of in _split(self.person)) or Staff().people
        bridges = tuple(Bridge(name, via) for name, via in _split(self.bridge))
        links = tuple(Link(name, ",".join(domain)) for name, domain in _split(self.link))
        return Staff(people=people, bridges=bridges, links=links, **others)


def _split(given: tuple[str, ...]) -> list[tuple[str, tuple[str, ...]]]:
    """Names, each with the list that follows its `=`."""
    parts = [each.partition("=") for each in given]
    return [(name, comma_separated(rest)) for name, _, rest in parts]


_OPTIONS = NamedStaff._fields
_HELP = NamedStaff(
    person=("NAME[=ROLE,...]", "Person who answers, for all roles or for these; default: ada."),
    sender=("NAME", "Program that sends events; default: helpdesk."),
    bridge=("NAME[=VIA,...]", "Program that takes in answers: slack, link, token or proxy."),
    notifier=("NAME", "Process that runs `layby notify`."),
    observer=("NAME", "Person or program that may read everything; default: observer."),
    operator=("NAME", "Person who cancels and retries runs; default: operator."),
    backup=("NAME", "Program that runs `layby backup`."),
    restorer=("NAME", "Person who runs `layby restore` and `layby standby`."),
    link=("NAME=DOMAIN", "Leaf node of a standby, which mirrors the cluster of this domain."),
)


def with_staff_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command these options in place of its parameter `named`."""
    signature = inspect.signature(function, eval_str=True)
    parameters = [
        option
        for each in signature.parameters.values()
        for option in (map(_option, _OPTIONS) if each.name == "named" else (each,))
    ]

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        given = {name: tuple(kwargs.pop(name) or ()) for name in _OPTIONS}
        return function(*args, named=NamedStaff(**given), **kwargs)

    call.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return call


def _option(name: str) -> inspect.Parameter:
    metavar, help_ = getattr(_HELP, name)
    option = typer.Option(f"--{name}", metavar=metavar, help=help_, show_default=False)
    annotation = Annotated[list[str] | None, option]
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    return inspect.Parameter(name, kind, default=None, annotation=annotation)


def comma_separated(text: str) -> tuple[str, ...]:
    """The parts of a comma-separated list."""
    return tuple(filter(None, text.split(",")))
