"""The client of nats-py, as a connection needs it."""

from __future__ import annotations

from nats import errors as nats_errors

from .wire import Wire


class NatsClient(Wire):
    """The client, but it never sends a login in the clear when TLS was asked for."""

    def __init__(self, *, demands_tls: bool) -> None:
        super().__init__()
        self._demands_tls = demands_tls

    def _connect_command(self) -> bytes:
        if self._demands_tls and not self._server_info.get("tls_required"):
            raise nats_errors.SecureConnWantedError
        return super()._connect_command()

    def abandon_transport(self) -> None:
        """Drop a connection whose TLS handshake failed: waiting for its end would take forever."""
        if self._transport is not None:
            self._transport.close()  # type: ignore[no-untyped-call]
            self._transport = None

    @property
    def demands_login(self) -> bool:
        """Whether the server requires a login."""
        return bool(self._server_info.get("auth_required", False))

    @property
    def tried(self) -> str:
        """The address of the server that it was connected to last, or tried to connect to."""
        return self._current_server.uri.netloc if self._current_server is not None else ""

    @property
    def is_encrypted(self) -> bool:
        """Whether what is sent is encrypted."""
        writer = getattr(self._transport, "_io_writer", None)
        return writer is not None and writer.get_extra_info("ssl_object") is not None

    @property
    def version(self) -> str:
        """The version that the server reports."""
        return str(self._server_info.get("version", ""))

    @property
    def is_clustered(self) -> bool:
        """Whether the server is one of a cluster."""
        return bool(self._server_info.get("cluster"))
