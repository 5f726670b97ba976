"""Who decides a question: the options `quorum`, `groups`, `veto` and `exclude`, checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import msgspec

from ..bus.token import is_word
from .choice import can_be_rejected, is_closed
from .errors import InvalidSetup
from .forms import schema_of
from .ladder import PERSON
from .quorum import Quorum, is_reachable, roles_of
from .rung import checked_person
from .tally import Decidable
from .vouched import NATS, NONE, SIGNATURE, VIA, VOUCHERS
from .vouching import Accept


class Declared(Protocol):
    """What an app declares about its roles."""

    @property
    def people(self) -> Mapping[str, Sequence[str]]:
        """Who is in each role that says so."""
        ...

    @property
    def signers(self) -> Any:
        """The roles whose answers must be signed."""
        ...


class Deciders(NamedTuple):
    """The options as they are given."""

    quorum: int | None = None
    groups: Mapping[str, int] | None = None
    veto: bool = False
    exclude: Sequence[str] = ()

    def checked(self) -> Quorum | None:
        """What it takes to decide a question, as far as the options say; None: one answer.

        Raises:
            InvalidSetup: they contradict each other, or are not numbers and names.
        """
        if self == Deciders():
            return None
        groups = self._groups()
        number = self.quorum if self.quorum is not None else sum(groups.values()) or 1
        _check_number("quorum", number)
        if number < sum(groups.values()):
            raise InvalidSetup(
                f"quorum={number}, but groups={groups} need {sum(groups.values())} votes together: "
                "leave `quorum` out, or give at least that"
            )
        exclude = self._excluded()
        return Quorum(number=number, groups=groups, veto=bool(self.veto), exclude=exclude)

    def _excluded(self) -> list[str]:
        given: Any = self.exclude
        if isinstance(given, str) or not all(isinstance(name, str) for name in given):
            raise InvalidSetup(f"exclude={given!r}: give a list of names")
        for name in self.exclude:
            if not is_word(name):
                raise InvalidSetup(
                    f"exclude={list(given)}: {name!r} would exclude nobody, because people vote "
                    "under names of letters, digits, _ and -: give the name of their login"
                )
        return sorted(set(self.exclude))

    def _groups(self) -> dict[str, int]:
        if self.groups is None:
            return {}
        given: Any = self.groups
        if not isinstance(given, Mapping) or not given:
            raise InvalidSetup(f"groups={given!r}: give roles and numbers: {{'legal': 1}}")
        for role, count in self.groups.items():
            _check_number(f"groups[{role!r}]", count)
        return dict(self.groups)


def _check_number(name: str, given: Any) -> None:
    if not isinstance(given, int) or isinstance(given, bool) or given < 1:
        raise InvalidSetup(f"{name}={given!r}: give a whole number of people, 1 or more")


def completed(quorum: Quorum, role: str, declared: Declared) -> Quorum:
    """A quorum with the people whom the app declares.

    Raises:
        InvalidSetup: the role is not one of the groups.
    """
    if quorum.groups and role not in quorum.groups:
        raise InvalidSetup(
            f"the question is for the role {role!r}, which is not one of groups="
            f"{quorum.groups}: ask one of them, or add it"
        )
    roles = sorted({role, *quorum.groups})
    known = {each: sorted(people) for each in roles if (people := declared.people.get(each, ()))}
    signed = [each for each in roles if each in declared.signers]
    return msgspec.structs.replace(quorum, people=known, signed=signed)


def check_reachable(asked: Decidable) -> None:
    """Check that there are enough people. Raises InvalidSetup."""
    quorum = asked.quorum
    if quorum is None or is_reachable(quorum, roles_of(asked), (), ()):
        return
    who = "; ".join(f"{role}: {', '.join(people)}" for role, people in quorum.people.items())
    but = f", without {', '.join(quorum.exclude)}" if quorum.exclude else ""
    wanted = f"groups={quorum.groups}" if quorum.groups else f"quorum={quorum.number}"
    raise InvalidSetup(f"{wanted} can never be reached by these people{but}: {who}")


def check_countable(asked: Decidable) -> None:
    """Check that the answers to a question can be counted. Raises InvalidSetup."""
    if asked.quorum is None:
        return
    if not is_closed(asked):
        raise InvalidSetup(
            "several people can only decide between choices, but any text may answer this "
            "question: give `answer=bool`, a Literal or an Enum, or use `needs_approval`"
        )
    if asked.quorum.veto and not can_be_rejected(asked):
        raise InvalidSetup(
            "veto=True, but no choice of this question is a rejection: use it with `answer=bool` "
            "or with `needs_approval`"
        )


def check_declared(deciders: Deciders, answer: Any) -> None:
    """Check options where a tool is declared. Raises InvalidSetup."""
    quorum = deciders.checked()
    if quorum is not None:
        form = None if answer is str else schema_of(answer)
        check_countable(_Asked("", quorum, form))


def accepted(accept: Accept, role: str, quorum: Quorum) -> list[str]:
    """Who must vouch for votes: a vote needs a name that somebody vouches for.

    Votes for a role with keys need a `signature`, whatever `accept` says of the others.

    Raises:
        InvalidSetup: `accept` asks for less, or for something that no role has.
    """
    signs = {each in quorum.signed for each in roles_of(_Asked(role, quorum))}
    must = {SIGNATURE} if True in signs else set[str]()
    check_vouchers(accept)
    given = {accept} if isinstance(accept, str) else set(accept or ())
    others = given - {SIGNATURE}
    unsigned = False in signs
    if NONE in given or (SIGNATURE in given and not must) or (others and not unsigned):
        may = [*sorted(must), *((NATS, *VIA) if unsigned else ())]
        raise InvalidSetup(
            f"accept={accept!r}, but several people decide this question, each under a name that "
            f"somebody vouches for: leave `accept` out, or give some of {', '.join(may)}"
        )
    default = {NATS} if unsigned else set[str]()
    return sorted(must | (others or default))


def check_vouchers(accept: Accept) -> None:
    """Check that `accept` names vouchers. Raises InvalidSetup."""
    given: Any = [accept] if isinstance(accept, str) else list(accept or ())
    if any(each not in VOUCHERS for each in given):
        known = ", ".join(map(repr, VOUCHERS))
        raise InvalidSetup(f"accept={accept!r}: give one of {known}, or several of these")


def reserved_for(to: str | None, quorum: Quorum | None) -> str:
    """The name of the one person who may answer. Raises InvalidSetup."""
    if quorum is not None:
        raise InvalidSetup("only=True, but several people decide this question: leave it out")
    person = checked_person(to, "only=True")
    if not person:
        raise InvalidSetup("only=True: say who may answer, to='person:ada'")
    return person.removeprefix(PERSON)


class _Asked(NamedTuple):
    role: str
    quorum: Quorum | None
    form: dict[str, Any] | None = None
    digest: str = ""
