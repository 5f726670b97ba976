"""Checks that the API keys of an app's models are set when its worker starts."""

from __future__ import annotations

from collections.abc import Iterator

import structlog

from ..actors.models.combined import leaves
from ..actors.models.model import Keyed, Model
from ..actors.networks.router import RoutingAgent
from ..app import App
from ..runtime.errors import InvalidSetup

log = structlog.get_logger("layby.worker")


def models_of(app: App) -> Iterator[Model]:
    """Every model that the app declares, including those inside others; some twice."""
    named = [agent.model for agent in app.agents.values()]
    for network in app.networks.values():
        named.append(network.default_model)
        if isinstance(network.router, RoutingAgent):
            named.append(network.router.model)
    for model in named:
        if model is not None:
            yield from leaves(model)


def missing_keys(app: App) -> list[str]:
    """What is missing, a sentence for each model."""
    found = {
        f"{model.name}: {model.key_missing}": None
        for model in models_of(app)
        if isinstance(model, Keyed) and model.key_missing
    }
    return list(found)


def check_keys(app: App, *, required: bool) -> None:
    """Say which keys are missing; the runs that need them are blocked until a worker has them.

    Raises:
        InvalidSetup: some are, and they are `required`.
    """
    missing = missing_keys(app)
    if missing and required:
        raise InvalidSetup("; ".join(missing))
    for each in missing:
        log.warning("worker.key_missing", app=app.name, model=each)
