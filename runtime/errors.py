"""What can go wrong, by who has to act.

LaybyError              defined in `bus.errors`, the lowest floor; the base of all of these
├─ BusError            see `bus.errors`
├─ NonRetriableError   raised by user code: do not try again
├─ RetryAfter          raised by user code: try again after so many seconds
├─ StepFailed          a step used up its attempts; `__cause__`-free, it may be read from the log
├─ AskTimedOut         nobody answered a question before its deadline
├─ QuestionLimit       a run asked more questions than it may
├─ BudgetSpent         a network used up its tokens
├─ MaxTurns            a network took its last turn without being done
├─ RunCancelled        the run a caller waited for was cancelled
├─ Exited              user code called `sys.exit()` or the like
├─ NeedsServer         an agent in a script asked for what takes a run on a server
├─ WorkflowChanged     the body no longer matches the run's recorded steps
│  └─ AnswerDoubted    a signed answer is for another question, or its key counts no more
└─ InvalidSetup        an app, agent, tool or network is declared in a way that cannot work
BaseException: Parked, Fenced (Gone), Interrupted, Undeclared   (signals: let them pass)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..bus.errors import LaybyError as LaybyError  # noqa: PLC0414  re-exported
from .entry import Place


class NonRetriableError(LaybyError):
    """Raise it in a step, tool or workflow when trying again cannot help."""


class RetryAfter(LaybyError):
    """Raise it in a step or tool to be tried again after `seconds`; holds no worker meanwhile."""

    def __init__(self, seconds: float, message: str = "") -> None:
        super().__init__(message or f"try again after {seconds:g} s")
        self.seconds = seconds

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.seconds, str(self))


class StepFailed(LaybyError):
    """A step failed for good; `type_name` is the name of the error it last raised.

    `place` is the line of user code that raised it (None: there is none), and `causes` are the
    classes of the exceptions that led to it. All of it is the same when read from the log.
    """

    retryable = False  # its end is recorded: trying again what it was a part of would meet it again

    def __init__(  # noqa: PLR0917  by position, as copies are made of it
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


class QuestionLimit(LaybyError):
    """The run has asked as many questions as its app allows."""


class BudgetSpent(LaybyError):
    """A network has used as many tokens as its `budget` allows."""

    retryable = False


class MaxTurns(LaybyError):
    """A network took `max_turns` turns without its router saying that it is done."""


class RunCancelled(LaybyError):
    """The run was cancelled before it ended by itself."""


class WorkflowChanged(LaybyError):
    """A workflow's body no longer reaches the steps that the run has recorded."""


class AnswerDoubted(WorkflowChanged):
    """A signed answer in the log is not to what the code asks, or by nobody whom the app trusts."""


class InvalidSetup(LaybyError):
    """An app, workflow, agent, tool or network is declared in a way that cannot work."""

    retryable = False


class NeedsServer(LaybyError):
    """An agent alone in a script cannot do this: it takes a run on a server."""

    retryable = False


class Exited(LaybyError):
    """User code tried to end the process, which is the worker's: `sys.exit()` for instance."""

    retryable = False


class Parked(BaseException):
    """Leaves a body that waits for something outside. Let it pass; catch `LaybyError`."""


class Interrupted(BaseException):
    """Leaves a body because NATS failed it; its mail is delivered again. Let it pass."""


class Undeclared(BaseException):
    """Leaves a run to a worker that declares the version in which it began. Let it pass."""

    frame = ""
    """The frame that was entered."""
    cause = 0
    """The mail as whose handling it was."""


class Fenced(BaseException):
    """Leaves a body because another worker has moved the run on. Let it pass."""


class Gone(Fenced):
    """The run was removed, and what this worker holds of it is void. Let it pass."""
