"""Mails over TLS: encrypted before anything is said, to no server that cannot prove its name."""

from __future__ import annotations

import asyncio
import ssl
import warnings
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from aiosmtpd.smtp import SMTP, AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from layby.channels import ChannelError, Undeliverable, email
from tests.cards import card
from tests.fix_smtp import SENDER, PostOffice

LOGIN = "layby:p%40ss"
KINDS = ["smtp+starttls", "smtps"]
_SIGNS = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


class Authority:
    """An authority of our own, which only those trust who are told to.

    Its certificates have all that RFC 5280 asks for: Python checks it since 3.13.
    """

    def __init__(self, folder: Path, name: str = "ours") -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        basics = x509.BasicConstraints(ca=True, path_length=None)
        key = x509.SubjectKeyIdentifier.from_public_key(self._key.public_key())
        made = _builder(self._name, self._name, self._key).add_extension(basics, critical=True)
        made = made.add_extension(_SIGNS, critical=True).add_extension(key, critical=False)
        self.file = folder / f"{name}.pem"
        signed = made.sign(self._key, hashes.SHA256())
        self.file.write_bytes(signed.public_bytes(serialization.Encoding.PEM))

    def server(self, host: str, *, days: int = 1) -> ssl.SSLContext:
        """What a server for this host shows; with `days` below 0 its certificate has expired."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mail")])
        named = x509.SubjectAlternativeName([_named(host)])
        by = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        built = _builder(subject, self._name, key, days=days).add_extension(named, critical=False)
        built = built.add_extension(by, critical=False)
        file = self._folder / "server.pem"
        pem = serialization.Encoding.PEM
        private = key.private_bytes(
            pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        file.write_bytes(private + built.sign(self._key, hashes.SHA256()).public_bytes(pem))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, *, days: int = 1
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return x509.CertificateBuilder(
        subject_name=subject,
        issuer_name=issuer,
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=now - timedelta(days=10),
        not_valid_after=now + timedelta(days=days),
    )


def _named(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


class Heard(NamedTuple):
    """What a server has heard."""

    office: PostOffice
    passwords: list[bytes]


@asynccontextmanager
async def serving(
    kind: str, context: ssl.SSLContext | None, monkeypatch: pytest.MonkeyPatch
) -> AsyncGenerator[Heard]:
    """A mail server that takes mails after a login; None: it has no TLS."""
    office, passwords, loop = PostOffice(), list[bytes](), asyncio.get_running_loop()

    def admit(server: Any, session: Any, envelope: Any, mechanism: str, given: Any) -> AuthResult:
        del server, session, envelope, mechanism
        passwords.append(given.password)
        return AuthResult(success=given.password == b"p@ss", handled=False)

    def session() -> SMTP:
        with warnings.catch_warnings(action="ignore"):  # it takes the password without TLS, too
            return SMTP(
                office,
                loop=loop,
                hostname="mail.test",
                tls_context=context if kind == "smtp+starttls" else None,
                auth_required=True,
                auth_require_tls=False,
                authenticator=admit,
            )

    secured = context if kind == "smtps" else None
    server = await loop.create_server(session, "127.0.0.1", 0, ssl=secured)
    port = server.sockets[0].getsockname()[1]
    monkeypatch.setenv("LAYBY_SMTP", f"{kind}://{LOGIN}@127.0.0.1:{port}")
    monkeypatch.setenv("LAYBY_SMTP_FROM", SENDER)
    try:
        yield Heard(office, passwords)
    finally:
        server.close()


@pytest.mark.parametrize("kind", KINDS)
async def test_a_mail_goes_over_tls_to_a_server_that_our_authority_vouches_for(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    async with serving(kind, authority.server("127.0.0.1"), monkeypatch) as heard:
        await email("dev@acme.example").send(card())
    assert [mail.to for mail in heard.office.mails] == [["dev@acme.example"]]
    assert heard.passwords == [b"p@ss"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fault", ["another host", "expired", "unknown authority"])
async def test_a_wrong_certificate_gets_neither_the_mail_nor_the_password(
    kind: str, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path)
    trusted = Authority(tmp_path, "theirs") if fault == "unknown authority" else authority
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted.file))
    host = "mail.acme.example" if fault == "another host" else "127.0.0.1"
    shown = authority.server(host, days=-1 if fault == "expired" else 1)
    async with serving(kind, shown, monkeypatch) as heard:
        with pytest.raises(ChannelError) as failed:
            await email("dev@acme.example").send(card())
    assert not isinstance(failed.value, Undeliverable)  # whoever runs the server can mend it
    assert "certificate" in str(failed.value)
    assert "p@ss" not in str(failed.value)
    assert (heard.office.mails, heard.passwords) == ([], [])


async def test_a_server_that_offers_no_tls_gets_neither_the_mail_nor_the_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Somebody on the way can take the offer out of the server's greeting."""
    async with serving("smtp+starttls", None, monkeypatch) as heard:
        with pytest.raises(ChannelError):
            await email("dev@acme.example").send(card())
    assert (heard.office.mails, heard.passwords) == ([], [])
