"""Who may say that a question has changed, or that a card is due: workers and the server."""

from __future__ import annotations

from layby import App, Role
from layby.access.login import Login, Person, Staff
from layby.access.outline import outline
from layby.access.wall import Wall
from layby.testing import MemoryChannel


def logins(*roles: Role | str) -> dict[str, Login]:
    app = App("desk", roles=roles)
    staff = Staff(
        senders=("helpdesk",),
        people=(Person(name="ada"),),
        observers=("eve",),
        operators=("olga",),
        notifiers=("bell",),
    )
    return {each.name: each for each in Wall(apps=(outline(app),)).logins(staff)}


def may_publish(found: dict[str, Login], subject: str) -> set[str]:
    return {name for name, login in found.items() if subject in login.publish}


SHOWN = Role("developer", channels=[MemoryChannel()])


def test_only_what_works_for_the_app_publishes_notices() -> None:
    assert may_publish(logins(SHOWN), "developer.notice.*") == {"worker", "bell"}


def test_nobody_but_the_server_says_that_a_held_card_is_due() -> None:
    assert may_publish(logins(SHOWN), "layby.held.>") == set()


def test_roles_without_channels_have_no_notices() -> None:
    found = logins(SHOWN, "lead")
    assert may_publish(found, "lead.notice.*") == set()
    assert may_publish(logins("developer"), "developer.notice.*") == set()


def test_people_do_not_see_notices() -> None:
    assert not any("notice" in each for each in logins(SHOWN)["ada"].receive)
