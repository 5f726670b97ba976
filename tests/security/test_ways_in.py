"""Ways around the wall: subjects, logins and lines of the protocol that are not an outsider's."""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from layby.access import Person, Staff, Wall, outline
from layby.access.config import accounts
from layby.access.nkey import ACCOUNT, USER, Key
from layby.bus.binary import find_binary
from layby.bus.connection import ConnectionSettings
from layby.bus.server import EmbeddedServer
from tests.engine import until
from tests.security.house import WITHIN, House, Raw, desk, with_accounts
from tests.security.test_reply_subjects import NOSUCH, counts, goes_on, held

pytestmark = pytest.mark.nats

OUTSIDERS = ("helpdesk", "ada", "slackbot", "observer", "operator")
DEAF = [
    *(b"_INBOX.>", b"_INBOX_bob.>", b"_INBOX_worker.>", b"_R_.>", b">", b"*.>"),
    *(b"$SYS.>", b"$SYS.ACCOUNT.>", b"$JS.EVENT.>", b"$JS.API.>", b"$JS.ACK.>", b"$KV.>"),
    *(b"developer.response.>", b"layby.do.>", b"timer.>", b"layby.cancel.*"),
    *(b"$SRV.>", b"$SRV.PING", b"$MQTT.>", b"$NRG.>", b"$OBJ.>", b"$JSC.>"),
]
"""What no outsider may listen to."""
DUMB = [
    *(b"$SYS.REQ.SERVER.PING", b"$SYS.REQ.CLAIMS.UPDATE", b"$SYS.REQ.ACCOUNT.PING.CONNZ"),
    *(b"$JS.API.STREAM.CREATE.MINE", b"$JS.API.STREAM.UPDATE.RUNS", b"$JS.API.STREAM.DELETE.RUNS"),
    *(b"$JS.API.STREAM.PURGE.ANSWERS", b"$JS.API.STREAM.SNAPSHOT.RUNS"),
    *(b"$JS.API.STREAM.RESTORE.RUNS", b"$JS.API.STREAM.MSG.DELETE.AUDIT"),
    *(b"$JS.API.CONSUMER.CREATE.EVENTS", b"$JS.API.CONSUMER.RESET.ANSWERS.answers-developer"),
    *(b"$SRV.PING", b"$SRV.INFO.x", b"$SRV.STATS.x.y", b"$MQTT.msgs.x", b"$OBJ.x.M.y", b"$DEV.x"),
    *(b"$JS.API.CONSUMER.CREATE.RUNS.x", b"$JS.API.CONSUMER.CREATE.RUNS.x.to.>"),
    *(b"$JS.API.CONSUMER.DURABLE.CREATE.RUNS.x", b"$JS.API.CONSUMER.MSG.NEXT.ANSWERS.x"),
    *(b"$JS.API.CONSUMER.PAUSE.ANSWERS.answers-developer", b"$JS.API.STREAM.LEADER.STEPDOWN.RUNS"),
    *(b"$JS.API.META.LEADER.STEPDOWN", b"$JS.API.ACCOUNT.PURGE.LAYBY", b"$JS.FC.RUNS.x"),
    *(b"$JS.ACK.ANSWERS.answers-developer.1.1.1.1.1", b"$JS.SNAPSHOT.ACK.RUNS.x"),
    *(b"$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.RUNS.x", b"$JSC.R.x", b"$NRG.V.x"),
    *(b"_R_.x", b"_GR_.x.y.z", b"_INBOX_worker.x", b"_INBOX_bob.x", b"to.0.log.0run.1"),
    *(b"$KV.runs.T1.x", b"$KV.parked.T1", b"timer.x", b"due.x", b"dead.x", b"blob.x.y.0"),
    *(b"developer.question.T1", b"developer.receipt.T1", b"developer.response.T1.bob"),
    *(b"layby.do.purge.bob", b"layby.done.bob.1", b"layby.cancel.x", b"layby.blocked.x"),
]
"""What no outsider may publish."""


@pytest.mark.parametrize("login", OUTSIDERS)
async def test_nobody_listens_or_speaks_where_they_may_not(house: House, login: str) -> None:
    async with house.working():
        before = await counts(house)
        async with house.raw(login) as raw:
            for subject in DEAF:
                raw.subscribe(subject)
            for subject in DUMB:
                raw.publish(subject, b"{}", reply=b"_INBOX_%b.x" % login.encode())
            errors = "\n".join(await raw.sent())
            for subject in (*DEAF, *DUMB):
                assert f'to "{subject.decode()}"' in errors, subject
            assert raw.messages == []
        assert await counts(house) == before


RESERVED = [
    b"$JS.ACK.ANSWERS.answers-developer.1.1.1.1.1",
    b"_R_.x",
    b"_GR_.x.y.z",
]


async def test_reply_subjects_of_the_servers_own_are_refused(house: House) -> None:
    async with house.working(), house.raw("ada") as ada:
        for reply in RESERVED:
            ada.publish(NOSUCH, reply=reply)
        assert len(await ada.sent()) == len(RESERVED)


async def test_replies_to_a_worker_come_from_nobody_else(house: House) -> None:
    """A question shows where its worker hears replies: a forged one would confirm a lost write."""
    async with house.working(), house.raw("ada") as ada, house.raw("worker") as worker:
        ada.subscribe(b"developer.question.*")
        assert await ada.sent() == []
        await house.question("T1")
        [(_, seen, _, _)] = await ada.received()
        worker.subscribe(b"_INBOX_worker.mine.*")
        assert await worker.sent() == []
        ada.publish(NOSUCH, reply=b"_INBOX_worker.mine.1")
        ada.publish(NOSUCH, reply=seen or b"_INBOX_worker.x.1")
        ada.subscribe(b"_INBOX_ada.1")
        ada.publish(NOSUCH, reply=b"_INBOX_ada.1")
        await ada.received(2)
        if house.walled:
            await worker.sent()
            assert worker.messages == []
        else:
            assert (await worker.received())[0][0] == b"_INBOX_worker.mine.1"


async def test_wildcards_and_odd_words_in_a_subject_stop_nobody(walled: House) -> None:
    odd = [
        *(b"developer.response.*.ada", b"developer.response.>.ada", b"developer.response..ada"),
        *(b"developer.response.=41.ada", b"developer.response.\xff\xfe.ada"),
        *(b"developer.response.%b.ada" % (b"x" * 3_000), b"developer.response.\x01\x7f.ada"),
        *(b"developer.response.*", b"developer.response.>", b"developer.response.\xff"),
    ]
    async with walled.working():
        run = await walled.question("T1")
        async with walled.raw("ada") as ada:
            for subject in odd:
                ada.publish(subject, b'{"answer":"approve"}')
            await ada.sent()
        await goes_on(walled, run)


CONNECTS: list[Any] = [
    {},
    {"user": "worker"},
    {"user": "worker", "pass": ""},
    {"user": "worker", "pass": "$LAYBY_WORKER_PASSWORD"},
    {"user": "ada", "pass": "of-bob"},
    {"auth_token": "of-worker"},
    {"user": "sys", "pass": "sys"},
    {"user": "admin", "pass": "admin"},
    {"account": "LAYBY", "new_account": True},
    {"jwt": "e30.e30.e30", "sig": "x"},
    {"nkey": "UAAA", "sig": "x"},
]


async def test_nobody_gets_in_without_a_login(house: House) -> None:
    for fields in CONNECTS:
        raw = await Raw.open(ConnectionSettings(servers=(house.url,)), **fields)
        await raw.sent()
        assert raw.closed, fields
        await raw.close()


async def test_an_account_in_the_connect_is_not_obeyed(walled: House) -> None:
    """Fields of old with which a client could once choose its account."""
    async with walled.working():
        more: Any = {"account": "LAYBY", "new_account": True}
        raw = await Raw.open(walled.settings("ada"), **more)
        raw.publish(b"to.0.log.0run.1", b"x")
        assert await raw.sent() or raw.closed
        assert not await held(walled, "RUNS", "to.0.log.0run.1")
        await raw.close()


LINES = [
    b"LS+ >",
    b"RS+ LAYBY > 1",
    b"A+ LAYBY",
    b"LMSG to.0.log.0run.1 1\r\nx",
    b"RMSG LAYBY to.0.log.0run.1 1\r\nx",
]


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.split(b" ")[0].decode())
async def test_a_client_is_not_taken_for_a_server(walled: House, line: bytes) -> None:
    """Lines that routes and leaf nodes send: the server hangs up."""
    async with walled.working(), walled.raw("ada") as ada:
        assert not {"leafnode_urls", "nonce_leaf"} & set(ada.info)
        ada.send(line)
        await ada.sent()
        assert ada.closed or ada.errors
        assert not await held(walled, "RUNS", "to.0.log.0run.1")
        await walled.question("T1")


async def test_no_server_joins_by_a_leaf_node(walled: House, tmp_path: Path) -> None:
    """There is no port for them, and the port of clients takes none."""
    where = walled.url.replace("nats://", "nats://ada:of-ada@")
    extra = f'leafnodes {{ remotes: [ {{ url: "{where}" }} ] }}'
    async with EmbeddedServer(tmp_path / "leaf", extra=extra) as leaf:

        async def refused() -> bool:
            return "Leafnode" in leaf.log and "connection closed" in leaf.log.lower()

        await until(refused, WITHIN)
        assert "JetStream using domains" not in leaf.log
        async with walled.working():
            await walled.question("T1")


HIJACKS = [
    '{ service: { account: LAYBY, subject: "$JS.API.DIRECT.GET.RUNS" } }',
    '{ service: { account: LAYBY, subject: "developer.response.*.*" } }',
    '{ service: { account: LAYBY, subject: "to.>" } }',
    '{ stream: { account: LAYBY, subject: "to.>" } }',
    '{ stream: { account: LAYBY, subject: "developer.question.*" } }',
]


@pytest.mark.parametrize("hijack", HIJACKS)
def test_another_account_imports_nothing(hijack: str, tmp_path: Path) -> None:
    """Exports are for the accounts that they name, whoever else shares the server."""
    text = with_accounts(desk()).rstrip().removesuffix("}")
    text += f'  EVIL {{ users: [{{ user: evil, password: "x" }}], imports: [ {hijack} ] }}\n}}\n'
    config = tmp_path / "nats.conf"
    config.write_text(text)
    command = [find_binary(), "-t", "-c", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode != 0
    assert "not authorized" in done.stderr or "cycle" in done.stderr.lower(), done.stderr


def test_a_person_of_one_role_has_no_right_to_another() -> None:
    app = desk()
    app.roles = ("developer", "legal")
    wall = Wall(apps=(outline(app),))
    legal = wall.person(Person("eve", ("legal",)))
    everything = [*legal.publish, *legal.receive]
    assert any(subject.startswith("legal.response") for subject in everything)
    assert not any(subject.startswith("developer.") for subject in everything)
    assert "developer.response.*.*" in accounts(wall, Staff(), "x")


def test_named_only_leaves_no_plain_subject() -> None:
    text = accounts(Wall(apps=(outline(desk()),), named_only=True), Staff(), "x")
    assert '"developer.response.*"' not in text
    assert '"developer.response.*.*"' in text


async def test_named_only_refuses_the_plain_subject(tmp_path: Path) -> None:
    wall = Wall(apps=(outline(desk()),), named_only=True)
    text = accounts(wall, Staff(), "x")
    for login in wall.logins(Staff()):
        text = text.replace(f"${login.variable}", f'"of-{login.name}"')
    async with EmbeddedServer(tmp_path / "nats", extra=text) as server:
        house = House(url=server.url, kind="accounts")
        async with house.working(), house.raw("ada") as ada:
            run = await house.question("T1")
            ada.publish(b"developer.response.T1", b"yes")
            assert len(await ada.sent()) == 1
            async with house.client("ada") as client:
                await client.answer("T1", "yes", responder="ada", timeout=WITHIN)
            assert (await house.ended(run)).result == "ada: yes"


@pytest.mark.parametrize("what", ["rights", "key", "account"])
async def test_a_token_that_was_changed_opens_nothing(jwt: House, what: str) -> None:
    """A login's token cannot be given more rights, another key or another account."""
    lines = jwt.file("ada").splitlines()
    head, body, signature = lines[1].split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    key = Key(lines[lines.index("-----BEGIN USER NKEY SEED-----") + 1].encode())
    own = Key.new(ACCOUNT)
    if what == "rights":
        claims["nats"]["pub"]["allow"] = [">"]
    elif what == "key":
        key = Key.new(USER)
        claims["sub"] = key.public
    else:
        claims["iss"] = own.public
    changed = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    text = f"{head}.{changed}"
    if what == "account":
        signed = own.sign(text.encode())
        signature = base64.urlsafe_b64encode(signed).decode().rstrip("=")
    raw = await Raw.open(ConnectionSettings(servers=(jwt.url,)), defer=True)
    answer = base64.urlsafe_b64encode(key.sign(raw.info["nonce"].encode())).decode().rstrip("=")
    raw.login(jwt=f"{text}.{signature}", sig=answer)
    await raw.sent()
    assert raw.closed
    await raw.close()


async def test_a_signature_is_for_one_connection(jwt: House) -> None:
    """Who has seen somebody log in cannot do so again: each connection has its own nonce."""
    settings = jwt.settings("ada")
    one = await Raw.open(settings)
    assert await one.sent() == []
    other = await Raw.open(ConnectionSettings(servers=(jwt.url,)), defer=True)
    other.login(**one.logged_in_with)
    await other.sent()
    assert other.closed
    await one.close()
    await other.close()
