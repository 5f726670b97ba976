"""Who acts, where nobody says."""

from __future__ import annotations

import getpass

import pytest

from layby.login import login


def test_a_user_id_without_a_name_has_no_login(monkeypatch: pytest.MonkeyPatch) -> None:
    def nameless() -> str:
        raise KeyError("getpwuid(): uid not found: 10001")

    monkeypatch.setattr(getpass, "getuser", nameless)
    assert login() is None
