"""The error classes, by who has to act.

LaybyError              defined in `bus.errors`, the lowest layer; the base of all of these
├─ BusError            see `bus.errors`
├─ NonRetriableError   raised by user code: do not try again
├─ RetryAfter          raised by user code: try again after some seconds
├─ StepFailed          a step used up its attempts; without `__cause__`, it may come from the log
├─ AskTimedOut         nobody answered a question before its deadline
├─ NoQuorum            several people were asked, and can no longer agree
├─ QuestionLimit       a run asked more questions than allowed
├─ BudgetSpent         a network used up its token budget
├─ MaxTurns            a network used up its turns without finishing
├─ RunCancelled        the run a caller waited for was cancelled
├─ Exited              user code called `sys.exit()` or similar
├─ NeedsServer         an agent in a script used something that needs a server
├─ WorkflowChanged     the body no longer matches the run's recorded steps
│  └─ AnswerDoubted    a signed answer is for another question, or its key no longer counts
└─ InvalidSetup        an app, agent, tool or network is declared in a way that cannot work
BaseException: Parked, Fenced (Gone), Interrupted, Undeclared   (signals: do not catch them)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..bus.errors import LaybyError as LaybyError  # noqa: PLC0414  re-exported
from .code_place import Place


class NonRetriableError(LaybyError):
    """Raise it in a step, tool or workflow when trying again cannot help."""


class RetryAfter(LaybyError):
    """Raise it in a step or tool to retry after `seconds`; it occupies no worker until then."""

    def __init__(self, seconds: float, message: str = "") -> None:
        super().__init__(message or f"try again after {seconds:g} s")
        self.seconds = seconds

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.seconds, str(self))


class StepFailed(LaybyError):
    """A step failed for good; `type_name` is the name of the error it last raised.

    `place` is the line of user code that raised it (None: there is none), and `causes` are the
    classes of the exceptions that led to it. All of this is the same when read from the log.
    """

    retryable = False  # it is recorded: retrying what contains it would find it again

    def __init__(  # noqa: PLR0917  by position, for copies
        self,
        step: str,
        message: str,
        type_name: str = "",
        attempts: int = 1,
        place: Place | None = None,
        causes: Sequence[str] = (),
    ) -> None:
        super().__init__(message)
        self.step = step
        self.type_name = type_name
        self.attempts = attempts
        self.place = place
        self.causes = tuple(causes)

    def __reduce__(self) -> tuple[Any, ...]:
        about = (self.type_name, self.attempts, self.place, self.causes)
        return type(self), (self.step, str(self), *about)


class AskTimedOut(LaybyError):
    """Nobody answered question `question_id` before its deadline. Silence is never a yes."""

    def __init__(self, message: str, question_id: str = "") -> None:
        super().__init__(message)
        self.question_id = question_id

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.question_id)


class NoQuorum(LaybyError):
    """Several people were asked question `question_id`, and can no longer agree."""

    def __init__(self, message: str, question_id: str = "") -> None:
        super().__init__(message)
        self.question_id = question_id

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.question_id)


class QuestionLimit(LaybyError):
    """The run has asked as many questions as its app allows."""


class BudgetSpent(LaybyError):
    """A network has used as many tokens as its `budget` allows."""

    retryable = False


class MaxTurns(LaybyError):
    """A network took `max_turns` turns before its router said that it is done."""


class RunCancelled(LaybyError):
    """The run was cancelled before it ended."""


class WorkflowChanged(LaybyError):
    """A workflow's body no longer reaches the steps that the run has recorded."""


class AnswerDoubted(WorkflowChanged):
    """A signed answer in the log is for another question, or its key is not trusted."""


class InvalidSetup(LaybyError):
    """An app, workflow, agent, tool or network is declared in a way that cannot work."""

    retryable = False


class NeedsServer(LaybyError):
    """An agent in a script cannot do this: it needs a run on a server."""

    retryable = False


class Exited(LaybyError):
    """User code tried to end the worker's process, for example with `sys.exit()`."""

    retryable = False


class Parked(BaseException):
    """Leaves a body that waits for something. Do not catch it; catch `LaybyError`."""


class Interrupted(BaseException):
    """Leaves a body because NATS failed; its mail is delivered again. Do not catch it."""


class Undeclared(BaseException):
    """Leaves a run to a worker that declares the version in which it began. Do not catch it."""

    frame = ""
    """The frame that was entered."""
    cause = 0
    """The mail that was being handled."""


class Fenced(BaseException):
    """Leaves a body because another worker has moved the run on. Do not catch it."""


class Gone(Fenced):
    """The run was removed, and what this worker knows of it is void. Do not catch it."""
