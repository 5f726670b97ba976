"""A mail server: where it is, and how one mail gets there. The only module that speaks SMTP."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import unquote, urlsplit

from ....runtime.channel import ChannelError, Undeliverable
from ....runtime.errors import InvalidSetup
from ....runtime.untrusted_text import safe

if TYPE_CHECKING:  # a process that sends no mail does not need the package
    import aiosmtplib

Tls = Literal["", "starttls", "tls"]
_SCHEMES: Final[dict[str, tuple[Tls, int]]] = {
    "smtp": ("", 25),
    "smtp+starttls": ("starttls", 587),
    "smtps": ("tls", 465),
}
_LOCAL: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_STEP: Final = 8.0
"""Seconds that the server may take for one reply."""
_BYE: Final = 1.0
_SHOWN: Final = 200
_PERMANENT: Final = range(500, 600)


@dataclass(frozen=True, slots=True, kw_only=True)
class MailServer:
    """A mail server, and the login there.

    Attributes:
        host: Its name or address.
        port: Its port.
        tls: `tls`: from the start; `starttls`: before anything else is said; empty: none.
        user: The login; empty: none.
        password: Its password.
    """

    host: str
    port: int
    tls: Tls = ""
    user: str = ""
    password: str = field(default="", repr=False)

    @classmethod
    def of(cls, url: str, whose: str) -> MailServer:
        """The server in a URL such as `smtps://user:password@mail.acme.example`.

        Args:
            url: The URL; `smtp`, `smtp+starttls` or `smtps`. `%40` is an `@` in a user.
            whose: The name of the variable that holds it, for errors.

        Raises:
            InvalidSetup: it is not such a URL, or a password would cross the network in the clear.
        """
        try:
            parts = urlsplit(url)
            port, host = parts.port, parts.hostname
        except ValueError:
            port, host, parts = None, None, urlsplit("")
        if parts.scheme not in _SCHEMES or not host or parts.path.strip("/") or parts.query:
            raise InvalidSetup(
                f"{whose} is not the URL of a mail server: write it as "
                "smtps://user:password@mail.acme.example, smtp+starttls://... or smtp://..."
            )
        tls, usual = _SCHEMES[parts.scheme]
        password = unquote(parts.password or "")
        if password and not tls and host not in _LOCAL:
            raise InvalidSetup(
                f"{whose} has a password and no TLS, so anybody on the way could read it: use "
                "smtps:// or smtp+starttls://"
            )
        return cls(
            host=host,
            port=port or usual,
            tls=tls,
            user=unquote(parts.username or ""),
            password=password,
        )

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncGenerator[Mailing]:
        """A connection for some mails.

        Raises:
            ChannelError: the server does not answer, or refuses the login.
        """
        import aiosmtplib  # noqa: PLC0415  only in a process that sends mail

        client = aiosmtplib.SMTP(
            hostname=self.host,
            port=self.port,
            username=self.user or None,
            password=self.password or None,
            use_tls=self.tls == "tls",
            start_tls=self.tls == "starttls",
            timeout=_STEP,
        )
        try:
            try:
                await client.connect()
            except aiosmtplib.SMTPAuthenticationError as error:
                raise ChannelError(
                    f"the mail server {self.host} refuses the login ({error.code})"
                ) from None
            except (aiosmtplib.SMTPException, OSError) as error:
                raise ChannelError(self._unreachable(error)) from None
            yield Mailing(client, self.host)
            with contextlib.suppress(aiosmtplib.SMTPException, OSError, TimeoutError):
                async with asyncio.timeout(_BYE):  # what was sent is sent
                    await client.quit()
        finally:
            client.close()

    def _unreachable(self, error: Exception) -> str:
        if (certificate := _certificate_error(error)) is not None:
            return (
                f"the mail server {self.host} has a certificate that is not valid here: "
                f"{certificate.verify_message.rstrip('.')}"
            )
        code = getattr(error, "code", None)
        said = f"answers {code}" if code else f"cannot be reached ({type(error).__name__})"
        return f"the mail server {self.host} {said}"


def _certificate_error(error: BaseException) -> ssl.SSLCertVerificationError | None:
    """What is wrong with the server's certificate, if that is why the connection failed."""
    found: BaseException | None = error
    while found is not None and not isinstance(found, ssl.SSLCertVerificationError):
        found = found.__cause__ or found.__context__
    return found


class Mailing:
    """A connection to a mail server."""

    def __init__(self, client: aiosmtplib.SMTP, host: str) -> None:
        self._client = client
        self._host = host

    async def send(self, sender: str, to: str, mail: bytes, *, whose: str) -> None:
        """Send one mail to one address; return when the server has it.

        Args:
            sender: The address that it is from.
            to: The address that it is for.
            mail: The mail.
            whose: Whose address that is, for errors, which are recorded and name no address.

        Raises:
            Undeliverable: the server will never take it for this address.
            ChannelError: the server does not take it now.
        """
        import aiosmtplib  # noqa: PLC0415

        try:
            await self._client.sendmail(sender, [to], mail)
        except aiosmtplib.SMTPRecipientsRefused as error:
            raise self._refused(error.recipients[0], to, f"the address of {whose}") from None
        except aiosmtplib.SMTPDataError as error:
            raise self._refused(error, to, f"the mail to {whose}") from None
        except aiosmtplib.SMTPSenderRefused as error:
            said = self._refused(error, sender, "the sender's address")
            raise ChannelError(str(said)) from None  # who runs it can allow it
        except (aiosmtplib.SMTPException, OSError) as error:
            raise ChannelError(
                f"the mail server {self._host} broke off ({type(error).__name__})"
            ) from None

    def _refused(self, error: Any, address: str, what: str) -> ChannelError:
        said = safe(" ".join(str(error.message).replace(address, "...").split()))[:_SHOWN]
        kind = Undeliverable if error.code in _PERMANENT else ChannelError
        return kind(f"the mail server {self._host} refuses {what}: {error.code} {said}".strip())
