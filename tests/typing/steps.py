"""Never run: what type checkers are told of the verbs of a step."""

# pyright: reportUnnecessaryTypeIgnoreComment=true
from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, assert_type

from pydantic import BaseModel

from layby import Answer, App, Network, NetworkResult, Step, TurnResult
from layby.runtime.asking import Asking

app = App("types")


class Refund(BaseModel):
    amount: int


@dataclass
class Ticket:
    title: str = ""


async def fetch(number: int) -> list[str]:
    return [str(number)]


def count(text: str) -> int:
    return len(text)


async def runs(step: Step) -> None:
    assert_type(await step.run("fetch", fetch, 3), list[str])
    assert_type(await step.run("count", count, "abc"), int)
    assert_type(await step.run("count", lambda: 2.5), float)
    await step.run(fetch, 3)  # type: ignore[call-overload]
    await step.run("fetch", 3)  # type: ignore[call-overload]
    await step.run("fetch", fetch, retries=3)  # type: ignore[call-overload]


async def asks(step: Step) -> None:
    assert_type(await step.ask("developer", "Why?"), Answer[str])
    assert_type((await step.ask("developer", "Sure?", answer=bool)).value, bool)
    refund = await step.ask("developer", "How much?", answer=Refund, timeout="4h")
    assert_type(refund, Answer[Refund])
    assert_type(refund.value.amount, int)
    assert_type(
        (await step.ask("developer", "Sure?", answer=bool, default=None)).value, bool | None
    )
    assert_type((await step.ask("developer", "Why?", default=0)).value, str | int)
    either: Answer[Literal["yes", "no"]] = await step.ask("a", "b", answer=Literal["yes", "no"])
    bare: Answer = refund
    await step.ask(
        "developer",
        "Why?",
        context="c",
        timeout=60,
        agent="a",
        accept="nats",
        confidential=True,
        name="why",
    )
    refund.value.amonut  # type: ignore[attr-defined]  # noqa: B018
    refund.text = ""  # type: ignore[misc]
    wrong: Answer[int] = refund  # type: ignore[assignment]
    await step.ask("developer", "Why?", timout="4h")  # type: ignore[call-overload]
    await step.ask("developer")  # type: ignore[call-overload]
    del either, bare, wrong


async def side_by_side(step: Step) -> None:
    question = step.ask("developer", "Why?")
    assert_type(await step.first(question, step.sleep("4h")), Answer[str] | None)
    assert_type(await step.first(question, step.run("a", count, "a")), Answer[str] | int)
    assert_type(
        await step.first(step.run("a", count, "a"), step.run("b", fetch, 1), question),
        int | list[str] | Answer[str],
    )
    four = [step.run(f"count {text}", count, text) for text in "abcd"]
    assert_type(await step.first(*four), int)
    assert_type(await step.gather(*four), list[Any])
    await step.first(3)  # type: ignore[call-overload]
    await step.gather("a")  # type: ignore[arg-type]


async def agents_at_work(step: Step, network: Network[Ticket], plain: Network) -> None:
    done = await step.network(network, "Look into it", state=Ticket(title="t"))
    assert_type(done, NetworkResult[Ticket])
    assert_type(done.state.title, str)
    assert_type(done.turns, list[TurnResult])
    assert_type((await step.network(plain, "Look into it")).state, dict[str, Any])
    await step.network(network, "Look into it", state=Refund(amount=1))  # type: ignore[misc]
    await step.network("support", "Look into it")  # type: ignore[arg-type]


@app.workflow(on="a.b", key="id")
async def flow(event: dict[str, Any], step: Step) -> int:
    await asks(step)
    return len(event)


async def of_the_app(step: Step, asking: Asking) -> None:
    assert_type(await flow({}, step), int)
    assert_type((await asking.ask("developer", "Sure?", answer=bool)).value, bool)
    await flow("event", step)  # type: ignore[arg-type]

    @app.workflow(on="a.c", key="id")  # type: ignore[type-var]
    async def of_nothing() -> None: ...

    @app.workflow(on="a.c", key="id")
    async def without_step(event: dict[str, Any]) -> None: ...

    @app.workflow(on="a.d", key="id")  # type: ignore[type-var]
    def not_async(event: dict[str, Any], step: Step) -> None: ...

    @app.workflow(on="a.e")  # type: ignore[call-arg]
    async def without_key(event: dict[str, Any], step: Step) -> None: ...

    del of_nothing, without_step, not_async, without_key
