"""What `layby dev` draws of an error."""

from __future__ import annotations

import pytest

from layby.actors.models.model import ModelError
from layby.cli.screen.tracebacks import rendered_traceback


def refuse() -> None:
    raise ModelError("refused")


def test_an_error_of_layby_without_user_code_has_no_traceback() -> None:
    assert not rendered_traceback(ModelError("there is no API key"))
    assert "KeyError" in rendered_traceback(KeyError("amount"))


def test_an_error_of_layby_raised_by_user_code_shows_where() -> None:
    with pytest.raises(ModelError) as raised:
        refuse()
    assert "in refuse" in rendered_traceback(raised.value)
