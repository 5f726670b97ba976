"""The actor of a network: asks the router who is next, and lets the agents take their turns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...runtime.actor_step import ActorStep
from ...runtime.calling import maybe_await
from ...runtime.entry import Raw
from ...runtime.errors import BudgetSpent, LaybyError, MaxTurns
from ...runtime.failure import blame
from ...runtime.state import Frame, RunState
from ...runtime.values import load
from ..agents.route import Route
from ..keys import ROUTE, TURN, Key
from ..models.model import MODEL_RETRY, Usage
from ..state.state import Values
from ..threads.history import Past, as_turn
from ..threads.progress import Played, Progress
from ..threads.turn import Decision, NetworkInput, NetworkResult, Status, TurnInput, TurnResult
from .network import Member, Network
from .router import RouterError, RoutingAgent, decision_of
from .routing import Setting, decide

OnRouter = Callable[[RoutingAgent], None]


class Supervisor:
    """The actor of one network: routes, calls agents, routes again."""

    strict = False

    def __init__(self, network: Network[Any], on_router: OnRouter | None = None) -> None:
        """Prepare; `on_router` gets each routing agent that the network's function returns."""
        self._network = network
        self._router = network.router or RoutingAgent(f"{network.name} router")
        self._on_router = on_router

    @property
    def address(self) -> str:
        """The actor's name in subjects."""
        return self._network.address

    @property
    def concurrency(self) -> int | None:
        """The most runs that one worker routes at the same time; None: as the app says."""
        return self._network.concurrency

    async def enter(self, step: ActorStep, frame: Frame, state: RunState) -> NetworkResult[Any]:
        """Let agents take turns until the router says that it is done."""
        del state
        task: NetworkInput = await step.read(frame.input, NetworkInput)
        return await _Session(self._network, self._router, step, task, self._on_router).work()


class _Limit(Exception):
    """The network has reached a limit and must end."""

    def __init__(self, status: Status, error: LaybyError) -> None:
        super().__init__(status)
        self.status: Status = status
        self.error = error


class _Session:
    """A network at work on one task."""

    def __init__(
        self,
        network: Network[Any],
        router: Any,
        step: ActorStep,
        task: NetworkInput,
        on_router: OnRouter | None,
    ) -> None:
        self._network = network
        self._on_router = on_router
        self._router = router
        self._step = step
        self._task = task
        self._progress = Progress(network.state_type, task.state)
        self._usage = Usage()

    async def work(self) -> NetworkResult[Any]:
        try:
            return await self._work()
        except _Limit as limit:
            if self._network.at_limit == "return" or self._is_outer_budget(limit):
                return self._result(limit.status)
            raise limit.error from None

    def _is_outer_budget(self, limit: _Limit) -> bool:
        """Whether it is the budget of the enclosing network, which decides what follows."""
        return limit.status == "budget_spent" and self._limit() == self._task.tokens

    async def _work(self) -> NetworkResult[Any]:
        """Take turns until the router says that it is done. Raises _Limit."""
        round_: list[TurnResult] = []
        for number in range(self._network.max_turns + 1):
            decision = await self._decide(number, round_)
            self._usage += decision.usage
            self._progress.decided(decision)
            if decision.spent:
                raise self._spent(number)
            if not decision.agents:
                return self._result("done", decision.summary)
            if number == self._network.max_turns:
                raise _Limit("max_turns", MaxTurns(self._out_of_turns()))
            if self._remaining() == 0:
                break
            round_ = await self._round(number, decision)
            self._progress.played(
                [Played(self._settled(number, place), turn) for place, turn in enumerate(round_)]
            )
            for turn in round_:
                self._usage += turn.usage
            if self._remaining() == 0 and any(turn.stop == "budget_spent" for turn in round_):
                break
        raise self._spent()

    def _spent(self, undecided: int | None = None) -> _Limit:
        """The limit for a spent budget; `undecided` is the decision that was cut short by it."""
        error = BudgetSpent(self._out_of_tokens())
        if undecided is not None:  # it resumes when the run is reopened
            blame(error, str(Key(ROUTE, undecided)))
        return _Limit("budget_spent", error)

    def _settled(self, number: int, place: int) -> int:
        """The position in the log at which a turn ended."""
        slot = self._step.recorded(str(Key(TURN, number, place)))
        return slot.settled if slot is not None else 0

    def _out_of_turns(self) -> str:
        return (
            f"network {self._network.name!r} took {self._network.max_turns} turns "
            "and its router did not say that it is done: raise max_turns, or check its router"
        )

    def _out_of_tokens(self) -> str:
        name, used = self._network.name, self._usage.tokens
        return f"network {name!r} has used {used} tokens; its budget is {self._limit()}"

    def _limit(self) -> int | None:
        """Tokens that may be used in total; None: no limit."""
        budget = self._network.budget
        limits = (None if budget is None else budget.limit, self._task.tokens)
        return min((limit for limit in limits if limit is not None), default=None)

    def _remaining(self) -> int | None:
        """Tokens that may still be used; None: no limit."""
        limit = self._limit()
        return None if limit is None else max(0, limit - self._usage.tokens)

    # -- who is next ---------------------------------------------------------------------------

    async def _decide(self, number: int, round_: list[TurnResult]) -> Decision:
        async def effect() -> Decision:
            return await self._choose(number, round_)

        def summary(decision: Decision) -> str:
            who = ", ".join(decision.agents) or ("nobody" if decision.spent else "done")
            return f"{who} ({decision.by}{': ' if decision.summary else ''}{decision.summary})"

        decision: Decision = await self._step.perform(
            str(Key(ROUTE, number)), effect, Decision, retry=MODEL_RETRY, note=summary
        )
        return decision

    async def _choose(self, number: int, round_: list[TurnResult]) -> Decision:
        route = await self._route()
        successors = [turn.next for turn in round_ if turn.next in route.agents]
        if successors:
            return Decision(agents=list(dict.fromkeys(successors)), by="handoff")
        router = self._router
        if not isinstance(router, RoutingAgent):
            choice = await maybe_await(router(route))
            if not isinstance(choice, RoutingAgent):
                return decision_of(choice, route, by="code")
            router = choice
            if self._on_router is not None:
                self._on_router(choice)
        setting = Setting(
            network=self._network.name,
            default_model=self._network.default_model,
            step=self._step,
            number=number,
            values=Values(self._network.state_type, self._progress.values),
            tokens=self._remaining(),
        )
        return await decide(router, route, setting)

    async def _route(self) -> Route[Any]:
        members = {member.name: member for member in self._network.agents}
        route = Route(
            input=self._task.input,
            turns=list(self._progress.turns),
            agents=members,
            state=self._network.state_type.shown(self._progress.values),
            ticket=self._step.ticket,
            before=self._task.before,
            attachments=self._task.attachments,
        )
        disabled = [
            name
            for name, member in members.items()
            if member.enabled is not None and not await maybe_await(member.enabled(route))
        ]
        for name in disabled:
            del members[name]
        if not members:
            raise RouterError(f"no agent of network {self._network.name!r} is enabled")
        return route

    # -- turns ---------------------------------------------------------------------------------

    async def _round(self, number: int, decision: Decision) -> list[TurnResult]:
        calls: list[Any] = []
        for place, name in enumerate(decision.agents):
            key = str(Key(TURN, number, place))
            calls.append(self._call(key, number, self._network.find(name)))
        if len(calls) == 1:
            return [await calls[0]]
        return await self._step.gather(*calls)

    def _call(self, key: str, number: int, member: Member) -> Any:
        if isinstance(member, Network):
            inner = _Nested(member)
            return self._step.call(inner, self._subtask(member), name=key, note=member.name)
        asked = TurnInput(
            agent=member.name, network=self._network.name, number=number, tokens=self._remaining()
        )
        return self._step.call(member, asked, name=key, note=member.name)

    def _subtask(self, inner: Network[Any]) -> NetworkInput:
        """The input of a nested network: the same task, with a transcript of the turns so far."""
        past = Past(agent=inner.name, input=self._task.input, turns=self._progress.turns)
        known = inner.state_type.fields
        values = {k: v for k, v in self._progress.values.items() if known is None or k in known}
        return NetworkInput(
            network=inner.name,
            input="\n\n".join(message.text for message in past.transcript()),
            state=inner.state_type.opening(values),
            tokens=self._remaining(),
            before=self._task.before,
            attachments=self._task.attachments,
        )

    def _result(self, status: Status, summary: str = "") -> NetworkResult[Any]:
        progress = self._progress
        text = next((turn.text for turn in reversed(progress.turns) if turn.text), "")
        return NetworkResult(
            network=self._network.name,
            status=status,
            text=text or summary,
            turns=progress.turns,
            state=progress.values,
            changes=progress.changes,
            agent_states=progress.agent_states,
            usage=self._usage,
        )


class _Nested:
    """A nested network as an agent of the enclosing one."""

    def __init__(self, network: Network[Any]) -> None:
        self._network = network

    @property
    def address(self) -> str:
        """The actor's name in subjects."""
        return self._network.address

    def accept(self, result: Raw) -> TurnResult:
        """The network's result as one turn, decoded."""
        return as_turn(load(result, NetworkResult))
