"""What `layby dev` draws of an error."""

from __future__ import annotations

import pytest

from layby.actors.model import ModelError
from layby.cli.tracebacks import drawn


def refuse() -> None:
    raise ModelError("refused")


def test_an_error_of_ours_without_user_code_has_no_traceback() -> None:
    assert not drawn(ModelError("there is no API key"))
    assert "KeyError" in drawn(KeyError("amount"))


def test_an_error_of_ours_that_user_code_has_raised_shows_where() -> None:
    with pytest.raises(ModelError) as raised:
        refuse()
    assert "in refuse" in drawn(raised.value)
