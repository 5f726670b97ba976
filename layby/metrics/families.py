"""The one table of all metrics: their names, types, labels and meanings."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, Literal, NamedTuple

Source = Literal["worker", "streams", "both"]
"""Who has it: each worker; the exporter and the console, from the streams; or all of them."""
Kind = Literal["counter", "gauge", "histogram"]

OTHER: Final = "other"
"""Stands for every name that no app declares, so that nobody outside can add a label."""


class Family(NamedTuple):
    """One metric."""

    name: str
    kind: Kind
    source: Source
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    """Of a histogram: upper limits."""


_WAITS: Final = (1, 5, 15, 60, 300, 900, 3600, 4 * 3600, 12 * 3600, 86400, 3 * 86400, 7 * 86400)
"""Times that people take, seconds."""
_RUNS: Final = (0.1, 0.5, 1, 5, 15, 60, 300, 1800, 2 * 3600, 6 * 3600, 86400, 3 * 86400, 7 * 86400)
_LATE: Final = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300, 3600)
_TRIPS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)


def _worker(
    name: str,
    kind: Kind,
    help_: str,
    labels: tuple[str, ...] = (),
    buckets: tuple[float, ...] = (),
) -> Family:
    return Family(f"layby_{name}", kind, "worker", help_, labels, buckets)


def _streams(name: str, help_: str, labels: tuple[str, ...] = ()) -> Family:
    return Family(f"layby_{name}", "gauge", "streams", help_, labels)


# What each worker counts.
RUNS_STARTED: Final = _worker("runs_started_total", "counter", "Runs started.", ("workflow",))
RUN_SECONDS: Final = _worker(
    "run_seconds",
    "histogram",
    "Seconds from the start of a run to its end, the time of people included.",
    ("workflow", "status"),
    _RUNS,
)
STEP_ATTEMPTS: Final = _worker(
    "step_attempts_total",
    "counter",
    "Tries of steps, models and tools: succeeded, retried (it failed and is tried again), failed.",
    ("outcome",),
)
QUESTIONS_ASKED: Final = _worker(
    "questions_asked_total", "counter", "Questions asked of people.", ("role",)
)
QUESTION_SECONDS: Final = _worker(
    "question_seconds",
    "histogram",
    "Seconds from asking a question to its end: answered, expired, cancelled or no_quorum.",
    ("role", "resolution"),
    _WAITS,
)
CARDS: Final = _worker(
    "cards_total",
    "counter",
    "Cards about questions: sent, held (in quiet hours) or failed (the channel has given up).",
    ("channel", "status"),
)
UNDELIVERED: Final = _worker(
    "question_undelivered_total",
    "counter",
    "Cards that no channel of the role could show: nobody has been told.",
    ("role",),
)
ANSWER_TO_RESUME: Final = _worker(
    "answer_to_resume_seconds",
    "histogram",
    "Seconds from the storing of the answer that closed a question to the run going on.",
    (),
    _LATE,
)
RECEIPTS: Final = _worker(
    "receipts_total",
    "counter",
    "Receipts for what people said to questions, by outcome.",
    ("outcome",),
)
UNDONE: Final = _worker(
    "deliveries_undone_total",
    "counter",
    "Messages that are delivered again: failed (its handler raised), postponed (NATS was away).",
    ("mailbox", "outcome"),
)
DEAD: Final = _worker("dead_total", "counter", "Messages that became dead letters.", ("mailbox",))
TIMER_LATE: Final = _worker(
    "timer_late_seconds",
    "histogram",
    "Seconds by which a worker took up a timer late: wake, question, rung, run, or missing "
    "(after a restore).",
    ("kind",),
    _LATE,
)
MODEL_RESPONSES: Final = _worker(
    "model_responses_total", "counter", "Responses of models.", ("agent", "model")
)
MODEL_TOKENS: Final = _worker(
    "model_tokens_total",
    "counter",
    "Tokens that models read (input, cached ones included) and wrote (output).",
    ("agent", "model", "direction"),
)
MODEL_COST: Final = _worker(
    "model_cost_dollars_total",
    "counter",
    "US dollars for those tokens, where the price is known.",
    ("agent", "model"),
)
LOOP_LAG: Final = _worker(
    "loop_lag_seconds",
    "histogram",
    "Seconds by which the event loop was late, looked at twice a second.",
    (),
    _TRIPS,
)
ROUND_TRIP: Final = _worker(
    "bus_round_trip_seconds",
    "histogram",
    "Seconds of a ping to nats-server and back, every five seconds.",
    (),
    _TRIPS,
)
CONNECTED: Final = _worker("connected", "gauge", "1 while it is connected to NATS, otherwise 0.")
CHANNEL_HEARD: Final = _worker(
    "channel_heard",
    "gauge",
    "Of `layby notify`: 1 while it hears what people say on a channel, otherwise 0.",
    ("channel",),
)
CLOCK_BEHIND: Final = _worker(
    "clock_behind_seconds",
    "gauge",
    "Seconds that the machine's clock is behind the server's, negative if it is ahead; corrected.",
)
WORKER_INFO: Final = _worker(
    "worker_info",
    "gauge",
    "1, with the app, its release and Layby's version.",
    ("app", "release", "version"),
)

# Both know limits: a worker those of its mailboxes, the streams those of their sizes.
LIMIT: Final = Family(
    "layby_limit",
    "gauge",
    "both",
    "A limit: messages that a mailbox of a worker handles at once, or bytes of a stream.",
    ("kind", "name"),
)
LIMIT_USED: Final = Family(
    "layby_limit_used", "gauge", "both", "How much of it is used.", ("kind", "name")
)

# What the streams say.
RUNS: Final = _streams(
    "runs",
    "Runs that are listed, by status: also sleeping and retrying, which wait for no person.",
    ("workflow", "status"),
)
QUESTION_OPEN: Final = _streams("question_open", "Open questions.", ("role",))
QUESTION_OLDEST: Final = _streams(
    "question_oldest_timestamp_seconds",
    "When the oldest open question was asked, Unix seconds; absent while none is open.",
    ("role",),
)
NOT_RESUMED: Final = _streams(
    "answered_not_resumed",
    "Answers recorded ten seconds ago or earlier whose runs have not gone on.",
)
PENDING: Final = _streams(
    "mailbox_pending", "Messages that no worker has taken yet.", ("stream", "mailbox")
)
IN_FLIGHT: Final = _streams(
    "mailbox_in_flight", "Messages that workers are handling.", ("stream", "mailbox")
)
REDELIVERED: Final = _streams(
    "mailbox_redelivered", "Messages that are being delivered again.", ("stream", "mailbox")
)
STREAM_MESSAGES: Final = _streams("stream_messages", "Messages in a stream.", ("stream",))
STREAM_BYTES: Final = _streams("stream_bytes", "Bytes in a stream.", ("stream",))
DEAD_LETTERS: Final = _streams("dead_letters", "Dead letters that nobody has retried or dropped.")
WORKERS: Final = _streams(
    "workers", "Workers: running, or lost in the last ten minutes.", ("state",)
)
RELEASES: Final = _streams("releases", "Releases of an app that workers run at present.", ("app",))
STREAMS_UP: Final = _streams("streams_up", "1 if the streams could be read, otherwise 0.")
READ_AT: Final = _streams(
    "streams_read_timestamp_seconds", "When the streams were read last, Unix seconds."
)

FAMILIES: Final[tuple[Family, ...]] = tuple(
    each for each in list(globals().values()) if isinstance(each, Family)
)
"""All of them."""


def bounded(value: str, known: Collection[str]) -> str:
    """A label's value: the name itself if an app declares it, otherwise `other`."""
    return value if value in known else OTHER
