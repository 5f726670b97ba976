"""What the campaigns of three servers say about recovery."""

from __future__ import annotations

from tests.chaos.elections import Elected, Elections
from tests.chaos.recovery import Outage, Standstill, measured, outages


def _elections() -> Elections:
    elections = Elections()
    for group, node in (("RUNS", "n1"), ("RUNS mail", "n2"), ("TIMERS", "n1")):
        elections.note(group, Elected(0.0, node))
    return elections


def test_an_outage_lasts_until_all_that_the_node_led_is_led_again() -> None:
    elections = _elections()
    for group, at in (("RUNS", 14.0), ("TIMERS", 17.0), ("RUNS mail", 30.0)):
        elections.note(group, Elected(at, "n3"))
    [one] = outages(elections, [("killed", ["n1"], 10.0)])
    assert one == Outage("killed", 10.0, 17.0)
    assert one.over


def test_what_nobody_leads_yet_is_named() -> None:
    elections = _elections()
    elections.note("RUNS", Elected(14.0, "n3"))
    [one] = outages(elections, [("killed", ["n1"], 10.0)])
    assert one.leaderless == ("TIMERS",)
    assert not one.over


def test_an_election_that_the_next_fault_delays_belongs_to_both() -> None:
    elections = _elections()
    for group, at in (("RUNS", 14.0), ("RUNS mail", 16.0), ("TIMERS", 19.0)):
        elections.note(group, Elected(at, "n3"))
    both = outages(elections, [("killed", ["n1"], 10.0), ("killed too", ["n2"], 15.0)])
    assert [each.ended for each in both] == [19.0, 19.0]


def test_an_election_that_several_nodes_report_counts_once() -> None:
    elections = _elections()
    for at in (14.0, 14.0, 12.0):
        elections.note("RUNS", Elected(at, "n3"))
    assert elections.after("RUNS", 10.0) == 12.0
    assert elections.after("RUNS", 12.0) == 14.0
    assert elections.after("RUNS", 14.0) is None


def test_a_run_is_held_against_the_last_fault_before_it_had_to_go_on() -> None:
    first, second = Outage("killed", 10.0, 15.0), Outage("killed too", 18.0, 24.0)
    stills = [Standstill("a", 10.0, 30.0), Standstill("a", 18.0, 30.0)]
    found, cut_short = measured(stills, [first, second], allowed=5.0)
    assert [(each.outage, each.beyond) for each in found] == [(second, 6.0)]
    assert cut_short == 1


def test_a_run_that_should_have_gone_on_before_the_next_fault_is_late() -> None:
    first, second = Outage("killed", 10.0, 15.0), Outage("killed too", 21.0, 24.0)
    stills = [Standstill("a", 10.0, 30.0), Standstill("a", 21.0, 30.0)]
    found, _ = measured(stills, [first, second], allowed=5.0)
    assert [each.beyond for each in found] == [15.0, 6.0]
