"""The signed bytes are a contract: what was signed once can always be verified."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from layby import App, Role
from layby.bus.errors import InvalidSettings
from layby.client.key_file import as_json, read_keys
from layby.client.signing import NotToBeSigned, Published
from layby.runtime.call import Call
from layby.runtime.entry import Answered
from layby.runtime.errors import InvalidSetup
from layby.runtime.nkey import Signer, public_bytes
from layby.runtime.quorum import Quorum
from layby.runtime.signature import Signature, Statement, canonical, digest
from layby.runtime.vouching import Signers, refused
from tests.signing_desk import ADA, BOB, EVE

GOLDEN = Path(__file__).parent / "signed_answer.json"


class Put(msgspec.Struct, frozen=True, kw_only=True):
    """A question as the fold has it."""

    id: str = "qtgwx5b72zed"
    role: str = "approver"
    accept: list[str] = msgspec.field(default_factory=lambda: ["signature"])
    question: str = 'May Clerk call refund(order="A1", cents=4000)?'
    context: str = "refund: Give a customer money back.\nFür Zoë"
    agent: str = "Clerk"
    form: dict[str, Any] | None = None
    call: Call | None = None
    quorum: Quorum | None = None
    only: str = ""


PUT = Put(
    form={"type": "string", "minLength": 1, "description": "früh"},
    call=Call(tool="refund", arguments=canonical({"order": "A1", "cents": 4000, "to": "Zoë"})),
)
STATEMENT = Statement(
    ticket="ACME-1.2",
    run="3f9a1c07be5522d804aa",
    question=PUT.id,
    role="approver",
    asked=digest(PUT),
    answer="approve",
    by="ada",
    expires=1_795_337_969,
)
SIGNATURE = STATEMENT.signed(ADA)
KEYS = Role("approver", keys={"ada": ADA.public, "bob": BOB.public})


def test_the_signed_bytes_are_what_they_were() -> None:
    golden = json.loads(GOLDEN.read_text())
    assert golden == {
        "seed": ADA.seed,
        "public": ADA.public,
        "arguments": PUT.call.arguments if PUT.call else "",
        "sha256": digest(PUT),
        "signed": STATEMENT.payload.decode(),
        "header": str(SIGNATURE),
    }


def test_the_documentation_shows_these_bytes() -> None:
    page = (Path(__file__).parents[2] / "docs" / "signed-answers.md").read_text()
    assert STATEMENT.payload.decode().strip() in page
    assert str(SIGNATURE) in page


def refusal(put: Put, answer: Answered, *, ticket: str = "", run: str = "") -> str:
    found = refused(ticket or STATEMENT.ticket, run or STATEMENT.run, put, answer, Signers([KEYS]))
    return "" if found is None else found.why


ANSWER = Answered(id=PUT.id, text="approve", by="ada", at=1_795_337_000.0, signature=str(SIGNATURE))


def test_what_was_signed_counts() -> None:
    assert refusal(PUT, ANSWER) == ""
    assert refused(STATEMENT.ticket, STATEMENT.run, PUT, ANSWER, None) is None


TEXT = st.text(max_size=40)


@given(
    field=st.sampled_from(("id", "question", "context", "agent", "form", "tool", "arguments")),
    text=TEXT,
)
def test_another_question_is_not_what_was_signed(field: str, text: str) -> None:
    assert PUT.call is not None
    if field == "form":
        other = msgspec.structs.replace(PUT, form={"const": text})
    elif field in {"tool", "arguments"}:
        other = msgspec.structs.replace(
            PUT, call=msgspec.structs.replace(PUT.call, **{field: text})
        )
    else:
        other = msgspec.structs.replace(PUT, **{field: text})
    assert (refusal(other, ANSWER) == "") is (other == PUT)


@given(field=st.sampled_from(("text", "by", "signature", "ticket", "run")), text=TEXT)
def test_another_answer_is_not_what_was_signed(field: str, text: str) -> None:
    if field in {"ticket", "run"}:
        same = not text or text == getattr(STATEMENT, field)
        assert (refusal(PUT, ANSWER, **{field: text}) == "") is same
        return
    other = msgspec.structs.replace(ANSWER, **{field: text})
    assert (refusal(PUT, other) == "") is (other == ANSWER)


@given(place=st.integers(0, len(str(SIGNATURE)) - 1), char=st.characters(min_codepoint=33))
def test_a_header_with_another_character_counts_for_nothing(place: int, char: str) -> None:
    header = str(SIGNATURE)
    bent = f"{header[:place]}{char}{header[place + 1 :]}"
    other = msgspec.structs.replace(ANSWER, signature=bent)
    assert (refusal(PUT, other) == "") is (bent == header)


@given(st.text(max_size=200) | st.from_regex(r"v1\.[A-Z2-7]{56}\.[0-9]{1,13}\.[\w-]{86}"))
def test_what_is_read_is_written_again_the_same(text: str) -> None:
    signature = Signature.parse(text)
    assert signature is None or str(signature) == text


@given(st.lists(st.tuples(TEXT, TEXT), min_size=2, max_size=2, unique=True))
def test_no_two_questions_have_the_same_digest(texts: list[tuple[str, str]]) -> None:
    one, other = (Put(question=question, context=context) for question, context in texts)
    assert digest(one) != digest(other)


def test_a_key_counts_for_its_owner_until_it_is_retired() -> None:
    retired = {ADA.public: "2026-01-01T00:00:00Z"}
    role = Role("approver", keys={"ada": [ADA.public, EVE.public]}, retired=retired)
    signers = Signers([role])
    at = role.retired[ADA.public]
    assert signers.why_not("approver", "ada", ADA.public, at - 1) == ""
    assert "was retired at 2026-01-01" in signers.why_not("approver", "ada", ADA.public, at)
    assert signers.why_not("approver", "ada", EVE.public, at) == ""
    assert "not belong to 'ada'" in signers.why_not("approver", "ada", BOB.public, at)
    assert "'bob' has no key" in signers.why_not("approver", "bob", ADA.public, at)
    assert "no keys are known" in signers.why_not("developer", "ada", ADA.public, at)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"keys": {}}, "nobody could answer"),
        ({"keys": {"ada": []}}, "has no key"),
        ({"keys": {"ada lovelace": ADA.public}}, "cannot be a name"),
        ({"keys": {"ada": "UABC"}}, "is not the public nkey"),
        ({"keys": {"ada": ADA.seed}}, "is not the public nkey"),
        ({"keys": {"ada": f"{ADA.public[:-1]}A"}}, "checksum"),
        ({"keys": {"ada": ADA.public, "bob": ADA.public}}, "twice"),
        (
            {"keys": {"ada": ADA.public}, "retired": {BOB.public: "2026-01-01T00:00:00Z"}},
            "must stay",
        ),
        ({"keys": {"ada": ADA.public}, "retired": {ADA.public: "2026-01-01"}}, "write 2026"),
        ({"keys": {"ada": ADA.public}, "retired": {ADA.public: "soon"}}, "write 2026"),
    ],
)
def test_a_role_that_cannot_work_is_refused(options: dict[str, Any], why: str) -> None:
    with pytest.raises(InvalidSetup, match=why) as error:
        Role("approver", **options)
    assert ADA.seed not in str(error.value)


def test_roles_are_names_or_roles() -> None:
    app = App("bank", roles=["developer", KEYS])
    assert app.roles == ("developer", "approver")
    assert "approver" in app.signers
    assert "developer" not in app.signers
    with pytest.raises(InvalidSetup, match="twice"):
        App("bank", roles=["approver", KEYS])


def test_without_the_package_a_role_with_keys_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("layby.runtime.role.can_verify", lambda: False)
    with pytest.raises(InvalidSetup, match="pip install cryptography"):
        Role("approver", keys={"ada": ADA.public})
    monkeypatch.setattr("layby.runtime.nkey.can_verify", lambda: False)
    with pytest.raises(InvalidSettings, match="pip install cryptography"):
        Signer.new()


# -- keys


@given(st.binary(min_size=32, max_size=32))
def test_keys_are_those_of_nats(seed: bytes) -> None:
    signer = Signer(seed)
    nkeys: Any = importlib.import_module("nkeys")  # it has no types
    theirs = nkeys.from_seed(bytearray(signer.seed.encode()))
    assert theirs.public_key.decode() == signer.public
    assert theirs.sign(b"x") == signer.sign(b"x")
    assert Signer.from_seed(signer.seed).public == signer.public
    assert len(public_bytes(signer.public)) == 32


@pytest.mark.parametrize(
    "text", ["", "SU", ADA.public, ADA.seed[:-1], f"{ADA.seed[:-1]}A", f"{ADA.seed}A"]
)
def test_what_is_not_a_seed_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(InvalidSettings) as error:
        Signer.from_seed(text)
    assert len(text) < 10 or text not in str(error.value)


def test_a_key_is_read_from_a_seed_or_credentials_file(tmp_path: Path) -> None:
    file = tmp_path / "ada.nk"
    for text in (f"{ADA.seed}\n", f"-----BEGIN USER NKEY SEED-----\n{ADA.seed}\n------END\n"):
        file.write_text(text)
        assert Signer.from_file(file).public == ADA.public
    for text in ("", f"{ADA.seed}\n{BOB.seed}\n", ADA.public):
        file.write_text(text)
        with pytest.raises(InvalidSettings, match="does not hold the seed"):
            Signer.from_file(file)
    with pytest.raises(InvalidSettings, match="No such file"):
        Signer.from_file(tmp_path / "none")
    assert ADA.seed not in repr(ADA)


def test_a_file_of_keys_is_what_the_app_declares(tmp_path: Path) -> None:
    role = Role(
        "approver",
        keys={"ada": [ADA.public, EVE.public]},
        retired={ADA.public: "2026-01-01T00:00:00+01:00"},
    )
    file = tmp_path / "keys.json"
    file.write_bytes(msgspec.json.encode(as_json([role, Role("developer")])))
    [read] = read_keys(file)
    assert (read.name, read.keys, read.retired) == (role.name, role.keys, role.retired)
    for bad in ("", "[]", '{"approver": {"keys": {"ada": "U"}}}', '{"approver": {"kes": {}}}'):
        file.write_text(bad)
        with pytest.raises(InvalidSettings, match="is not a file of keys"):
            read_keys(file)


# -- a published question


def published(**fields: Any) -> bytes:
    question = {
        "id": PUT.id,
        "ticket": "T1",
        "run": "3f9a1c07be5522d804aa",
        "role": "approver",
        "question": "May it?",
        "deadline": "2026-11-22T12:59:26.499Z",
        **fields,
    }
    return msgspec.json.encode(question)


def test_a_question_is_refused_that_is_not_what_its_digest_says() -> None:
    question = Published.read(published())
    said = {"sign": {"sha256": digest(question)}}
    assert Published.read(published(**said)) != question
    for changed in ({"question": "May it!"}, {"context": "x"}, {"form": {"type": "boolean"}}):
        with pytest.raises(NotToBeSigned, match="was changed on the way"):
            Published.read(published(**said, **changed))


@pytest.mark.parametrize(
    ("given", "subject"),
    [
        (None, "approver.response.T1.ada"),
        ("approver.response.T1.YOUR_NAME", "approver.response.T1.ada"),
        ("shop.approver.response.T1.YOUR_NAME", "shop.approver.response.T1.ada"),
    ],
)
def test_an_answer_goes_where_the_question_says(given: str | None, subject: str) -> None:
    fields = {} if given is None else {"answer": {"subject": given}}
    assert Published.read(published(**fields)).subject("ada") == subject


@pytest.mark.parametrize("given", ["$JS.API.STREAM.DELETE.RUNS", "a.b.approver.response.T1", ""])
def test_an_answer_goes_nowhere_else(given: str) -> None:
    with pytest.raises(NotToBeSigned, match="not its own"):
        Published.read(published(answer={"subject": given})).subject("ada")


@given(st.binary(max_size=200))
def test_what_is_not_a_question_is_refused(data: bytes) -> None:
    with pytest.raises(NotToBeSigned):
        Published.read(data)
