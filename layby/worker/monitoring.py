"""The metrics and probes of an app's worker."""

from __future__ import annotations

from ..app import App
from ..metrics.monitor import Monitor
from ..metrics.work import Declared
from .fingerprint import fingerprint
from .model_keys import models_of


def monitor_of(app: App) -> Monitor:
    """A monitor for a worker of `app`, which takes labels from what the app declares."""
    return Monitor(declared_by(app), app=app.name, release=fingerprint(app))


def declared_by(app: App) -> Declared:
    """The names in an app."""
    actors = {address: agent.name for address, agent in app.agents.items()}
    actors |= {network.address: name for name, network in app.networks.items()}
    return Declared(
        workflows=app.workflows,
        roles=app.roles,
        actors=actors,
        models={model.name for model in models_of(app)} | app.prices.keys(),
        channels={each.name for channels in app.channels.values() for each in channels},
    )
