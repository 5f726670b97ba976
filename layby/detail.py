"""One run as people see it: its story, or what is plain of it where nobody here can read it."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from .asked import rows_of
from .bus.blobs import Blobs
from .bus.errors import BusError, Erased
from .bus.log import Log, LogMessage
from .bus.requests import Requests
from .listing import of_runs, run_row
from .lookup import NoSuchRun
from .rows import RunDetail, StepRow
from .runtime.index import ENCRYPTED, ERASED, error, row_of
from .runtime.state import RunState
from .runtime.times import iso
from .runtime.vouching import Signers
from .shown import failure_row
from .timeline import Narrator


class Detailer:
    """Tells of one run."""

    def __init__(self, requests: Requests, log: Log, blobs: Blobs, signers: Signers | None) -> None:
        self._signers = signers
        self._requests = requests
        self._log = log
        self._blobs = blobs

    async def whole(self, state: RunState, messages: Iterable[LogMessage]) -> RunDetail:
        """A run by its log."""
        narrator = Narrator(state.id, self._signers)
        steps: list[StepRow] = []
        for message in messages:
            steps += [row for _, row in narrator.tell(message)]
        result = await self._blobs.inflate(state.result)
        children = await of_runs(self._requests, self._log, state.children())
        return RunDetail(
            **msgspec.structs.asdict(run_row(row_of(state))),
            result=msgspec.json.decode(result),
            error=error(state) or None,
            failure=failure_row(state.failure),
            steps=steps,
            children=[run_row(child) for child in children],
            questions=rows_of(state, self._requests.names),
        )

    async def outline(self, run: str, why: BusError) -> RunDetail:
        """A run by its row, and its history by subjects and times. Raises NoSuchRun."""
        word = ERASED if isinstance(why, Erased) else ENCRYPTED
        rows = await of_runs(self._requests, self._log, [run])
        if not rows:
            raise NoSuchRun(f"run {run} is {word[1:-1]}, and no list has it: {why}")
        steps = [
            StepRow(n=n, at=iso(at), kind="encrypted", name=word, actor=to)
            for n, to, at in await self._log.outline(run)
        ]
        row = msgspec.structs.replace(run_row(rows[0]), reason=word)
        return RunDetail(**msgspec.structs.asdict(row), error=word, steps=steps)
