"""`layby console`: runs, questions and health in a browser."""

from __future__ import annotations

import re
import sys
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ...bus.install import installing
from ..invocation import Invocation, command
from ..options.signing import KeysFile, keys_file
from ..process.console_packages import missing_package
from ..screen.errors import CliError, UsageError
from ..screen.output import print_json

if TYPE_CHECKING:
    from ...console.options import ProxyOptions
    from ...runtime.vouching import Signers

_HEADER = re.compile(r"[A-Za-z0-9-]+")
_PATH = re.compile(r"[\w./-]*")


class Auth(Enum):
    """How people sign in."""

    TOKEN = "token"  # noqa: S105  its name
    NATS = "nats"
    PROXY = "proxy"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(console)


@command
def console(
    call: Invocation,
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Address to listen on.")
    ] = "127.0.0.1",
    port: Annotated[
        int,
        typer.Option(metavar="PORT", help="Port to listen on; 0: a free one.", min=0, max=65535),
    ] = 7422,
    base_path: Annotated[
        str, typer.Option(metavar="PATH", help="Path under which a proxy serves the console.")
    ] = "",
    auth: Annotated[
        Auth,
        typer.Option(
            help="How people sign in: by the printed address, with their own NATS login, or "
            "through a proxy that knows them.",
        ),
    ] = Auth.TOKEN,
    proxy_header: Annotated[
        str,
        typer.Option(metavar="NAME", help="Header in which the proxy names the person."),
    ] = "",
    trusted_proxy: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CIDR",
            help="Address or network of the proxy; can be given several times.",
            show_default=False,
        ),
    ] = None,
    operators: Annotated[
        str, typer.Option(metavar="NAMES", help="People who may do everything, for example ann,bo.")
    ] = "",
    responders: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=ROLES",
            help="Person who only answers, with their roles, for example carl=developer+lead; "
            "can be given several times.",
            show_default=False,
        ),
    ] = None,
    read_only: Annotated[
        bool, typer.Option("--read-only", metavar="", help="Show everything, change nothing.")
    ] = False,
    catalogue: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="File to keep the catalogue in, emptied at each start; default: memory.",
            dir_okay=False,
            show_default=False,
        ),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Another name under which browsers reach it, for example a proxy's; can be given "
            "several times.",
            show_default=False,
        ),
    ] = None,
    tokens: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="File of programs that answer for people: names, roles and digests of tokens.",
            dir_okay=False,
            show_default=False,
        ),
    ] = None,
    keys: KeysFile = None,
) -> None:
    """Show runs, answer questions and check health in a browser.

    Prints the address to open. With --auth token the address holds a key: anyone who opens it acts
    as you. With --auth nats or proxy, people sign in, and --host may be any address.

    Example: layby console --port 7422
    """
    if (name := missing_package()) is not None:
        raise CliError(
            f"the console needs the package {name}", installing("local"), kind="PackageMissing"
        )
    from ...actors.people.answer_link import LinkKeys
    from ...console.options import ConsoleOptions
    from ...console.server import serving
    from ..process.signals import run_until_stopped
    from ..screen.logs import logging_to_stderr
    from ..screen.output import stdout
    from ..target.connection import reachable_settings

    options = ConsoleOptions(
        host=host,
        port=port,
        base_path=_base(base_path),
        auth=auth.value,
        proxy=_proxy(auth, proxy_header, trusted_proxy or [], operators, responders or []),
        read_only=read_only,
        catalogue=catalogue,
        allow_hosts=tuple(allow_host or ()),
        signers=_signers(keys_file(keys)),
        tokens=tokens,
        links=LinkKeys.from_env(),
    )

    async def serve() -> None:
        async with serving(
            reachable_settings(call), options, prefix=call.app_prefix, keyring=call.keyring
        ) as console:
            if call.json:
                print_json({"url": console.url, "entry": console.entry})
                sys.stdout.flush()
            else:
                stdout().print(f"\n  Console: {console.entry}\n", style="bold", soft_wrap=True)
                if auth is Auth.TOKEN:
                    stdout().print("  The address holds a key: anyone who opens it acts as you.")
                stdout().print("  Ctrl-C stops it.\n", style="dim")
            await console.failed()

    with logging_to_stderr(json=call.json, verbose=call.verbose):
        run_until_stopped(serve())


def _signers(path: str | None) -> Signers | None:
    """The roles of a file of keys; None if no file is named."""
    if path is None:
        return None
    from ...client.key_file import read_keys
    from ...runtime.vouching import Signers

    return Signers(read_keys(path))


def _proxy(
    auth: Auth, header: str, trusted: list[str], operators: str, responders: list[str]
) -> ProxyOptions | None:
    """What the login by a proxy needs; None for other logins."""
    from ...console.options import ProxyOptions

    if auth is not Auth.PROXY:
        if header or trusted or operators or responders:
            raise UsageError(
                "--proxy-header, --trusted-proxy, --operators and --responders go with "
                "--auth proxy",
                "add it, or leave them out",
            )
        return None
    if not _HEADER.fullmatch(header) or not trusted:
        raise UsageError(
            "--auth proxy needs the header and the proxy's address",
            "as in --proxy-header X-Forwarded-User --trusted-proxy 10.0.0.5/32",
        )
    return ProxyOptions(
        header=header,
        trusted=tuple(map(_network, trusted)),
        operators=frozenset(filter(None, map(str.strip, operators.split(",")))),
        responders=tuple(map(_responder, responders)),
    )


def _network(text: str) -> str:
    import ipaddress

    try:
        return str(ipaddress.ip_network(text))
    except ValueError:
        raise UsageError(
            f"{text!r} is not an address or network", "write it as 10.0.0.5 or 10.0.0.0/24"
        ) from None


def _responder(text: str) -> tuple[str, tuple[str, ...]]:
    name, _, roles = text.partition("=")
    found = tuple(role for role in roles.split("+") if role)
    if not name or not found:
        raise UsageError(f"{text!r} names no responder", "write it as carl=developer+lead")
    return name, found


def _base(path: str) -> str:
    """A base path as addresses need it: with a leading slash and no trailing one."""
    bare = path.strip("/")
    if not _PATH.fullmatch(bare):
        raise UsageError(
            f"{path!r} cannot be a base path", "use letters, digits, -, _, . and /, as in /layby"
        )
    return f"/{bare}" if bare else ""
