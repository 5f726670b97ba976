"""A real nats-server as a child process, for `layby dev`, the demo and the tests.

One data folder is one server. The server process inherits the lock of the folder, so it is held as
long as either process lives, and nothing has to be cleaned up after a crash. POSIX only.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import random
import secrets
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from .binary import find_binary
from .errors import PortTaken, ServerNotStarted
from .files import open_private, write_private
from .folder_lock import FolderLock, unusable

if TYPE_CHECKING:
    from collections.abc import Callable

READY_WITHIN: Final = 300.0
"""Seconds to start: usually 0.1, but after a crash a large store is read back first, which takes
34 s with 1,000,000 parked runs. Giving up and trying again would start that from the beginning."""
GRACE: Final = 10.0
"""Seconds a server may take to stop before it is killed."""

_POLL: Final = 0.005
_PORTS: Final = range(20_000, 32_000)  # below the ephemeral range: stays free during a restart
_PR_SET_PDEATHSIG: Final = 1

_USER: Final = "layby"
_CONFIG: Final = """\
# Written by Layby whenever this server starts: edits are lost. For production see deploy/.
listen: "127.0.0.1:{port}"
max_payload: 1MB
write_deadline: "10s"
ping_interval: "20s"
ping_max: 2
feature_flags {{ js_ack_fc_v2: false }}  # nats-py cannot read the v2 form of ack subjects yet
jetstream {{
  store_dir: {store}
  sync_interval: {sync}
  limits {{ batch {{
    max_inflight_per_stream: 16, max_inflight_total: 128, max_msgs: 64, timeout: "5s"
  }} }}
}}
{extra}
"""


class EmbeddedServer:
    """A nats-server with JetStream on loopback, which lives and dies with this process.

    It does not get the terminal's Ctrl-C. When this process dies, even by SIGKILL, Linux stops it.
    Linux ties that to the *thread* that called `start`: call it on a thread that lives on, such as
    the one that runs your event loop. On macOS a server outlives a killed parent; the next start
    then says which process to end.

    Args:
        data: the folder for its store, config and log; created if needed.
        port: the port on 127.0.0.1; None takes a random free one and keeps it across restarts.
        sync_always: write every message to disk before acknowledging it.
        extra: more nats-server configuration, such as `authorization { ... }`.
        private: require a random password, which is in `url` and which no other user of this
            machine can read. It stays the same for a data folder.
    """

    def __init__(
        self,
        data: Path,
        *,
        port: int | None = None,
        sync_always: bool = False,
        extra: str = "",
        private: bool = False,
    ) -> None:
        self.data = Path(data).absolute()
        self._port = port
        self._port_is_ours = port is None
        self._sync = "always" if sync_always else '"2m"'
        self._extra = extra
        self._private = private
        self._password = ""
        self._lock = FolderLock(self.data)
        self._process: subprocess.Popen[bytes] | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def url(self) -> str:
        """Where to connect, with the login of a private server; known once it has started.

        It holds the password: show `address` instead.
        """
        if not self._password:
            return self.address
        return self.address.replace("://", f"://{_USER}:{self._password}@")

    @property
    def address(self) -> str:
        """`nats://127.0.0.1:<port>`, without a login; known once it has started."""
        if self._port is None:
            raise ServerNotStarted("The embedded nats-server has no port yet. Call `start` first.")
        return f"nats://127.0.0.1:{self._port}"

    @property
    def url_file(self) -> Path:
        """A file with `url` that only this user can read; a private server only."""
        return self.data / "url"

    @property
    def pid(self) -> int:
        """The server's process id."""
        if self._process is None:
            raise ServerNotStarted("The embedded nats-server is not running. Call `start` first.")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the server's process is alive."""
        return self._process is not None and self._process.poll() is None

    @property
    def log(self) -> str:
        """What the server has logged since it last started."""
        try:
            return self._log_path.read_text(errors="replace")
        except OSError:
            return ""

    async def start(self) -> None:
        """Start the server and wait until it accepts connections. No effect if it is running.

        Raises:
            BinaryMissing: there is no nats-server; the message says how to install one.
            PortTaken: another program listens on `port`.
            DataFolderUnusable: `data` cannot be written, or another server runs in it.
            ServerNotStarted: it failed for another reason, or is not ready in `READY_WITHIN`.
        """
        if self.running:
            return
        binary = find_binary()
        await self._lock.acquire()
        try:
            if self._private:
                self._password = self._kept_password()
            await self._launch_on_a_free_port(binary)
            if self._private:
                write_private(self.url_file, f"{self.url}\n".encode())
        except BaseException:
            self.kill()
            raise

    async def stop(self) -> None:
        """Stop the server cleanly; kill it if that takes longer than `GRACE`."""
        try:
            if self.running:
                os.kill(self.pid, signal.SIGTERM)
                await self._exited(GRACE)
        finally:
            self.kill()

    def kill(self) -> None:
        """Kill the server as a crash would; its data and port are kept for `start`."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        self._lock.release()

    async def restart(self) -> None:
        """Stop the server if it is running, and start it with the same port and data."""
        await self.stop()
        await self.start()

    @property
    def _log_path(self) -> Path:
        return self.data / "nats-server.log"

    async def _launch_on_a_free_port(self, binary: str) -> None:
        for attempts_left in (2, 1, 0):
            self._port = self._port or _free_port()
            try:
                self._launch(binary)
                await self._ready()
            except PortTaken:  # lost a race for a port that we chose, not one that the user chose
                if not (self._port_is_ours and attempts_left):
                    raise
                self._port = None
            else:
                self._port_is_ours = False  # clients know it now
                return

    def _launch(self, binary: str) -> None:
        config = self._write_config()
        with open_private(self._log_path, os.O_TRUNC) as log:
            # Not on a thread pool: the server is stopped when the thread that starts it ends.
            self._process = subprocess.Popen(  # noqa: S603
                [binary, "-c", str(config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=self._lock.fds,
                start_new_session=True,  # keeps the terminal's Ctrl-C away: we stop it ourselves
                preexec_fn=_follow_parent(),  # noqa: PLW1509  one system call, bound beforehand
            )
        self._lock.note(f"process {os.getpid()}, whose nats-server is {self._process.pid}")

    def _write_config(self) -> Path:
        path = self.data / "nats-server.conf"
        text = _CONFIG.format(
            port=self._port,
            store=_quoted(str(self.data)),
            sync=self._sync,
            extra=self._login + self._extra,
        )
        try:
            write_private(path, text.encode())
        except OSError as error:
            raise unusable(self.data, error) from error
        return path

    @property
    def _login(self) -> str:
        if not self._password:
            return ""
        return f'authorization {{ user: {_USER}, password: "{self._password}" }}\n'

    def _kept_password(self) -> str:
        """The password of this data folder, created unless there is a safe one."""
        path = self.data / "password"
        with contextlib.suppress(OSError, UnicodeDecodeError):
            if path.stat().st_mode & 0o077 == 0 and (kept := path.read_text().strip()):
                return kept
        made = f"p{secrets.token_urlsafe(24)}"  # a letter first, or the parser may see a number
        try:
            write_private(path, f"{made}\n".encode())
        except OSError as error:
            raise unusable(self.data, error) from error
        return made

    async def _ready(self) -> None:
        deadline = _now() + READY_WITHIN
        while "Server is ready" not in self.log:
            if not self.running:
                raise self._startup_error()
            if _now() > deadline:
                raise ServerNotStarted(self._with_log(f"is not ready after {READY_WITHIN:g} s"))
            await asyncio.sleep(_POLL)

    async def _exited(self, within: float) -> None:
        deadline = _now() + within
        while self.running and _now() < deadline:  # noqa: ASYNC110  a process sets no event
            await asyncio.sleep(_POLL)

    def _startup_error(self) -> ServerNotStarted:
        if "address already in use" in self.log:
            return PortTaken(
                f"Port {self._port} on 127.0.0.1 is taken by another program. Choose another port, "
                f"or none to get a free one; `NATS_URL=nats://127.0.0.1:{self._port}` uses the "
                "nats-server that may be running there."
            )
        return ServerNotStarted(self._with_log("gave up while starting"))

    def _with_log(self, what: str) -> str:
        last = "\n  ".join(self.log.splitlines()[-5:]) or "(nothing)"
        return f"The embedded nats-server {what}. It logged ({self._log_path}):\n  {last}"


def _follow_parent() -> Callable[[], None] | None:
    """What the child does before it becomes nats-server; made now, because it must not import."""
    if sys.platform != "linux":
        return None
    prctl, getppid, parent = ctypes.CDLL(None).prctl, os.getppid, os.getpid()

    def follow() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)  # a clean stop: it flushes consumer state
        if getppid() != parent:  # died before the line above
            os._exit(1)

    return follow


def _free_port() -> int:
    while True:
        port = random.choice(_PORTS)  # noqa: S311
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port


def _quoted(text: str) -> str:
    """`text` as a string of nats-server's configuration language."""
    return '"' + "".join(_ESCAPES.get(char, char) for char in text) + '"'


_ESCAPES: Final = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def _now() -> float:
    return asyncio.get_running_loop().time()
