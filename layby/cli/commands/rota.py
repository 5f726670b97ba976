"""`layby rota`: who is on duty when, and who stands in for whom."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from ..invocation import Invocation, command, group
from ..options.common import As, Reason
from ..screen.errors import CliError, UsageError
from ..screen.output import print_json, stdout
from ..target.worker_commands import with_workers

if TYPE_CHECKING:
    from ...actors.people.rota import OnDuty, Window
    from ...client.rota_api import RotaApi

T = TypeVar("T")

_Name = Annotated[str, typer.Argument(metavar="ROTA", help="Name of the rota.", show_default=False)]
_Person = Annotated[
    str, typer.Argument(metavar="PERSON", help="Name of the person.", show_default=False)
]
_From = Annotated[
    str,
    typer.Option(
        "--from", metavar="TIME", help="Start, for example 2026-11-30T09:00.", show_default=False
    ),
]
_Until = Annotated[
    str,
    typer.Option("--until", metavar="TIME", help="End, which is not included.", show_default=False),
]
_Zone = Annotated[
    str,
    typer.Option("--zone", metavar="ZONE", help="Time zone of both, for example Europe/Berlin."),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    rota = typer.Typer(
        help="Show and edit who is on duty, and who stands in for whom.\n\n"
        "Example: layby rota add dev ada --from 2026-11-30T09:00 --until 2026-11-30T17:00"
    )
    rota.callback(invoke_without_command=True)(group)
    rota.command("list")(list_)
    for each in (show, add, remove, away, back):
        rota.command()(each)
    app.add_typer(rota, name="rota")


@command
def list_(call: Invocation) -> None:
    """List the rotas, and who is on duty now.

    Example: layby rota list
    """
    now = time.time()

    async def look(rotas: RotaApi) -> list[dict[str, Any]]:
        from ...actors.people.rota import on_duty

        absences = await rotas.absences()
        names = await rotas.names()
        return [
            {"rota": name, **_duty(on_duty(await rotas.shifts(name), absences, now))}
            for name in names
        ]

    rows = _with_rotas(call, look)
    if call.json:
        print_json(rows)
        return
    for row in rows:
        stdout().print(f"{row['rota']}  {_words(row)}", markup=False)
    if not rows:
        stdout().print("no rota has shifts", style="dim")


@command
def show(call: Invocation, name: _Name) -> None:
    """Show the shifts of a rota, all absences, and who is on duty now.

    Example: layby rota show dev
    """
    now = time.time()

    async def look(rotas: RotaApi) -> tuple[tuple[Window, ...], tuple[Window, ...]]:
        return await rotas.shifts(name), await rotas.absences()

    shifts, absences = _with_rotas(call, look)
    from ...actors.people.rota import on_duty

    duty = _duty(on_duty(shifts, absences, now))
    if call.json:
        print_json({"rota": name, **duty, "shifts": shifts, "absences": absences})
        return
    stdout().print(f"{name}  {_words(duty)}", markup=False)
    _print(shifts)
    if absences:
        stdout().print("away", style="dim")
        _print(absences)


@command
def add(
    call: Invocation,
    name: _Name,
    person: _Person,
    start: _From,
    until: _Until,
    zone: _Zone = "UTC",
    weekly: Annotated[
        bool, typer.Option("--weekly", metavar="", help="Repeat it every week.")
    ] = False,
    by: As = None,
    reason: Reason = "",
) -> None:
    """Add a shift: put a person on duty from one time to another.

    Times are local times in the zone, also across daylight saving. A worker makes the change, and
    `layby audit` shows who asked for it.

    Example: layby rota add dev ada --from 2026-11-30T09:00 --until 2026-11-30T17:00 --weekly
    """
    shift = _window(person=person, start=start, end=until, zone=zone, weekly=weekly)
    _check_name(name)
    shifts = _with_rotas(call, lambda rotas: rotas.change(name, add=[shift], by=by, reason=reason))
    _done(call, {"rota": name, "shifts": shifts}, shifts)


@command
def remove(
    call: Invocation,
    name: _Name,
    number: Annotated[
        int,
        typer.Argument(metavar="NUMBER", help="Number of the shift, as `show` prints it.", min=1),
    ],
    by: As = None,
    reason: Reason = "",
) -> None:
    """Remove a shift.

    Example: layby rota remove dev 2
    """

    async def removed(rotas: RotaApi) -> tuple[Window, ...]:
        shifts = await rotas.shifts(name)
        if number > len(shifts):
            raise CliError(
                f"rota {name!r} has no shift {number}", f"`layby rota show {name}` numbers them"
            )
        return await rotas.change(name, remove=[shifts[number - 1]], by=by, reason=reason)

    shifts = _with_rotas(call, removed)
    _done(call, {"rota": name, "shifts": shifts}, shifts)


@command
def away(
    call: Invocation,
    person: _Person,
    start: _From,
    until: _Until,
    zone: _Zone = "UTC",
    delegate: Annotated[
        str,
        typer.Option(
            "--delegate",
            metavar="PERSON",
            help="Who stands in, under their own name; default: nobody.",
            show_default=False,
        ),
    ] = "",
    by: As = None,
    reason: Reason = "",
) -> None:
    """Record that a person is away, in all rotas.

    Example: layby rota away ada --from 2026-12-24T00:00 --until 2027-01-02T00:00 --delegate bob
    """
    absence = _window(person=person, start=start, end=until, zone=zone, delegate=delegate)
    absences = _with_rotas(call, lambda rotas: rotas.change(add=[absence], by=by, reason=reason))
    _done(call, {"absences": absences}, absences)


@command
def back(call: Invocation, person: _Person, by: As = None, reason: Reason = "") -> None:
    """Remove all absences of a person.

    Example: layby rota back ada
    """

    async def returned(rotas: RotaApi) -> tuple[Window, ...]:
        absences = await rotas.absences()
        theirs = [each for each in absences if each.person == person]
        if not theirs:
            return absences
        return await rotas.change(remove=theirs, by=by, reason=reason)

    absences = _with_rotas(call, returned)
    _done(call, {"absences": absences}, absences)


def _with_rotas(call: Invocation, work: Callable[[RotaApi], Awaitable[T]]) -> T:
    """Do `work` with the rotas of the app."""
    from ...actors.people.rota_book import StandInCircle
    from ...bus.errors import StreamMissing

    try:
        return with_workers(call, lambda client: work(client.rotas))
    except StreamMissing as error:
        raise CliError(
            "the app has no rota",
            "declare one with Role(..., rota='dev') and run `layby provision APP`",
            kind="NoRota",
        ) from error
    except StandInCircle as error:
        raise CliError(str(error), "name another delegate", kind="StandInCircle") from error


def _window(**fields: Any) -> Window:
    """A window as it was given. Raises UsageError."""
    from ...actors.people.rota import Window

    try:
        return Window(**fields)
    except ValueError as error:
        raise UsageError(
            str(error), "write times as 2026-11-30T09:00, and names with letters, digits, _ and -"
        ) from error


def _check_name(name: str) -> None:
    from ...bus.token import is_word

    if not is_word(name):
        raise UsageError(f"{name!r} cannot be the name of a rota", "use letters, digits, - and _")


def _duty(duty: OnDuty) -> dict[str, Any]:
    return {"told": list(duty.told), "absent": dict(duty.absent), "nobody": duty.nobody}


def _words(duty: dict[str, Any]) -> str:
    absent = duty["absent"]
    names = [f"{each} for {absent[each]}" if each in absent else each for each in duty["told"]]
    return f"on duty now: {', '.join(names) or 'nobody'}"


def _print(windows: Sequence[Window]) -> None:
    from ..screen.untrusted_text import one_line

    for number, each in enumerate(windows, 1):
        stdout().print(one_line(f"{number}  {each}"), markup=False)


def _done(call: Invocation, document: dict[str, Any], windows: Sequence[Window]) -> None:
    if call.json:
        print_json(document)
    else:
        _print(windows)
