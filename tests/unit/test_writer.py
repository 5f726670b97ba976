"""The name by which a process knows its own appends."""

from __future__ import annotations

import os

import pytest

from layby.runtime.writer import new_op, writer


def test_appends_have_names_of_their_own() -> None:
    first, second = new_op(), new_op()
    assert first != second
    assert all(op.startswith(f"{writer()}-") for op in (first, second))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_is_another_writer() -> None:
    before = writer()
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.write(writing, new_op().encode())
        os._exit(0)
    os.waitpid(child, 0)
    op = os.read(reading, 100).decode()
    assert not op.startswith(before)
    assert writer() == before
