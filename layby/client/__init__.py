"""The client: sends events, answers questions, shows runs. It needs a connection, nothing else."""

from __future__ import annotations

from .answer_api import NoReceipt as NoReceipt
from .client import Client as Client
from .client import CommandRefused as CommandRefused
from .client import NoSuchRun as NoSuchRun
from .client import NotDoneYet as NotDoneYet
from .client import NotRetryable as NotRetryable
from .client import RunOver as RunOver
from .decision_api import NoSuchQuestion as NoSuchQuestion
from .dispatch import NotATrigger as NotATrigger
from .signing import Signature as Signature
