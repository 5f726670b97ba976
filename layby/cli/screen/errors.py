"""Errors for people: what happened, why, what to do next. No traceback, never a secret."""

from __future__ import annotations

import re
import signal
from typing import Any, cast

_CREDENTIALS = re.compile(r"(?<=://)[^/\s]+@")

OK = 0
FAILED = 1
USAGE = 2
NO_RECEIPT = 2
SIGNALLED = 128
"""The exit code, plus the number of the signal that ended the command."""

INTERRUPTED = "Interrupted"
"""The kind of an error that is not a failure: somebody stopped the command."""

_ADVICE = {"NoSuchRun": "`layby runs` lists the runs; check --prefix if the app has one"}
"""What to do about an error whose message does not say so."""


class CliError(Exception):
    """A command cannot do what it was asked to do.

    Attributes:
        message: What happened and why, in one line.
        advice: What to do next; empty when there is nothing to say.
        code: The exit code.
        kind: The `type` of the JSON error.
        facts: More fields of the JSON error, for scripts.
    """

    def __init__(
        self,
        message: str,
        advice: str = "",
        *,
        code: int = FAILED,
        kind: str = "",
        facts: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.advice = advice
        self.code = code
        self.kind = kind or type(self).__name__
        self.facts = facts or {}
        self.is_logged = False
        """Whether it is in the log already, so that it is not printed too."""

    def document(self) -> dict[str, Any]:
        """The one JSON document that `--json` prints for it."""
        error = {"type": self.kind, "message": without_secrets(self.message), **self.facts}
        if self.advice:
            error["advice"] = without_secrets(self.advice)
        return {"error": error}


class UsageError(CliError):
    """The command line itself is wrong."""

    def __init__(self, message: str, advice: str = "", *, kind: str = "") -> None:
        super().__init__(message, advice, code=USAGE, kind=kind)


def without_secrets(text: str) -> str:
    """Remove what is between `://` and `@`: users, passwords, tokens."""
    return _CREDENTIALS.sub("", text)


def explain(error: BaseException) -> CliError:
    """Any error as one for people; unknown ones keep their type and message."""
    if isinstance(error, BaseExceptionGroup):
        several = cast("BaseExceptionGroup[BaseException]", error)
        return explain(several.exceptions[0])
    if isinstance(error, CliError):
        return error
    if isinstance(error, KeyboardInterrupt):
        return CliError("stopped", code=SIGNALLED + signal.SIGINT, kind=INTERRUPTED)
    if _is_ours(error):
        kind = type(error).__name__
        return CliError(_sentence(error), _ADVICE.get(kind, ""), kind=kind)
    if isinstance(error, OSError) and error.strerror:
        where = f": {error.filename}" if error.filename else ""
        return CliError(f"{error.strerror}{where}", kind=type(error).__name__)
    return CliError(
        f"unexpected {type(error).__name__}: {_sentence(error)}",
        "this is a bug in Layby or in your app; run it again with --verbose to see where",
        kind=type(error).__name__,
    )


def _is_ours(error: BaseException) -> bool:
    from ...runtime.errors import LaybyError

    return isinstance(error, LaybyError)


def _sentence(error: BaseException) -> str:
    text = str(error).strip()
    return text or (type(error).__doc__ or type(error).__name__).strip().splitlines()[0]
