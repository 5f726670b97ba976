"""The fingerprint of an app's release: its code, its declarations, and its keys."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..actors.models.model import Keyed
from ..app import App
from ..runtime.adoption import Fits
from ..runtime.blockers import VERSION
from ..runtime.release import release
from ..runtime.state import Block, RunState
from .model_keys import models_of


def fingerprint(app: App) -> str:
    """A digest of the release; it changes if a blocked run may fit now."""
    digest = hashlib.blake2b(digest_size=6)
    for part in sorted(set(_parts(app))):
        digest.update(part.encode("utf-8", "surrogatepass") + b"\x1f")
    return digest.hexdigest()


def fitting(app: App) -> Fits:
    """Whether the app declares what a blocked run needs: its actor, and its version."""
    addresses = {each.address for each in app.workflows.values()}
    addresses |= {each.address for each in app.networks.values()} | set(app.agents)

    def fits(state: RunState, block: Block) -> bool:
        frame = state.frames.get(block.frame)
        if frame is None or frame.actor not in addresses:
            return False
        declared = app.workflows.get(state.workflow)
        return block.kind != VERSION or declared is None or state.version in declared.versions

    return fits


def _parts(app: App) -> Iterator[str]:
    yield f"layby {release()}"
    yield from (f"role {role}" for role in app.roles)
    yield from (f"people {r.name} {r.people}" for r in app.people.values() if r.people)
    yield from (f"keys {r.name} {r.keys} {r.retired}" for r in app.signers.roles.values())
    yield from (f"event {subject}" for subject in app.kept())
    yield f"questions {app.max_questions}"
    for workflow in app.workflows.values():
        for name, each in workflow.versions.items():
            yield f"workflow {workflow.name} {name} {_code(each.fn)}"
    for network in app.networks.values():
        members = [member.name for member in network.agents]
        yield f"network {network.name} {members} {network.max_turns} {network.budget}"
    for agent in app.agents.values():
        tools = sorted(tool.name for tool in agent.own_tools)
        yield f"agent {agent.name} {tools} {agent.max_steps} {agent.model and agent.model.name}"
        yield from (f"tool {tool.name} {_code(tool.function)}" for tool in agent.own_tools)
    for model in models_of(app):
        if isinstance(model, Keyed):
            yield f"key {model.name} {model.key_mark if not model.key_missing else ''}"


def _code(fn: Any) -> str:
    """A digest of the file that defines a function; the file's name if it cannot be read."""
    target = inspect.unwrap(getattr(fn, "func", fn))
    try:
        file = inspect.getsourcefile(target)
    except TypeError:
        file = None
    return _of_file(file) if file else str(getattr(target, "__qualname__", type(target).__name__))


@lru_cache(maxsize=1024)
def _of_file(file: str) -> str:
    try:
        return hashlib.blake2b(Path(file).read_bytes(), digest_size=6).hexdigest()
    except OSError:
        return Path(file).name
