"""Plans the ladder of a question from what its role and its asker declare. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from .duration import human, seconds
from .entry import Asked
from .errors import InvalidSetup
from .ladder_records import ASKED, ESCALATION, REMINDER, Laddered, PlannedRung
from .quiet import Quiet
from .role import Role
from .rung import Escalate, Remind, Rung, checked_person, checked_reminders, checked_rungs


class LadderOptions(NamedTuple):
    """What the asker says about one question; None: what the role declares."""

    to: str | None = None
    remind: Remind | None = None
    escalate: Escalate | None = None
    urgent: bool = False


NO_OPTIONS = LadderOptions()


def check_options(options: LadderOptions, whose: str) -> None:
    """Check what needs no app and no deadline. Raises InvalidSetup."""
    checked_person(options.to, whose)
    checked_reminders(options.remind or (), whose)
    checked_rungs(options.escalate or (), whose)


class Ladders:
    """The ladders that the roles of an app declare."""

    def __init__(self, roles: Iterable[Role] = ()) -> None:
        self._roles = {role.name: role for role in roles}

    @property
    def need_rota(self) -> bool:
        """Whether any role has a rota."""
        return any(role.rota for role in self._roles.values())

    def rota_of(self, role: str) -> str:
        """The rota that says who of a role is on duty; empty: none."""
        found = self._roles.get(role)
        return found.rota if found is not None else ""

    def check(self, ask_timeout: float) -> None:
        """Check the roles of an app against each other. Raises InvalidSetup."""
        for role in self._roles.values():
            whose = f"role {role.name!r}"
            self._check_targets(role.name, role.escalate, whose)
            times = [*role.remind, *(seconds(each.after) for each in role.escalate)]
            if times and max(times) >= ask_timeout:
                raise InvalidSetup(
                    f"{whose} has a rung after {human(max(times))}, but people have "
                    f"{human(ask_timeout)} to answer: shorten it, or give App(ask_timeout=...) more"
                )

    def plan(self, asked: Asked, now: float, options: LadderOptions) -> Laddered | None:
        """The ladder of a question that is asked `now`; None: it has none. Raises InvalidSetup.

        Rungs of the role that are not before this question's deadline are left out.
        """
        role = self._roles.get(asked.role) or Role(asked.role)
        whose = f"question to {asked.role!r}"
        left = asked.deadline - now
        to = checked_person(options.to, whose)
        remind, escalate = role.remind, role.escalate
        if options.remind is not None:
            remind = checked_reminders(options.remind, whose)
            _check_in_time(remind, left, whose)
        if options.escalate is not None:
            escalate = checked_rungs(options.escalate, whose)
            _check_in_time([seconds(each.after) for each in escalate], left, whose)
            self._check_targets(role.name, escalate, whose)
            _check_countable(asked, escalate, whose)
        if asked.quorum is not None or asked.only:
            escalate = tuple(rung for rung in escalate if not rung.role)
        plan = _Plan(now, asked.deadline, urgent=options.urgent)
        rungs = [PlannedRung(kind=ASKED, at=round(now, 3), rota=role.rota)] if role.rota else []
        rungs += plan.reminders(role, remind)
        rungs += [
            plan.escalation(self._role_told(role, rung), rung) for rung in plan.in_time(escalate)
        ]
        rungs.sort(key=lambda rung: (rung.at, rung.kind != ASKED, rung.kind == ESCALATION))
        speaks = options.urgent and bool(role.channels)  # quiet hours hold cards too
        if not (rungs or to or speaks):
            return None
        return Laddered(id=asked.id, to=to, urgent=options.urgent, rungs=rungs)

    def _role_told(self, role: Role, rung: Rung) -> Role:
        """The role whose quiet hours and rota apply at an escalation."""
        return self._roles[rung.role] if rung.role else role

    def _check_targets(self, role: str, escalate: Iterable[Rung], whose: str) -> None:
        for rung in escalate:
            target = self._roles.get(rung.role)
            if not rung.role:
                continue
            if target is None:
                raise InvalidSetup(
                    f"{whose} escalates to {rung.to}, but the app has no role {rung.role!r}: "
                    f"declare it with App(roles=[...]); declared: {', '.join(self._roles)}"
                )
            if rung.role == role:
                raise InvalidSetup(f"{whose} escalates to itself: use remind= for that")
            if target.signs or self._roles[role].signs:
                raise InvalidSetup(
                    f"{whose} escalates to {rung.to}, and one of the two takes signed answers "
                    "only, which count for the role that was asked: escalate to a person instead"
                )


def _check_countable(asked: Asked, escalate: Iterable[Rung], whose: str) -> None:
    """Refuse to ask a role that could not answer. Raises InvalidSetup."""
    if asked.only and any(rung.role for rung in escalate):
        raise InvalidSetup(
            f"{whose} escalates to another role, but only {asked.only} may answer it: leave "
            "only=True out, or escalate to a person"
        )
    if asked.quorum is not None and any(rung.role for rung in escalate):
        raise InvalidSetup(
            f"{whose} escalates to another role, which has no vote: name it in `groups`, or "
            "escalate to a person"
        )


def _check_in_time(times: Iterable[float], left: float, whose: str) -> None:
    for time in times:
        if time >= left:
            raise InvalidSetup(
                f"{whose} has a rung after {human(time)}, but only {human(left)} to answer: "
                "shorten it, or give timeout= more"
            )


class _Plan:
    """The times of one question's rungs."""

    def __init__(self, now: float, deadline: float, *, urgent: bool) -> None:
        self._now = now
        self._deadline = deadline
        self._urgent = urgent

    def in_time(self, escalate: Iterable[Rung]) -> list[Rung]:
        return [rung for rung in escalate if self._now + seconds(rung.after) < self._deadline]

    def reminders(self, role: Role, remind: Iterable[float]) -> list[PlannedRung]:
        """The reminders; of several that quiet hours hold until the same moment, one."""
        found: dict[float, PlannedRung] = {}
        for after in remind:
            if self._now + after < self._deadline:
                at, held = self._when(after, role.quiet)
                found[at] = PlannedRung(kind=REMINDER, at=at, held=held, rota=role.rota)
        return list(found.values())

    def escalation(self, told: Role, rung: Rung) -> PlannedRung:
        at, held = self._when(seconds(rung.after), told.quiet)
        return PlannedRung(kind=ESCALATION, at=at, held=held, to=rung.to, rota=told.rota)

    def _when(self, after: float, quiet: Quiet | None) -> tuple[float, float]:
        """When a rung is due, and when it would have been but for quiet hours.

        Quiet hours that last beyond the deadline hold nothing: nobody would be told in time.
        """
        planned = round(self._now + after, 3)
        if quiet is None or self._urgent:
            return planned, 0.0
        at = round(quiet.until(planned), 3)
        return (planned, 0.0) if at == planned or at >= self._deadline else (at, planned)
