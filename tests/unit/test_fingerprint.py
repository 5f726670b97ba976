"""What counts as another release of an app, which blocked runs it fits, and whose keys it lacks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from layby import (
    Agent,
    App,
    Network,
    Role,
    RoutingAgent,
    Step,
    Tokens,
    tool,
)
from layby.actors.models.model import ModelRequest, ModelResponse, OnText
from layby.models import Model, fallback, with_timeout
from layby.runtime.blockers import KEY, VERSION
from layby.runtime.errors import InvalidSetup
from layby.runtime.state import Block, Frame, RunState
from layby.testing import ScriptedModel
from layby.tools.source import AnyTool
from layby.worker.fingerprint import fingerprint, fitting
from layby.worker.model_keys import check_keys, missing_keys, models_of
from tests.signing_desk import ADA, EVE


class Locked:
    """A model that needs a key."""

    def __init__(self, name: str = "locked", key: str = "") -> None:
        self.name = name
        self._key = key

    @property
    def key_missing(self) -> str:
        return "" if self._key else "set LOCKED_KEY"

    @property
    def key_mark(self) -> str:
        return f"mark of {self._key}"

    async def respond(self, request: ModelRequest, on_text: OnText | None = None) -> ModelResponse:
        raise NotImplementedError


@tool
def look() -> None: ...


async def order(event: dict[str, Any], step: Step) -> None: ...


def helper(
    name: str = "Helper",
    *,
    model: Model | None = None,
    tools: Sequence[AnyTool] = (),
    max_steps: int = 8,
) -> Agent:
    return Agent(name, model=model or ScriptedModel([]), tools=tools, max_steps=max_steps)


def shop(*, version: str = "1", agent: Agent | None = None, **options: Any) -> App:
    app = App("shop", agents=[agent or helper()], **options)
    app.workflow(on="order.placed", key="id", version=version)(order)
    return app


def team(*members: str, **options: Any) -> App:
    return App("shop", networks=[Network("Desk", agents=[Agent(m) for m in members], **options)])


def test_the_same_declarations_are_the_same_release() -> None:
    assert fingerprint(shop()) == fingerprint(shop())


def test_the_order_of_declarations_makes_no_other_release() -> None:
    one = App("shop", agents=[helper("A"), helper("B")], roles=["developer", "lead"])
    other = App("shop", agents=[helper("B"), helper("A")], roles=["lead", "developer"])
    assert fingerprint(one) == fingerprint(other)


def test_whatever_a_blocked_run_may_lack_makes_another_release() -> None:
    apps = [
        shop(),
        shop(version="2"),
        shop(roles=["developer", "lead"]),
        shop(roles=[Role("developer", people=["ada"])]),
        shop(roles=[Role("developer", keys={"ada": ADA.public})]),
        shop(events=["order.paid"]),
        shop(max_questions=6),
        shop(agent=helper("Other")),
        shop(agent=helper(tools=[look])),
        shop(agent=helper(max_steps=3)),
        shop(agent=helper(model=ScriptedModel([], name="other"))),
    ]
    assert len({fingerprint(each) for each in apps}) == len(apps)


def test_members_turns_and_budgets_of_a_network_make_another_release() -> None:
    apps = [
        team("A"),
        team("A", "B"),
        team("A", max_turns=3),
        team("A", budget=Tokens(9)),
    ]
    assert len({fingerprint(each) for each in apps}) == len(apps)


def test_other_keys_of_people_make_another_release() -> None:
    keys = [{"ada": ADA.public}, {"ada": EVE.public}, {"bob": ADA.public}]
    apps = [shop(roles=[Role("developer", keys=each)]) for each in keys]
    assert len({fingerprint(each) for each in apps}) == len(apps)


def test_a_key_that_is_set_or_replaced_makes_another_release() -> None:
    apps = [shop(agent=Agent("Helper", model=Locked(key=key))) for key in ("", "a", "b")]
    assert len({fingerprint(each) for each in apps}) == len(apps)


def written(file: Path, code: str) -> App:
    """An app whose tool is defined in a file of its own."""
    file.write_text(f"def look() -> None:\n    {code}\n")
    found: dict[str, Any] = {}
    exec(compile(file.read_text(), str(file), "exec"), found)  # noqa: S102
    return shop(agent=helper(tools=[tool(found["look"])]))


def test_other_code_of_a_tool_makes_another_release_wherever_it_is(tmp_path: Path) -> None:
    for name in ("one", "same", "other"):
        (tmp_path / name).mkdir()
    one = fingerprint(written(tmp_path / "one" / "tools.py", "print(1)"))
    assert fingerprint(written(tmp_path / "same" / "tools.py", "print(1)")) == one
    assert fingerprint(written(tmp_path / "other" / "tools.py", "print(2)")) != one


def test_a_tool_whose_file_is_gone_still_has_a_release(tmp_path: Path) -> None:
    app = written(tmp_path / "gone.py", "print(1)")
    (tmp_path / "gone.py").unlink()
    assert fingerprint(app) == fingerprint(app)


def of(actor: str, version: str = "1") -> RunState:
    state = RunState(id="r1", workflow="order", ticket="T1", version=version)
    state.frames["w"] = Frame(id="w", actor=actor)
    return state


def block(kind: str, frame: str = "w") -> Block:
    return Block(frame=frame, kind=kind, reason="", needs="", since=0.0)


def test_a_blocked_run_fits_an_app_that_declares_its_actor() -> None:
    app = shop(networks=[Network("Desk", agents=[Agent("Clerk")])])
    actors = [app.workflows["order"].address, app.networks["Desk"].address, *app.agents]
    assert len(actors) > 3
    assert all(fitting(app)(of(actor), block(KEY)) for actor in actors)
    assert not fitting(app)(of("workflow.gone"), block(KEY))
    assert not fitting(app)(of(actors[0]), block(KEY, frame="elsewhere"))


def test_a_run_that_lacks_its_version_fits_only_an_app_that_declares_it() -> None:
    app = shop(version="2")
    actor = app.workflows["order"].address
    assert fitting(app)(of(actor, "2"), block(VERSION))
    assert not fitting(app)(of(actor, "1"), block(VERSION))
    assert fitting(app)(of(actor, "1"), block(KEY))


def everywhere() -> App:
    one, two, three, four = (Locked(name) for name in ("one", "two", "three", "four"))
    pair = fallback(with_timeout(one, "5s"), two)
    desk = Network(
        "Desk",
        agents=[Agent("Clerk")],
        default_model=three,
        router=RoutingAgent("Router", model=four),
    )
    return App("shop", agents=[Agent("Helper", model=pair)], networks=[desk])


def test_models_are_found_wherever_an_app_declares_them() -> None:
    assert {model.name for model in models_of(everywhere())} == {"one", "two", "three", "four"}


def test_each_model_without_a_key_says_so_once() -> None:
    model = Locked()
    app = App("shop", agents=[Agent("A", model=model), Agent("B", model=model)])
    assert missing_keys(app) == ["locked: set LOCKED_KEY"]


def test_a_model_that_has_its_key_or_needs_none_lacks_nothing() -> None:
    models: list[Model] = [Locked(key="k"), ScriptedModel([])]
    app = App("shop", agents=[Agent(f"A{n}", model=each) for n, each in enumerate(models)])
    assert missing_keys(app) == []
    check_keys(app, required=True)


def test_a_worker_that_requires_keys_does_not_start_without_them() -> None:
    with pytest.raises(InvalidSetup) as refused:
        check_keys(everywhere(), required=True)
    said = str(refused.value)
    assert said.count("; ") == 3
    assert all(f"{name}: set LOCKED_KEY" in said for name in ("one", "two", "three", "four"))


def test_a_worker_that_requires_no_keys_starts_without_them() -> None:
    check_keys(everywhere(), required=False)
