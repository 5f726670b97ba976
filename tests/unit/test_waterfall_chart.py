"""The waterfall as a person has chosen to see it, and the figures above it."""

from __future__ import annotations

import pytest

from layby.console.pages import run_svg
from layby.console.waterfall.chart import Chart, chart
from layby.console.waterfall.facts import facts
from layby.console.waterfall.look import BLOCK, Look
from layby.console.waterfall.node import Node, every, ordinal
from layby.runtime.entry import ROOT, Answered, Ended, Returned, Slept, Woken
from tests.unit.test_waterfall_outline import response
from tests.waterfall_log import WrittenLog, asked, network, stepped, tried, turn

HOUR = 3600.0


def draw(log: WrittenLog, look: Look | None = None, now: float | None = None) -> Chart:
    """The chart of a log, at a time; default: that of its last message."""
    return chart(
        log.root,
        look or Look(),
        log.at if now is None else now,
        running=not log.run.ended,
        live=log.run.live,
    )


def names(of: Chart) -> list[str]:
    return [node.name for node in of.rows]


def waited() -> WrittenLog:
    """A run that works for a second, waits for an hour and works again."""
    log = WrittenLog()
    log.add(stepped("before"), at=1.0)
    log.add(asked(), at=1.0)
    log.add(Answered(id="q1", text="yes", by="ada"), at=HOUR)
    log.add(stepped("after"), at=HOUR + 1)
    log.add(Ended(status="completed"), at=HOUR + 1)
    return log


def test_a_collapsed_row_hides_what_is_in_it_and_nothing_else() -> None:
    log = WrittenLog(network(), turn(), response("model#0", "search"), stepped("side"))
    assert names(draw(log)) == ["desk", "team", "Anna", "gpt", "search", "side"]
    shut = Look().toggled(log.node("Anna").id)
    assert names(draw(log, shut)) == ["desk", "team", "Anna", "side"]
    assert names(draw(log, Look().toggled(log.root.id))) == ["desk"]


def test_rows_without_a_record_come_last_in_theirs() -> None:
    log = WrittenLog(network(), turn(), stepped("side"))
    of = draw(log)
    assert names(of) == ["desk", "team", "Anna", "model", "side"]
    assert names(draw(log, Look().toggled(log.node("team").id))) == ["desk", "team", "side"]


def test_the_wait_for_people_is_one_column_and_work_is_not_folded() -> None:
    of = draw(waited())
    (fold,) = of.scale.folds
    assert (fold.kind, fold.start, fold.end) == ("people", 1.0, HOUR)
    assert of.scale.x(1.0) > 30
    assert draw(waited(), Look(true_scale=True)).scale.folds == ()


def test_a_back_off_and_a_sleep_are_columns_of_their_own_kind() -> None:
    log = WrittenLog()
    log.add(tried("pay", HOUR), at=1.0, cause=1)
    log.add(Woken(frame=ROOT, key="pay"), at=HOUR)
    log.add(stepped("pay"), at=HOUR + 1)
    log.add(Slept(frame=ROOT, key="nap", until=3 * HOUR), at=HOUR + 1)
    log.add(Woken(frame=ROOT, key="nap"), at=3 * HOUR)
    log.add(stepped("end"), at=3 * HOUR + 1)
    log.add(Ended(status="completed"), at=3 * HOUR + 1)
    assert [fold.kind for fold in draw(log).scale.folds] == ["backoff", "sleep"]


def test_a_row_that_goes_on_is_never_folded() -> None:
    log = WrittenLog(stepped("first"))
    of = draw(log, now=HOUR)
    assert of.scale.folds == ()
    assert of.scale.rate > 0


def test_an_ended_run_is_as_long_as_it_was_whatever_the_time_is_now() -> None:
    log = waited()
    of = draw(log, now=99 * HOUR)
    assert of.now == HOUR + 1
    assert of.scale.now is None
    assert of.whole == round((HOUR + 1) * 1000)


def test_a_run_is_drawn_even_if_the_clock_lags_behind_the_log() -> None:
    log = WrittenLog(asked())
    of = draw(log, now=-50.0)
    assert (of.whole, of.now) == (1, log.root.start)
    assert of.seconds(of.rows[-1]) == 0.0


def test_a_zoom_shows_that_time_alone() -> None:
    log = waited()
    of = draw(log, Look(begin=0, until=1_000))
    assert (of.scale.start, of.scale.end) == (0.0, 1.0)
    assert run_svg.row(of, log.node("after")) == '<svg aria-hidden="true"></svg>'
    assert "f-work" in run_svg.row(of, log.node("before"))


def test_a_zoom_into_the_past_of_a_running_run_has_no_present() -> None:
    log = WrittenLog(stepped("first"), stepped("second"))
    assert draw(log, Look(begin=0, until=5_000)).scale.now is None
    assert draw(log, Look(begin=0, until=99_000)).scale.now is not None


def test_rows_come_in_blocks_and_a_row_is_found_in_its_own() -> None:
    log = WrittenLog(*(stepped(f"s{n}") for n in range(BLOCK + 5)), Ended(status="completed"))
    of = draw(log)
    assert of.blocks == 2
    assert [len(of.block(0)), len(of.block(1))] == [BLOCK, 6]
    assert of.block_of(log.node(f"s{BLOCK}").id) == 1
    assert of.block_of("not shown") == 0


def test_the_scale_for_the_script_begins_at_nothing_and_ends_with_the_run() -> None:
    log = WrittenLog(stepped("first", ms=10_000), Ended(status="completed"))
    assert draw(log).knots == "0.000:0 84.000:10000 100.000:20000"


def test_the_time_of_a_run_is_told_by_what_it_was_spent_on() -> None:
    log = WrittenLog()
    log.add(tried("pay", 30.0), at=10.0, cause=1)
    log.add(Woken(frame=ROOT, key="pay"), at=30.0)
    log.add(stepped("pay", ms=5_000), at=40.0, cause=3)
    log.add(asked("q1", "a"), at=50.0)
    log.add(asked("q2", "b"), at=60.0)
    log.add(Answered(id="q1", text="x", by="ada"), at=70.0)
    found = facts(log.root, 90.0)
    assert found.age == 90.0
    assert found.worked == 10.0 + 5.0
    assert found.backed_off == 20.0
    assert found.queued == 5.0
    assert found.asked == 40.0, "questions side by side count once"


def test_an_ended_run_spends_no_more_time() -> None:
    assert facts(waited().root, 99 * HOUR).age == HOUR + 1
    assert facts(waited().root, 99 * HOUR).asked == HOUR - 1


@pytest.mark.parametrize(
    ("number", "word"), [(1, "1st"), (2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th"), (12, "12th"),
                         (13, "13th"), (21, "21st"), (111, "111th"), (122, "122nd")],
)  # fmt: skip
def test_numbers_have_the_ending_that_english_gives_them(number: int, word: str) -> None:
    assert ordinal(number) == word


def test_a_row_that_ends_ends_its_last_part_and_one_that_goes_on_gets_another() -> None:
    log = WrittenLog(Slept(frame=ROOT, key="nap", until=99.0))
    nap = log.node("nap")
    nap.close(20.0)
    assert [(part.start, part.end) for part in nap.parts] == [(10.0, 20.0)]
    nap.reopen(30.0)
    assert nap.end is None
    assert [(part.start, part.end) for part in nap.parts] == [(10.0, 20.0), (30.0, None)]


def test_a_tree_of_any_depth_is_walked_in_order() -> None:
    root = Node(id="0", kind="workflow", name="0", start=0.0)
    last = root
    for number in range(1, 3_000):
        node = Node(id=f"{number}", kind="step", name=f"{number}", start=0.0)
        last.add(node)
        last = node
    assert [node.id for node in every(root)] == [f"{number}" for number in range(3_000)]
    assert last.level == 3_000


def test_the_axis_says_how_much_is_folded() -> None:
    assert 'aria-label="Time axis; 1 long wait is folded"' in run_svg.axis(draw(waited()))
    assert 'aria-label="Time axis"' in run_svg.axis(draw(waited(), Look(true_scale=True)))
    two = WrittenLog()
    for at in (0, 2 * HOUR, 4 * HOUR):
        two.add(stepped(f"s{at}"), at=at + 1)
    two.add(Ended(status="completed"), at=4 * HOUR + 1)
    assert "2 long waits are folded" in run_svg.axis(draw(two))


def test_a_bar_grows_only_while_its_row_does() -> None:
    log = WrittenLog(network(), turn())
    live = log.run.live[0]
    assert "data-grows" in run_svg.row(draw(log), live)
    assert "data-grows" in run_svg.row(draw(log), log.node("Anna"))
    log.add(Returned(frame="w/team/turn#0.0"))
    assert "data-grows" not in run_svg.row(draw(log), log.node("Anna"))


def test_the_time_that_is_left_to_answer_is_dashed() -> None:
    log = WrittenLog(asked())
    assert "stroke-dasharray" in run_svg.row(draw(log), log.node("developer"))
    assert "stroke-dasharray" not in run_svg.row(draw(log, now=9_001.0), log.node("developer"))
    log.add(Answered(id="q1", text="yes", by="ada"))
    assert "stroke-dasharray" not in run_svg.row(draw(log), log.node("developer"))
