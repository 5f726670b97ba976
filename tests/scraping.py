"""Reads what Prometheus would read."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Callable
from typing import NamedTuple

from prometheus_client.parser import text_string_to_metric_families

from tests.fix_layby import Desk


class Page(NamedTuple):
    """A response of the port for metrics."""

    code: int
    text: str
    headers: dict[str, str]


class Scrape:
    """The samples of one scrape, by name and labels."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.families = list(text_string_to_metric_families(text))
        self._values = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in self.families
            for sample in family.samples
        }

    @property
    def names(self) -> set[str]:
        """The names of all samples."""
        return {name for name, _ in self._values}

    def labels(self, name: str) -> set[str]:
        """All values of all labels of one metric."""
        return {
            value
            for family in self.families
            for sample in family.samples
            if sample.name.startswith(name)
            for label, value in sample.labels.items()
            if label != "le"
        }

    def value(self, name: str, /, **labels: str) -> float | None:
        """A sample's value; None: there is none."""
        return self._values.get((name, frozenset(labels.items())))


def get(
    port: int, path: str = "/metrics", host: str | None = None, method: str = "GET"
) -> Page | None:
    """Ask for a page; None: nobody listens there."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, headers={} if host is None else {"Host": host})
        response = connection.getresponse()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Page(response.status, response.read().decode(), headers)
    except (ConnectionError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def scrape(port: int) -> Scrape:
    """What it serves now."""
    page = get(port)
    assert page is not None
    assert page.code == 200
    return Scrape(page.text)


def seen(port: int, holds: Callable[[Scrape], bool]) -> Scrape:
    """The first scrape in which this holds."""

    def look() -> Scrape | None:
        found = scrape(port)
        return found if holds(found) else None

    found: Scrape = Desk.sooner_or_later(look)
    return found


def answers(port: int, path: str, code: int) -> Page:
    """The page, once it has this code."""
    page: Page = Desk.sooner_or_later(lambda: (it := get(port, path)) and it.code == code and it)
    return page


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
