"""One run as people see it: its history, or an outline if it cannot be read here."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from ..bus.blobs import Blobs
from ..bus.errors import BusError, Erased
from ..bus.log import Log, LogMessage
from ..bus.requests import Requests
from ..runtime.index import ENCRYPTED, ERASED, error, row_of
from ..runtime.state import RunState
from ..runtime.times import iso
from ..runtime.vouching import Signers
from .listing import of_runs, run_row
from .lookup import NoSuchRun
from .open_questions import open_questions, rows_of
from .rows import RunDetail, StepRow
from .stored_rows import failure_row
from .timeline import TimelineProjection


class DetailReader:
    """Reads one run."""

    def __init__(self, requests: Requests, log: Log, blobs: Blobs, signers: Signers | None) -> None:
        self._signers = signers
        self._requests = requests
        self._log = log
        self._blobs = blobs

    async def whole(self, state: RunState, messages: Iterable[LogMessage]) -> RunDetail:
        """A run from its log."""
        timeline = TimelineProjection(state.id, self._signers)
        steps: list[StepRow] = []
        for message in messages:
            steps += [row for _, row in timeline.project(message)]
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
        """A run from its row, with the subjects and times of its history. Raises NoSuchRun."""
        word = ERASED if isinstance(why, Erased) else ENCRYPTED
        rows = await of_runs(self._requests, self._log, [run])
        if not rows:
            raise NoSuchRun(f"run {run} is {word[1:-1]} and in no list: {why}")
        steps = [
            StepRow(n=n, at=iso(at), kind="encrypted", name=word, actor=to)
            for n, to, at in await self._log.outline(run)
        ]
        row = msgspec.structs.replace(run_row(rows[0]), reason=word)
        asked = await open_questions(self._requests, ticket=row.ticket)
        return RunDetail(
            **msgspec.structs.asdict(row),
            error=word,
            steps=steps,
            questions=[each for each in asked if each.run == run],
        )
