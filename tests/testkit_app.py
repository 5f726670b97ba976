"""A small app for the tests of the test kit, importable by a worker's process."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from layby import Agent, App, Network, Retry, Step, StepFailed, tool
from layby.actors.workflows.workflow import RunFailure
from layby.testing import ScriptedModel, calls
from layby.tools import ask_developer


def charge(order: str) -> str:
    """Charge an order; each time it runs is a line in a file."""
    path = os.environ.get("TESTKIT_CHARGES")
    if path:
        with Path(path).open("a") as file:
            file.write(f"{order}\n")
    return f"charged {order}"


def fails_once(path: str) -> str:
    """Fail when it is called for the first time."""
    marker = Path(path)
    if not marker.exists():
        marker.touch()
        raise RuntimeError("not yet")
    return "done"


def looks_for(path: str) -> str:
    """Fail unless there is such a file."""
    if not Path(path).exists():
        raise FileNotFoundError("the marker is missing")
    return "there"


async def always_fails() -> None:
    """Fail."""
    raise ValueError("no")


@tool
def look_up(keyword: str) -> str:
    """Look something up."""
    return f"found {keyword}"


def script(request: Any) -> Any:
    """Look something up, ask, and tell what was answered; follows from the request alone."""
    results = [
        part.content for m in request.messages for part in m.parts if hasattr(part, "content")
    ]
    if not results:
        return calls("look_up", keyword="x")
    if len(results) == 1:
        return calls("ask_developer", question="Is it x?")
    return f"They say: {results[-1]}"


@tool(on_failure="ask")
def find(marker: str) -> str:
    """Find a file."""
    return looks_for(marker)


def finds(request: Any) -> Any:
    """Find the file that the task names, and tell what came of it."""
    parts = [part for message in request.messages for part in message.parts]
    found = [part.content for part in parts if hasattr(part, "content")]
    return found[0] if found else calls("find", marker=parts[0].text)


finder = Agent("Finder", tools=[find], model=ScriptedModel(finds))
clerk = Agent("Clerk", system="Help.", tools=[look_up, ask_developer])
desk = Network(
    "desk",
    agents=[clerk],
    router=lambda route: None if route.turns else clerk,
    default_model=ScriptedModel(script),
)
app = App("testkit", networks=[desk], agents=[finder], events=["testkit.paid", "testkit.said"])


@app.workflow(on="testkit.order", key="order", version="1")
async def order(event: dict[str, Any], step: Step) -> str:
    """Charge, rest, ask."""
    charged = await step.run("charge", charge, event["order"])
    await step.sleep("3d")
    answer = await step.ask("developer", f"Ship {event['order']}?", timeout="4h")
    return f"{charged}, {answer.text}"


@app.workflow(on="testkit.silent", key="order")
async def silent(event: dict[str, Any], step: Step) -> str:
    """Ask, and go on without an answer."""
    del event
    answer = await step.ask("developer", "Anybody?", default="nobody")
    return str(answer.value)


@app.workflow(on="testkit.retried", key="order")
async def retried(event: dict[str, Any], step: Step) -> str:
    """Back off for an hour."""
    slow = Retry(attempts=2, first="1h")
    return await step.run("flaky", fails_once, event["marker"], retry=slow)


@app.workflow(on="testkit.waits", key="order")
async def waits(event: dict[str, Any], step: Step) -> str:
    """Wait for a payment, a day at most."""
    paid = await step.wait_for_event("testkit.paid", match={"order": event["order"]}, timeout="1d")
    return "nothing came" if paid is None else "paid"


@app.workflow(on="testkit.chat", key="order", version="1")
async def chat(event: dict[str, Any], step: Step) -> list[str]:
    """Wait for three messages, and charge for each."""
    heard: list[str] = []
    while len(heard) < 3:
        message = await step.wait_for_event("testkit.said", match={"order": event["order"]})
        heard.append(await step.run("charge", charge, message["text"]))
    return heard


@app.workflow(on="testkit.fails", key="order")
async def fails(event: dict[str, Any], step: Step) -> str:
    """Fail for good."""
    try:
        await step.run("hopeless", always_fails, retry=Retry(attempts=1))
    except StepFailed:
        await step.run("note", charge, event["order"])
        raise
    return "never"


@app.workflow(on="testkit.mended", key="order", on_failure="ask")
async def mended(event: dict[str, Any], step: Step) -> str:
    """Fail until there is a marker."""
    charged = await step.run("charge", charge, event["order"])
    there = await step.run("look", looks_for, event["marker"], retry=Retry(attempts=1))
    return f"{charged}, {there}"


@app.workflow(on="testkit.finds", key="order")
async def found(event: dict[str, Any], step: Step) -> str:
    """Let an agent work whose tool fails until there is a marker."""
    charged = await step.run("charge", charge, event["order"])
    return f"{charged}, {(await step.agent(finder, event['marker'])).text}"


@app.workflow(on="testkit.asks", key="order")
async def asks(event: dict[str, Any], step: Step) -> str:
    """Let the network work."""
    result = await step.network(desk, f"Order {event['order']}")
    return result.text


@app.workflow(on="testkit.branches", key="order")
async def branches(event: dict[str, Any], step: Step) -> list[Any]:
    """Several things at once, in a mixed order."""

    async def asked(who: str) -> str:
        before = await step.run(f"before {who}", charge, who)
        answer = await step.ask("developer", f"{who}?", name=f"ask {who}")
        return f"{before}, {answer.text}"

    both = await step.gather(asked("ada"), asked("bob"), step.run("alone", charge, event["order"]))
    return [*both, await step.uuid()]


@app.workflow(on="testkit.race", key="order")
async def race(event: dict[str, Any], step: Step) -> str:
    """Whoever is first."""

    async def asked() -> str:
        return (await step.ask("developer", f"{event['order']}?")).text

    async def rested() -> str:
        await step.sleep("1h")
        return "nobody"

    won = await step.first(asked(), rested())
    return await step.run("won", charge, won)


@app.workflow(on="testkit.parent", key="order")
async def parent(event: dict[str, Any], step: Step) -> str:
    """Let another workflow do it, and tell about it."""
    await step.send_event("testkit.paid", {"order": event["order"]})
    said = await step.workflow(silent, event)
    return f"the child says {said}"


async def sorry(failure: RunFailure, step: Step) -> None:
    """Take note of a failed run."""
    await step.run("sorry", charge, failure.ticket)


@app.workflow(on="testkit.guarded", key="order", on_failure=sorry)
async def guarded(event: dict[str, Any], step: Step) -> str:
    """Ask somebody who is not there."""
    answer = await step.ask("developer", f"{event['order']}?")
    return answer.text
