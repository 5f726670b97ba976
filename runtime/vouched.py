"""Who can vouch for the name on an answer."""

from __future__ import annotations

from typing import Literal, TypeAlias

NATS = "nats"
SIGNATURE = "signature"
NONE = "none"
"""What an answer records: the name is part of the subject, and the server can check it against the
user; a signature; or nothing, and then `by` is only a claim."""
Vouched: TypeAlias = Literal["nats", "signature", "none"]
