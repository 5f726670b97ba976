"""What people must fix before a run can continue: failures that block a run but do not end it."""

from __future__ import annotations

from typing import NamedTuple

from ..bus.errors import PermissionDenied
from .errors import AnswerDoubted, InvalidSetup, Undeclared, WorkflowChanged
from .failure import message_of
from .place import place_of

CODE = "code"
VERSION = "version"
SETUP = "setup"
KEY = "key"
BUDGET = "budget"
PERMISSION = "permission"
_BY_ITSELF = "the run then continues by itself."


class Need(NamedTuple):
    """What is missing."""

    kind: str
    """`code`, `version`, `setup`, `key`, `budget` or `permission`."""
    advice: str
    """What people can do, in one sentence."""


MISSING_KEY = Need(KEY, f"Start a worker that has the key: {_BY_ITSELF}")
REFUSED_KEY = Need(KEY, f"Give the workers a key that may do this, and restart them: {_BY_ITSELF}")
SPENT_BUDGET = Need(BUDGET, "Top up the account with the provider, then retry the run.")
_NEEDS: tuple[tuple[type[BaseException], Need], ...] = (
    (
        AnswerDoubted,
        Need(SETUP, f"Look at the question in the log, then correct and deploy: {_BY_ITSELF}"),
    ),
    (
        WorkflowChanged,
        Need(CODE, f"Deploy code that fits what is recorded (put the step back): {_BY_ITSELF}"),
    ),
    (Undeclared, Need(VERSION, f"Start a worker that declares this version: {_BY_ITSELF}")),
    (InvalidSetup, Need(SETUP, f"Correct what the app declares, and deploy it: {_BY_ITSELF}")),
    (PermissionDenied, Need(PERMISSION, "Grant the worker this permission, then retry the run.")),
)


def need_of(error: BaseException) -> Need | None:
    """What people must fix so that `error` does not recur; None: `error` does not block a run."""
    own = getattr(error, "need", None)
    if isinstance(own, Need):
        return own
    return next((need for kind, need in _NEEDS if isinstance(error, kind)), None)


class Blocker(NamedTuple):
    """Why a body was left: people must fix something first."""

    need: Need
    reason: str
    key: str = ""
    """The step that could not run; empty for the body itself."""


def blocker_of(error: BaseException | None, key: str = "") -> Blocker | None:
    """The blocker that `error` stands for; None: `error` does not block a run."""
    need = need_of(error) if error is not None else None
    if error is None or need is None:
        return None
    place = place_of(error)
    return Blocker(need, f"{message_of(error)} (in {place})" if place else message_of(error), key)
