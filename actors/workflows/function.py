"""The user's function that a workflow runs: what it takes, and which version it is."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, get_type_hints

from ...runtime.errors import InvalidSetup

WorkflowFunction = Callable[..., Awaitable[Any]]
DIGEST = "source-"
"""The prefix of a version that has no name of its own."""


def version_of(fn: WorkflowFunction) -> str:
    """A digest of the function's source, so that a changed body differs from the old one."""
    try:
        source = inspect.getsource(fn)
    except (OSError, TypeError):
        source = fn.__qualname__
    return DIGEST + hashlib.blake2b(source.encode(), digest_size=4).hexdigest()


def signature(fn: WorkflowFunction) -> tuple[Any, bool]:
    """The type of the event that it takes, and whether it takes a step too.

    Raises:
        InvalidSetup: it cannot be a workflow.
    """
    if not inspect.iscoroutinefunction(fn):
        raise InvalidSetup(f"workflow {fn.__name__!r} must be declared with `async def`")
    parameters = list(inspect.signature(fn).parameters.values())
    if len(parameters) not in {1, 2}:
        raise InvalidSetup(
            f"workflow {fn.__name__!r} must take (event, step) or (event), "
            f"not {len(parameters)} parameters"
        )
    try:
        hints = get_type_hints(fn)
    except NameError as error:
        raise InvalidSetup(f"workflow {fn.__name__!r}: {error} in its annotations") from None
    return hints.get(parameters[0].name, dict[str, Any]), len(parameters) == 2  # noqa: PLR2004
