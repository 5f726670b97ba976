"""What `bus/` uses of nats-py that nats-py does not promise: a new release must still have it.

The members are read from the source, so that none can be forgotten here.
"""

from __future__ import annotations

import ast
import inspect
import re
import tomllib
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
from nats.aio.client import Client
from nats.aio.subscription import Subscription
from nats.aio.transport import TcpTransport
from nats.protocol.parser import Parser

from layby.bus.nats_client import NatsClient
from layby.bus.parser import MessageParser
from layby.bus.wire import Wire

ROOT = Path(__file__).parents[2]
HEIRS = {"Wire": "bus/wire.py", "NatsClient": "bus/nats_client.py"}
CALLED: dict[str, tuple[type, str]] = {
    "_build_message": (Client, "_process_msg"),
    "_connect_command": (Client, "_process_connect_init"),
    "_process_headers": (Client, "_process_msg"),
    "_remove_sub": (Subscription, "unsubscribe"),
    "_send_ping": (Client, "flush"),
}
"""The methods of nats-py that are replaced, and one of nats-py's that calls each of them."""


def inherited() -> Iterator[str]:
    """The private members of nats-py's client that our heirs of it name."""
    new = vars(NatsClient(demands_tls=False)).keys() - vars(Client()).keys()
    ours = (vars(Wire).keys() | vars(NatsClient).keys() | new) - CALLED.keys()
    for name, file in HEIRS.items():
        tree = ast.parse((ROOT / file).read_text())
        [heir] = [
            each for each in tree.body if isinstance(each, ast.ClassDef) and each.name == name
        ]
        for node in ast.walk(heir):
            if isinstance(node, ast.Attribute) and re.match(r"_[a-z]", node.attr):
                is_of_client = ast.unparse(node.value) in {"self", "super()"}
                if is_of_client and node.attr not in ours:
                    yield node.attr


def gone(what: str) -> str:
    return (
        f"nats-py {version('nats-py')} has no {what}, which bus/ needs: keep nats-py below this "
        "version in pyproject.toml, or change bus/wire.py and bus/nats_client.py to its new form"
    )


def test_every_private_member_that_is_used_is_there() -> None:
    members = set(inherited())
    assert {"_pending", "_transport", "_server_info"} <= members  # they are found at all
    has = set(dir(Client()))
    assert not members - has, gone(f"Client.{', Client.'.join(sorted(members - has))}")


@pytest.mark.parametrize("name", CALLED)
def test_every_method_that_is_replaced_is_called_with_the_same_arguments(name: str) -> None:
    theirs = getattr(Client, name, None)
    assert theirs is not None, gone(f"Client.{name}")
    ours = getattr(NatsClient, name)
    assert list(inspect.signature(ours).parameters) == list(inspect.signature(theirs).parameters), (
        gone(f"Client.{name} with the arguments that ours takes")
    )
    of, caller = CALLED[name]
    calls = inspect.getsource(getattr(of, caller, of))
    assert f".{name}(" in calls, gone(f"call of {name} in {of.__name__}.{caller}")


def test_a_subscription_has_its_number() -> None:
    assert "self._id = " in inspect.getsource(Subscription), gone("Subscription._id")


def test_a_transport_tells_whether_it_is_encrypted() -> None:
    made = inspect.getsource(TcpTransport.__init__)
    assert "self._io_writer" in made, gone("TcpTransport._io_writer")


@pytest.mark.parametrize("name", ["parse", "reset"])
def test_the_parser_is_driven_as_ours_expects(name: str) -> None:
    ours, theirs = getattr(MessageParser, name), getattr(Parser, name)
    assert list(inspect.signature(ours).parameters) == list(inspect.signature(theirs).parameters)
    assert f"self._ps.{name}(" in inspect.getsource(Client), gone(f"call of Parser.{name}")


def test_nats_py_is_bounded_below_the_next_minor() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    [wanted] = [each for each in project["dependencies"] if each.startswith("nats-py")]
    lock = (ROOT / "deploy" / "requirements.lock").read_text()
    [(major, minor)] = re.findall(r"^nats-py==(\d+)\.(\d+)\.", lock, re.MULTILINE)
    assert wanted.endswith(f",<{major}.{int(minor) + 1}"), wanted
