"""Whether a backup fits into an account: by what it stores, what it reserves, and how many."""

from __future__ import annotations

from typing import Any

import pytest

from layby.operations.room import NoRoom, Sized, _limited, check_account

MB = 1_000_000


def stream(size: int, *, copies: int = 1, limit: int = -1) -> Sized:
    config = {"name": "RUNS", "num_replicas": copies, "max_bytes": limit}
    return Sized(config, size)


def account(
    *, storage: int = 0, most: int = -1, reserved: int = 0, streams: int = 0, max_streams: int = -1
) -> dict[str, Any]:
    """What a server says of an account without tiers."""
    return {
        "storage": storage,
        "reserved_storage": reserved,
        "streams": streams,
        "limits": {"max_storage": most, "max_streams": max_streams},
    }


def test_what_fits_exactly_fits() -> None:
    check_account(account(storage=1 * MB, most=4 * MB), [stream(3 * MB)], [])


def test_a_byte_too_much_does_not_and_the_figures_are_said() -> None:
    with pytest.raises(NoRoom) as refusal:
        check_account(account(storage=1 * MB, most=4 * MB), [stream(3 * MB + 1)], [])
    said = str(refusal.value)
    assert "its 1 streams take 3.0 MB" in said
    assert "1.0 MB are in streams that stay" in said
    assert "may store 4.0 MB" in said
    assert "Raise max_file to more than 4.0 MB" in said
    assert said.endswith("Nothing was changed")
    assert "--replicas" not in said, "there is one copy already"


def test_what_is_replaced_makes_room() -> None:
    here = account(storage=3 * MB, most=4 * MB)
    check_account(here, [stream(3 * MB)], [stream(2 * MB)])
    with pytest.raises(NoRoom):
        check_account(here, [stream(3 * MB)], [stream(MB)])


def test_what_is_replaced_never_counts_for_more_than_is_there() -> None:
    """A server may count later than it lists: that makes no room that there is not."""
    with pytest.raises(NoRoom):
        check_account(account(storage=1 * MB, most=4 * MB), [stream(5 * MB)], [stream(9 * MB)])


def test_an_account_without_a_limit_takes_everything() -> None:
    check_account(account(storage=10**15), [stream(10**15, limit=10**15)], [])
    check_account({}, [stream(10**15)], [])


def test_each_copy_takes_room_and_fewer_are_proposed() -> None:
    here = account(most=4 * MB)
    check_account(here, [stream(2 * MB)], [])
    with pytest.raises(NoRoom, match=r"with all copies.*or restore with --replicas 1"):
        check_account(here, [stream(2 * MB, copies=3)], [])


def test_a_stream_reserves_its_limit_even_if_it_is_empty() -> None:
    here = account(most=4 * MB, reserved=2 * MB)
    check_account(here, [stream(0, limit=2 * MB)], [])
    with pytest.raises(NoRoom, match=r"may reserve 4\.0 MB"):
        check_account(here, [stream(0, limit=2 * MB + 1)], [])


def test_what_is_replaced_reserves_nothing_any_more() -> None:
    here = account(most=4 * MB, reserved=3 * MB)
    check_account(here, [stream(0, limit=3 * MB)], [stream(0, limit=2 * MB)])


def test_there_may_be_too_many_streams() -> None:
    here = account(streams=3, max_streams=4)
    check_account(here, [stream(1)], [])
    check_account(here, [stream(1)] * 2, [stream(1)])
    with pytest.raises(NoRoom, match=r"there would be 5 streams, .* may have 4.*max_streams"):
        check_account(here, [stream(1)] * 2, [])


def test_each_tier_has_its_own_limit() -> None:
    """Operators limit accounts by the number of copies; a tier counts what one copy takes."""
    tiers = {"R1": account(most=9 * MB), "R3": account(most=1 * MB)}
    here = {"tiers": tiers}
    check_account(here, [stream(9 * MB), stream(MB, copies=3)], [])
    with pytest.raises(NoRoom, match="in streams with 3 copies"):
        check_account(here, [stream(MB + 1, copies=3)], [])
    with pytest.raises(NoRoom, match="in streams with 1 copies"):
        check_account(here, [stream(9 * MB + 1)], [])


def test_what_is_replaced_makes_room_in_its_own_tier_only() -> None:
    tiers = {"R1": account(storage=MB, most=MB), "R3": account(storage=3 * MB, most=MB)}
    with pytest.raises(NoRoom):
        check_account({"tiers": tiers}, [stream(MB)], [stream(MB, copies=3)])
    check_account({"tiers": tiers}, [stream(MB)], [stream(MB)])


@pytest.mark.parametrize(
    ("held", "limit", "part", "expected"),
    [
        (0, -1, 4, -1),
        (0, 0, 4, 0),
        (1 * MB, 64 * MB, 1, 64 * MB),
        (1 * MB, 64 * MB, 4, 16 * MB),
        (10 * MB, 64 * MB, 16, 20 * MB),
        (60 * MB, 64 * MB, 4, 64 * MB),
        (1 * MB, 64 * MB, 0, -1),
    ],
    ids=[
        "none stays none",
        "zero is none",
        "the whole",
        "a quarter",
        "never less than twice what it holds",
        "never more than it was",
        "and then none",
    ],
)
def test_a_limit_is_made_smaller_but_not_too_small(
    held: int, limit: int, part: int, expected: int
) -> None:
    before = stream(held, limit=limit)
    assert _limited(before, part).config["max_bytes"] == expected
    assert before.config["max_bytes"] == limit, "what was asked for is compared with it later"
