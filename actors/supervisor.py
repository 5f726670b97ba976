"""The actor of a network: asks the router who is next, and lets them take their turns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..runtime.actor_step import ActorStep
from ..runtime.entry import Raw
from ..runtime.errors import BudgetSpent, LaybyError, MaxTurns
from ..runtime.failure import blame
from ..runtime.retry import Retry
from ..runtime.state import Frame, RunState
from ..runtime.values import load
from .history import Past, as_turn
from .hooks import settled
from .keys import ROUTE, TURN, Key
from .model import Usage
from .network import Member, Network
from .progress import Played, Progress
from .router import Route, RouterError, RoutingAgent, decision_of
from .routing import Setting, decide
from .state import Values
from .turn import Decision, NetworkInput, NetworkResult, Status, TurnInput, TurnResult

Meet = Callable[[RoutingAgent], None]
_ROUTE_RETRY = Retry(attempts=6, first=1.0, longest="1m")


class Supervisor:
    """The actor of one network: routes, calls agents, routes again."""

    strict = False

    def __init__(self, network: Network[Any], met: Meet | None = None) -> None:
        """Prepare; `met` hears of each routing agent that the network's function returns."""
        self._network = network
        self._router = network.router or RoutingAgent(f"{network.name} router")
        self._met = met

    @property
    def address(self) -> str:
        """The actor's name in subjects."""
        return self._network.address

    @property
    def concurrency(self) -> int | None:
        """Runs of the network that one worker routes at the same time; None: as the app says."""
        return self._network.concurrency

    async def enter(self, step: ActorStep, frame: Frame, state: RunState) -> NetworkResult[Any]:
        """Let agents take turns until the router says that it is done."""
        del state
        task: NetworkInput = await step.read(frame.input, NetworkInput)
        return await _Session(self._network, self._router, step, task, self._met).work()


class _Limit(Exception):
    """The network may not go on."""

    def __init__(self, status: Status, error: LaybyError) -> None:
        super().__init__(status)
        self.status: Status = status
        self.error = error


class _Session:
    """A network at work on one thing."""

    def __init__(
        self,
        network: Network[Any],
        router: Any,
        step: ActorStep,
        task: NetworkInput,
        met: Meet | None,
    ) -> None:
        self._network = network
        self._met = met
        self._router = router
        self._step = step
        self._task = task
        self._progress = Progress(network.state_type, task.state)
        self._usage = Usage()

    async def work(self) -> NetworkResult[Any]:
        try:
            return await self._work()
        except _Limit as limit:
            if self._network.at_limit == "return" or self._is_others(limit):
                return self._result(limit.status)
            raise limit.error from None

    def _is_others(self, limit: _Limit) -> bool:
        """Whether it is a budget of the network around this one, which is to say what follows."""
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
        """What ends a network without tokens; `undecided` is a decision that they ended."""
        error = BudgetSpent(self._out_of_tokens())
        if undecided is not None:  # made again, from where it stood, when the run is reopened
            blame(error, str(Key(ROUTE, undecided)))
        return _Limit("budget_spent", error)

    def _settled(self, number: int, place: int) -> int:
        """Where in the log a turn ended."""
        slot = self._step.recorded(str(Key(TURN, number, place)))
        return slot.settled if slot is not None else 0

    def _out_of_turns(self) -> str:
        return (
            f"network {self._network.name!r} took {self._network.max_turns} turns "
            "without its router saying that it is done"
        )

    def _out_of_tokens(self) -> str:
        name, used = self._network.name, self._usage.tokens
        return f"network {name!r} has used {used} tokens; its budget is {self._limit()}"

    def _limit(self) -> int | None:
        """Tokens that may be used in all; None: no limit."""
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

        def told(decision: Decision) -> str:
            who = ", ".join(decision.agents) or ("nobody" if decision.spent else "done")
            return f"{who} ({decision.by}{': ' if decision.summary else ''}{decision.summary})"

        decision: Decision = await self._step.perform(
            str(Key(ROUTE, number)), effect, Decision, retry=_ROUTE_RETRY, note=told
        )
        return decision

    async def _choose(self, number: int, round_: list[TurnResult]) -> Decision:
        route = await self._route()
        heirs = [turn.next for turn in round_ if turn.next in route.agents]
        if heirs:
            return Decision(agents=list(dict.fromkeys(heirs)), by="handoff")
        router = self._router
        if not isinstance(router, RoutingAgent):
            choice = await settled(router(route))
            if not isinstance(choice, RoutingAgent):
                return decision_of(choice, route, by="code")
            router = choice
            if self._met is not None:
                self._met(choice)
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
        everybody = {member.name: member for member in self._network.agents}
        route = Route(
            input=self._task.input,
            turns=list(self._progress.turns),
            agents=everybody,
            state=self._network.state_type.shown(self._progress.values),
            ticket=self._step.ticket,
            before=self._task.before,
            attachments=self._task.attachments,
        )
        off = [
            name
            for name, member in everybody.items()
            if member.enabled is not None and not await settled(member.enabled(route))
        ]
        for name in off:
            del everybody[name]
        if not everybody:
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
        """What a nested network is to do: the same, knowing what has been done."""
        past = Past(agent=inner.name, input=self._task.input, turns=self._progress.turns)
        known = inner.state_type.fields
        values = {k: v for k, v in self._progress.values.items() if known is None or k in known}
        return NetworkInput(
            network=inner.name,
            input="\n\n".join(message.text for message in past.told()),
            state=inner.state_type.opening(values),
            tokens=self._remaining(),
            before=self._task.before,
            attachments=self._task.attachments,
        )

    def _result(self, status: Status, summary: str = "") -> NetworkResult[Any]:
        progress = self._progress
        said = next((turn.text for turn in reversed(progress.turns) if turn.text), "")
        return NetworkResult(
            network=self._network.name,
            status=status,
            text=said or summary,
            turns=progress.turns,
            state=progress.values,
            changes=progress.changes,
            agent_states=progress.agent_states,
            usage=self._usage,
        )


class _Nested:
    """A network as an agent of the network around it."""

    def __init__(self, network: Network[Any]) -> None:
        self._network = network

    @property
    def address(self) -> str:
        """The actor's name in subjects."""
        return self._network.address

    def accept(self, result: Raw) -> TurnResult:
        """Read the network's work as one turn."""
        return as_turn(load(result, NetworkResult))
