"""What KEDA would do: its rule for the lag of a consumer, on what the server's monitoring says.

The rule is that of the scaler `nats-jetstream`. It takes the account by the *name* that the server
reports, and in it the stream and the consumer. Without the consumer it takes the last sequence of
the stream; without the stream nothing.
"""

from __future__ import annotations

import json
import re
from http.client import HTTPConnection
from typing import Any

MONITORED = 'http: "127.0.0.1:-1"'
"""Configuration of a server with monitoring on a free port."""


def monitoring_port(log: str) -> int:
    """The port that the log of a server names."""
    found = re.search(r"http monitor on 127\.0\.0\.1:(\d+)", log)
    assert found, log
    return int(found[1])


def lags(scaled: dict[str, Any], port: int) -> dict[tuple[str, str], int]:
    """The lag of each stream and consumer of a ScaledObject that has one, asked on this port."""
    found: dict[tuple[str, str], int] = {}
    for trigger in scaled["spec"]["triggers"]:
        assert trigger["type"] == "nats-jetstream"
        wanted = trigger["metadata"]
        lag = lag_of(wanted, port)
        if lag > int(wanted["activationLagThreshold"]):
            found[wanted["stream"], wanted["consumer"]] = lag
    return found


def lag_of(wanted: dict[str, str], port: int) -> int:
    """The lag of one trigger."""
    told = asked(port, f"/jsz?acc={wanted['account']}&consumers=true&config=true")
    for account in told.get("account_details") or ():
        if account["name"] != wanted["account"]:
            continue
        for stream in account.get("stream_detail") or ():
            if stream["name"] == wanted["stream"]:
                return _lag(stream, wanted["consumer"])
    return 0


def asked(port: int, path: str) -> Any:
    """What the monitoring says."""
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path.replace("$", "%24"))
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()


def _lag(stream: Any, name: str) -> int:
    for consumer in stream.get("consumer_detail") or ():
        if consumer["name"] == name:
            return int(consumer["num_pending"]) + int(consumer["num_ack_pending"])
    return int(stream["state"]["last_seq"])
