"""Seeded faults of what keeps attackers out: each takes one guard away, and an attack must notice.

First those of configurations and tokens, then those of the code. A fault whose target is gone
raises, rather than passing for one that nobody catches.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
import pytest
from nats.aio.client import Client

from layby import app as app_module
from layby.access import Login, Outline, config, jwt, nkey, registry, rights, trail, wall
from layby.actors.people import answer, judged_answers, open_questions, tickets
from layby.actors.people import sent_answers as sent
from layby.actors.people.parked_question import ParkedQuestion, parked_question
from layby.actors.workflows import workflow
from layby.bus import files, log, log_subject, settings, wire
from layby.bus.mailbox import Delivery, Mailbox
from layby.bus.server import EmbeddedServer
from layby.bus.specs import StreamSpec
from layby.bus.wire import Message, Wire
from layby.cli.screen import output, safe_console
from layby.client import client, command_sender, dispatch
from layby.commands import CommandOutcome
from layby.health import capacity as room
from layby.health import safety, unread
from layby.operations.purging import Purge
from layby.runtime import delivery_policy as guard
from layby.runtime import first_stored, index, redaction
from layby.runtime.host import Host
from layby.runtime.run import LiveRun
from layby.views import listing
from tests.security import house, test_clock

Patch: TypeAlias = pytest.MonkeyPatch


@dataclass(frozen=True)
class Fault:
    """One guard taken away, and an attack that must notice."""

    apply: Callable[[Patch], None]
    attack: Callable[..., Any]
    given: dict[str, Any] = field(default_factory=dict[str, Any])
    """Arguments of the attack that no fixture gives."""
    kind: str = "accounts"
    """With which configuration, where the attack needs a `house`."""

    @property
    def name(self) -> str:
        """What it is called in a report."""
        return f"{self.apply.__name__}-{self.attack.__name__.removeprefix('test_')[:40]}"


def _set(patch: Patch, owner: Any, name: str, make: Callable[[Any], Any]) -> None:
    """Replace an attribute by what `make` makes of it; it must be there."""
    patch.setattr(owner, name, make(getattr(owner, name)))


async def _nothing(*_: Any, **__: Any) -> None:
    """Do not do it."""


def _silent(*_: Any, **__: Any) -> None:
    """Do not do it."""


def _no(*_: Any) -> bool:
    return False


def _zero(*_: Any) -> int:
    return 0


def _yes(*_: Any) -> bool:
    return True


async def _always(*_: Any) -> bool:
    return True


def _same(text: Any, *_: Any) -> Any:
    return text


# -- the wall -------------------------------------------------------------------------------------


def no_wall(patch: Patch) -> None:
    """Put everybody into one account."""
    patch.setattr(house, "with_accounts", house.with_one_account)


def _widened(patch: Patch, account: str, *, publish: str = "", receive: str = "") -> None:
    def make(login: Any) -> Any:
        def wider(*words: Any) -> Login:
            made: Login = login(*words)
            if made.account != account:
                return made
            return msgspec.structs.replace(
                made,
                publish=(*made.publish, *filter(None, [publish])),
                receive=(*made.receive, *filter(None, [receive])),
            )

        return wider

    _set(patch, wall, "_login", make)


def people_use_the_api(patch: Patch) -> None:
    """Let people publish to the whole API of streams."""
    _widened(patch, "PEOPLE", publish="$JS.API.>")


def people_hear_everything(patch: Patch) -> None:
    """Let people listen to others' inboxes."""
    _widened(patch, "PEOPLE", receive="_INBOX.>")


def senders_write_logs(patch: Patch) -> None:
    """Let programs that send events write into logs."""
    _widened(patch, "SENDERS", publish="to.>")


def observers_act(patch: Patch) -> None:
    """Let those who look command, too."""
    _widened(patch, "OBSERVERS", publish="layby.do.*.*")


def people_answer_as_others(patch: Patch) -> None:
    """Let a person answer under any name."""

    def make(answers: Any) -> Any:
        def anybody(app: Any, roles: Any, _: str, *, plain: bool) -> Any:
            return answers(app, roles, "*", plain=plain)

        return anybody

    _set(patch, rights, "answers", make)


def people_read_state(patch: Patch) -> None:
    """Export the bucket that holds the state of runs, instead of that of open questions."""

    def parked(app: Outline) -> Any:
        return rights._reads([app.names.bucket_stream("parked")])

    patch.setattr(rights, "questions", parked)


def operators_command_as_anybody(patch: Patch) -> None:
    """Leave the name out of what an operator may publish."""

    def anybody(app: Outline, _: str) -> tuple[str, ...]:
        return (app.names.subject("layby.do.*.*"),)

    patch.setattr(rights, "of_operator", anybody)


def the_trail_is_a_stream_like_others(patch: Patch) -> None:
    """Let the provisioner update the trail of commands."""
    patch.setattr(rights, "TRAIL", "NONE")


def the_trail_is_with_the_streams(patch: Patch) -> None:
    """Leave the trail in the account in which workers log in."""

    def make(around: Any) -> Any:
        def inside(app: Any, **_: Any) -> Any:
            return around(app, own_trail=False)

        return inside

    _set(patch, house, "wall", make)


def the_trail_can_be_deleted(patch: Patch) -> None:
    """Export one request more of the trail's account."""

    def make(takes: Any) -> Any:
        def more(app: Outline) -> Any:
            return (*takes(app), trail._api_request("STREAM.DELETE.AUDIT"))

        return more

    _set(patch, trail, "takes", make)


def commands_are_taken_in_batches(patch: Patch) -> None:
    """Ask for many commands at a time, of which an empty one ends the way back."""

    def make(init: Any) -> Any:
        def many(*given: Any, **more: Any) -> None:
            init(*given, **{**more, "one_at_a_time": False})
            given[0]._silence = 60.0  # or the mailbox asks again before anybody has noticed

        return many

    _set(patch, Mailbox, "__init__", make)


def the_trail_takes_headers(patch: Patch) -> None:
    """Let an entry of the trail replace those before it."""

    def make(streams: Any) -> Any:
        def loose(*given: Any, **more: Any) -> Any:
            return tuple(
                msgspec.structs.replace(
                    each, config={**each.config, "allow_rollup_hdrs": True, "deny_purge": False}
                )
                if each.name == "AUDIT"
                else each
                for each in streams(*given, **more)
            )

        return loose

    _set(patch, app_module, "streams", make)


def exports_are_public(patch: Patch) -> None:
    """Export to whatever account wants to import."""

    def make(inside: Any) -> Any:
        def public(*given: Any) -> Iterator[str]:
            for line in inside(*given):
                yield line.partition(", accounts: [")[0] + " }" if ", accounts: [" in line else line

        return public

    _set(patch, config, "_exports", make)


def tokens_export_to_anybody(patch: Patch) -> None:
    """Ask no account for a token of the exporter's."""

    def make(export: Any) -> Any:
        def public(subject: str, kind: str) -> dict[str, Any]:
            return {**export(subject, kind), "token_req": False}

        return public

    _set(patch, jwt, "_export", make)


def plain_subject_stays(patch: Patch) -> None:
    """Allow the plain subject although answers are to be named."""

    def make(answers: Any) -> Any:
        def plain_too(app: Any, roles: Any, who: str, *, plain: bool) -> Any:
            del plain
            return answers(app, roles, who, plain=True)

        return plain_too

    _set(patch, rights, "answers", make)


def tokens_allow_everything(patch: Patch) -> None:
    """Give each login a token without limits."""

    def make(user: Any) -> Any:
        def loose(login: Login, *more: Any) -> Any:
            return user(msgspec.structs.replace(login, publish=(">",), receive=(">",)), *more)

        return loose

    _set(patch, jwt, "user", make)


def revoked_is_not_said(patch: Patch) -> None:
    """Leave out of an account's token who was revoked."""

    def make(account: Any) -> Any:
        def unsaid(*given: Any) -> str:
            return str(account(*given[:-1], {}))

        return unsaid

    _set(patch, jwt, "account", make)


def tokens_are_readable(patch: Patch) -> None:
    """Leave keys and credentials to the umask."""

    def loose(path: Path, data: bytes) -> None:
        path.write_bytes(data)

    patch.setattr(nkey, "write_private", loose)
    patch.setattr(registry, "write_private", loose)


# -- what is heard and read ------------------------------------------------------------------------


def outcomes_are_believed(patch: Patch) -> None:
    """Believe what is said of a command, whoever says it."""

    def make(hearing: Any) -> Any:
        @asynccontextmanager
        async def keeping(self: Any, who: str) -> AsyncGenerator[Any]:
            async with hearing(self, who) as heard:
                get = heard.get

                async def kept() -> Any:
                    self._last = await get()
                    return self._last

                heard.get = kept
                yield heard

        return keeping

    async def believed(self: Any, *_: Any) -> CommandOutcome | None:
        last = getattr(self, "_last", None)
        return command_sender._read(last.data, CommandOutcome) if last is not None else None

    _set(patch, command_sender.CommandSender, "_subscribed", make)
    patch.setattr(command_sender.CommandSender, "_stored_outcome", believed)


def hints_are_obeyed(patch: Patch) -> None:
    """Stop a run's work because somebody says that it was cancelled."""

    async def obey(self: Host, run: str) -> None:
        self.stop_run(run)

    patch.setattr(Host, "check_still_active", obey)


def an_unreadable_entry_ends_the_fold(patch: Patch) -> None:
    """Raise where an entry of a log cannot be read."""

    def make(fold: Any) -> Any:
        def strict(self: LiveRun, n: int, data: bytes) -> None:
            msgspec.json.decode(data, type=dict[str, Any])
            if b'"records"' not in data:
                raise ValueError(n)
            fold(self, n, data)

        return strict

    _set(patch, LiveRun, "_fold", make)


def sealed_rubbish_is_not_skipped(patch: Patch) -> None:
    """Raise where an entry of a log was not sealed for its run and place."""

    async def strict(self: log.Log, run: str, message: log.LogMessage) -> log.LogMessage:
        n, to, data = message
        place = self.names.subject(log_subject.subject(to, run, n))
        return log.LogMessage(n, to, await self.opened(run, n, data, place))

    patch.setattr(log.Log, "_open", strict)


def what_came_last_counts(patch: Patch) -> None:
    """Believe the last message at a position of a log."""

    def make(contiguous: Any) -> Any:
        def last(found: list[Any], after: int) -> Any:
            return contiguous(list({each.n: each for each in found}.values()), after)

        return last

    _set(patch, log, "_contiguous", make)


def what_cannot_be_read_was_nothing(patch: Patch) -> None:
    """Pass over a position of a log whose last message cannot be read."""
    patch.setattr(first_stored, "read", _same)


def no_utf8_raises(patch: Patch) -> None:
    """Have the client read subjects as nats-py does."""
    patch.setattr(Wire, "_build_message", Client._build_message)


def no_text_is_handled(patch: Patch) -> None:
    """Hand on what is no text as if it were."""
    patch.setattr(Delivery, "is_text", property(_yes))


def deadlines_are_not_looked_at(patch: Patch) -> None:
    """Let an answer close a question that nothing has expired yet."""

    def make(was_closed: Any) -> Any:
        def by_word(question: ParkedQuestion, seq: int, at: float) -> bool:
            return question.status != "open" and was_closed(question, seq, at)

        return by_word

    _set(patch, answer, "_was_closed", make)


def one_page_of_answers(patch: Patch) -> None:
    """Read 200 answers when a deadline falls, and no more."""

    def make(up_to: Any) -> Any:
        async def page(*given: Any, **more: Any) -> Any:
            count = 0
            async for message in up_to(*given, **more):
                if (count := count + 1) > 200:
                    return
                yield message

        return page

    _set(patch, sent, "up_to", make)


def what_was_judged_is_forgotten(patch: Patch) -> None:
    """Judge all answers to a question again for each one that comes."""
    patch.setattr(judged_answers.JudgedAnswers, "holds", _no)


def first_headers_are_believed(patch: Patch) -> None:
    """Take the sender's word for what the server says of a message."""
    patch.setattr(wire, "_SERVER_HEADERS", frozenset[str]())


def stored_statuses_are_believed(patch: Patch) -> None:
    """Take a stored message for a status of the server when it looks like one."""

    def status(self: Message) -> str:
        code = self._block[wire._STATUS]
        return code.decode() if code.isdigit() else ""

    patch.setattr(Message, "status", property(status))


def any_id_is_a_run(patch: Patch) -> None:
    """Make subjects of whatever stands in a row as a run's id."""
    patch.setattr(index, "check_words", _silent)
    patch.setattr(listing, "is_run_id", _yes)
    uncached = log_subject.partition.__wrapped__  # what it lets pass is not kept
    for module in (log, log_subject):
        patch.setattr(module, "is_word", _yes)
        patch.setattr(module, "partition", uncached)
    patch.setattr(Purge, "_is_confirmed", _always)
    patch.setattr(Purge, "_fence", _always)


def rows_are_believed(patch: Patch) -> None:
    """Purge the log of a run because its row says that it has ended."""
    patch.setattr(Purge, "_is_confirmed", _always)


def anything_is_an_event(patch: Patch) -> None:
    """Send to whatever subject is named."""
    patch.setattr(client, "check_event_subject", _silent)
    patch.setattr(dispatch.Dispatch, "_check", _nothing)


# -- room, clocks, screens, secrets ----------------------------------------------------------------


def lost_values_are_waited_for(patch: Patch) -> None:
    """Try a run for ever whose big value is gone."""
    patch.setattr(guard, "ValueLost", type("Never", (Exception,), {}))


def streams_have_no_limit(patch: Patch) -> None:
    """Let outsiders fill the store."""

    def make(streams: Any) -> Any:
        def boundless(*given: Any, **more: Any) -> tuple[StreamSpec, ...]:
            specs: tuple[StreamSpec, ...] = streams(*given, **more)
            return tuple(msgspec.structs.replace(each, limits={}) for each in specs)

        return boundless

    _set(patch, app_module, "streams", make)


def records_hold_all_texts(patch: Patch) -> None:
    """Write what questions say into their ticket's record, however much that is."""

    def whole(question: ParkedQuestion) -> ParkedQuestion:
        return question

    patch.setattr(tickets, "left_in_log", whole)


def tickets_take_any_number(patch: Patch) -> None:
    """Open questions on a ticket until its record is full."""
    patch.setattr(tickets, "_open", _zero)


def the_doctor_sees_no_flood(patch: Patch) -> None:
    """Say nothing of a stream that is full."""

    async def none(*_: Any) -> list[Any]:
        return []

    patch.setattr(room, "of_streams", none)


def a_full_store_is_not_told(patch: Patch) -> None:
    """Wait for room without a word."""
    patch.setattr(guard.DeliveryPolicy, "_log_full", _silent)


def the_clock_here_is_right(patch: Patch) -> None:
    """Measure deadlines by the worker's own clock, and say that it is wrong."""
    late = "import layby.runtime.clock as clock\nclock.now = lambda: time.time()\n"
    patch.setattr(test_clock, "SHIFT", test_clock.SHIFT + late)


def skew_is_not_measured(patch: Patch) -> None:
    """Never ask the server what time it is."""
    never = "import layby.runtime.clock as clock\nasync def no(*_): return None\nclock.skew = no\n"
    patch.setattr(test_clock, "SHIFT", test_clock.SHIFT + never)


def beats_hide_their_release(patch: Patch) -> None:
    """Workers do not say which release of Layby they run."""
    silent = "import layby.worker.heartbeat as beats\nbeats.release = lambda: ''\n"
    patch.setattr(test_clock, "SHIFT", test_clock.SHIFT + silent)


def beats_hide_their_clock(patch: Patch) -> None:
    """Workers do not say that their clock is wrong."""
    silent = "import layby.runtime.clock as clock\nclock.behind = lambda: 0.0\n"
    patch.setattr(test_clock, "SHIFT", test_clock.SHIFT + silent)


def rows_of_questions_hold_state(patch: Patch) -> None:
    """Put a run's state beside its open question, as the bucket `parked` has it."""

    async def put(self: Any, live: LiveRun, question: Any) -> None:
        shown = parked_question(live.state, question)
        row = open_questions.OpenQuestion(ticket=live.state.ticket, question=shown)
        data = msgspec.json.encode(row)[:-1] + b',"state":%b}' % msgspec.json.encode(live.state)
        await self._bucket.put(open_questions._key(live, question, question.role), data, revision=0)

    patch.setattr(open_questions.OpenQuestions, "_put", put)


def tables_are_not_escaped(patch: Patch) -> None:
    """Print what strangers wrote as it is, where a command leaves it to the console."""
    patch.setattr(safe_console, "safe", _same)


def json_is_not_escaped(patch: Patch) -> None:
    """Print JSON with the characters that stand in it."""
    patch.setattr(output, "safe_json", _same)


def tracebacks_are_not_escaped(patch: Patch) -> None:
    """Print tracebacks as they are, for `--verbose`."""
    patch.setattr(output, "safe", _same)


def letters_forget_their_event(patch: Patch) -> None:
    """Start another run than a dead letter's event would have started."""
    patch.setattr(workflow, "EVENT_ID", "None")


def unread_events_go_unseen(patch: Patch) -> None:
    """Say nothing of events that grew too old unread."""
    patch.setattr(unread, "gap", _silent)


def secrets_are_quoted(patch: Patch) -> None:
    """Record what an exception says as it is."""
    patch.setattr(redaction, "_NAMES", re.compile("(?!)"))


def hooks_are_not_asked(patch: Patch) -> None:
    """Leave out what an app itself wants to be replaced."""
    patch.setattr(redaction, "use", _silent)


def passwords_travel_unsaid(patch: Patch) -> None:
    """Warn of no password in the clear."""
    patch.setattr(settings.ConnectionSettings, "sends_secret", property(_no))


def the_local_server_is_open(patch: Patch) -> None:
    """Ask for no password where `layby dev` runs."""
    patch.setattr(EmbeddedServer, "_login", property(lambda _: ""))


def files_are_left_to_the_umask(patch: Patch) -> None:
    """Write addresses, passwords and logs for everybody to read."""
    patch.setattr(files, "_OWNER", 0o666)


def the_doctor_sees_no_accounts(patch: Patch) -> None:
    """Find nothing wrong where everybody shares an account."""
    patch.setattr(safety, "_EVERYBODY", "nobody")
