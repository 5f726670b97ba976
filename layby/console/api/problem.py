"""What went wrong, as programs read it: problem+json (RFC 9457)."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec
from starlette.responses import Response

from ...actors.people.answer import Receipt
from ...bus.dead import CannotRetry, NoSuchLetter
from ...bus.errors import (
    BusError,
    Conflict,
    Erased,
    InvalidTicket,
    KeyMissing,
    LaybyError,
    NoLeader,
    NoSubject,
    PayloadTooLarge,
    PermissionDenied,
    StoreFull,
    StreamMissing,
    ValueLost,
)
from ...bus.log_subject import NoPosition
from ...client import (
    CommandRefused,
    NoReceipt,
    NoSuchQuestion,
    NoSuchRun,
    NotATrigger,
    NotDoneYet,
    NotRetryable,
    RunOver,
)
from ...runtime.errors import InvalidSetup
from ...views.listing import OldIndex
from ...views.prompts import NoPrompt

MEDIA: Final = "application/problem+json"
_URN: Final = "urn:layby:problem:"
_CREDENTIALS: Final = re.compile(r"(?<=://)[^/\s]+@")
_log: Final = logging.getLogger(__name__)


class Problem(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """Why a request was not done (RFC 9457); with status 202, why it is not done yet.

    Attributes:
        type: A stable name of the problem, a URN; `about:blank` if the status says it all.
        title: The problem in a few words, the same each time.
        status: The HTTP status.
        detail: What happened this time, for people.
        advice: What to do next, for people.
        parameter: The parameter or the field of the body that is wrong.
        receipt: What became of an answer that was not accepted.
        seq: The number of the command or answer that is stored and not done yet.
    """

    type: str
    title: str
    status: int
    detail: str = ""
    advice: str = ""
    parameter: str = ""
    receipt: Receipt | None = None
    seq: int = 0


class NotAllowed(LaybyError):
    """This session may not do that."""


class InvalidRequest(LaybyError):
    """A parameter or the body is wrong; `parameter` names it."""

    def __init__(self, message: str, parameter: str = "") -> None:
        super().__init__(message)
        self.parameter = parameter


class NotJson(LaybyError):
    """The body has a media type that is not read here."""


class Late(LaybyError):
    """It took too long."""


class NotReady(LaybyError):
    """The console cannot do its work now."""


class NotAccepted(LaybyError):
    """An answer was not accepted; `receipt` says why."""

    def __init__(self, receipt: Receipt) -> None:
        super().__init__(receipt.reason or receipt.outcome)
        self.receipt = receipt


class AnswerLost(NotAccepted):
    """Another answer won, or the question was closed before."""


class Kind(NamedTuple):
    """How a kind of error is reported."""

    status: int
    name: str
    title: str
    advice: str = ""


_SERVER: Final = "Try again in a moment; `layby doctor` says what is wrong."
KINDS: Final[Mapping[type[Exception], Kind]] = {
    NotDoneYet: Kind(202, "not-done-yet", "It is stored, and is done when a worker gets to it"),
    NoReceipt: Kind(202, "no-receipt", "The answer is stored, and applied when a worker runs"),
    NotAllowed: Kind(403, "not-allowed", "This login may not do that"),
    PermissionDenied: Kind(
        403,
        "permission-denied",
        "The NATS server does not allow that",
        "Sign in as somebody who may.",
    ),
    NoSuchRun: Kind(
        404, "no-such-run", "There is no such run", "GET runs lists the runs, by ticket too."
    ),
    NoPosition: Kind(404, "no-such-run", "There is no such run"),
    NoPrompt: Kind(
        404, "no-such-prompt", "No request to a model is recorded there", "GET runs/{id} has steps."
    ),
    NoSuchQuestion: Kind(
        404, "no-such-question", "There is no such question", "GET questions lists the open ones."
    ),
    NoSuchLetter: Kind(
        404, "no-such-letter", "There is no such dead letter", "GET dead lists them."
    ),
    StreamMissing: Kind(
        404,
        "stream-missing",
        "No stream holds that",
        "Start a worker of the app, or run `layby provision`.",
    ),
    RunOver: Kind(409, "run-over", "The run has ended already"),
    NotRetryable: Kind(409, "not-retryable", "The run cannot be retried as it is"),
    CannotRetry: Kind(409, "cannot-retry", "The message still cannot be handled"),
    CommandRefused: Kind(409, "command-refused", "A worker refused it"),
    AnswerLost: Kind(409, "answer-lost", "Somebody else was first, or the question is over"),
    Conflict: Kind(409, "conflict", "Somebody else wrote first", "Read again, then decide again."),
    Erased: Kind(410, "erased", "Its key was destroyed: nobody can read it any more"),
    PayloadTooLarge: Kind(413, "too-large", "It is larger than the NATS server takes"),
    NotJson: Kind(415, "not-json", "The body must be JSON", "Send Content-Type: application/json."),
    InvalidRequest: Kind(422, "invalid-request", "A parameter or the body is wrong"),
    NotAccepted: Kind(422, "answer-invalid", "The question does not accept this answer"),
    NotATrigger: Kind(
        422,
        "not-a-trigger",
        "No workflow is triggered by that subject",
        "Use a workflow's trigger, or one of the app's events.",
    ),
    InvalidTicket: Kind(422, "invalid-ticket", "That cannot be a ticket or a name"),
    NoSubject: Kind(422, "no-subject", "Nothing can be published on that subject"),
    InvalidSetup: Kind(422, "invalid-setup", "The app is not set up for that"),
    ValueError: Kind(422, "invalid-request", "A parameter or the body is wrong"),
    KeyMissing: Kind(
        403, "key-missing", "It is encrypted", "Start the console where LAYBY_KEYS is set."
    ),
    ValueLost: Kind(500, "value-lost", "A part of it is no longer stored"),
    OldIndex: Kind(503, "old-index", "The list is of an earlier release", "Run `layby migrate`."),
    NoLeader: Kind(
        503, "no-leader", "The NATS servers have no leader for that now", "Send it again."
    ),
    StoreFull: Kind(503, "store-full", "The NATS server takes nothing more", _SERVER),
    BusError: Kind(503, "unavailable", "The NATS server did not answer", _SERVER),
    NotReady: Kind(503, "not-ready", "The console cannot do its work now"),
    Late: Kind(503, "late", "It took too long", _SERVER),
}
"""By the class of the error, or the nearest one that it is derived from."""
INTERNAL: Final = Kind(500, "internal", "Something went wrong", "The console's log says what.")
STATUSES: Final = {kind.status for kind in (*KINDS.values(), INTERNAL)}


def kind_of(error: BaseException) -> Kind:
    """How an error is reported."""
    return next((KINDS[each] for each in type(error).__mro__ if each in KINDS), INTERNAL)


def problem_of(error: Exception) -> Problem:
    """An error as a problem; the text of an unexpected one goes to the log only."""
    kind = kind_of(error)
    if kind is INTERNAL:
        _log.error("console.request_failed", exc_info=error)
    return Problem(
        type=_URN + kind.name,
        title=kind.title,
        status=kind.status,
        detail="" if kind is INTERNAL else _CREDENTIALS.sub("", str(error)),
        advice=kind.advice,
        parameter=getattr(error, "parameter", ""),
        receipt=getattr(error, "receipt", None),
        seq=getattr(error, "seq", 0),
    )


def problem_response(error: Exception) -> Response:
    """The response that reports an error."""
    problem = problem_of(error)
    return Response(msgspec.json.encode(problem), problem.status, media_type=MEDIA)
