"""What can go wrong between us and NATS, by who has to act.

LaybyError                  the base of everything that Layby raises; the other floors add to it
├─ InvalidDuration          the caller: a length of time that cannot be read
└─ BusError
   ├─ NotConnected          ours: nothing was sent, because there is no connection now
   ├─ InvalidTicket         the caller: a ticket id or token that cannot be written as one
   ├─ InvalidSettings       the user: connection settings that contradict or are not supported
   ├─ PermissionDenied      the operator: the server refused this subject to this user
   │  └─ LoginRefused       the user: the server does not know these credentials
   ├─ NoSubject             the caller: nothing can be published on such a subject
   ├─ PayloadTooLarge       the caller: the message is larger than the server takes
   ├─ Conflict              nobody: somebody else wrote first; read again and decide again
   ├─ PublishUnconfirmed    nobody: no ack came; the message may or may not be stored
   ├─ StoreFull             the operator: the disk, a quota or a limit of a stream is used up
   ├─ StreamMissing         the operator: no stream covers the subject; provision first
   ├─ NoLeader              nobody: a cluster is between two leaders; ask again
   ├─ CopyLags              nobody: a copy of a stream lacks what its leader has; ask again
   ├─ KeyMissing            the operator: no keyring here holds the key that is needed
   │  └─ SecretMissing      the operator: the secrets that it names are not stored, or never were
   ├─ Erased                nobody: its key was destroyed, and so is all that it sealed
   ├─ Tampered              the operator: sealed bytes were changed, or moved to another place
   ├─ MissingPackage        the operator: an extra of Layby is not installed
   ├─ ValueLost             the operator: a big value is no longer complete in its stream
   ├─ TopologyMismatch      the operator: a stream or consumer exists, but not as Layby needs it
   ├─ ServerTooOld          the operator: the server lacks a feature that we rely on
   ├─ ServerUnavailable     the operator: nothing answers at the server's address
   └─ ServerNotStarted      the user: our own server did not start
      ├─ BinaryMissing      ... because there is no nats-server to run
      ├─ PortTaken          ... because its port is in use
      └─ DataFolderUnusable ... because its folder is not writable, or another server's
"""

from __future__ import annotations

from typing import ClassVar


class LaybyError(Exception):
    """The base of every error that Layby raises for people to handle."""


class InvalidDuration(LaybyError, ValueError):
    """A length of time cannot be read, or is not one that Layby can wait."""


class BusError(LaybyError):
    """Something between us and NATS failed; catch it to handle all of them.

    The message says what happened, to which name, and what to do next. `subject` is the subject
    concerned and `code` the JetStream error code, where there is one.
    """

    codes: ClassVar[tuple[int, ...]] = ()
    """The JetStream error codes that mean this error; see `class_for`."""

    def __init__(self, message: str = "", *, subject: str = "", code: int = 0) -> None:
        super().__init__(message or (type(self).__doc__ or "").partition("\n")[0])
        self.subject = subject
        self.code = code


class NotConnected(BusError):
    """There is no connection now, so nothing was sent: it is down, closed, or was never opened.

    In an outage the first requests may still be on their way: they raise `PublishUnconfirmed`.
    """


class InvalidTicket(BusError):
    """A ticket id cannot be written as a subject token, or a token is not one of ours."""


class InvalidSettings(BusError):
    """The connection settings contradict each other, or name something that is not supported."""


class PermissionDenied(BusError):
    """The server refused the subject to this user."""


class LoginRefused(PermissionDenied):
    """The server does not accept these credentials."""


class NoSubject(BusError):
    """Nothing can be published there: it is empty, has white space in it, or is not text."""


class PayloadTooLarge(BusError):
    """The message, headers included, is larger than the server or the stream takes."""

    codes = (10054,)


class Conflict(BusError):
    """The expected last sequence was wrong: somebody else wrote first. Read again, decide again."""

    codes = (10071, 10164)  # 10164: another write to the same subject is in flight (replicas)


class PublishUnconfirmed(BusError):
    """No acknowledgement came: the message may or may not be stored. Look before repeating it."""


class StoreFull(BusError):
    """The stream takes nothing more: its disk, quota or limit is used up. Nothing was stored."""

    codes = (10002, 10023, 10028, 10047, 10077)


class StreamMissing(BusError):
    """No stream covers the subject, or the stream does not exist."""

    codes = (10059,)


class NoLeader(BusError):
    """A cluster is between two leaders: ask again. Whether something exists was not said."""

    codes = (10008, 10009)


class CopyLags(BusError):
    """The copy of a stream that answers lacks what its leader has: ask again."""


class KeyMissing(BusError):
    """No keyring here holds the key that this needs. A process that holds it can continue."""


class SecretMissing(KeyMissing):
    """A record of keys, or a secret in it, is not stored: it was removed, or never existed."""


class Erased(BusError):
    """The key was destroyed, so nobody can read this any more."""

    run: str = ""
    """The run that it belongs to, where it belongs to one."""


class Tampered(BusError):
    """Sealed bytes were changed, or moved to a place that they were not written for."""


class MissingPackage(BusError):
    """A package that belongs to an extra of Layby is not installed."""


class ValueLost(BusError):
    """A big value that a log refers to is incomplete, according to its stream's leader."""


class TopologyMismatch(BusError):
    """A stream or consumer exists with settings under which promises would not hold."""


class ServerTooOld(BusError):
    """The server lacks a feature that Layby relies on."""


class ServerUnavailable(BusError):
    """Nothing answers at the server's address, or it does not speak NATS."""


class ServerNotStarted(BusError):
    """Our own server did not start; the message ends with its last log lines."""


class BinaryMissing(ServerNotStarted):
    """There is no nats-server to run."""


class PortTaken(ServerNotStarted):
    """The port is in use by another program."""


class DataFolderUnusable(ServerNotStarted):
    """The data folder cannot be written, or another server is running in it."""


def class_for(code: int) -> type[BusError]:
    """The error that a JetStream error code means; `BusError` itself for those with no name."""
    return _BY_CODE.get(code, BusError)


_BY_CODE = {code: cls for cls in BusError.__subclasses__() for code in cls.codes}
