"""Access to the bus: a connection and its requests, opened and closed together."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import NamedTuple

from .bucket import Bucket
from .connection import Connection, connect
from .keyring import KeyService
from .log import Log
from .names import Names
from .requests import Requests
from .secret_store import BUCKET as KEYS
from .secret_store import SecretStore
from .settings import ConnectionSettings
from .vault import Vault


class Bus(NamedTuple):
    """A connection to NATS, and the requests that run over it."""

    connection: Connection
    requests: Requests


@asynccontextmanager
async def opened(
    settings: ConnectionSettings,
    *,
    prefix: str = "",
    patient: bool = False,
    keyring: KeyService | None = None,
) -> AsyncGenerator[Bus]:
    """The bus, connected while the block is open.

    A request fails immediately when the server denies it, or when the connection is lost.

    Args:
        settings: Where and how to connect.
        prefix: The prefix of the app's streams and subjects; see `Names`.
        patient: Wait out every outage once connected, as a worker should; otherwise give up after
            a few seconds, as a command should.
        keyring: The keys for what the app encrypts; None: that stays encrypted here.

    Raises:
        ServerUnavailable: nothing answers there.
        LoginRefused: the server does not accept the credentials.
        InvalidSettings: a file that the settings name is missing or wrong, or the prefix is.
        ServerTooOld: the server is older than 2.12.
    """
    names = Names(prefix)
    connection = await connect(settings, patient=patient)
    requests = Requests(connection.nc, names)
    if keyring is not None:
        store = SecretStore(Bucket(requests, KEYS), keyring)
        requests.vault = Vault(store, Log(requests).first)
    connection.on_denied.append(requests.fail_denied)
    connection.on_disconnect.append(lambda: requests.fail_all("the connection was lost"))
    try:
        await requests.start()
        yield Bus(connection, requests)
    finally:
        await requests.stop()
        await connection.close()
