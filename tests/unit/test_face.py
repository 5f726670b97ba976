from __future__ import annotations

import layby


def test_every_public_name_is_where_the_face_says() -> None:
    for name in layby.__all__:
        assert getattr(layby, name) is not None
    assert set(layby.__all__) <= set(dir(layby))


def test_the_names_are_sorted() -> None:
    assert layby.__all__ == sorted(layby.__all__)


def test_a_name_that_is_not_public() -> None:
    assert not hasattr(layby, "Nonsense")
