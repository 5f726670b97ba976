"""Programs that read a console over HTTP: one reads all lists, one keeps its own by the feed."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
from collections.abc import AsyncGenerator, Callable, Iterable
from typing import Any, NamedTuple, TypeVar

import msgspec

from layby.console.api.values import QuestionList, Stats
from layby.console.catalogue.entries import QuestionThread, RunPage
from layby.views.rows import QuestionRow, RunRow
from tests.http_api import Api, SseEvent

T = TypeVar("T")

LOST = (OSError, http.client.HTTPException, asyncio.IncompleteReadError, ValueError, AssertionError)
"""How a program finds out that a console is gone, or not the one that it was."""
_AGAIN = 0.1
_PAGE = 100
_MOST = 1000


class Lists(NamedTuple):
    """The runs and the open questions, by id."""

    runs: dict[str, RunRow]
    open: dict[str, QuestionRow]


async def read(api: Api, path: str, type_: type[T], **query: Any) -> T:
    """What is at a path. Raises one of LOST."""
    reply = await api.get(path, **query)
    assert reply.status == 200, (path, reply)
    return msgspec.json.decode(reply.body, type=type_)


async def lists(api: Api) -> Lists:
    """Every page of the lists. Raises one of LOST."""
    page = await read(api, "/runs", RunPage, limit=_PAGE)
    rows = list(page.runs)
    while page.next is not None:
        page = await read(api, "/runs", RunPage, limit=_PAGE, cursor=page.next)
        rows += page.runs
    found = await read(api, "/questions", QuestionList, limit=_MOST)
    return Lists({row.id: row for row in rows}, {row.id: row for row in found.questions})


async def closed(api: Api) -> set[str]:
    """The questions that are listed as closed. Raises one of LOST."""
    found: set[str] = set()
    more: dict[str, str] = {}
    while True:
        page = await read(api, "/questions", QuestionList, state="closed", limit=_MOST, **more)
        found |= {row.id for row in page.questions}
        if page.next is None:
            return found
        more = {"cursor": page.next}


async def is_live(api: Api) -> bool:
    """Whether a console says that its lists are complete. Raises one of LOST."""
    return (await read(api, "/stats", Stats)).catalogue.live


async def threads(api: Api, ids: Iterable[str]) -> dict[str, QuestionThread | None]:
    """Questions with their answers; None for one that there is not. Raises one of LOST."""
    wanted = list(ids)
    found = await asyncio.gather(*(_thread(api, each) for each in wanted))
    return dict(zip(wanted, found, strict=True))


async def _thread(api: Api, id_: str) -> QuestionThread | None:
    reply = await api.get(f"/questions/{id_}")
    if reply.status == 404:
        return None
    assert reply.status == 200, reply
    return msgspec.json.decode(reply.body, type=QuestionThread)


class Follower:
    """Keeps lists by the feed, as docs/http.md tells programs to, and comes back if it is cut."""

    def __init__(self, api: Callable[[], Api]) -> None:
        self._api = api
        self._last = ""
        self._task: asyncio.Task[None] | None = None
        self.lists = Lists({}, {})
        self.resets = 0

    @contextlib.asynccontextmanager
    async def following(self) -> AsyncGenerator[None]:
        """Follow while the block is open."""
        self.come_back()
        try:
            yield
        finally:
            await self.leave()

    def come_back(self) -> None:
        """Go on where it was cut."""
        assert self._task is None
        self._task = asyncio.create_task(self._keep())

    async def leave(self) -> None:
        """Hear nothing any more."""
        task, self._task = self._task, None
        while task is not None and not task.done():
            task.cancel()  # `wait_for` of Python 3.11 may take what has just come, and go on
            await asyncio.wait({task}, timeout=_AGAIN)

    async def _keep(self) -> None:
        while True:
            with contextlib.suppress(*LOST):
                api = self._api()
                async with api.stream("/feed", last=self._last) as events:
                    async for event in events:
                        await self._take(api, event)
                        self._last = event.id
            await asyncio.sleep(_AGAIN)

    async def _take(self, api: Api, event: SseEvent) -> None:
        runs, open_ = self.lists
        match event.type:
            case "reset":
                self.resets += 1
                self.lists = await lists(api)
            case "run":
                row = msgspec.convert(event.data, RunRow)
                runs[row.id] = row
            case "run.gone":
                runs.pop(event.data["id"], None)
            case "question":
                thread = msgspec.convert(event.data, QuestionThread)
                if thread.status == "open":
                    open_[thread.question.id] = thread.question
                else:
                    open_.pop(thread.question.id, None)
            case other:
                raise AssertionError(other)
