"""Programs that answer for a person, by a token, over real HTTP."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from layby import App, Step
from layby.bus.errors import InvalidSettings
from layby.console.login.token_file import TokenFile, add_token, parsed
from layby.console.options import ProxyOptions
from tests.acceptance.test_console_guard import Reply, Visitor
from tests.engine import until
from tests.fix_browser import console_on
from tests.fix_layby import Desk

pytestmark = pytest.mark.nats
WITHIN = 20.0
API = "/api/v1"
PROXY = ProxyOptions(header="X-User", trusted=("10.0.0.0/8",), operators=frozenset({"ann"}))


def desk() -> App:
    app = App("desk", roles=["developer", "boss"])

    @app.workflow(on="ticket.created", key="ticket", name="desk")
    async def work(event: dict[str, Any], step: Step) -> dict[str, str]:
        answer = await step.ask(event["role"], f"What about {event['ticket']}?")
        return {"text": answer.text, "by": answer.by, "vouched": answer.vouched}

    return app


@dataclass
class Program:
    """A program with a token."""

    visitor: Visitor
    token: str

    async def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> Reply:
        sent = {"Authorization": f"Bearer {self.token}", "Content_Type": "application/json"}
        all_headers = {**sent, "Layby_Console": "1", **headers}
        return await self.visitor.ask(method, f"{API}{path}", body, **all_headers)

    async def answer(self, question: str, **headers: str) -> Reply:
        path = f"/questions/{question}/answer"
        return await self.ask("POST", path, b'{"answer": "Fixed"}', **headers)


@pytest.fixture
async def rt(layby_running: Any) -> AsyncIterator[Any]:
    async with layby_running(desk()) as found:
        yield found


async def asked(rt: Any, ticket: str, role: str = "developer") -> Any:
    await rt.send("ticket.created", {"ticket": ticket, "role": role})
    [row] = await until(lambda: rt.client.questions(ticket=ticket), WITHIN)
    return row


@pytest.mark.parametrize("auth", ["token", "proxy"])
async def test_a_token_answers_in_the_name_and_for_the_roles_of_its_line(
    rt: Any, tmp_path: Path, auth: str
) -> None:
    file = tmp_path / "tokens"
    token = add_token(file, "ada", ("developer",))
    mine, other = await asked(rt, "T1"), await asked(rt, "T2", "boss")
    proxy = PROXY if auth == "proxy" else None
    async with console_on(rt.settings, auth=auth, proxy=proxy, tokens=file) as serving:
        ada = Program(Visitor(serving), token)
        reply = await ada.answer(mine.id)
        assert reply.status == 200, reply.body
        assert json.loads(reply.body)["by"] == "ada"
        assert await rt.result("T1") == {"text": "Fixed", "by": "ada", "vouched": "token"}
        assert (await ada.answer(mine.id)).status == 409
        assert (await ada.answer(other.id)).status == 404
        listed = json.loads((await ada.ask("GET", "/questions")).body)
        assert [each["id"] for each in listed["questions"]] == []
        for method, path in (
            ("GET", "/runs"),
            ("GET", "/dead"),
            ("POST", f"/runs/{mine.run}/cancel"),
            ("POST", "/events"),
        ):
            assert (await ada.ask(method, path, b"{}")).status == 403, path
        for page in ("/", "/inbox", f"/inbox/{other.id}"):
            reply = await ada.visitor.ask("GET", page, Authorization=f"Bearer {token}")
            assert reply.status in {401, 403}


async def test_an_invalid_token_lets_nobody_in(rt: Any, tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    token = add_token(file, "ada", ("developer",))
    digest = file.read_text().rpartition(":")[2].strip()
    row = await asked(rt, "T1")
    async with console_on(rt.settings, tokens=file) as serving:
        visitor = Visitor(serving)
        for wrong in (f"{token}x", token[:-1], "lbt_", f"lbt_{digest}", digest, "lbt_" * 5_000):
            assert (await Program(visitor, wrong).answer(row.id)).status == 401
        ada = Program(visitor, token)
        assert (await ada.answer(row.id, Authorization=f"Basic {token}")).status == 401
        assert (await ada.answer(row.id, Origin="https://evil.example")).status == 403
        assert (await ada.answer(row.id, Layby_Console="0")).status == 403
        for proto in ("http", "https, http"):
            reply = await ada.answer(row.id, X_Forwarded_Proto=proto)
            assert reply.status == 403
            assert "in the clear" in reply.body
    async with console_on(rt.settings) as serving:
        assert (await Program(Visitor(serving), token).answer(row.id)).status == 401
    async with console_on(rt.settings, tokens=file, read_only=True) as serving:
        assert (await Program(Visitor(serving), token).answer(row.id)).status == 403


async def test_a_person_removed_from_the_file_is_out_at_once(rt: Any, tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    ada, bob = (add_token(file, name, ("developer",)) for name in ("ada", "bob"))
    async with console_on(rt.settings, tokens=file) as serving:
        visitor = Visitor(serving)
        for token in (ada, bob):
            assert (await Program(visitor, token).ask("GET", "/questions")).status == 200
        file.write_text("# nobody but bob\n" + file.read_text().partition("\n")[2])
        assert (await Program(visitor, ada).ask("GET", "/questions")).status == 401
        assert (await Program(visitor, bob).ask("GET", "/questions")).status == 200
        file.write_text("ada\n")
        assert (await Program(visitor, bob).ask("GET", "/questions")).status == 401
        file.unlink()
        assert (await Program(visitor, bob).ask("GET", "/questions")).status == 401


def test_a_file_without_valid_tokens_is_refused(tmp_path: Path) -> None:
    digest = "0" * 64
    for line in (
        "ada",
        f"ada developer {digest}",
        f"a.b developer sha256:{digest}",
        f"ada Developer sha256:{digest}",
        f"ada developer+ sha256:{digest}",
        f"ada developer sha256:{digest} more",
    ):
        with pytest.raises(InvalidSettings, match="line 2"):
            parsed(f"# tokens\n{line}\n", "tokens")
    with pytest.raises(InvalidSettings, match="cannot read"):
        TokenFile(tmp_path / "nowhere")
    for name, roles in (("a b", ("developer",)), ("ada", ()), ("ada", ("a b",))):
        with pytest.raises(InvalidSettings):
            add_token(tmp_path / "tokens", name, roles)
    assert not (tmp_path / "tokens").exists()


def test_the_command_prints_a_token_once(tmp_path: Path, nats_url: str) -> None:
    desk = Desk(tmp_path, nats_url)
    made = [
        desk.json("token", name, "--role", "developer,lead", "--tokens", "tokens")["token"]
        for name in ("ada", "bob")
    ]
    file = tmp_path / "tokens"
    assert file.stat().st_mode & 0o077 == 0
    assert not [token for token in made if token in file.read_text()]
    found = TokenFile(file)
    assert [getattr(found.find(token), "name", "") for token in made] == ["ada", "bob"]
    refused = desk.run("token", "a b", "--role", "developer", "--tokens", "tokens")
    assert refused.returncode != 0
    assert "use letters" in refused.stderr
