"""Where and how to connect, read as the `nats` CLI reads it."""

from __future__ import annotations

import os
import re
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import urlsplit

from . import contexts
from .creds import owner
from .duration import seconds
from .errors import InvalidDuration, InvalidSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

_DEFAULT_URL: Final = "nats://127.0.0.1:4222"
_ENVIRONMENT: Final = {
    "NATS_URL": "url",
    "NATS_USER": "user",
    "NATS_PASSWORD": "password",
    "NATS_TOKEN": "token",
    "NATS_CREDS": "creds",
    "NATS_NKEY": "nkey",
    "NATS_CERT": "cert",
    "NATS_KEY": "key",
    "NATS_CA": "ca",
}
_INBOX: Final = re.compile(r"[^\s.*>]+(\.[^\s.*>]+)*")
_UNSUPPORTED: Final = ("NATS_JWT", "NATS_SEED", "NATS_SOCKS_PROXY")
_LOGINS: Final = ("user", "password", "token", "creds", "nkey")
_REMEDIES: Final = {
    "--server": "Correct --server.",
    "NATS_URL": "Correct NATS_URL, or unset it to use the server of `layby dev` in this folder.",
    "the environment": "Name its address in NATS_URL.",
}
_CERTIFICATE: Final = ("cert", "key")


@dataclass(frozen=True, kw_only=True, repr=False)
class ConnectionSettings:
    """Where and how to connect. Its repr holds no secret."""

    servers: tuple[str, ...] = ()
    """URLs, `nats://` or `tls://`; one of a cluster is enough. Empty: an embedded server."""
    user: str | None = None
    password: str | None = None
    token: str | None = None
    creds: str | None = None
    """The path of a credentials file (JWT and seed)."""
    nkey: str | None = None
    """The path of a file with an nkey seed."""
    pasted: str | None = None
    """The text of a credentials file, or an nkey seed, if it is not in a file."""
    cert: str | None = None
    key: str | None = None
    ca: str | None = None
    """The paths of the client's TLS certificate and key, and of the authorities to trust."""
    tls_first: bool = False
    """Whether TLS begins before the server speaks (`handshake_first`)."""
    inbox_prefix: str = "_INBOX"
    """Where replies are sent; one prefix per user keeps users from reading each other's."""
    name: str = "layby"
    """What the server shows as the name of this connection."""
    timeout: float = 5.0
    """Seconds that one server may take to accept a connection."""
    source: str = ""
    """Where the address is from, for error messages: `--server`, `NATS_URL`, `context "prod"`."""
    login_source: str = field(default="", compare=False)
    """Where the login is from: `NATS_USER, NATS_PASSWORD`, `context "prod"`; empty: there is none,
    or the program gave it."""
    advice: str = field(default="", compare=False)
    """What to do if nothing answers; empty: what `source` suggests."""

    def __post_init__(self) -> None:
        for url in self.servers:
            self._check_url(url)
        if not _INBOX.fullmatch(self.inbox_prefix):
            raise InvalidSettings(
                f"{self.inbox_prefix!r} cannot be an inbox prefix: use words joined by dots, "
                "_INBOX_ada for instance, without wildcards (NATS_INBOX_PREFIX, --inbox-prefix)."
            )
        if bool(self.cert) != bool(self.key):
            raise InvalidSettings("A TLS certificate and its key go together: give both (or none).")
        if len([way for way in (self.user, self.creds, self.nkey, self.pasted) if way]) > 1:
            raise InvalidSettings(
                f"Several ways to log in are set{self._from}: a user, creds and an nkey exclude "
                "each other. Keep one."
            )
        if self.password and not self.user:
            source = self.login_source or self.source or "the settings"
            raise InvalidSettings(f"A password is set (by {source}), but no user. Set NATS_USER.")

    def __repr__(self) -> str:
        return f"ConnectionSettings({self.shown!r}, login={self.login!r}, source={self.source!r})"

    @classmethod
    def load(
        cls,
        server: str | None = None,
        context: str | None = None,
        inbox_prefix: str | None = None,
        environ: Mapping[str, str] = os.environ,
        home: Path | None = None,
    ) -> Self:
        """Read the settings as the `nats` CLI does.

        For each setting, the first source that defines it wins: the arguments (flags), the
        environment (NATS_URL, NATS_USER, NATS_PASSWORD, NATS_TOKEN, NATS_CREDS, NATS_NKEY,
        NATS_CERT, NATS_KEY, NATS_CA, NATS_INBOX_PREFIX, NATS_TIMEOUT), the context named by
        `context` or NATS_CONTEXT, the selected context. A login is one setting: that of the
        environment replaces all of a context's.

        Args:
            server: URLs, separated by commas.
            context: the name of a context, or the path of a context's file.
            inbox_prefix: where replies are sent.
            environ: the environment.
            home: the home folder; None asks the system.

        Raises:
            InvalidSettings: a setting contradicts another, or is not supported.
        """
        given = _from_environment(environ)
        name, found = _from_context(context or environ.get("NATS_CONTEXT"), environ, home)
        fields = _overlaid(found, given)
        rest = _timeout(environ) | _inbox(inbox_prefix, fields.pop("inbox_prefix", None), environ)
        context_ = f'context "{name}"' if name else ""
        source = context_ or "the environment"
        if url := server or given.get("url"):
            fields["url"], source = url, "--server" if server else "NATS_URL"
        rest["login_source"] = _login_source(fields, environ, context_)
        if not fields and not name:
            return cls(**rest)
        servers = tuple(part.strip() for part in fields.pop("url", _DEFAULT_URL).split(","))
        return cls(servers=servers, source=source, **fields, **rest)

    @property
    def is_configured(self) -> bool:
        """Whether a server is named; if not, run one (`EmbeddedServer`)."""
        return bool(self.servers)

    @property
    def shown(self) -> str:
        """The servers' URLs without any credentials."""
        return ", ".join(map(without_credentials, self.servers)) or "(none)"

    @property
    def login(self) -> str:
        """How we log in, without the secret: `user "alice"`, `creds <path>`, `token`, `none`."""
        if self.user:
            return f'user "{self.user}"'
        if self.pasted:
            return "pasted credentials"
        if self.creds or self.nkey:
            return f"creds {self.creds}" if self.creds else f"nkey {self.nkey}"
        if self.token or any("@" in url for url in self.servers):
            return "token" if self.token else "in the URL"
        return "none"

    @property
    def owner(self) -> str | None:
        """Who logs in: the user, or the name in the credentials; None if there is neither."""
        return self.user or (owner(self.creds) if self.creds else None)

    @property
    def remedy(self) -> str:
        """What to do when nothing answers."""
        if self.advice:
            return self.advice
        if self.source.startswith("context"):
            name = self.source.partition(" ")[2].strip('"')
            return f"Correct it with `nats context edit {name}`, or name another with --context."
        return _REMEDIES.get(self.source, "Correct the address.")

    @property
    def login_remedy(self) -> str:
        """What to do when the login is refused."""
        if self.login_source and self.creds:
            return (
                f"Check {self.login_source}. A new server in operator mode knows no logins until "
                "you run `layby accounts push`."
            )
        if self.login_source:
            return f"Check {self.login_source}."
        if any("@" in url for url in self.servers):
            return f"Check the login in the URL{self._from}."
        return "Check NATS_USER, NATS_PASSWORD, NATS_CREDS or NATS_NKEY, or name a context."

    @property
    def demands_tls(self) -> bool:
        """Whether these settings require an encrypted connection."""
        return bool(self.cert or self.ca or self.tls_first) or any(
            url.startswith("tls://") for url in self.servers
        )

    @property
    def sends_secret(self) -> bool:
        """Whether logging in sends a password or token over a network, not only to this machine.

        A login by credentials or nkey signs a challenge instead.
        """
        return any(self._secret_for(url) and not is_loopback(url) for url in self.servers)

    def _secret_for(self, url: str) -> bool:
        return bool(self.password or self.token) or "@" in url

    def tls_context(self) -> ssl.SSLContext | None:
        """The TLS settings; None lets the server decide whether to encrypt.

        Raises:
            InvalidSettings: a certificate, key or authority cannot be read.
        """
        if not self.demands_tls:
            return None
        for path in filter(None, (self.ca, self.cert, self.key)):
            readable(path, "TLS file")
        try:
            tls = ssl.create_default_context(cafile=self.ca)
            if self.cert:
                tls.load_cert_chain(self.cert, self.key)
        except (OSError, ValueError) as error:  # an ssl.SSLError is an OSError
            raise InvalidSettings(
                f"The TLS files do not fit (ca {self.ca}, cert {self.cert}, key {self.key}): "
                f"{error}. Check NATS_CA, NATS_CERT and NATS_KEY, or the context."
            ) from error
        return tls

    @property
    def _from(self) -> str:
        return f" (by {self.source})" if self.source else ""

    def _check_url(self, url: str) -> None:
        try:
            parts = urlsplit(url if "://" in url else f"nats://{url}")
            valid = bool(parts.hostname) and parts.port != 0 and parts.path in ("", "/")
        except ValueError:
            valid = False
        else:
            valid = valid and parts.scheme in ("nats", "tls") and not set(url) & set(" \t\r\n")
        if not valid:
            raise InvalidSettings(
                f"{without_credentials(url)!r}{self._from} is not the URL of a NATS server. "
                'Write it like "nats://host:4222" or "tls://host:4222".'
            )


def is_loopback(url: str) -> bool:
    """Whether a server is on this machine, by its address."""
    host = urlsplit(url if "://" in url else f"nats://{url}").hostname or ""
    return host in {"localhost", "::1"} or host.startswith("127.")


def without_credentials(url: str) -> str:
    """A URL without the part before its `@`."""
    scheme, separator, rest = url.partition("://") if "://" in url else ("", "", url)
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"


def readable(path: str, what: str) -> bytes:
    """The bytes of a file that the settings name.

    Raises:
        InvalidSettings: it cannot be read.
    """
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise InvalidSettings(
            f"Cannot read the {what} {path}: {error.strerror}. Correct its path in the "
            "environment or the context."
        ) from error


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    for variable in _UNSUPPORTED:
        if environ.get(variable):
            raise InvalidSettings(
                f"{variable} is set, which Layby does not support. Unset it; to log in with a JWT, "
                "name a credentials file in NATS_CREDS."
            )
    given = {name: environ[key] for key, name in _ENVIRONMENT.items() if environ.get(key)}
    if "user" in given and "password" not in given:
        given.setdefault("token", given.pop("user"))  # as in the CLI: "username or token"
    return given


def _from_context(
    name: str | None, environ: Mapping[str, str], home: Path | None
) -> tuple[str | None, dict[str, Any]]:
    home = home or Path.home()
    folder = contexts.config_folder(environ, home)
    name = name or contexts.selected(folder)
    return name, contexts.read(name, folder, environ, home) if name else {}


def _overlaid(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """`under`, overridden by `over`; settings that belong together are replaced together."""
    hidden: set[str] = set()
    if over.keys() & {"user", "token", "creds", "nkey"}:
        hidden |= set(_LOGINS)
    if over.keys() & set(_CERTIFICATE):
        hidden |= set(_CERTIFICATE)
    return {name: value for name, value in under.items() if name not in hidden} | over


def _login_source(fields: dict[str, Any], environ: Mapping[str, str], context: str) -> str:
    """Where the login of the settings comes from; empty when there is none."""
    if not fields.keys() & set(_LOGINS):
        return ""
    given = [key for key, name in _ENVIRONMENT.items() if name in _LOGINS and environ.get(key)]
    return ", ".join(given) or context


def _inbox(given: str | None, of_context: str | None, environ: Mapping[str, str]) -> dict[str, Any]:
    prefix = given or environ.get("NATS_INBOX_PREFIX") or of_context
    return {"inbox_prefix": prefix} if prefix else {}


def _timeout(environ: Mapping[str, str]) -> dict[str, Any]:
    text = environ.get("NATS_TIMEOUT")
    if not text:
        return {}
    try:
        return {"timeout": seconds(text)}
    except InvalidDuration as error:
        raise InvalidSettings(f"NATS_TIMEOUT: {error}") from error
