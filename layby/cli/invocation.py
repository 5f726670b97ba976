"""One call of the command line: its global options, and what every command derives from them."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Annotated, Any, Concatenate, get_args

import typer

if TYPE_CHECKING:
    from ..bus.keyring import Keyring
    from ..bus.settings import ConnectionSettings

_PANEL = "Global options"

Server = Annotated[
    str | None,
    typer.Option(
        "--server",
        "-s",
        metavar="URL",
        help="NATS server; default: NATS_URL, else the nats CLI's context.",
        rich_help_panel=_PANEL,
        show_default=False,
    ),
]
Context = Annotated[
    str | None,
    typer.Option(
        "--context",
        metavar="NAME",
        help="Context of the nats CLI to use.",
        rich_help_panel=_PANEL,
        show_default=False,
    ),
]
InboxPrefix = Annotated[
    str | None,
    typer.Option(
        "--inbox-prefix",
        metavar="PREFIX",
        help="Prefix of reply subjects; default: NATS_INBOX_PREFIX, else the context's.",
        rich_help_panel=_PANEL,
        show_default=False,
    ),
]
Prefix = Annotated[
    str | None,
    typer.Option(
        "--prefix",
        metavar="PREFIX",
        help="Prefix of the app; default: LAYBY_PREFIX.",
        rich_help_panel=_PANEL,
        show_default=False,
    ),
]
Json = Annotated[
    bool,
    typer.Option(
        "--json",
        metavar="",
        help="Print one JSON document on stdout and nothing else.",
        rich_help_panel=_PANEL,
    ),
]
Verbose = Annotated[
    bool,
    typer.Option(
        "--verbose",
        metavar="",
        help="Show tracebacks and more log lines.",
        rich_help_panel=_PANEL,
    ),
]

Version = Annotated[
    bool,
    typer.Option(
        "--version",
        metavar="",
        help="Print the version of Layby and exit; `layby version` prints more.",
        rich_help_panel=_PANEL,
    ),
]


def _written(*options: Any) -> frozenset[str]:
    """How options are written."""
    infos = [get_args(option)[1] for option in options]
    return frozenset(each for info in infos for each in (info.default, *info.param_decls))


VALUED = _written(Server, Context, InboxPrefix, Prefix)
"""The global options that take a value."""
FLAGS = _written(Json, Verbose)
"""The global options that take none, and leave the rest to a command."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """The global options of one call.

    Attributes:
        server: `--server`, or None.
        context: `--context`, or None.
        inbox_prefix: `--inbox-prefix`, or None.
        prefix: `--prefix`, or None.
        json: Print one JSON document on stdout and nothing else.
        verbose: Show tracebacks and more log lines.
    """

    server: str | None = None
    context: str | None = None
    inbox_prefix: str | None = None
    prefix: str | None = None
    json: bool = False
    verbose: bool = False

    def merged(self, after: Invocation) -> Invocation:
        """The same options; those written `after` the command win."""
        return Invocation(
            server=after.server or self.server,
            context=after.context or self.context,
            inbox_prefix=after.inbox_prefix or self.inbox_prefix,
            prefix=self.prefix if after.prefix is None else after.prefix,
            json=after.json or self.json,
            verbose=after.verbose or self.verbose,
        )

    def settings(self) -> ConnectionSettings:
        """Where and how to connect: flag, then environment, then the nats CLI's context.

        Not configured if none of them names a server.

        Raises:
            InvalidSettings: They contradict each other or are not supported.
        """
        from ..bus.settings import ConnectionSettings

        return ConnectionSettings.load(
            server=self.server, context=self.context, inbox_prefix=self.inbox_prefix
        )

    @property
    def keyring(self) -> Keyring | None:
        """The keys in LAYBY_KEYS, which decrypt what apps encrypt; None if there are none."""
        from ..bus.keyring import VARIABLE, Keyring

        return Keyring.from_env() if os.environ.get(VARIABLE) else None

    @property
    def app_prefix(self) -> str:
        """The prefix of the app, for a command that does not load the app itself."""
        return os.environ.get("LAYBY_PREFIX", "") if self.prefix is None else self.prefix


def group(
    ctx: typer.Context,
    server: Server = None,
    context: Context = None,
    inbox_prefix: InboxPrefix = None,
    prefix: Prefix = None,
    json: Json = False,
    verbose: Verbose = False,
    version: Version = False,
) -> None:
    """Take the global options before a command; show help if no command follows."""
    if version:
        typer.echo(f"layby {metadata.version('layby')}")
        raise typer.Exit
    before = ctx.find_object(Invocation) or Invocation()
    after = Invocation(
        server=server,
        context=context,
        inbox_prefix=inbox_prefix,
        prefix=prefix,
        json=json,
        verbose=verbose,
    )
    ctx.obj = before.merged(after)
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())


def command(
    function: Callable[Concatenate[Invocation, ...], int | None],
) -> Callable[..., int | None]:
    """Accept the global options after a command's name too.

    The function gets the `Invocation` first. It returns the exit code; None means 0.
    """

    def call(
        *args: Any,
        ctx: typer.Context,
        server: str | None = None,
        context: str | None = None,
        inbox_prefix: str | None = None,
        prefix: str | None = None,
        json: bool = False,
        verbose: bool = False,
        **kwargs: Any,
    ) -> int | None:
        before = ctx.find_object(Invocation) or Invocation()
        after = Invocation(
            server=server,
            context=context,
            inbox_prefix=inbox_prefix,
            prefix=prefix,
            json=json,
            verbose=verbose,
        )
        return function(before.merged(after), *args, **kwargs)

    return _described(call, function)


def _described(call: Callable[..., Any], function: Callable[..., Any]) -> Callable[..., Any]:
    """Show typer the function's own parameters, followed by the global ones."""
    own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
    parameters = [*own, *_GLOBAL]
    call.__name__, call.__doc__ = function.__name__, _help(inspect.getdoc(function) or "")
    call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    call.__annotations__ = {each.name: each.annotation for each in parameters}
    return call


def _help(docstring: str) -> str:
    """The docstring for a terminal of any width: paragraphs unwrapped, examples set apart."""
    paragraphs = [" ".join(part.split("\n")) for part in docstring.split("\n\n")]
    return "\n\n".join(_example(part) for part in paragraphs)


def _example(paragraph: str) -> str:
    if not paragraph.startswith(_EXAMPLE):
        return paragraph
    shown = paragraph.removeprefix(_EXAMPLE).replace("[", r"\[")
    return f"{_EXAMPLE}[not dim]{shown}[/not dim]"


_EXAMPLE = "Example: "


def _parameter(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, kind, default=default, annotation=annotation)


_GLOBAL = (
    _parameter("ctx", typer.Context, inspect.Parameter.empty),
    _parameter("server", Server, None),
    _parameter("context", Context, None),
    _parameter("inbox_prefix", InboxPrefix, None),
    _parameter("prefix", Prefix, None),
    _parameter("json", Json, default=False),
    _parameter("verbose", Verbose, default=False),
)
