"""The logins that save, restore and mirror: in pairs, and with no rights but their own."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import msgspec
import pytest

from layby.access import Link, Staff, Wall, outline
from layby.access.config import accounts, one_account
from layby.access.login import LAYBY, TRAIL
from layby.access.registry import Registry
from layby.bus.errors import InvalidSettings
from tests.security.house import desk, wall

STAFF = Staff(backups=("saver",), restorers=("boss",), links=(Link("link", "berlin"),))
PAIRS = {"saver": "saver-trail", "boss": "boss-trail", "link": "link-trail"}


def made(folder: Path, staff: Staff = STAFF) -> Registry:
    return Registry.init(folder / "logins", wall(desk()), staff, "/jwt")


def claims(registry: Registry, name: str) -> dict[str, Any]:
    """What the token of a login says."""
    token = registry.creds(name).read_text().splitlines()[1]
    body = token.split(".")[1]
    found: Any = msgspec.json.decode(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return dict(found["nats"])


def leaves(registry: Registry) -> dict[str, int]:
    """How many leaf nodes each account takes, by its name; -1: any number."""
    found: dict[str, int] = {}
    for token in registry.tokens().values():
        body = token.split(".")[1]
        said: Any = msgspec.json.decode(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        found[said["name"]] = said["nats"]["limits"]["leaf"]
    return found


def test_each_has_a_login_in_either_account() -> None:
    logins = {each.name: each for each in wall(desk()).logins(STAFF)}
    for name, other in PAIRS.items():
        assert (logins[name].account, logins[other].account) == (LAYBY, TRAIL)
        assert logins[name].variable != logins[other].variable
        assert not set(logins[other].receive) & {f"_INBOX_{name}.>"}, "each has its own replies"


def test_the_streams_that_a_restorer_changes_are_those_of_its_account() -> None:
    logins = {each.name: each for each in wall(desk()).logins(STAFF)}
    changed = {
        name: {
            subject.rpartition(".")[2]
            for subject in logins[name].publish
            if subject.startswith(("$JS.API.STREAM.DELETE.", "$JS.API.STREAM.UPDATE."))
        }
        for name in ("boss", "boss-trail")
    }
    app = outline(desk())
    room = {"LAYBY_ROOM"}
    assert changed["boss"] == set(app.streams) - {"AUDIT"} | room
    assert changed["boss-trail"] == {"AUDIT"} | room


def test_with_a_prefix_a_restorer_changes_no_stream_of_another_app() -> None:
    app = msgspec.structs.replace(outline(desk()), prefix="shop", streams=("SHOP_RUNS",))
    [boss] = Wall(apps=(app,)).restorer("boss")
    named = [each for each in boss.publish if each.startswith("$JS.API.STREAM.DELETE.")]
    assert named == ["$JS.API.STREAM.DELETE.SHOP_RUNS", "$JS.API.STREAM.DELETE.SHOP_LAYBY_ROOM"]


def test_only_links_are_for_servers_alone() -> None:
    text = accounts(wall(desk()), STAFF, "x")
    for part in text.split("{ user: ")[1:]:
        is_link = part.startswith(("link,", "link-trail,"))
        assert ('allowed_connection_types: ["LEAFNODE"]' in part.partition("# ")[0]) == is_link


def test_a_link_passes_replies_to_those_who_follow_and_to_nobody_else() -> None:
    logins = {each.name: each for each in wall(desk()).logins(STAFF)}
    assert logins["link"].receive == ("_INBOX_boss.>", "$JS.M.>", "$JSC.R.>")
    assert logins["link-trail"].receive[0] == "_INBOX_boss-trail.>"


def test_a_link_without_anybody_who_follows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match="add a restorer"):
        wall(desk()).logins(Staff(links=(Link("link", "berlin"),)))
    with pytest.raises(InvalidSettings, match="add a restorer"):
        made(tmp_path, Staff()).add("link", "link", domain="berlin")


@pytest.mark.parametrize("domain", ["", "*", "a.b", ">", "a b"])
def test_a_domain_is_one_word(tmp_path: Path, domain: str) -> None:
    with pytest.raises(InvalidSettings, match="link=DOMAIN"):
        Staff(links=(Link("link", domain),))
    with pytest.raises(InvalidSettings, match="link=DOMAIN"):
        made(tmp_path, Staff(restorers=("boss",))).add("link", "link", domain=domain)


def test_no_two_logins_have_one_name() -> None:
    with pytest.raises(InvalidSettings, match="two logins are called 'saver'"):
        Staff(backups=("saver",), restorers=("saver",))
    with pytest.raises(InvalidSettings, match="two logins are called 'saver-trail'"):
        Staff(backups=("saver",), observers=("saver-trail",))


def test_in_one_account_there_is_no_second_half() -> None:
    text = one_account(wall(desk()), STAFF, "x")
    assert "user: boss," in text
    assert "-trail" not in text


def test_a_login_that_is_added_has_the_rights_of_one_from_the_start(tmp_path: Path) -> None:
    first = made(tmp_path / "a")
    later = made(tmp_path / "b", Staff())
    later.add("backup", "saver")
    later.add("restorer", "boss")
    later.add("link", "link", domain="berlin")
    for name in (*PAIRS, *PAIRS.values()):
        assert claims(later, name) == claims(first, name)


def test_an_update_keeps_the_rights_of_each(tmp_path: Path) -> None:
    registry = made(tmp_path)
    before = {name: claims(registry, name) for name in (*PAIRS, *PAIRS.values())}
    registry.update(registry.wall)
    again = Registry(registry.folder)
    assert {name: claims(again, name) for name in before} == before
    assert claims(again, "saver") != claims(again, "worker")


def test_a_revoked_login_loses_both_halves(tmp_path: Path) -> None:
    registry = made(tmp_path)
    registry.revoke("saver")
    assert not {"saver", "saver-trail"} & set(registry.logins)
    assert not registry.creds("saver-trail").exists()
    assert {"boss", "boss-trail"} <= set(registry.logins)


def test_a_name_of_which_one_half_is_taken_is_refused_and_nothing_is_issued(
    tmp_path: Path,
) -> None:
    registry = made(tmp_path, Staff(observers=("saver-trail",)))
    with pytest.raises(InvalidSettings, match="saver-trail has a login already"):
        registry.add("backup", "saver")
    assert "saver" not in registry.logins


def test_accounts_take_leaf_nodes_only_where_there_is_a_link(tmp_path: Path) -> None:
    registry = made(tmp_path, Staff(restorers=("boss",)))
    assert set(leaves(registry).values()) == {0}
    registry.add("link", "link", domain="berlin")
    assert {name for name, count in leaves(registry).items() if count} == {LAYBY, TRAIL}
    registry.revoke("link")
    assert set(leaves(registry).values()) == {0}
